"""The runner asks for what is missing, grades it, and loses nothing that is finished."""

from __future__ import annotations

import itertools
import json
import os
import threading
import time
from concurrent.futures import Future
from types import SimpleNamespace

import pytest
from oracles import RandomOracle
from runs_fakes import CONFIG, FakePredictor, FakeSampler, FakeTask, extended, make, trajectory

from flexeval.errors import InputError
from flexeval.models.lineage import Lineage
from flexeval.records import Grade, Problem, SamplingEffort
from flexeval.runs import runner, storage
from flexeval.runs.layout import GradedSample
from flexeval.runs.reader import read_contents
from flexeval.runs.store import RunSet, open_run, read_run, read_runs
from flexeval.sampling import Sampler


def test_samples_of_a_problem_are_asked_for_together_with_its_prompt(tmp_path):
    samplers = []

    def remembered(*args, **kwargs):
        samplers.append(FakeSampler(*args, **kwargs))
        return samplers[-1]

    make(CONFIG, tmp_path, make_sampler=remembered)
    requests = samplers[0].requested
    assert [(r.problem_id, r.sample_index) for r in requests] == [(f"p{i}", j) for i in range(4) for j in range(3)]
    assert bytes(requests[-1].prompt_ids) == b"find 3"


def test_a_sample_is_graded_on_its_text(tmp_path):
    run = make(CONFIG, tmp_path)
    for row in run.samples.itertuples():
        sample = trajectory(row.problem_id, row.sample_index)
        assert row.text == FakePredictor().decode(sample.token_ids_G[: sample.length].tolist())
        assert row.correct == (row.problem_id[1:] in row.text)
        assert (row.nfe, row.length) == (sample.nfe, sample.length)
    assert run.samples["correct"].any() and not run.samples["correct"].all()


def test_the_record_says_where_the_run_came_from(tmp_path):
    record = make(CONFIG, tmp_path).record
    assert record["task_source"] == {"generator": "fake", "size": 6}
    assert record["first_prompt"] == {"system": "", "user": "find 0", "prefill": "", "date": "2026-01-01"}
    assert record["environment"]["device"] == "cpu" and record["environment"]["dtype"] == "float32"


def test_a_trained_model_is_called_by_its_lineage(tmp_path):
    lineage = Lineage(base="tiny", training="first", rollout_order="ar", fast=False, step=3, samples=24, seconds=1.5)
    predictor = FakePredictor()
    assert make(CONFIG, tmp_path / "before", predictor=predictor).model == CONFIG.model
    predictor.lineage = lineage
    after = make(CONFIG, tmp_path / "after", predictor=predictor)
    assert (after.lineage, after.model) == (lineage, lineage.label)
    assert RunSet((after,)).where(model=lineage.label)


def test_other_folders_with_a_config_are_no_runs(tmp_path):
    make(CONFIG, tmp_path / "a" / "run")
    (tmp_path / "training/checkpoints").mkdir(parents=True)
    for folder in ("training", "training/checkpoints"):
        (tmp_path / folder / "config.json").write_text('{"grpo": {}}')
    assert [run.folder for run in read_runs([tmp_path])] == [tmp_path / "a" / "run"]
    with pytest.raises(InputError, match="there is no run in"):
        read_runs([tmp_path / "training"])


def test_runs_behind_links_are_found_once(tmp_path):
    make(CONFIG, tmp_path / "disk" / "run")
    below = tmp_path / "runs"
    below.mkdir()
    for name, target in (("first", "disk/run"), ("second", "disk/run"), ("up", ".")):
        (below / name).symlink_to(tmp_path / target)
    assert [run.folder for run in read_runs(below)] == [below / "first"]
    assert len(read_runs([below / "second", tmp_path / "disk", below])) == 1


def test_a_folder_that_cannot_be_read_may_hold_a_run(tmp_path, monkeypatch):
    make(CONFIG, tmp_path / "run")
    (tmp_path / "closed").mkdir()
    scandir = os.scandir

    def refusing(path):
        if str(path).endswith("closed"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refusing)
    with pytest.raises(InputError, match=r"cannot read .*closed: Permission denied"):
        read_runs(tmp_path)


