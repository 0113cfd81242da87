"""What tests see of a program: everything that they may rely on, nothing that it could cheat with."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from flexeval.grading.sandbox import Limits, ProgramCheck, Sandbox, Verdict

pytestmark = pytest.mark.linux


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(workers=1, limits=Limits(cpu_s=2, wall_s=15), allow_unsafe=True) as sandbox:
        yield sandbox


def check(sandbox: Sandbox, program: str, tests: str, preamble: str = "") -> Verdict:
    return sandbox.check(ProgramCheck(program=program, tests=tests, entry_point="f", preamble=preamble))


@pytest.mark.parametrize(
    "value",
    [
        "None",
        "True",
        "-7",
        "2**200",
        "0.1",
        "float('inf')",
        "1j",
        "'é\\ud800'",
        "b'x'",
        "[1, (2, {3: {4}})]",
        "range(3)",
    ],
)
def test_values_pass_through_a_call_unchanged(sandbox: Sandbox, value: str) -> None:
    tests = f"v = {value}\nr = f(v, key=v)\nassert r == (v, v) and [type(x) for x in r] == [type(v)] * 2"
    assert check(sandbox, "def f(x, *, key):\n    return x, key\n", tests).passed


@pytest.mark.parametrize(
    ("statement", "before", "after"),
    [
        ("x.append(3)", "[1]", "[1, 3]"),
        ("x.sort()", "[3, 1, 2]", "[1, 2, 3]"),
        ("x.clear()", "{'a': 1}", "{}"),
        ("x['b'] = [2]", "{'a': 1}", "{'a': 1, 'b': [2]}"),
        ("x.add(2)", "{1}", "{1, 2}"),
        ("x[0][0] = 9", "[[1], [2]]", "[[9], [2]]"),
        ("x[0].append(9)", "([], 1)", "([9], 1)"),
        ("x[:] = b'new'", "bytearray(b'old')", "bytearray(b'new')"),
    ],
)
def test_what_a_call_changes_in_place_is_changed_for_the_tests(
    sandbox: Sandbox, statement: str, before: str, after: str
) -> None:
    tests = f"v = {before}\nalias = v\nassert f(v) is None\nassert alias == {after}"
    assert check(sandbox, f"def f(x):\n    {statement}\n", tests).passed


def test_containers_inside_are_changed_in_place_too(sandbox: Sandbox) -> None:
    tests = "row = [1]\ngrid = [row, {'k': row}]\nf(grid)\nassert row == [1, 2]"
    assert check(sandbox, "def f(grid):\n    grid[0].append(2)\n", tests).passed


def test_objects_that_are_the_same_stay_the_same(sandbox: Sandbox) -> None:
    program = """
def f(a, b, *rest):
    a.append(b is a)
    if rest:
        rest[0].append(a)
        a.append(rest[0])
"""
    tests = """
x = []
f(x, x)
assert x == [True]
rows = [[0]] * 2
f(rows[0], rows[1])
assert rows == [[0, True]] * 2 and rows[0] is rows[1]
a, c = [], []
f(a, [], c)
assert a[1] is c and c[0] is a
"""
    assert check(sandbox, program, tests).passed


def test_an_exception_arrives_as_its_builtin_class(sandbox: Sandbox) -> None:
    program = """
class Odd(KeyError):
    pass
def f(kind):
    if kind == 'odd':
        raise Odd('k')
    if kind == 'decode':
        b'\\xff'.decode()
    raise ZeroDivisionError('no')
"""
    tests = """
def caught(kind):
    try:
        f(kind)
    except Exception as error:
        return type(error)
assert caught('odd') is KeyError
assert caught('decode') is UnicodeError
assert caught('other') is ZeroDivisionError
"""
    assert check(sandbox, program, tests).passed


def test_objects_of_the_program_stay_there_and_can_be_used(sandbox: Sandbox) -> None:
    program = """
class Node:
    def __init__(self, data):
        self.data, self.left = data, None
    def twice(self):
        return self.data * 2
def f(node):
    return node.left.data
"""
    tests = """
