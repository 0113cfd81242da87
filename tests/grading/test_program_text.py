"""The program is found in whatever a model wraps around it."""

from __future__ import annotations

import ast
import contextlib
import itertools
import threading
import time
import warnings
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flexeval.grading import program_syntax
from flexeval.grading.program_text import extract_program

PROMPT = '''from typing import List


def helper(x):
    return x


def twice(numbers: List[int]) -> List[int]:
    """ Twice each number.
    >>> twice([1])
    [2]
    """
'''
BODY = "    result = []\n    for number in numbers:\n        result.append(helper(number) * 2)\n    return result\n"
DEFINITION = f"def twice(numbers):\n{BODY}"
BLOCK = f"```python\n{DEFINITION}```"
FIRST_TRY = "```python\ndef twice(numbers):\n    return numbers\n```"


def indented(text: str, margin: str) -> str:
    return "\n".join(margin + line for line in text.split("\n"))


def runs(program: str | None) -> bool:
    """Whether a program computes what PROMPT asks for."""
    assert program is not None
    namespace: dict[str, object] = {"__name__": "solution"}
    exec(program, namespace)
    twice = namespace["twice"]
    assert callable(twice)
    return bool(twice([1, 2]) == [2, 4])


COMPLETIONS = {
    "body": (BODY, "body"),
    "body, then prose": (f"{BODY}\nThis doubles each number.\n", "body"),
    "body, then another function": (f"{BODY}\n\ndef unused():\n    return 1\n", "body"),
    "body that lost its first indentation": (BODY.lstrip(), "body"),
    "body without indentation": ("\n".join(line[4:] for line in BODY.split("\n")), "body"),
    "definition": (DEFINITION, "definition"),
    "definition in prose": (f"Here it is:\n\n{DEFINITION}\nIt doubles each number, as asked.\n", "definition"),
    "definition with an import and a constant": (f"Sure!\nimport math\nTWO = 2\n{DEFINITION}Done.", "definition"),
    "definition with the prompt repeated": (PROMPT + BODY, "definition"),
    "definition by assignment": ("Sure!\n\ntwice = lambda numbers: [2 * n for n in numbers]\n\nDone.", "definition"),
    "definition, indented": (indented(DEFINITION, "    "), "definition"),
    "fenced": (BLOCK, "fenced block"),
    "fenced in prose": (f"The idea is simple.\n{BLOCK}\nIt runs in linear time.", "fenced block"),
    "fenced, short name": (f"```py\n{DEFINITION}```", "fenced block"),
    "fenced without a language": (f"```\n{DEFINITION}```", "fenced block"),
    "fenced, Windows line ends": (BLOCK.replace("\n", "\r\n"), "fenced block"),
    "fenced, indented as in a list": (f"1. So:\n{indented(BLOCK, '   ')}", "fenced block"),
    "fenced body": (f"```python\n{BODY}```", "fenced block"),
    "fence not closed": (f"Sure:\n```python\n{DEFINITION}", "unclosed fence"),
    "fence opened in the prompt": (f"{DEFINITION}```\nThis doubles each number.", "closing fence"),
    "fence opened in the prompt, body": (f"{BODY}```\nThis doubles each number.", "closing fence"),
    "example after the solution": (f"{BLOCK}\nUse:\n```python\nprint(twice([1]))\n```", "fenced block"),
    "correction after a first try": (f"{FIRST_TRY}\nBetter:\n{BLOCK}", "fenced block"),
    "block of another language first": (f"```text\nnot code\n```\n{BLOCK}", "fenced block"),
    "shell block last": (f"{BLOCK}\n```bash\npython twice.py\n```", "fenced block"),
    "answer tag": (f"<reasoning>hm</reasoning>\n<answer>\n{DEFINITION}</answer>", "answer tag, definition"),
    "answer tag, fenced": (f"{FIRST_TRY}<answer>\n{BLOCK}\n</answer>", "answer tag, fenced block"),
    "answer tag not closed": (f"think\n</reasoning>\n<answer>\n{BLOCK}", "answer tag, fenced block"),
    "program before an answer tag without one": (f"{BLOCK}\n<answer>done</answer>", "fenced block"),
    "future import": (f"```python\nfrom __future__ import annotations\n{DEFINITION}```", "fenced block"),
    "assigned": ("```python\ntwice = lambda numbers: [2 * n for n in numbers]\n```", "fenced block"),
    "demonstration": (f"```python\n{DEFINITION}\nif __name__ == '__main__':\n    print(1 / 0)\n```", "fenced block"),
}


