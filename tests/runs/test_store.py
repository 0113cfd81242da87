"""Opening, continuing, reading and refusing run folders."""

from __future__ import annotations

import dataclasses
import errno
import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
from runs_fakes import CONFIG, MASK, FakePredictor, FakeSampler, FakeTask, extended, make, only, trajectory

from flexeval.errors import InputError
from flexeval.records import Grade, Problem, SamplingConfig, SamplingEffort
from flexeval.runs.layout import GradedSample, stored_problem
from flexeval.runs.store import RunSet, as_runs, read_finished_run, read_run, read_runs, reopen_run


@pytest.fixture
def run(tmp_path):
    return make(CONFIG, tmp_path / "run")


PAIRS = [(f"p{i}", j) for i in range(4) for j in range(3)]


# Reading


def test_a_run_reads_as_it_was_made(run):
    again = read_run(run.folder)
    assert again.complete and again.config == CONFIG
    assert again.samples.equals(run.samples)
    assert list(again.samples[["problem_id", "sample_index"]].itertuples(index=False, name=None)) == [
        (f"p{i}", j) for i in range(4) for j in range(3)
    ]
    assert again.effort == run.effort
    assert again.effort.samples == 12 and again.effort.saved == pytest.approx(0.25)


def test_counts_keep_problems_without_a_correct_sample(run):
    counts = run.counts()
    assert counts["problem_id"].tolist() == ["p0", "p1", "p2", "p3"]
    assert counts["n"].tolist() == [3] * 4
    assert counts["c"].tolist() == [run.samples.query(f"problem_id == 'p{i}'")["correct"].sum() for i in range(4)]
    assert 0 in counts["c"].tolist()


def test_counts_keep_problems_without_a_sample(tmp_path):
    make(CONFIG, tmp_path, make_sampler=only([pair for pair in PAIRS if pair[0] != "p1"]))
    partial = read_run(tmp_path)
    assert not partial.complete
    assert partial.counts()["n"].tolist() == [3, 0, 3, 3]
    assert "p1" not in set(partial.tokens()["problem_id"])
    none = make(CONFIG, tmp_path / "none", make_sampler=only([]))
    assert none.counts()[["n", "c"]].to_numpy().tolist() == [[0, 0]] * 4


def test_a_part_is_the_smaller_run(run, tmp_path):
    small = make(extended(num_samples=2, limit=3), tmp_path / "small")
    part = run.part(num_samples=2, limit=3)
    assert part.complete and part.config == small.config
    assert part.samples.equals(small.samples) and part.problems.equals(small.problems)
    assert part.tokens().astype({"problem_id": str}).equals(small.tokens().astype({"problem_id": str}))


def test_runs_are_parted_by_what_they_differ_in(run):
    def with_order(order, temperature):
        sampling = dataclasses.replace(run.config.sampling, temperature=temperature)
        return dataclasses.replace(run, config=dataclasses.replace(run.config, order=order, sampling=sampling))

    runs = RunSet((with_order("ar", 1.0), with_order("random", 0.6), with_order("ar", 0.6)), ("one more",))
    a, b, c = runs
    assert [list(own) for own in runs.by(["order"])] == [[a, c], [b]]
    assert [list(own) for own in runs.by(["temperature"])] == [[a], [b, c]]
    assert [list(own) for own in runs.by(["order", "temperature"])] == [[a], [b], [c]]
    assert [list(own) for own in runs.by([])] == [[a, b, c]]
    assert all(own.left_out == ("one more",) for own in runs.by(["order"]))
    assert RunSet(()).by(["order"]) == []


@pytest.mark.parametrize(
    ("ask", "says"),
    [
        *((lambda run, n=n: run.first(n), "problems must be") for n in (0, -1, 2.5, 10**6, "2")),
        *((lambda run, n=n: run.first(1, num_samples=n), "num_samples must be") for n in (0, 1.5)),
        (lambda run: run.counting(3), "a verdict is a name"),
        *((lambda run, c=c: run.tokens(c), "columns must be a list of names") for c in (3, "entropy")),
        *((lambda run, c=c: run.token_parts(c), says) for c, says in (
            (["entropy", "entropy"], "twice"), ([], "columns is empty"), ([3], "column of the token table: '3'"),
        )),
        *((lambda run, f=f: read_runs(f), "a run folder is a text or a Path") for f in (None, [3], [b".."], b"..")),
        (lambda run: read_run(3), "a run folder is a text or a Path"),
        (lambda run: read_runs({"runs": "x"}), "a run folder is a text or a Path, not a dict"),
        (lambda run: read_runs(""), "a run folder is empty"),
        (lambda run: read_runs(["x" * 5000]), "as a run folder: File name too long"),
        (lambda run: RunSet((run,)).where(odrer="ar"), "unknown setting: 'odrer'. Did you mean 'order'"),
        (lambda run: RunSet((run,)).by(("task", "tmperature")), "unknown setting: 'tmperature'. Did you mean 'temper"),
        *((lambda run, r=r: as_runs(r), "runs must be what flexeval.read_runs") for r in (None, "runs", [])),
    ],
)  # fmt: skip
def test_what_no_run_can_answer_is_refused(run, ask, says):
    with pytest.raises(InputError, match=says):
        ask(run)