root = Node(1)
root.left = Node([2])
assert f(root) == [2]
assert root.left.data == [2] and root.left is root.left
assert root.twice() == 2
"""
    assert check(sandbox, program, tests).passed


def test_iterators_are_lazy_and_views_can_be_walked(sandbox: Sandbox) -> None:
    program = "def f(kind):\n    import itertools\n    return itertools.count() if kind else {'a': 1}.keys()\n"
    tests = """
numbers = f(True)
assert [next(numbers) for _ in range(3)] == [0, 1, 2]
assert list(f(False)) == ['a'] and len(f(False)) == 1
"""
    assert check(sandbox, program, tests).passed


def test_the_tests_names_come_before_the_programs(sandbox: Sandbox) -> None:
    """A program cannot replace what the problem or Python defines, except its own function."""
    program = "def f():\n    return 1\ndef helper():\n    return 'mine'\ndef len(x):\n    return 99\nextra = 7\n"
    tests = "assert helper() == 'given'\nassert len([]) == 0\nassert extra == 7\nassert f() == 1"
    assert check(sandbox, program, tests, preamble="def helper():\n    return 'given'\ndef f():\n    pass\n").passed


def test_an_entry_point_may_have_the_name_of_a_builtin(sandbox: Sandbox) -> None:
    given = ProgramCheck(
        program="def sum(a, b):\n    return a * b\n", tests="assert sum(4, 5) == 20", entry_point="sum"
    )
    assert sandbox.check(given).passed


@pytest.mark.parametrize(
    ("program", "outcome", "reason"),
    [
        ("def f(x):\n    return x\n", "failed", "assertion failed: assert f(1) == 2"),
        ("def f(x):\n    return None\n", "failed", "assertion failed"),
        ("def f(x):\n    return x / 0\n", "crashed", "ZeroDivisionError"),
        ("def f(x):\n    assert False, 'mine'\n", "crashed", "AssertionError: mine"),
        ("def g(x):\n    return 2\n", "crashed", "defines no 'f'"),
        ("def f(x:\n", "crashed", "SyntaxError"),
        ("def f(x):\n    return 2\n\0", "crashed", "while it was loaded"),
        ("import numpy\n", "crashed", "ModuleNotFoundError"),
        ("raise SystemExit(0)\n", "crashed", "SystemExit"),
        ("f = 2\n", "failed", "TypeError"),
        ("def f(x):\n    raise type('Odd', (BaseException,), {})\n", "crashed", "Odd"),
    ],
)
def test_every_way_to_fail_has_its_reason(sandbox: Sandbox, program: str, outcome: str, reason: str) -> None:
    verdict = check(sandbox, program, "assert f(1) == 2")
    assert verdict.outcome == outcome
    assert reason in str(verdict.reason)


def test_tests_that_swallow_everything_do_not_save_a_dead_program(sandbox: Sandbox) -> None:
    tests = "try:\n    f()\nexcept BaseException:\n    pass\n"
    assert check(sandbox, "import os\ndef f():\n    os._exit(0)\n", tests).outcome == "crashed"
    assert check(sandbox, "def f():\n    raise ValueError\n", tests).passed


OWN = """
class Own:
    def __bool__(self): return True
    def __eq__(self, other): return True
    def __lt__(self, other): return True
    def __sub__(self, other): return 0
    def __abs__(self): return 0
