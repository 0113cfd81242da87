"""The process that compares two expressions by algebra: math-verify behind a pipe, one JSON line each way.

Run as `python -m flexeval.grading.algebra` by `flexeval.grading.algebra_workers`, never imported by it. A request is
`{"a": text, "b": text, "cpu_seconds": int}`, the reply `{"equal": bool}`; the first line out is `{"ready": true}`.

The texts are hostile. They are parsed by a grammar and never evaluated as code; should a library try to
open a file for writing, start a program or reach the network, an audit hook stops it. The kernel ends the
process when a comparison uses up its processor time, and refuses memory beyond a limit.
"""

from __future__ import annotations

import json
import logging
import os
import re
import resource
import signal
import sys
from collections.abc import Callable
from typing import Any

MEMORY_BYTES = 2**30
RECURSION = 2000
DIGITS = 1000
"""Two numbers made of roots, powers and elementary functions are equal if they agree in this many significant digits.
These count from the first digit that is not 0, so two small numbers differ, and so do a small one and 0."""
FEW_DIGITS = 50
"""The same for everything else (sums, integrals, gamma functions, values at a point), where digits are expensive."""
NEAR = 1e-10
"""Two relations that differ by less than this share of their values, but do differ, are not equal: math-verify took
them for equal only because the difference is small."""
POINTS = ("0.7310585786300048792511592418218362743651446401650565192763659079", "2.3025850929940456840179914546843642")
RELATION = re.compile(r"[=<>]|\\(?:le|ge|in|ne)(?![A-Za-z])")

_FORBIDDEN = (
    "os.system", "os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.spawn", "os.kill", "os.killpg", "os.remove",
    "os.rename", "os.mkdir", "os.rmdir", "os.link", "os.symlink", "os.chmod", "os.truncate", "shutil.", "subprocess.",
    "socket.", "ctypes.", "pty.", "signal.pthread_kill", "tempfile.", "webbrowser.", "urllib.",
)  # fmt: skip


def main() -> None:
    """Answer requests until the pipe closes."""
    # Libraries may print; the pipe is for replies only.
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    logging.disable(logging.CRITICAL)
    # A cluster that ends a job may signal all of its processes: ending is for the parent, or this would be a verdict.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        # Elsewhere every process maps more than that.
        _limit_softly(resource.RLIMIT_AS, MEMORY_BYTES)
    sys.setrecursionlimit(RECURSION)

    same_expression(r"\frac{1}{2}", r"x + 1")  # imports whatever is imported on first use
    sys.addaudithook(_refuse)
    replies.write('{"ready": true}\n')
    for line in sys.stdin:
        request = json.loads(line)
        # Ends this process. Not a resource limit, which would have to be a sum with the time used so far: that is read
        # off a clock which on a busy machine runs more slowly than the one behind limits and timers.
        signal.setitimer(signal.ITIMER_PROF, request["cpu_seconds"])
        replies.write(json.dumps({"equal": same_expression(request["a"], request["b"])}) + "\n")


def same_expression(a: str, b: str) -> bool:
    """Whether two LaTeX expressions are equal; False where one cannot be parsed. Symmetric.

    Constants are compared here, exactly or by significant digits. math-verify compares the rest. It takes small values
    for 0, so its yes counts only if the two do not differ at a test point.
    """
    from math_verify import verify

    first, second = (_parse(text) for text in sorted((a, b)))
    if not first or not second:
        return False
    same = _unless_it_stumbles(lambda: _same_value(first[0], second[0]))
    if same is not None:
        return same
    # Of two relations it takes one as the pattern for the other, so that the order of the two can matter.
    pairs = [(first, second), (second, first)] if RELATION.search(a + b) else [(first, second)]
    accepted = any(
        verify(gold, answer, float_rounding=15, numeric_precision=FEW_DIGITS, timeout_seconds=None)
        for gold, answer in pairs
    )
    return accepted and not _unless_it_stumbles(lambda: _differ(first[0], second[0]))


def _unless_it_stumbles(question: Callable[[], bool | None]) -> bool | None:
    """The answer; None where the library fails on what a hostile text made it build, as in math-verify itself."""
    try:
        return question()
    except Exception:
        return None