def test_the_summary_counts_the_samples(tmp_path):
    run = make(CONFIG, tmp_path)
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert (summary["problems"], summary["samples"], summary["errors"]) == (4, 12, 0)
    assert summary["correct"] == run.samples["correct"].sum()
    assert summary["mean_nfe"] == run.samples["nfe"].mean()
    assert summary["sampling"]["saved"] == pytest.approx(0.25)


def test_progress_counts_earlier_samples(tmp_path):
    make(extended(num_samples=1), tmp_path)
    seen = []
    make(CONFIG, tmp_path, progress=seen.append)
    assert [p.done for p in seen] == list(range(4, 13))
    assert {p.total for p in seen} == {12}
    seen.clear()
    make(CONFIG, tmp_path, progress=seen.append)
    assert [(p.done, p.total) for p in seen] == [(12, 12)]


class Interrupted(FakeSampler):
    """Stops in the middle of a batch."""

    error = KeyboardInterrupt

    def run(self, requests):
        for number, sample in enumerate(super().run(requests)):
            if number == 7:
                raise self.error
            yield sample


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError("out of memory")])
def test_what_is_finished_is_stored_before_an_error_goes_on(tmp_path, monkeypatch, error):
    monkeypatch.setattr(Interrupted, "error", error)
    with pytest.raises(error if isinstance(error, type) else type(error)):
        make(CONFIG, tmp_path, make_sampler=Interrupted)
    partial = read_run(tmp_path)
    assert len(partial.samples) == 7 and partial.effort.samples == 7
    assert not (tmp_path / "summary.json").exists()
    assert make(CONFIG, tmp_path).effort.samples == 12


@pytest.mark.parametrize(("name", "value"), [("FLUSH_SAMPLES", 1), ("FLUSH_SECONDS", 0.0)])
def test_samples_reach_the_disk_as_they_finish(tmp_path, monkeypatch, name, value):
    monkeypatch.setattr(storage, name, value)
    if name == "FLUSH_SECONDS":
        monkeypatch.setattr(storage, "FLUSH_SHARE", 0.0)
    stored = []
    make(CONFIG, tmp_path, progress=lambda p: stored.append((p.done, len(read_run(tmp_path).samples))))
    assert stored == [(n, n) for n in range(13)]


class Endless(FakeSampler):
    """Draws a few of very many samples and is stopped."""

    def run(self, requests):
        for request in itertools.islice(requests, 10):
            yield trajectory(request.problem_id, request.sample_index, self.config.gen_length)
        raise KeyboardInterrupt


def test_samples_to_draw_are_never_listed(tmp_path, monkeypatch):
    monkeypatch.setattr(runner, "forecast", lambda *_, missing: None)
    # A list of them would fill any memory.
    config = extended(num_samples=2**31 - 1)
    with pytest.raises(KeyboardInterrupt):
        make(config, tmp_path, make_sampler=Endless)
    contents = read_contents(tmp_path)
    with open_run(tmp_path, config, contents.problems, contents.header.record) as writer:
        assert writer.count_missing(num_samples=2**31 - 1, limit=None) == 4 * (2**31 - 1) - 10
        assert next(iter(writer.missing(num_samples=2**31 - 1, limit=None))) == ("p0", 10)


def test_a_write_waits_neither_for_a_grader_nor_for_the_next_sample(tmp_path, monkeypatch):
    monkeypatch.setattr(storage, "POLL_SECONDS", 0.01)
    monkeypatch.setattr(storage, "FLUSH_SECONDS", 0.05)
    stored = []

    class Stuck(FakeSampler):
        def run(self, requests):
            yield from itertools.islice(super().run(requests), 7)
            deadline = time.monotonic() + 20
            while len(read_run(tmp_path).samples) < 7 and time.monotonic() < deadline:
                time.sleep(0.01)
            stored.append(len(read_run(tmp_path).samples))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make(CONFIG, tmp_path, make_sampler=Stuck)
    assert stored == [7]


