"""New verdicts without sampling."""

from __future__ import annotations

import errno
import json
import os
from dataclasses import dataclass

import pytest
from runs_fakes import CONFIG, FakeTask, make, only

from flexeval.errors import InputError
from flexeval.records import Grade
from flexeval.runs.regrade import regrade
from flexeval.runs.store import read_run, reopen_run

VERDICT = ["extracted", "rule", "correct", "error"]


@dataclass(frozen=True)
class Strict(FakeTask):
    """The same task with a stricter grader."""

    def grade(self, problem, text):
        if text:
            return Grade(correct=text == problem.target, extracted=text, rule="all of it")
        return Grade(correct=False, error="empty")


@pytest.fixture
def run(tmp_path):
    return make(CONFIG, tmp_path / "run")


def test_only_the_verdicts_change(run):
    again = regrade(run.folder, Strict())
    assert again.samples.drop(columns=VERDICT).equals(run.samples.drop(columns=VERDICT))
    assert again.tokens().equals(run.tokens())
    for row in again.samples.itertuples():
        assert row.correct == (row.text == row.problem_id[1:])
        assert row.error == ("empty" if not row.text else None)
    summary = json.loads((run.folder / "summary.json").read_text())
    assert summary["correct"] == again.samples["correct"].sum()
    assert summary["errors"] == (again.samples["text"] == "").sum() > 0


def test_the_same_grader_gives_the_same_verdicts(run):
    before = (run.folder / "samples.jsonl").read_bytes()
    regrade(run.folder, FakeTask())
    assert (run.folder / "samples.jsonl").read_bytes() == before


def test_an_unfinished_run_stays_unfinished(run):
    pairs = list(run.samples[["problem_id", "sample_index"]].itertuples(index=False, name=None))
    part = make(CONFIG, run.folder.with_name("part"), make_sampler=only(pairs[:5]))
    assert len(regrade(part.folder, Strict()).samples) == 5
    assert not (part.folder / "summary.json").exists()
    assert make(CONFIG, part.folder).complete


def test_a_full_disk_leaves_the_old_verdicts(run, monkeypatch):
    def full(descriptor, data):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
            regrade(run.folder, Strict())
    assert read_run(run.folder).samples.equals(run.samples)


def test_another_task_or_data_is_refused(run, tmp_path):
    with pytest.raises(InputError, match="is of task 'runs-fake', not 'runs-fake:size=2'"):
        regrade(run.folder, FakeTask(size=2))

    class Edited(FakeTask):
        def problems(self):
            return super().problems()[1:]

    with pytest.raises(InputError, match="problem 'p0' is not in task 'runs-fake' as it was"):
        regrade(run.folder, Edited())
    with pytest.raises(InputError, match="no run in"):
        regrade(tmp_path, FakeTask())
    assert not (tmp_path / ".lock").exists()
    with reopen_run(run.folder), pytest.raises(InputError, match="in use"):
        regrade(run.folder, FakeTask())