def test_a_folder_can_be_read_while_it_is_written(run):
    with reopen_run(run.folder):
        assert read_run(run.folder).complete


def test_reading_imports_no_torch(run):
    code = (
        "import sys; from pathlib import Path; from flexeval.runs.store import read_run\n"
        "read_run(Path(sys.argv[1])).tokens(); sys.exit('torch' in sys.modules)"
    )
    # The task that the folder names lives in this test suite only: reading must not need it.
    assert subprocess.run([sys.executable, "-c", code, str(run.folder)], check=False).returncode == 0


def test_a_finished_run_is_known_without_sampling(run, tmp_path):
    part = read_finished_run(run.folder, extended(num_samples=1, limit=2, order="left_to_right"))
    assert part.samples["problem_id"].tolist() == ["p0", "p1"]
    assert read_finished_run(run.folder, extended(num_samples=4)) is None
    assert read_finished_run(run.folder, extended(limit=5)) is None
    assert read_finished_run(run.folder, extended(limit=None)) is None
    assert read_finished_run(tmp_path / "elsewhere", CONFIG) is None
    with pytest.raises(InputError, match="made with order 'ar', not 'random'"):
        read_finished_run(run.folder, extended(order="random"))


# Growing


def test_a_folder_grows_in_samples_and_problems(run, tmp_path):
    for step in (extended(num_samples=5), extended(num_samples=4, limit=6), extended(num_samples=5, limit=None)):
        grown = make(step, run.folder)
        assert grown.complete and grown.config == step
    assert (run.folder / "summary.json").exists()
    direct = make(extended(num_samples=5, limit=None), tmp_path / "direct")
    assert grown.samples.equals(direct.samples) and grown.tokens().equals(direct.tokens())
    assert read_run(run.folder).config == direct.config


def test_growing_samples_only_what_is_missing(run):
    samplers = []

    def remembered(*args, **kwargs):
        samplers.append(FakeSampler(*args, **kwargs))
        return samplers[-1]

    make(extended(num_samples=4), run.folder, make_sampler=remembered)
    make(extended(num_samples=2, limit=2), run.folder, make_sampler=remembered)
    grown, smaller = (sampler.requested for sampler in samplers)
    assert [(r.problem_id, r.sample_index) for r in grown] == [(f"p{i}", 3) for i in range(4)]
    assert smaller == []


def test_problems_that_a_kill_left_beyond_the_configuration_do_not_count(run, tmp_path):
    """A run that grows writes its problems before its configuration."""
    larger = make(extended(limit=6), tmp_path / "larger")
    shutil.copyfile(larger.folder / "problems.jsonl", run.folder / "problems.jsonl")
    again = read_run(run.folder)
    assert again.complete and again.samples.equals(run.samples) and again.problems.equals(run.problems)


def test_a_run_with_a_damaged_shard_does_not_grow(run):
    (shard, *_) = (run.folder / "tokens").iterdir()
    shard.write_bytes(shard.read_bytes()[:-1])
    with pytest.raises(InputError, match="not as it was written"):
        make(extended(num_samples=4), run.folder)


def test_a_smaller_request_leaves_the_folder_as_large(run):
    part = make(extended(num_samples=1, limit=1), run.folder)
    assert len(part.samples) == 1
    assert read_run(run.folder).config == CONFIG and len(read_run(run.folder).samples) == 12


def test_an_unfinished_folder_has_no_summary(tmp_path):
    part = make(CONFIG, tmp_path, make_sampler=only(PAIRS[:-1]))
    assert not part.complete and read_finished_run(tmp_path, CONFIG) is None, "one sample is missing"
    with reopen_run(tmp_path) as writer:
        assert list(writer.missing(num_samples=3, limit=None)) == PAIRS[-1:]
    # It has no seal: that a line is lost is known from the journal alone.
    path, lines = tmp_path / "samples.jsonl", (tmp_path / "samples.jsonl").read_bytes()
    path.write_bytes(lines[: lines[:-1].rfind(b"\n") + 1])
    with pytest.raises(InputError, match="10 lines are left of 11"):
        read_run(tmp_path)
    path.write_bytes(lines)
    make(extended(num_samples=1, limit=1), tmp_path)
    assert not (tmp_path / "summary.json").exists()
    make(CONFIG, tmp_path)
    assert json.loads((tmp_path / "summary.json").read_text())["samples"] == 12


