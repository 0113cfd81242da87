"""Whatever a command does with a run, it reads and checks samples.jsonl once."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path

import pytest
from oracles import RandomOracle
from runs_fakes import FakeTask, extended, make

from flexeval.cli.main import main
from flexeval.runs.counterfactual import add_counterfactual
from flexeval.runs.grading import regrade
from flexeval.runs.store import read_run, reusable_run
from flexeval.sampling import Sampler


def made(folder, order, num_samples=4):
    config = extended(order=order, num_samples=num_samples)
    return make(config, folder, predictor=model(), make_sampler=Sampler)


def model():
    return RandomOracle(words=5, sharpness=1.0, eos_bonus=-1.0)


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    folder = tmp_path_factory.mktemp("stored")
    return [made(folder / order, order).folder for order in ("ar", "confidence")]


@pytest.fixture
def runs(stored, tmp_path):
    """Copies, to be changed."""
    return [shutil.copytree(folder, tmp_path / folder.name) for folder in stored]


@pytest.fixture
def reads(monkeypatch):
    """Run folder -> how often its samples were read."""
    counts, read_bytes = Counter(), Path.read_bytes

    def counted(path):
        if path.name == "samples.jsonl":
            counts[path.parent] += 1
        return read_bytes(path)

    monkeypatch.setattr(Path, "read_bytes", counted)
    return counts


@pytest.mark.parametrize(
    "argv",
    [
        ["compare"],
        ["coverage"],
        ["entropy"],
        ["bypass"],
        ["figures", "--only", "pass-at-k", "-o", "out"],
        ["report", "-o", "out.html"],
        ["grade"],
    ],
    ids=lambda argv: argv[0],
)
def test_a_command_on_stored_runs_reads_each_once(runs, reads, tmp_path, monkeypatch, argv):
    monkeypatch.chdir(tmp_path)
    verb, *options = argv
    assert main([verb, *map(str, runs), *options]) == 0
    assert reads == dict.fromkeys(runs, 1)


def test_new_verdicts_need_one_read(runs, reads):
    regrade(runs[0], FakeTask())
    assert reads == {runs[0]: 1}


def test_the_counterfactual_needs_one_read(runs, reads):
    add_counterfactual(read_run(runs[0]), predictor=model(), task=FakeTask())
    assert reads == {runs[0]: 1}


def test_a_new_run_is_not_read_back(tmp_path, reads):
    run = made(tmp_path / "new", "ar")
    assert not reads
    again = read_run(run.folder)
    assert run.samples.equals(again.samples) and run.problems.equals(again.problems)
    assert (run.config, run.record, run.effort, run.environments, run.shards, run.key) == (
        again.config, again.record, again.effort, again.environments, again.shards, again.key
    )  # fmt: skip


def test_a_run_that_grows_is_read_once(runs, reads):
    """As `passk` does it: is the run there? It is not, so sample what is missing."""
    more = extended(order="ar", num_samples=6)
    assert reusable_run(runs[0], more, FakeTask()) is None
    run = made(runs[0], "ar", num_samples=6)
    assert reads == {runs[0]: 1}
    again = read_run(runs[0])
    assert run.samples.equals(again.samples) and run.effort == again.effort and run.record == again.record
