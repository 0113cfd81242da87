"""Verdicts come in the order of the texts, an error loses none before it, and a run is graded again without a model."""

from __future__ import annotations

import errno
import json
import os
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace

import pytest
from runs_fakes import CONFIG, FakeTask, make, only

from flexeval.errors import InputError
from flexeval.records import Grade
from flexeval.runs import grading
from flexeval.runs.grading import graded, regrade
from flexeval.runs.store import read_run, reopen_run

# On a stream


def even(number: int) -> Grade:
    return Grade(correct=number % 2 == 0, extracted=str(number))


@pytest.mark.parametrize("threads", [None, 1, 2, 7])
def test_order_and_verdicts_do_not_depend_on_the_threads(threads: int | None) -> None:
    def uneven(number: int) -> Grade:
        time.sleep(0.002 * (number % 3))
        return even(number)

    verdicts = list(graded(range(40), uneven, threads=threads))
    assert verdicts == [(number, even(number)) for number in range(40)]


def test_the_next_items_are_drawn_while_a_verdict_is_outstanding() -> None:
    all_drawn = threading.Event()

    def items() -> Iterator[int]:
        yield from range(5)
        all_drawn.set()

    def waits(number: int) -> Grade:
        # Would be false for ever if the stream waited for each verdict.
        return Grade(correct=all_drawn.wait(timeout=120))

    assert all(grade.correct for _, grade in graded(items(), waits, threads=1))


def test_outstanding_verdicts_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grading, "WAITING", 3)
    drawn: list[int] = []
    release = threading.Event()

    def items() -> Iterator[int]:
        for number in range(10):
            drawn.append(number)
            if number == 4:
                pytest.fail("drawn although four verdicts were outstanding")
            if number == 3:
                threading.Timer(0.05, release.set).start()
            yield number

    def slow(number: int) -> Grade:
        release.wait(timeout=120)
        return even(number)

    stream = graded(items(), slow, threads=1)
    assert next(stream)[0] == 0
    assert drawn == [0, 1, 2, 3]
    stream.close()


@pytest.mark.parametrize("error", [KeyboardInterrupt(), RuntimeError("out of memory")])
def test_an_error_of_the_source_comes_after_the_verdicts_before_it(error: BaseException) -> None:
    def items() -> Iterator[int]:
        yield from range(6)
        raise error

    seen: list[int] = []
    with pytest.raises(type(error)):
        for number, _ in graded(items(), even, threads=2):
            seen.append(number)
    assert seen == list(range(6))


def test_an_error_of_the_grader_comes_in_its_place() -> None:
    def fails(number: int) -> Grade:
        if number == 3:
            raise ValueError("three")
        return even(number)

    seen: list[int] = []
    with pytest.raises(ValueError, match="three"):
        for number, _ in graded(range(100), fails, threads=2):
            seen.append(number)
    assert seen == [0, 1, 2]
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("ThreadPoolExecutor")]


# On a run

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
    before, again = regrade(run.folder, Strict())
    assert before.samples.equals(run.samples)
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


def test_verdicts_of_another_moment_are_refused_though_each_line_is_whole_and_as_many_are_correct(run):
    @dataclass(frozen=True)
    class Renamed(FakeTask):
        def grade(self, problem, text):
            return replace(super().grade(problem, text), rule="first letter")

    old = (run.folder / "samples.jsonl").read_bytes()
    regrade(run.folder, Renamed())
    (run.folder / "samples.jsonl").write_bytes(old)
    with pytest.raises(InputError, match="says checksums"):
        read_run(run.folder)


def test_an_unfinished_run_stays_unfinished(run):
    pairs = list(run.samples[["problem_id", "sample_index"]].itertuples(index=False, name=None))
    part = make(CONFIG, run.folder.with_name("part"), make_sampler=only(pairs[:5]))
    assert len(regrade(part.folder, Strict())[1].samples) == 5
    assert not (part.folder / "summary.json").exists()
    assert make(CONFIG, part.folder, task=Strict()).complete


def test_a_full_disk_leaves_the_old_verdicts(run, monkeypatch):
    def full(descriptor, data):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
            regrade(run.folder, Strict())
    assert read_run(run.folder).samples.equals(run.samples)
    assert (run.folder / "summary.json").exists()


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
