"""The table of reference vectors counts what their tests found, and calls nothing equal that failed."""

from __future__ import annotations

import runpy
from pathlib import Path
from types import SimpleNamespace

SCRIPT = runpy.run_path(str(Path(__file__).resolve().parents[2] / "analyses" / "golden.py"))


def report(name: str, *, passed: bool = True, printed: str = "", when: str = "call") -> SimpleNamespace:
    return SimpleNamespace(nodeid=f"tests/test.py::{name}", passed=passed, capstdout=printed, when=when)


def test_failures_are_not_equal_and_the_largest_difference_is_told():
    found = SCRIPT["Outcomes"]()
    for one in (
        report("test_float32[a2d-0]", printed="a2d case 0 (2, 9): 1.5e-05 apart, the reference is off by 9e-01\n"),
        report("test_logits[a2d-1]", printed="a2d case 1: 2.5e-05\n"),
        report("test_a_golden_decode_is_reproduced[a2d-qwen2-0]"),
        report("test_a_decode_is_reproduced[a2d-qwen2-1]", passed=False),
        report("test_a_decode_with_edits_is_reproduced[a2d-qwen2-2]", when="teardown"),
        report("test_something_else[a2d-0]"),
    ):
        found.pytest_runtest_logreport(one)
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in SCRIPT["table"](found)[2:]]
    assert rows == [
        ["a2d", "2", "2.5e-05", "-"],
        ["a2d-qwen2", "0", "-", "1 of 2"],
        ["all", "2", "2.5e-05", "1 of 2"],
    ]
