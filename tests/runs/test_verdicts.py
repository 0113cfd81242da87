"""Verdicts of a task's own beside `correct`: stored, graded again, and chosen as what counts."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import ClassVar

import pytest
from runs_fakes import FakeTask, extended, make

from flexeval.errors import InputError, PluginError
from flexeval.records import Grade
from flexeval.runs.grading import regrade
from flexeval.runs.store import RunSet, pooled, read_run
from flexeval.tasks.task import check_task_class, grade_of, verdicts_of

WIDE = extended(num_samples=12)


@dataclass(frozen=True)
class Short(FakeTask):
    """Also says which texts have at most four characters, and which are both that and correct."""

    verdicts: ClassVar[tuple[str, ...]] = ("short", "sound")

    def grade(self, problem, text):
        grade = super().grade(problem, text)
        short = len(text) <= 4
        return Grade(**{**vars(grade), "verdicts": {"sound": short and grade.correct, "short": short}})


def lines(folder):
    return [json.loads(line) for line in (folder / "samples.jsonl").read_text().splitlines()]


@pytest.fixture
def short(tmp_path):
    return make(WIDE, tmp_path / "short", task=Short())


def test_a_sample_keeps_them_and_a_task_without_any_writes_what_it_always_wrote(short, tmp_path):
    plain = make(WIDE, tmp_path / "plain")
    fields = ["problem_id", "sample_index", "text", "extracted", "rule", "correct", "error", "nfe", "length"]
    for with_some, without in zip(lines(short.folder), lines(plain.folder), strict=True):
        assert [name for name in without if name in fields] == fields and "verdicts" not in without
        is_short = len(with_some["text"]) <= 4
        assert with_some["verdicts"] == {"short": is_short, "sound": is_short and with_some["correct"]}
        assert {name: with_some[name] for name in fields} == {name: without[name] for name in fields}
    assert "verdicts" not in json.loads((plain.folder / "summary.json").read_text())
    tally = {"correct": 0, "short": 0, "sound": 0}
    for row in lines(short.folder):
        for name, holds in {"correct": row["correct"], **row["verdicts"]}.items():
            tally[name] += holds
    assert 0 < tally["sound"] < min(tally["short"], tally["correct"])
    assert short.tally() == read_run(short.folder).tally() == tally
    assert json.loads((short.folder / "summary.json").read_text())["verdicts"] == {
        "short": tally["short"], "sound": tally["sound"],
    }  # fmt: skip
    assert plain.tally() == {"correct": tally["correct"]}


def test_grading_again_adds_them_removes_them_and_leaves_what_sampling_would_have_written(short, tmp_path):
    plain = make(WIDE, tmp_path / "plain")
    expected = {run.folder.name: [{**row, "checksum": ""} for row in lines(run.folder)] for run in (short, plain)}
    before, after = regrade(plain.folder, Short())
    assert list(before.tally()) == ["correct"] and after.tally() == short.tally()
    assert [{**row, "checksum": ""} for row in lines(plain.folder)] == expected["short"]
    assert [list(row) for row in lines(plain.folder)] == [list(row) for row in lines(short.folder)]
    assert read_run(plain.folder).counting("sound").counts().equals(short.counting("sound").counts())
    regrade(plain.folder, FakeTask())
    assert [{**row, "checksum": ""} for row in lines(plain.folder)] == expected["plain"]


@pytest.mark.parametrize("verdict", ["sound", "short"])
def test_the_verdict_that_counts_is_chosen_once_and_holds_for_every_view(short, verdict):
    view = short.counting(verdict)
    assert (short.counted, view.counted) == ("correct", verdict)
    expected = [
        sum(row["verdicts"][verdict] for row in lines(short.folder) if row["problem_id"] == problem)
        for problem in short.problems["problem_id"]
    ]
    assert view.counts()["c"].tolist() == expected != short.counts()["c"].tolist()
    assert view.outcomes()["correct"].sum() == sum(expected)
    assert view.part(num_samples=2, limit=2).counted == verdict
    # What was graded stays as it is.
    assert view.samples is short.samples
    both = RunSet((short, view))
    assert both.varying() == ["counted"]
    assert both.labels() == ["ar counted=correct", f"ar counted={verdict}"]
    assert len(pooled(both)) == 2, "views by different verdicts are not more samples of one setting"


def test_an_unknown_verdict_lists_those_that_there_are(short, tmp_path):
    with pytest.raises(InputError, match=r"unknown verdict .*: 'sond'\. Did you mean 'sound'\? Known: correct, short"):
        short.counting("sond")
    plain = make(WIDE, tmp_path / "plain")
    with pytest.raises(InputError, match=r"Known: correct\. `flexeval grade .*plain` adds"):
        RunSet((short, plain)).counting("sound")


def test_a_verdict_that_some_samples_lack_cannot_count(short):
    rows = short.samples["verdicts"].tolist()
    rows[3] = {"short": True}
    partly = type(short)(**{**vars(short), "samples": short.samples.assign(verdicts=rows)})
    assert list(partly.tally()) == ["correct", "short"]
    with pytest.raises(InputError, match="unknown verdict"):
        partly.counting("sound")


def test_a_grade_has_the_verdicts_that_its_task_lists():
    task = Short()
    assert verdicts_of(task) == ("correct", "short", "sound") and verdicts_of(FakeTask()) == ("correct",)
    problem = task.problems()[0]
    assert grade_of(task, problem, "0").verdicts == {"short": True, "sound": True}

    @dataclass(frozen=True)
    class Forgets(Short):
        def grade(self, problem, text):
            return Grade(correct=True, verdicts={"short": True})

    with pytest.raises(PluginError, match=r"gave the verdicts \(short\), not \(short, sound\)"):
        grade_of(Forgets(), problem, "0")
    for wrong in (["sound"], ("correct",), ("sound", "sound"), ("two words",), (1,)):
        kind = type("Wrong", (Short,), {"verdicts": wrong})
        with pytest.raises(PluginError, match="write different names"):
            check_task_class(dataclass(frozen=True)(kind))


@pytest.mark.parametrize("verdicts", [{"sound": 1}, {1: True}, ["sound"], {"sound": None}])
def test_a_verdict_is_a_name_and_a_truth_value(verdicts):
    with pytest.raises(InputError, match=r"Grade\.verdicts"):
        Grade(correct=True, verdicts=verdicts)