@pytest.mark.parametrize("name", COMPLETIONS)
def test_the_program_is_found_and_runs(name: str) -> None:
    completion, rule = COMPLETIONS[name]
    found = extract_program(completion, entry_point="twice", prompt=PROMPT)
    assert found.rule == rule
    assert runs(found.program)


@pytest.mark.parametrize("name", [name for name, (_, rule) in COMPLETIONS.items() if "body" not in name])
def test_without_a_prompt_the_definition_is_found_by_the_same_rule(name: str) -> None:
    completion, rule = COMPLETIONS[name]
    found = extract_program(completion.replace("helper(number)", "number"), entry_point="twice")
    assert found.rule == rule
    assert runs(found.program)


def test_a_whole_program_is_kept_whole() -> None:
    program = f"LIMIT = 3\n\nclass Box:\n    pass\n\n{DEFINITION}"
    assert extract_program(program, entry_point="twice").program == program


def test_what_a_body_continues_is_the_prompt_as_it_is() -> None:
    found = extract_program(BODY, entry_point="twice", prompt=PROMPT)
    assert str(found.program).startswith(PROMPT)
    assert ast.dump(ast.parse(str(found.program))) == ast.dump(ast.parse(PROMPT + BODY))


@pytest.mark.parametrize(
    "tail",
    [
        "def half(numbers):\n    return [n /",
        "print(twice(",
        "def half():\n    '''Half of",
        "# and now",
        "x = [1,\n  2,",
    ],
)
def test_what_is_cut_off_after_the_function_is_left_out(tail: str) -> None:
    """As a limit on tokens leaves it; the function is finished."""
    found = extract_program(f"```python\n{DEFINITION}\n\n{tail}", entry_point="twice", prompt=PROMPT)
    assert found.rule == "unclosed fence"
    assert runs(found.program)


def test_a_function_that_is_cut_off_itself_is_still_what_the_model_answered() -> None:
    found = extract_program("```python\ndef twice(numbers):\n    return [n *", entry_point="twice")
    assert found.rule == "unclosed fence"
    assert "return [n *" in str(found.program)


BESIDE = {
    "done": f"{DEFINITION}[DONE]",
    "begin and done": f"[BEGIN]\n{DEFINITION}[DONE]\n\nYou are an expert.\n[BEGIN]\ndef twice(n):\n    pass\n[DONE]",
    "tags of a language": f"[PYTHON]\n{DEFINITION}[/PYTHON]",
    "done in a fence": f"```python\n{DEFINITION}[DONE]\n```",
    "a word behind": f"{DEFINITION}\nDone",
    "output": f"{DEFINITION}\nOutput\n",
    "output of something": f"{DEFINITION}\nOutput: 5\n",
    "explanation": f"{DEFINITION}\nExplanation\n",
    "explanation of something": f"{DEFINITION}\nExplanation: loop\n",
    "language before": f"python\n{DEFINITION}",
    "language in a fence": f"```\npython\n{DEFINITION}```",
    "words in a list": f"[Solution, below]\n{DEFINITION}",
    "body, then done": f"{BODY}[DONE]\n\n[BEGIN]\nmore",
    "body, then a word": f"{BODY}\nDone",
}


@pytest.mark.parametrize("name", BESIDE)
def test_words_beside_the_code_are_no_code(name: str) -> None:
    found = extract_program(BESIDE[name], entry_point="twice", prompt=PROMPT)
    assert found.rule in ("definition", "fenced block", "unclosed fence", "body")
    assert runs(found.program)


def test_statements_that_do_something_stay() -> None:
    program = f'"""About."""\nimport math\nLIMIT: int = 3\nprint(LIMIT)\n{DEFINITION}\nassert LIMIT\n'
    assert extract_program(program, entry_point="twice").program == program


FENCES = {
    "tildes": f"~~~python\n{DEFINITION}~~~",
    "tildes, cut off": f"~~~\n{DEFINITION}\ndef half(",
    "four backticks": f"````python\n{DEFINITION}````",
    "attributes": f"```{{.python}}\n{DEFINITION}```",
    "more attributes": f"```{{.python .numberLines}}\n{DEFINITION}```",
    "a notebook's": f"```{{python}}\n{DEFINITION}```",
    "a title": f'```python title="twice.py"\n{DEFINITION}```',
    "a fence in a longer one": f"````markdown\n```\nnot code\n```\n````\n{BLOCK}",
    "a fence in a docstring": f"````python\n{DEFINITION.replace(':', ':' + chr(10) + '    # ```', 1)}````",
}