def test_however_long_a_run_is_a_write_comes_within_a_minute(monkeypatch):
    class Writes:
        def append(self, samples, effort, environment, *, forecast):
            written.append(clock.now)

    clock, written = SimpleNamespace(now=0.0), []
    monkeypatch.setattr(storage, "time", SimpleNamespace(monotonic=lambda: clock.now))
    begun = storage.Progress(done=0, total=10**6, correct=0)
    store = storage.Storage(Writes(), progress=begun, report=lambda _: None)
    graded = Future()
    graded.set_result(GradedSample(trajectory=trajectory("p0", 0), text="", pieces=[], grade=Grade(correct=True)))
    finished = storage.Finished(sample=graded, effort=SamplingEffort(samples=1), environment={})
    for clock.now in range(0, 86_400, 20):
        store._add(finished)
    gaps = [later - earlier for earlier, later in itertools.pairwise(written)]
    assert max(gaps) == 60
    assert min(gaps) >= storage.FLUSH_SECONDS
    assert len(gaps) < 1600, "a day makes no more shards than can be read quickly"


def test_interrupts_while_storing_lose_nothing(tmp_path, monkeypatch):
    """The second comes while verdicts on finished samples are outstanding."""

    class Slow(FakeTask):
        def grade(self, problem, text):
            time.sleep(0.1)
            return super().grade(problem, text)

    join, interrupts = threading.Thread.join, iter([KeyboardInterrupt, KeyboardInterrupt])

    def interrupted(self, timeout=None):
        for error in interrupts:
            raise error
        join(self, timeout)

    monkeypatch.setattr(threading.Thread, "join", interrupted)
    with pytest.raises(KeyboardInterrupt):
        make(CONFIG, tmp_path, task=Slow(), make_sampler=Interrupted)
    assert len(read_run(tmp_path).samples) == 7


def test_no_more_samples_are_begun_than_graders_can_follow(tmp_path, monkeypatch):
    monkeypatch.setattr(storage, "WAITING", 2)
    asked, graded = [], threading.Semaphore(0)

    class Held(FakeTask):
        def grade(self, problem, text):
            graded.acquire(timeout=120)
            return super().grade(problem, text)

    class Lazy(FakeSampler):
        def run(self, requests):
            for request in requests:
                asked.append(request)
                yield trajectory(request.problem_id, request.sample_index, self.config.gen_length)

    thread = threading.Thread(target=make, args=(CONFIG, tmp_path), kwargs={"task": Held(), "make_sampler": Lazy})
    thread.start()
    time.sleep(0.5)
    # One is with the thread that writes, two wait.
    assert len(asked) <= 3
    graded.release(100)
    thread.join()
    assert read_run(tmp_path).complete


class Repeating(FakeTask):
    def problems(self):
        return [Problem(id="same", question="?", target="1")] * 2


@pytest.mark.parametrize(
    ("task", "message"),
    [
        (FakeTask(size=0), "task 'runs-fake' has no problems"),
        (Repeating(), "two problems with the id 'same'"),
    ],
)
def test_a_task_without_problems_to_tell_apart_is_refused(tmp_path, task, message):
    spec = "runs-fake:size=0" if task.size == 0 else "runs-fake"
    with pytest.raises(InputError, match=message):
        make(extended(task=spec), tmp_path / "run", task=task)
    assert not (tmp_path / "run").exists()


def test_a_task_that_is_not_the_configured_one_is_refused(tmp_path):
    with pytest.raises(InputError, match="names task 'runs-fake', but 'runs-fake:size=3' was given"):
        make(CONFIG, tmp_path / "run", task=FakeTask(size=3))


def test_settings_that_the_sampler_refuses_leave_no_folder(tmp_path):
    def refusing(*args, **kwargs):
        raise InputError("batch size must be at least 1")

    with pytest.raises(InputError, match="batch size"):
        make(CONFIG, tmp_path / "run", make_sampler=refusing)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("order", ["ar", "confidence"])
def test_the_sampler_draws_the_same_in_any_number_of_runs(tmp_path, order):
    options = {"predictor": RandomOracle(words=6, eos_bonus=1.0), "make_sampler": Sampler}
    at_once = make(extended(order=order), tmp_path / "at-once", **options)
    for num_samples, limit, batch_size in [(1, 2, 5), (2, 4, 1), (3, 4, 3)]:
        config = extended(order=order, num_samples=num_samples, limit=limit)
        in_parts = make(config, tmp_path / "in-parts", batch_size=batch_size, **options)
    assert in_parts.samples.equals(at_once.samples)
    assert in_parts.tokens().equals(at_once.tokens())
    assert at_once.effort.saved > 0
