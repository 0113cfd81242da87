"""How near each family comes to its own public code: the tests of the reference vectors, as a table.

    python analyses/golden.py [--out results/golden.md]

Runs these tests of the checkout (`tests/golden` has the vectors) and counts, family by family, the largest difference
of a float32 logit and the greedy decodes that are equal token for token, step for step and in their evaluations.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).resolve().parents[1]
TESTS = (
    "models/test_golden_logits.py",
    "sampling/test_golden_decode.py",
    "sampling/test_golden_block_decode.py",
    "sampling/test_revising.py::test_a_decode_with_edits_is_reproduced",
)
LOGITS = re.compile(r"^(\S+) case \d+.*?: ([\d.e+-]+)(?: apart.*)?$", re.MULTILINE)
"""What a test of logits prints."""
DECODE = re.compile(r"decode\S*_is_reproduced\[(\S+)-\d+\]$")
"""The name of a test of a decode."""


class Outcomes:
    """What the tests found; a plugin of pytest."""

    def __init__(self) -> None:
        self.errors: defaultdict[str, list[float]] = defaultdict(list)
        self.decodes: Counter[str] = Counter()
        self.equal: Counter[str] = Counter()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep what one test found."""
        if report.when != "call":
            return
        for family, error in LOGITS.findall(report.capstdout):
            self.errors[family].append(float(error))
        if decode := DECODE.search(report.nodeid):
            self.decodes[decode[1]] += 1
            self.equal[decode[1]] += report.passed


def table(found: Outcomes) -> list[str]:
    """One line a family, and the sum."""
    lines = ["| family | logits: cases | largest difference | decodes equal |", "|---|---|---|---|"]
    for family in sorted({*found.errors, *found.decodes}):
        errors = found.errors[family]
        largest = f"{max(errors):.1e}" if errors else "-"
        decodes = f"{found.equal[family]} of {found.decodes[family]}" if found.decodes[family] else "-"
        lines.append(f"| {family} | {len(errors)} | {largest} | {decodes} |")
    every = [error for errors in found.errors.values() for error in errors]
    decodes = f"{found.equal.total()} of {found.decodes.total()}"
    return [*lines, f"| all | {len(every)} | {max(every, default=0.0):.1e} | {decodes} |"]


def main(argv: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="also write the table here")
    arguments = parser.parse_args(argv)
    found = Outcomes()
    tests = [str(ROOT / "tests" / name) for name in TESTS]
    status = pytest.main(["-q", "-p", "no:cacheprovider", f"--rootdir={ROOT}", *tests], plugins=[found])
    about = (
        f"`python analyses/golden.py`, torch {torch.__version__}: greedy decodes and float32 logits against reference "
        "vectors of the families' own public code (tests/golden)."
    )
    text = "\n".join(["# Equality with the families' own code", "", about, "", *table(found)]) + "\n"
    print(text)
    if arguments.out is not None:
        arguments.out.write_text(text)
    sys.exit(int(status))


if __name__ == "__main__":
    main()