@pytest.mark.parametrize("name", FENCES)
def test_fences_of_any_kind(name: str) -> None:
    found = extract_program(FENCES[name], entry_point="twice", prompt=PROMPT)
    assert "fence" in found.rule
    assert runs(found.program)


FUNCTION = "```python\ndef twice(numbers):\n    return [double(n) for n in numbers]\n```"
PARTS = {
    "helper before": "```python\ndef double(n):\n    return 2 * n\n```",
    "helper with what it needs": "```python\ndef double(n):\n    return FACTOR * n\n\n\nFACTOR = 2\n```",
    "import": "```python\nfrom operator import index as double\ndouble = lambda n: n + n\n```",
    "decorated": "```python\nimport functools\n\n@functools.cache\ndef double(n):\n    return 2 * n\n```",
    "a correction": "```\ndef double(n):\n    return n\n```\nNo:\n```\ndef double(n):\n    return 2 * n\n```",
    "a demonstration": "```python\ndef double(n):\n    return 2 * n\n\nprint(double(1 / 0))\n```",
}


@pytest.mark.parametrize("name", PARTS)
def test_parts_in_several_fences_are_put_together(name: str) -> None:
    for completion in (f"First:\n{PARTS[name]}\nThen:\n{FUNCTION}", f"{FUNCTION}\nwith\n{PARTS[name]}"):
        found = extract_program(completion, entry_point="twice")
        assert found.rule == "fenced block"
        assert runs(found.program)


def test_imports_in_one_fence_and_the_function_in_another() -> None:
    for imports, call in (("import math", "math.prod"), ("import math as m", "m.prod"), ("from math import *", "prod")):
        function = f"def twice(numbers):\n    return [{call}([2, n]) for n in numbers]"
        found = extract_program(f"```python\n{imports}\n```\n\n```python\n{function}\n```", entry_point="twice")
        assert runs(found.program)


@pytest.mark.parametrize(
    "text", ["", "I do not know.", "The answer is 4.", "<answer></answer>", "```\n```", "def other(): pass"]
)
def test_no_program_is_no_program(text: str) -> None:
    assert extract_program(text, entry_point="twice").program is None


def test_a_block_without_the_function_is_still_what_the_model_answered() -> None:
    found = extract_program("```python\ndef other():\n    pass\n```", entry_point="twice", prompt=PROMPT)
    assert found.program is not None
    assert "def other" in found.program


fragments = st.sampled_from(
    ["```", "```python\n", "\n", "    ", "def twice(numbers):\n", "    return 1\n", "<answer>", "</answer>", "prose. ",
     "import os\n", "'''", "(", "\\", "\0", "\ud800", "return 2\n", "@x\n", "if x:\n", "twice = 3\n"]
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(st.lists(fragments, max_size=12).map("".join), st.booleans())
def test_any_text_is_read_without_an_error(text: str, with_prompt: bool) -> None:
    found = extract_program(text, entry_point="twice", prompt=PROMPT if with_prompt else "")
    assert (found.program is None) == (found.rule == "none")


@pytest.mark.parametrize(
    "text",
    [
        "import os\n" * 5000 + "def twice(",
        "<answer>" * 20_000,
        "```\n" * 5000,
        "(" * 50_000,
        "if x:\n" * 3000 + "def twice(n):\n return n",
        "x = '''\n" * 2001 + "def twice(n): pass",
    ],
    ids=["imports", "tags", "fences", "parentheses", "blocks", "quotes"],
)
def test_hostile_text_is_read_in_bounded_time(text: str) -> None:
    start = time.process_time()
    extract_program(text, entry_point="twice", prompt=PROMPT)
    assert time.process_time() - start < 10


def test_programs_read_in_several_threads_leave_the_filters_of_warnings_as_they_were(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each thread waits inside for the others, as far as it may; who came first leaves first."""
    before, parse, together, places = list(warnings.filters), ast.parse, threading.Barrier(3), itertools.count()

    def waiting(*given: object, **named: object) -> ast.AST:
        place = next(places)
        with contextlib.suppress(threading.BrokenBarrierError):
            together.wait(timeout=0.2)
            time.sleep(0.1 * place)
        return parse(*given, **named)  # type: ignore[call-overload, no-any-return]

    monkeypatch.setattr(program_syntax.ast, "parse", waiting)
    with ThreadPoolExecutor(3) as pool:
        found = list(pool.map(lambda program: program_syntax.defines(program, "twice"), [DEFINITION] * 3))
    assert found == [True] * 3 and list(warnings.filters) == before