def _same_value(a: Any, b: Any) -> bool | None:
    """Whether two expressions are the same one, or the same number; None where that does not show, as for 1/0."""
    from sympy import Expr, nan, zoo

    if not (isinstance(a, Expr) and isinstance(b, Expr)):
        return None
    a, b = a.doit(), b.doit()
    if a.has(nan, zoo) or b.has(nan, zoo):
        return None
    if a == b:
        return True
    if a.free_symbols or b.free_symbols:
        return None
    return False if a.is_Rational and b.is_Rational else _vanishes(a - b, {})


def _differ(a: Any, b: Any) -> bool:
    """Whether two expressions have different values at a point, or two relations nearly but not quite equal ones."""
    from sympy import Expr, Float, MatrixBase
    from sympy.core.relational import Relational

    if isinstance(a, MatrixBase) and isinstance(b, MatrixBase) and a.shape == b.shape:
        return any(_differ(x, y) for x, y in zip(a.flat(), b.flat(), strict=True))
    if not a.free_symbols or a.free_symbols != b.free_symbols:
        return _same_value(a, b) is False
    names = sorted(a.free_symbols, key=str)
    for point in POINTS:
        values = {name: Float(point, FEW_DIGITS) / (index + 1) for index, name in enumerate(names)}
        if isinstance(a, Relational) and isinstance(b, Relational):
            x, y = a.lhs - a.rhs, b.lhs - b.rhs
            if any(_vanishes(d, values) is False and _is_small(d, x, values) for d in (x - y, x + y)):
                return True
        elif isinstance(a, Expr) and isinstance(b, Expr) and _vanishes(a.doit() - b.doit(), values) is False:
            return True
    return False


def _is_small(difference: Any, value: Any, values: dict[Any, Any]) -> bool:
    """Whether a difference of values is a vanishing share of them."""
    return bool(abs(difference.evalf(15, subs=values)) < NEAR * abs(value.evalf(15, subs=values)))


def _vanishes(difference: Any, values: dict[Any, Any]) -> bool | None:
    """Whether a difference is 0 in all digits that were computed; None where it has no finite value."""
    from sympy import Function, Integral, Product, Sum, exp, log
    from sympy.functions.elementary.trigonometric import InverseTrigonometricFunction, TrigonometricFunction

    elementary = (exp, log, TrigonometricFunction, InverseTrigonometricFunction)
    costly = [part for part in difference.atoms(Function, Sum, Product, Integral) if not isinstance(part, elementary)]
    value = difference.evalf(15, subs=values, maxn=FEW_DIGITS if values or costly else DIGITS)
    parts = value.as_real_imag()
    if not all(part.is_Rational or (part.is_Float and part.is_finite) for part in parts):
        return None
    # sympy gives a part one bit of precision if it found none of its digits.
    return all(part == 0 or (part.is_Float and part._prec == 1) for part in parts)


def _parse(text: str) -> list[Any]:
    from latex2sympy2_extended import NormalizationConfig
    from math_verify import LatexExtractionConfig, parse

    # Its removal of units would also take the variable off `5t`; units are gone before a text comes here.
    normalization = NormalizationConfig(
        basic_latex=True, units=False, malformed_operators=True, nits=True, boxed="none", equations=False
    )
    config = LatexExtractionConfig(boxed_match_priority=-1, normalization_config=normalization)
    found: list[Any] = parse(f"${text}$", [config], fallback_mode="no_fallback", parsing_timeout=None)
    return found


def _limit_softly(kind: int, limit: int) -> None:
    """Set a limit, or the lower one that this process was started under."""
    _, hard = resource.getrlimit(kind)
    resource.setrlimit(kind, (limit if hard == resource.RLIM_INFINITY else min(limit, hard), hard))


def _refuse(event: str, arguments: tuple[Any, ...]) -> None:
    """An audit hook: only reading files (a library's own modules) is left of the outside world."""
    if event == "open" and isinstance(arguments[2], int):
        if arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND):
            raise PermissionError("a grading worker writes no files")
    elif event.startswith(_FORBIDDEN):
        raise PermissionError(f"a grading worker does not use {event}")


if __name__ == "__main__":
    main()