def f(): return Own()
"""


@pytest.mark.parametrize(
    "test",
    [
        "f()",
        "not f()",
        "f() == 5",
        "f() != 5",
        "5 == f()",
        "[1, f()] == [1, 5]",
        "f() < 5",
        "5 > f()",
        "f() in (4, 5)",
        "f() - 5 == 0",
        "abs(f()) == 0",
        "f() == f()",
    ],
)
def test_what_only_the_programs_own_code_could_tell_is_unsupported(sandbox: Sandbox, test: str) -> None:
    verdict = check(sandbox, OWN, f"try:\n    assert {test}\nexcept BaseException:\n    pass")
    assert verdict.outcome == "unsupported result"
    assert "the program returned an object" in str(verdict.reason)


@pytest.mark.parametrize(
    ("result", "tests"),
    [
        ("re.match('a', 'a')", ["f()", "f()[0] == 'a'", "f() != True", "f() != 'a'", "f().group() == 'a'"]),
        ("re.match('a', 'b')", ["not f()", "f() is None"]),
        ("(n for n in [1, 2])", ["f()", "f() != [1, 2]", "list(f()) == [1, 2]", "sum(f()) == 3", "2 in f()"]),
        ("collections.deque([1, 2])", ["f()", "f() != [1, 2]", "len(f()) == 2", "f()[1] == 2", "list(f()) == [1, 2]"]),
        ("collections.deque()", ["not f()", "len(f()) == 0"]),
        ("{'a': 1}.keys()", ["f() == {'a'}", "{'a'} == f()", "f() != ['a']", "f()", "'a' in f()", "len(f()) == 1"]),
        ("{'a': 1}.values()", ["f() != [1]", "list(f()) == [1]", "f()"]),
        ("collections.UserDict(a=1)", ["f() == {'a': 1}", "f() != {'a': 2}", "f()", "f()['a'] == 1"]),
        ("decimal.Decimal('0.50')", ["f() == 0.5", "f() == D('0.5')", "round(f(), 1) == D('0.5')", "f() != D('0.51')"]),
        ("[fractions.Fraction(1, 2)]", ["f() == [0.5]", "f()[0] + 1 == 1.5", "abs(f()[0] - .5) < 1e-9"]),
        ("complex(1, 2)", ["f() == 1 + 2j", "f().real == 1"]),
        ("datetime.date(2020, 1, 31)", ["f() == datetime.date(2020, 1, 31)", "f() != '2020-01-31'"]),
        ("datetime.timedelta(hours=25)", ["f().days == 1", "f() == datetime.timedelta(1, 3600)"]),
        ("object()", ["f()", "f() != 5", "f() != f()", "x == x"]),
        ("type('N', (), {'v': 3})()", ["f()", "f().v == 3", "f() != 3", "f() is not None"]),
        ("lambda: 7", ["f()", "f()() == 7", "callable(f())"]),
        ("type('T', (), {'__float__': lambda s: 2.5})()", ["float(f()) == 2.5"]),
        ("type('T', (), {'__str__': lambda s: 't'})()", ["str(f()) == 't'"]),
    ],
)  # fmt: skip
def test_results_that_are_no_plain_values_are_what_they_are_to_python(
    sandbox: Sandbox, result: str, tests: list[str]
) -> None:
    program = f"import collections, datetime, decimal, fractions, re\ndef f():\n    return {result}\n"
    asserts = "\n".join(f"assert {test}" for test in tests)
    imports = "import datetime\nfrom decimal import Decimal as D\nx = f()\n"
    # Python itself says so.
    exec(f"{program}{imports}{asserts}", {})
    assert check(sandbox, program, imports + asserts) == Verdict(outcome="passed", seconds=pytest.approx(0, abs=99))


def test_objects_of_one_kind_are_not_compared_by_what_the_program_says(sandbox: Sandbox) -> None:
    program = "import collections\ndef f():\n    return collections.deque([1])\n"
    for test in ("f() == f()", "f() == collections.deque([1])"):
        assert check(sandbox, program, f"import collections\nassert {test}").outcome == "unsupported result"


def test_an_operation_that_an_object_lacks_is_the_programs_fault(sandbox: Sandbox) -> None:
    for test in ("f() < 3", "f() + 1 == 2", "abs(f()) == 1", "len(f()) == 1", "int(f()) == 1"):
        verdict = check(sandbox, "def f():\n    return (n for n in [1])\n", f"assert {test}")
        assert verdict.outcome in ("failed", "crashed")
        assert "TypeError" in str(verdict.reason)


@pytest.mark.parametrize(
    ("answer", "test"),
    [
        ("[n * ((1 << 61) - 1) for n in range(100_000)]", "set(f())"),
        ("1 << 50_000_000", "f() ** 9"),
    ],
    ids=["hash collisions", "huge products"],
)
def test_answers_that_keep_the_tests_busy_are_out_of_time(answer: str, test: str) -> None:
    with Sandbox(workers=1, limits=Limits(cpu_s=1, wall_s=300), allow_unsafe=True) as impatient:
        verdict = check(impatient, f"def f():\n    return {answer}\n", f"assert {test}")
    assert (verdict.outcome, verdict.reason) == (
        "timed out",
        "its answers kept the tests busy for 1 s of processor time",
    )


def test_what_a_program_says_can_be_printed_and_stored_anywhere(sandbox: Sandbox) -> None:
    message = "half \\ud800, \\x1b[2J, \\u202e\\naccuracy 100.00 % " + "x" * 2000
    verdict = check(sandbox, f"def f():\n    raise ValueError('{message}')\n", "f()")
    reason = str(verdict.reason)
    assert reason.isprintable()
    assert len(reason.encode()) < 1500
    assert "half \\ud800, \\x1b[2J, \\u202e accuracy" in reason


def test_a_check_leaves_nothing_for_the_next(sandbox: Sandbox) -> None:
    program = "import os\ndef f():\n    seen = os.listdir('.')\n    open('left', 'w').close()\n    return seen\n"
    for _ in range(2):
        assert check(sandbox, program, "assert f() == []").passed


def test_the_order_of_sets_and_the_draws_of_the_tests_are_the_same_each_time(sandbox: Sandbox) -> None:
    program = "def f():\n    return list({str(n) for n in range(50)})\n"
    probe = check(sandbox, program, "import random\nassert [f(), random.random()] == 0, 1")
    assert probe.outcome == "failed"
    first = check(sandbox, program, "import random\nraise KeyError(f(), random.random())").reason
    second = check(sandbox, program, "import random\nraise KeyError(f(), random.random())").reason
    assert first == second


def test_what_a_program_may_use(sandbox: Sandbox) -> None:
    program = """
