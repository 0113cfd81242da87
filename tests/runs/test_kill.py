"""Killed at any moment and continued, a run ends with the samples of an undisturbed one."""

from __future__ import annotations

import dataclasses
import multiprocessing
import os
import random
import shutil
import signal
import time
from itertools import islice

import pytest
from runs_fakes import CONFIG, FakeSampler, FakeTask, make

from flexeval.runs import runner, storage
from flexeval.runs.grading import regrade
from flexeval.runs.store import read_run

CALLS = ("open", "write", "fsync", "replace", "unlink", "truncate", "ftruncate", "mkdir")
"""Every system call by which a run folder changes."""


class Killed(BaseException):
    pass


class SlowSampler(FakeSampler):
    """Does not come to its last sample, so that it is killed before the end however late that is."""

    def run(self, requests):
        for sample in islice(super().run(requests), 11):
            time.sleep(0.02)
            yield sample
        time.sleep(999)


@pytest.fixture(autouse=True)
def _same_environment(monkeypatch):
    """Looking up versions and the revision takes longer than the rest of these runs."""
    monkeypatch.setattr(runner, "environment", lambda **about: about)


@pytest.fixture
def undisturbed(tmp_path):
    return make(CONFIG, tmp_path / "undisturbed")


def assert_same(run, undisturbed):
    assert run.complete
    assert run.samples.equals(undisturbed.samples)
    assert run.tokens().equals(undisturbed.tokens())
    assert not list(run.folder.rglob("*.tmp"))
    assert (run.folder / "summary.json").exists()


def done_until(last_change, act):
    """Act until the disk has changed so often; from then on no call changes it. Whether it came to its end."""
    changes = 0

    def dying(call, name):
        def counted(*args, **kwargs):
            nonlocal changes
            changes += 1
            if changes <= last_change:
                return call(*args, **kwargs)
            if changes == last_change + 1 and name == "write":
                call(args[0], args[1][: len(args[1]) // 2])
            raise Killed

        return counted

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(storage, "FLUSH_SAMPLES", 5)
        for name in CALLS:
            patch.setattr(os, name, dying(getattr(os, name), name))
        try:
            act()
        except Killed:
            return False
    return True


def make_until(out, last_change):
    return done_until(last_change, lambda: make(CONFIG, out))


def test_stopped_at_every_change_of_the_disk(tmp_path, undisturbed):
    changes = 0
    while not make_until(tmp_path / f"stopped-{changes}", changes):
        assert_same(make(CONFIG, tmp_path / f"stopped-{changes}"), undisturbed)
        changes += 1
    assert changes > 40


def test_stopped_again_and_again_while_continuing(tmp_path, undisturbed):
    lengths = random.Random(0)
    out = tmp_path / "stopped"
    stops = 0
    while not make_until(out, lengths.randint(5, 30)):
        stops += 1
    assert stops >= 5
    assert_same(read_run(out), undisturbed)


class Opposite(FakeTask):
    """The same task, with what was wrong right."""

    def grade(self, problem, text):
        grade = super().grade(problem, text)
        return dataclasses.replace(grade, correct=not grade.correct)


def test_stopped_while_it_is_graded_again(tmp_path, undisturbed):
    """It has the old verdicts or the new ones, and graded once more the new ones."""
    old_S, changes, seen = undisturbed.samples["correct"].to_numpy(), 0, set()
    for changes in range(99):
        out = tmp_path / f"stopped-{changes}"
        shutil.copytree(undisturbed.folder, out)
        ended = done_until(changes, lambda out=out: regrade(out, Opposite()))
        found_S = read_run(out).samples["correct"].to_numpy()
        assert (found_S == old_S).all() or (found_S == ~old_S).all()
        seen.add(bool(found_S[0] == old_S[0]))
        assert (regrade(out, Opposite())[1].samples["correct"].to_numpy() == ~old_S).all()
        assert (out / "summary.json").exists()
        if ended:
            break
    assert changes > 5 and seen == {True, False}


def sample_slowly(out):
    storage.FLUSH_SAMPLES = 2
    make(CONFIG, out, make_sampler=SlowSampler)


def test_killed_at_random_moments(tmp_path, undisturbed):
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["pytest", "flexeval.runs.runner"])
    moments = random.Random(1)
    for attempt, lines in enumerate((0, 2, 4, 8)):
        out = tmp_path / f"killed-{attempt}"
        process = context.Process(target=sample_slowly, args=(out,))
        process.start()
        while process.is_alive() and 2 * count_lines(out / "sampling.jsonl") < lines:
            time.sleep(0.001)
        time.sleep(moments.uniform(0, 0.02))
        process.kill()
        process.join()
        assert process.exitcode == -signal.SIGKILL
        if (out / "config.json").exists():
            partial = read_run(out)
            assert lines <= len(partial.samples) < 12
            assert len(partial.tokens(["problem_id"])) == partial.samples["nfe"].sum()
        assert_same(make(CONFIG, out), undisturbed)


def count_lines(path):
    return path.read_bytes().count(b"\n") if path.exists() else 0
