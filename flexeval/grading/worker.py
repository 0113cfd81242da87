"""The process that compares two expressions by algebra: math-verify behind a pipe, one JSON line each way.

Run as `python -m flexeval.grading.worker` by `flexeval.grading.workers`, never imported by it. A request is
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
from typing import Any

MEMORY_BYTES = 2**30
RECURSION = 2000
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
    """Whether two LaTeX expressions are equal; False where one cannot be parsed. Symmetric."""
    from math_verify import verify

    first, second = (_parse(text) for text in sorted((a, b)))
    if not first or not second:
        return False
    # Of two relations it takes one as the pattern for the other, so that the order of the two can matter.
    pairs = [(first, second), (second, first)] if RELATION.search(a + b) else [(first, second)]
    return any(verify(gold, answer, float_rounding=15, timeout_seconds=None) for gold, answer in pairs)


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
