"""A benchmark is one file: what it does not say, it shares with the others, and the registry finds it."""

from __future__ import annotations

import dataclasses
import importlib
import json
import sys
from pathlib import Path

import pytest

from flexeval import tasks
from flexeval.errors import InputError
from flexeval.records import Problem, Prompt
from flexeval.registry import build, format_spec
from flexeval.tasks.benchmark import BenchmarkTask, Splits
from flexeval.tasks.prompts import BARE
from flexeval.tasks.task import check_task

TOY = '''
from dataclasses import dataclass
from typing import ClassVar

from flexeval.records import Grade, Problem
from flexeval.tasks.benchmark import BenchmarkTask, Splits
from flexeval.tasks.data import Benchmark
from flexeval.tasks.prompts import BARE, PromptTemplate


@dataclass(frozen=True, kw_only=True)
class Toy(BenchmarkTask, Splits):
    """A benchmark of one column."""

    name: ClassVar[str] = "toy"
    aliases: ClassVar[tuple[str, ...]] = ("toys",)
    summary: ClassVar[str] = "toy questions"
    templates: ClassVar = {"default": PromptTemplate(user="Now: {question}"), "bare": BARE}
    benchmark = Benchmark(
        title="Toy", files=("toy.jsonl",), hub_id="a/b", hub_config=None, hub_split="test", columns={"side": str}
    )

    def read(self, index, row):
        if row["side"] != self.split:
            return None
        return Problem(id=f"toy/{index}", question=f"q{index}", target="yes")

    def grade(self, problem, text):
        return Grade(correct=text == problem.target)
'''


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> type[BenchmarkTask]:
    """The class of a benchmark whose file was put beside the others."""
    (tmp_path / "toy.py").write_text(TOY)
    (tmp_path / "toy.jsonl").write_text("".join(json.dumps({"side": s}) + "\n" for s in ("test", "train", "test")))
    monkeypatch.setattr(tasks, "__path__", [*tasks.__path__, str(tmp_path)])
    importlib.invalidate_caches()
    (found,) = (kind for kind in tasks._tasks_here() if kind not in tasks.OURS)
    del sys.modules["flexeval.tasks.toy"]
    return found  # type: ignore[no-any-return]


def test_a_file_in_the_folder_is_a_task(toy: type[BenchmarkTask], tmp_path: Path) -> None:
    task = toy(data_dir=tmp_path)
    check_task(task)
    assert [problem.id for problem in task.problems()] == ["toy/0", "toy/2"]
    assert task.source()["rows"] == 3
    other = dataclasses.replace(task, split="train")
    assert [problem.id for problem in other.problems()] == ["toy/1"]
    assert task.prompt(Problem(id="toy/0", question="q", target="")) == Prompt(user="Now: q")


def test_parameters_stand_in_one_order_in_every_spec(toy: type[BenchmarkTask]) -> None:
    task = build(toy, {"template": "bare", "split": "train"}, owner="task 'toy'")
    assert format_spec("toy", task) == "toy:split=train,template=bare"
    assert task.prompt_template is BARE
    with pytest.raises(InputError, match="unknown prompt: 'bear'"):
        _ = build(toy, {"template": "bear"}, owner="task 'toy'").prompt_template


def test_no_two_tasks_share_a_class_and_bases_are_none() -> None:
    assert len({kind.name for kind in tasks.OURS}) == len(tasks.OURS) == 8
    assert BenchmarkTask not in tasks.OURS and Splits not in tasks.OURS