import bisect, collections, dataclasses, datetime, decimal, fractions, functools, hashlib, heapq, itertools, json
import math, operator, random, re, sqlite3, statistics, string, tempfile, threading, typing, zlib
@dataclasses.dataclass
class Pair:
    a: 'int'
def f():
    results = []
    threads = [threading.Thread(target=results.append, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with tempfile.TemporaryFile('w+') as file:
        file.write('x')
        file.seek(0)
        results.append(file.read())
    print('noise', flush=True)
    return sorted(map(str, results)), __name__, Pair(1).a
"""
    assert check(sandbox, program, "assert f() == ([*'01234567', 'x'], 'solution', 1)").passed


def test_a_program_and_its_tests_run_under_no_future_flags_of_ours(sandbox: Sandbox) -> None:
    read = "import dataclasses\n@dataclasses.dataclass\nclass P:\n    x: int\ndef f(a: int) -> str:\n"
    read += "    return f.__annotations__['a'] is int, dataclasses.fields(P)[0].type is int\n"
    assert check(sandbox, read, "assert f(1) == (True, True)").passed
    missing = check(sandbox, "def f(a: List[int]):\n    return 1\n", "assert f([1]) == 1")
    assert missing.outcome == "crashed"
    assert "NameError: name 'List'" in str(missing.reason)
    own = "from __future__ import annotations\ndef f(a: List[int]):\n    return f.__annotations__['a']\n"
    assert check(sandbox, own, "assert f([1]) == 'List[int]'").passed
    ours = "def g(a: int):\n    pass\nassert g.__annotations__['a'] is int and f() == 1"
    assert check(sandbox, "def f():\n    return 1\n", ours, preamble=ours.partition("assert")[0]).passed


def test_tests_that_cannot_run_are_not_the_programs_fault(sandbox: Sandbox) -> None:
    for tests, preamble in (("assert f( == 1", ""), ("assert f()", "import no_such_module")):
        with pytest.raises(RuntimeError, match="the tests of 'f' do not run"):
            check(sandbox, "def f():\n    return 1\n", tests, preamble)
    assert check(sandbox, "def f():\n    return 1\n", "assert f() == 1").passed


def test_a_function_of_the_tests_cannot_travel(sandbox: Sandbox) -> None:
    verdict = check(sandbox, "def f(g):\n    return g()\n", "assert f(lambda: 1) == 1")
    assert verdict.outcome == "failed"
    assert "cannot travel" in str(verdict.reason)