def test_samples_end_in_order_however_they_came(run, tmp_path):
    class Backwards(FakeSampler):
        def run(self, requests):
            return reversed(list(super().run(requests)))

    other = make(CONFIG, tmp_path / "other", make_sampler=Backwards)
    assert (other.folder / "samples.jsonl").read_bytes() == (run.folder / "samples.jsonl").read_bytes()


# Repair


def test_leftovers_of_a_kill_are_removed(run, tmp_path):
    part = make(CONFIG, tmp_path / "part", make_sampler=only(PAIRS[:9]))
    before = {path: path.read_bytes() for path in part.folder.rglob("*") if path.is_file() and path.name != ".lock"}
    (part.folder / "tokens" / "part-00001-0123456789abcdef.parquet").write_bytes(b"PAR1")
    (part.folder / "tokens" / "part-00002-0123456789abcdef.parquet.tmp").write_bytes(b"PAR1")
    (part.folder / "config.json.tmp").write_text("{")
    for name, left in {"sampling.jsonl": '{"samples": 1', "samples.jsonl": '{"problem_id": "p9"}\n{"problem'}.items():
        with (part.folder / name).open("a") as file:
            file.write(left)
    assert read_run(part.folder).samples.equals(part.samples)
    with reopen_run(part.folder) as writer:
        assert list(writer.missing(num_samples=3, limit=None)) == PAIRS[9:]
    assert before == {path: path.read_bytes() for path in part.folder.rglob("*") if path.is_file() and path in before}
    assert len(before) == len([path for path in part.folder.rglob("*") if path.is_file()]) - 1
    again = make(CONFIG, part.folder)
    assert again.samples.equals(run.samples) and again.tokens().equals(run.tokens())


@pytest.mark.parametrize("name", ["config.json", "problems.jsonl", "samples.jsonl", "sampling.jsonl", "summary.json"])
def test_a_last_line_that_lost_its_end_counts_and_gets_it_again(run, name):
    path = run.folder / name
    before = path.read_bytes()
    path.write_bytes(before[:-1])
    again = read_run(run.folder)
    assert again.complete and again.samples.equals(run.samples) and again.effort == run.effort
    assert make(extended(num_samples=4), run.folder).complete
    assert len(read_run(run.folder).samples) == 16


def test_a_sample_that_committed_nothing_has_no_tokens_to_lose(tmp_path):
    class Masks(FakeSampler):
        """Every third sample draws the mask token everywhere, as it may with logits_mask_inf=False."""

        def run(self, requests):
            for drawn in super().run(requests):
                if drawn.sample_index == 0:
                    steps_G, tokens_G = np.full(8, -1, dtype=np.int32), np.full(8, MASK, dtype=np.int32)
                    drawn = dataclasses.replace(drawn, commit_step_G=steps_G, token_ids_G=tokens_G, length=0)
                yield drawn

    small = make(extended(num_samples=2), tmp_path / "run", make_sampler=Masks)
    assert (small.tokens().groupby("sample_index").size() > 0).to_dict() == {1: True}
    larger = make(CONFIG, tmp_path / "run", make_sampler=Masks)
    assert larger.complete and len(larger.samples) == 12


# Refusals


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"config": extended(order="random")}, "made with order 'ar', not 'random'; use another --out"),
        (
            {"config": extended(sampling=SamplingConfig(gen_length=8, block_length=4, seed=1))},
            "made with seed 0, not 1",
        ),
        ({"task": FakeTask(wording="seek")}, "made with task 'runs-fake', not 'runs-fake:wording=seek'"),
        ({"predictor": FakePredictor("torch.bfloat16")}, "made with dtype float32, not bfloat16"),
    ],
)
def test_another_configuration_is_refused(run, options, message):
    task = options.get("task", FakeTask())
    spec = "runs-fake" if task == FakeTask() else f"runs-fake:wording={task.wording}"
    config = dataclasses.replace(options.pop("config", CONFIG), task=spec)
    with pytest.raises(InputError, match=message):
        make(config, run.folder, **options)
    assert read_run(run.folder).samples.equals(run.samples)


class Changed(FakeTask):
    """The same task by its name, on data that somebody edited."""

    def problems(self):
        return [dataclasses.replace(problem, **self.changes) for problem in super().problems()[: self.kept]]

    changes: dict = {}  # noqa: RUF012
    kept = 6


@pytest.mark.parametrize(
    ("changes", "kept", "limit", "message"),
    [
        ({"target": "?"}, 6, 4, "other data: problem 'p0' has another target now"),
        ({"question": "?"}, 6, 4, "other data: problem 'p0' has another question now"),
        ({}, 3, 4, "other data: 4 problems then, 3 now"),
        ({}, 3, None, "other data: 4 problems then, 3 now"),
    ],
)
def test_other_data_is_refused(run, monkeypatch, changes, kept, limit, message):
    monkeypatch.setattr(Changed, "changes", changes)
    monkeypatch.setattr(Changed, "kept", kept)
    with pytest.raises(InputError, match=message):
        make(extended(limit=limit), run.folder, task=Changed())


