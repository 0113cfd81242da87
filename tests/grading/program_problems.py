"""HumanEval and MBPP problems from the reference folder, as the tasks hand them to the graders."""

from __future__ import annotations

import ast
import gzip
import json
import warnings
from pathlib import Path

from flexeval.records import Problem


def humaneval(shared_dir: Path) -> list[Problem]:
    """The 164 problems of HumanEval."""
    with gzip.open(shared_dir / "data" / "HumanEval.jsonl.gz", "rt") as lines:
        rows = [json.loads(line) for line in lines]
    return [Problem(id=row["task_id"], question=row["prompt"], target="", metadata=row) for row in rows]


def mbpp(shared_dir: Path) -> list[Problem]:
    """The 500 problems of MBPP's test split."""
    rows = [json.loads(line) for line in (shared_dir / "data" / "mbpp.jsonl").read_text().splitlines()]
    return [
        Problem(
            id=str(row["task_id"]), question=row["text"], target="", metadata={**row, "entry_point": entry_point(row)}
        )
        for row in rows
        if 11 <= row["task_id"] <= 510
    ]


def entry_point(row: dict[str, object]) -> str:
    """The function of the reference solution that the first test calls."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        solution = ast.parse(str(row["code"]))
    defined = {node.name for node in solution.body if isinstance(node, ast.FunctionDef)}
    tests = row["test_list"]
    assert isinstance(tests, list)
    return next(
        node.func.id
        for node in ast.walk(ast.parse(tests[0]))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in defined
    )


def solution(problem: Problem) -> str:
    """The reference completion."""
    return str(problem.metadata.get("canonical_solution") or problem.metadata["code"])


def full_program(problem: Problem) -> str:
    """The reference solution as a whole program."""
    return str(problem.metadata.get("prompt", "")) + solution(problem)
