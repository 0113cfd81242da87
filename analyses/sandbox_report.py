r"""What the sandbox for generated programs holds: reference solutions, mutants, attacks, throughput.

    python analyses/sandbox_report.py --data-dir ../shared/data

reads HumanEval and MBPP from there, checks every reference solution and two mutants of each (an entry point that
returns None; one whose answers are off by one), runs every attack, and writes tables to results/grading/sandbox.md.
It fails when an attack passes or harms its surroundings. About ten minutes on two slow cores.
"""

from __future__ import annotations

import argparse
import os
import platform
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from flexeval.errors import InputError
from flexeval.grading.programs import program_check
from flexeval.grading.sandbox import Limits, Sandbox, Verdict
from flexeval.records import Problem
from flexeval.tasks import get_task

# Attacks and mutants live with the tests of the sandbox.
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "grading"))
from attacks import ATTACKS, surroundings
from mutants import off_by_one, returns_none

BENCHMARKS = (("humaneval", "HumanEval"), ("mbpp", "MBPP, 11 to 510"))
ATTACK_LIMITS = Limits(cpu_s=1, wall_s=2)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("results/grading/sandbox.md"))
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()

    try:
        problems = {name: get_task(name, data_dir=arguments.data_dir).problems() for name, _ in BENCHMARKS}
    except InputError as error:
        parser.error(str(error))
    with Sandbox(workers=arguments.workers) as sandbox:
        head = [
            "# The sandbox for generated programs",
            "Regenerate with\n\n    python analyses/sandbox_report.py --data-dir ../shared/data",
            f"{sandbox.isolation.summary()}. {os.cpu_count()} cores ({platform.machine()}), {sandbox.workers} workers, "
            f"{sandbox.limits.cpu_s} s of processor time and {sandbox.limits.wall_s:g} s of wall time per program.",
        ]
        solutions = _solutions(problems, sandbox)
    throughput = _throughput(problems["humaneval"], arguments.workers)
    attacks, holes = _attacks()
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    partial = arguments.out.with_suffix(".partial")
    partial.write_text("\n\n".join([*head, *solutions, *throughput, *attacks]) + "\n")
    os.replace(partial, arguments.out)
    print(f"wrote {arguments.out}")
    if holes:
        sys.exit(f"these attacks succeeded: {', '.join(holes)}")


def _solutions(problems: dict[str, Sequence[Problem]], sandbox: Sandbox) -> list[str]:
    """How many reference solutions and mutants pass, and the name of every exception."""
    rows, exceptions = [], []
    for name, title in BENCHMARKS:
        checked = {
            "reference": _check(problems[name], _unchanged, sandbox),
            "returns None": _check(problems[name], returns_none, sandbox),
            "off by one": _check(problems[name], off_by_one, sandbox),
        }
        counts = {kind: sum(verdict.passed for verdict in verdicts) for kind, verdicts in checked.items()}
        rows.append([title, len(problems[name]), *counts.values()])
        print(rows[-1], flush=True)
        for kind, verdicts in checked.items():
            for problem, verdict in zip(problems[name], verdicts, strict=True):
                if verdict.passed != (kind == "reference"):
                    exceptions.append([problem.id, kind, verdict.outcome, verdict.reason or "the tests cannot see it"])
    return [
        "## Programs that pass",
        "Every reference solution should, no mutant should.",
        _table(["benchmark", "problems", "reference", "returns None", "off by one"], rows),
        _table(["problem", "program", "verdict", "reason"], exceptions) if exceptions else "There are no exceptions.",
    ]


def _check(problems: Sequence[Problem], change: Callable[[str, str], str], sandbox: Sandbox) -> list[Verdict]:
    """The verdicts on the reference solutions, each changed as `change` does."""
    checks = []
    for problem in problems:
        program = problem.metadata.get("prompt", "") + problem.target
        changed = change(program, problem.metadata["entry_point"])
        checks.append(program_check(problem, changed))
    return sandbox.check_all(checks)


def _unchanged(program: str, entry_point: str) -> str:
    return program


def _throughput(problems: Sequence[Problem], workers: int) -> list[str]:
    """Programs per second, from HumanEval's reference solutions."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    with Sandbox(workers=workers) as sandbox:
        start = time.monotonic()
        _check(problems, _unchanged, sandbox)
        wall_s = time.monotonic() - start
    # Closing the sandbox has added all its processes to what our children used.
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(f"{len(problems) / wall_s:.1f} programs per second", flush=True)
    return [
        "## Throughput",
        f"The {len(problems)} reference solutions of HumanEval, each with a judge and a candidate of its own, with "
        f"{workers} workers: {len(problems) / wall_s:.1f} programs per second ({wall_s:.1f} s, at a load average of "
        f"{os.getloadavg()[0]:.1f} with all other work of the machine). Each used "
        f"{1000 * cpu_s / len(problems):.0f} ms of processor time, which on two cores of their own allows "
        f"{2 * len(problems) / cpu_s:.0f} per second.",
    ]


def _attacks() -> tuple[list[str], list[str]]:
    """The table of attacks, and the names of those that succeeded."""
    rows, holes = [], []
    with (
        tempfile.TemporaryDirectory() as folder,
        surroundings(Path(folder)) as targets,
        Sandbox(workers=1, limits=ATTACK_LIMITS) as sandbox,
    ):
        # The table is about no machine in particular.
        places = {folder: "<outside>", sys.base_prefix: "<python>", str(targets.home): "<home>"}
        for family, attacks in ATTACKS.items():
            for attack in attacks:
                verdict = sandbox.check(attack.check(targets))
                if verdict.passed or not targets.unharmed():
                    holes.append(attack.name)
                reason = verdict.reason or ""
                for place, name in places.items():
                    reason = reason.replace(place, name)
                rows.append([family, attack.name, attack.tries, verdict.outcome, f"{verdict.seconds:.2f}", reason])
    print(f"{len(rows)} attacks, {len(holes)} succeeded", flush=True)
    return [
        "## Attacks",
        f"{len(rows)} attacks, {len(holes)} succeeded; {ATTACK_LIMITS.cpu_s} s of processor time and "
        f"{ATTACK_LIMITS.wall_s:g} s of wall time each.",
        _table(["after", "attack", "it", "verdict", "seconds", "reason"], rows),
    ], holes


def _table(columns: list[str], rows: Sequence[Sequence[object]]) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join("| " + " | ".join(_cell(value) for value in line) + " |" for line in lines)


def _cell(value: object) -> str:
    text = str(value).encode("ascii", "backslashreplace").decode().replace("|", "\\|").replace("\n", " ")
    return text if len(text) <= 120 else text[:117] + "..."


if __name__ == "__main__":
    main()