def test_another_tokenizer_is_refused(run, monkeypatch):
    monkeypatch.setattr(FakePredictor, "encode", lambda self, prompt: [1, 2, 3])
    with pytest.raises(InputError, match="problem 'p0' has another prompt length now"):
        make(CONFIG, run.folder)


def test_a_problem_is_known_by_its_prompts_tokens_and_all_that_its_grader_reads():
    problem = Problem(id="p", question="?", target="1", metadata={"tests": ["a"]})
    stored = stored_problem(problem, [1, 23])
    for other in ([12, 3], [23, 1]):
        assert stored_problem(problem, other).prompt_hash != stored.prompt_hash
    for changes in ({"question": "!"}, {"target": "2"}, {"metadata": {"tests": ["b"]}}):
        assert stored_problem(dataclasses.replace(problem, **changes), [1, 23]).data_hash != stored.data_hash


def test_a_folder_of_something_else_is_refused(tmp_path):
    (tmp_path / "thesis.tex").write_text("")
    with pytest.raises(InputError, match=r"is not a run folder, but holds 'thesis\.tex'; use another"):
        make(CONFIG, tmp_path)
    assert os.listdir(tmp_path) == ["thesis.tex"]
    with pytest.raises(InputError, match=r"thesis\.tex is a file"):
        make(CONFIG, tmp_path / "thesis.tex")
    with pytest.raises(InputError, match=r"no run in .*: it has no config\.json"):
        read_run(tmp_path)


def test_a_folder_in_use_is_refused(run):
    with reopen_run(run.folder):
        for use in (lambda: make(CONFIG, run.folder), lambda: reopen_run(run.folder).__enter__()):
            with pytest.raises(InputError, match=f"in use by process {os.getpid()}"):
                use()
    assert make(CONFIG, run.folder).complete


@pytest.mark.parametrize("checksum", [{}, {"crc": "an older one"}])
def test_a_folder_of_a_later_format_is_refused(run, checksum):
    path = run.folder / "config.json"
    values = json.loads(path.read_text())
    del values["crc"]
    path.write_text(json.dumps({**values, "format": 3, **checksum}))
    with pytest.raises(InputError, match=r"format 3, but this flexeval reads formats 1 and 2; use the version that"):
        read_run(run.folder)


def test_a_sample_is_stored_once(run):
    sample = GradedSample(trajectory=trajectory("p0", 0), text="", pieces=[""] * 8, grade=Grade(correct=False))
    with reopen_run(run.folder) as writer, pytest.raises(ValueError, match="there already"):
        writer.append([sample], SamplingEffort())


# A full disk


@pytest.mark.parametrize("fits", range(6))
def test_a_full_disk_is_an_error_and_the_run_can_be_continued(tmp_path, monkeypatch, fits):
    out = tmp_path / "run"
    undisturbed = make(CONFIG, tmp_path / "undisturbed")
    write, writes = os.write, []

    def filling(descriptor, data):
        writes.append(data)
        if len(writes) > fits:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(descriptor, data)

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", filling)
        with pytest.raises(OSError) as error:
            make(CONFIG, out)
    assert error.value.errno == errno.ENOSPC and str(out) in error.value.filename
    assert not list(out.rglob("*.tmp")) and not (out / "summary.json").exists()
    if (out / "config.json").exists():
        partial = read_run(out)
        assert len(partial.tokens(["rank"])) == partial.samples["nfe"].sum()
    again = make(CONFIG, out)
    assert again.samples.equals(undisturbed.samples) and again.tokens().equals(undisturbed.tokens())


def test_what_a_full_disk_stops_is_undone(tmp_path, monkeypatch):
    """Token rows, lines of samples, line of the journal: whichever does not fit, nothing of them is left."""
    make(CONFIG, tmp_path, make_sampler=only(PAIRS[:9]))
    sample = GradedSample(trajectory=trajectory("p3", 0), text="", pieces=[""] * 8, grade=Grade(correct=False))
    write, left = os.write, 0

    def filling(descriptor, data):
        nonlocal left
        left -= 1
        if left < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(descriptor, data)

    def held():
        return {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}

    with reopen_run(tmp_path) as writer:
        before = held()
        for fits in range(3):
            left = fits
            with monkeypatch.context() as patch, pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
                patch.setattr(os, "write", filling)
                writer.append([sample], SamplingEffort(samples=1))
            assert held() == before
        writer.append([sample], SamplingEffort(samples=1))
    assert len(read_run(tmp_path).samples) == 10
