"""Shards of a run, read together and merged: nothing tells them from a run that was never divided."""

from __future__ import annotations

import dataclasses
import errno
import itertools
import json
import os
import shutil

import pandas as pd
import pytest
from runs_fakes import CONFIG, FakePredictor, FakeSampler, FakeTask, extended, make, only

from flexeval.errors import InputError
from flexeval.runs import runner, storage
from flexeval.runs.counterfactual_table import KEYS, has_counterfactual, read_rows, samples_with_text, write_rows
from flexeval.runs.grading import regrade
from flexeval.runs.merge import find_shards, merge, require_apart
from flexeval.runs.reuse import read_finished_run, reusable_run
from flexeval.runs.shards import Shard, parse_shard, shard_of_array
from flexeval.runs.store import alike, on_same_problems, read_run, read_runs
from flexeval.stats.bypass import bypass_table

HALVES = [Shard(index=0, count=2), Shard(index=1, count=2)]
SAME = ("config.json", "problems.jsonl", "samples.jsonl")
"""Files that do not depend on how a run came about, on one machine."""


@pytest.fixture(autouse=True)
def _same_environment(monkeypatch):
    monkeypatch.setattr(runner, "environment", lambda **about: about)


@pytest.fixture
def undivided(tmp_path):
    return make(CONFIG, tmp_path / "undivided")


def divided(out, shards=HALVES, config=CONFIG, **options):
    return [make(config, out, shard=shard, **options) for shard in shards]


def same_files(folder, other):
    assert [(folder / name).read_bytes() for name in SAME] == [(other / name).read_bytes() for name in SAME]


def test_every_problem_is_in_one_shard():
    problems = [f"p{i}" for i in range(11)]
    shards = [Shard(index=i, count=4) for i in range(4)]
    assert sorted(itertools.chain(*(shard.of(problems) for shard in shards))) == sorted(problems)
    for one, other in itertools.product([*shards, Shard(index=1, count=6), Shard(index=2, count=6)], repeat=2):
        places = range(60)
        assert one.overlaps(other) == bool(set(one.of(places)) & set(other.of(places)))


@pytest.mark.parametrize("text", ["3/2", "2/2", "0/0", "-1/2", "1", "1/", "a/b", "1/2/3", "", "0/99999999999"])
def test_what_is_no_shard_is_refused(text):
    with pytest.raises(InputError, match="shard"):
        parse_shard(text)


@pytest.mark.parametrize(
    ("ids", "step"),
    [(range(4), 1), (range(1, 9), 1), (range(0, 12, 4), 4), ([7], 1)],
    ids=["0-3", "1-8", "0-11:4", "7"],
)
def test_a_task_of_an_array_knows_its_place(ids, step):
    found = [
        shard_of_array(
            {
                "SLURM_ARRAY_TASK_ID": str(task),
                "SLURM_ARRAY_TASK_COUNT": str(len(ids)),
                "SLURM_ARRAY_TASK_MIN": str(min(ids)),
                "SLURM_ARRAY_TASK_STEP": str(step),
            }
        )
        for task in ids
    ]
    assert found == [Shard(index=place, count=len(ids)) for place in range(len(ids))]
    assert shard_of_array({}) is None


@pytest.mark.parametrize(
    ("array", "why"),
    [
        ({"ID": "9", "COUNT": "3", "MIN": "0"}, "since the ids of this array are not evenly spaced; give --shard I/N"),
        ({"ID": "2", "COUNT": "3", "MIN": "0", "STEP": "4"}, "since the ids of this array are not evenly spaced"),
        ({"ID": "3"}, "since SLURM_ARRAY_TASK_COUNT is not set, and SLURM_ARRAY_TASK_MIN is not set; give --shard I/N"),
        ({"ID": "3", "COUNT": "4"}, "since SLURM_ARRAY_TASK_MIN is not set"),
        ({"ID": "3", "COUNT": "4", "MIN": "0", "STEP": ""}, "since SLURM_ARRAY_TASK_STEP is '', which is no whole"),
        ({"ID": "x", "COUNT": "4", "MIN": "0"}, "since SLURM_ARRAY_TASK_ID is 'x', which is no whole number"),
    ],
)
def test_a_task_that_does_not_know_its_place_says_why(array, why):
    with pytest.raises(InputError, match=why):
        shard_of_array({f"SLURM_ARRAY_TASK_{name}": value for name, value in array.items()})


def test_shards_are_read_as_one_run(tmp_path, undivided):
    divided(tmp_path / "run")
    together = read_run(tmp_path / "run")
    assert together.complete and not together.lacking
    for name in ("problems", "samples"):
        assert getattr(together, name).equals(getattr(undivided, name))
    assert together.tokens().equals(undivided.tokens())
    assert together.record == undivided.record
    assert dataclasses.astuple(together.effort)[2:] == dataclasses.astuple(undivided.effort)[2:]
    (tmp_path / "link").symlink_to(next((tmp_path / "run").glob("shard-0-of-*")))  # of a run that is found by itself
    assert [run.folder for run in read_runs([tmp_path])] == [tmp_path / "run", tmp_path / "undivided"]
    assert read_finished_run(tmp_path / "run", CONFIG).samples.equals(undivided.samples)
    part = extended(num_samples=2, limit=3)
    assert read_finished_run(tmp_path / "run", part).samples.equals(undivided.part(num_samples=2, limit=3).samples)


def test_what_is_missing_is_said(tmp_path):
    thirds = [Shard(index=i, count=3) for i in range(3)]
    make(CONFIG, tmp_path, shard=thirds[1])
    run = read_run(tmp_path)
    assert (run.lacking, run.complete) == ("shards 0/3, 2/3", False)
    assert list(run.problems["problem_id"]) == ["p1"] and len(run.samples) == 3
    assert read_finished_run(tmp_path, CONFIG) is None
    with pytest.raises(KeyboardInterrupt):
        make(CONFIG, tmp_path, shard=thirds[0], make_sampler=Stopped)
    assert read_run(tmp_path).lacking == "shard 2/3, 4 of 6 samples of shard 0/3"
    # An empty folder is one that has just begun.
    (tmp_path / "shard-2-of-3").mkdir()
    assert read_run(tmp_path).lacking.startswith("shard 2/3")


class Stopped(FakeSampler):
    def run(self, requests):
        yield from itertools.islice(super().run(requests), 2)
        raise KeyboardInterrupt


def test_a_shard_is_part_of_a_smaller_run(tmp_path):
    task = FakeTask()
    make(CONFIG, tmp_path, shard=HALVES[1])
    small = extended(limit=3, num_samples=2)
    run = reusable_run(tmp_path, small, task, shard=HALVES[1])
    assert run is None  # the fake has no files, so that they cannot be compared
    part = read_run(tmp_path / "shard-1-of-2").part(num_samples=2, limit=3)
    assert list(part.problems["problem_id"]) == ["p1"] and part.complete
    assert make(small, tmp_path, shard=HALVES[1]).samples.equals(part.samples)


def test_runs_that_lack_the_same_shard_are_compared_on_all_problems_that_are_there(tmp_path):
    a, b = (make(CONFIG, tmp_path / name, shard=HALVES[1]) and read_run(tmp_path / name) for name in ("a", "b"))
    ids = list(a.problems["problem_id"])
    assert len(ids) > 1 and a.problems.index[-1] >= len(ids), "places and counts would agree"
    for cut in (*on_same_problems([a, b]), *alike(a, b)):
        assert list(cut.problems["problem_id"]) == ids
    assert list(a.first(1).problems["problem_id"]) == ids[:1]


def test_a_part_that_all_shards_have_is_finished_though_one_has_grown(tmp_path):
    divided(tmp_path / "run")
    make(extended(num_samples=CONFIG.num_samples + 1), tmp_path / "run", shard=HALVES[0])
    whole = read_run(tmp_path / "run")
    assert whole.lacking and not whole.complete
    for limit in (CONFIG.limit, None):
        part = whole.part(num_samples=CONFIG.num_samples, limit=limit)
        assert part.complete and not part.lacking
    assert whole.part(num_samples=CONFIG.num_samples + 1, limit=CONFIG.limit).lacking


def test_a_shard_that_was_killed_as_it_began_is_in_nobodys_way(tmp_path, undivided):
    divided(tmp_path / "run")
    (tmp_path / "run" / "shard-2-of-3").mkdir()
    make(CONFIG, tmp_path / "run", shard=HALVES[0])
    run = merge(find_shards(tmp_path / "run"), out=tmp_path / "run")
    assert run.complete
    same_files(tmp_path / "run", undivided.folder)
    (tmp_path / "alone" / "shard-0-of-2").mkdir(parents=True)
    assert make(CONFIG, tmp_path / "alone").complete


def test_merged_shards_are_an_undivided_run_to_the_byte(tmp_path, undivided):
    divided(tmp_path / "run")
    run = merge(find_shards(tmp_path / "run"), out=tmp_path / "run")
    same_files(run.folder, undivided.folder)
    assert run.tokens().equals(undivided.tokens()) and run.complete
    assert not list(run.folder.glob("shard-*"))
    assert make(CONFIG, run.folder).samples.equals(undivided.samples)


def test_shards_whose_words_were_looked_at_are_merged_and_continued(tmp_path, undivided):
    out = tmp_path / "run"
    make(CONFIG, out, shard=HALVES[0])
    words = bypass_table(read_run(out).word_parts(["commit_step", "frontier_step", "passes"]))
    assert len(words) and list(out.rglob("words-*"))
    make(CONFIG, out, shard=HALVES[1])
    bypass_table(read_run(out).word_parts(["commit_step", "frontier_step", "passes"]))
    same_files(merge(find_shards(out), out=out).folder, undivided.folder)


def test_shards_from_elsewhere_are_merged_and_stay(tmp_path, undivided):
    divided(tmp_path / "a", HALVES[:1])
    divided(tmp_path / "b", HALVES[1:])
    shards = [*find_shards(tmp_path / "b"), *find_shards(tmp_path / "a" / "shard-0-of-2")]
    same_files(merge(shards, out=tmp_path / "c").folder, undivided.folder)
    assert all((shard / "config.json").exists() for shard in shards)


def test_a_merge_to_another_disk_copies_and_names_that_disk_where_it_is_full(tmp_path, monkeypatch, undivided):
    def refuse(*_):
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    divided(tmp_path / "run")
    monkeypatch.setattr(os, "link", refuse)
    with monkeypatch.context() as patch, pytest.raises(OSError, match=os.strerror(errno.ENOSPC)) as refused:
        for call in ("write", "sendfile"):
            patch.setattr(os, call, full, raising=False)
        merge(find_shards(tmp_path / "run"), out=tmp_path / "out")
    assert str(refused.value.filename).startswith(str(tmp_path / "out"))
    same_files(merge(find_shards(tmp_path / "run"), out=tmp_path / "out").folder, undivided.folder)


def counterfactual(run, entropy):
    """A row for the first position of each sample with a text."""
    rows = [(problem, index, 0, entropy) for problem, index in samples_with_text(run)]
    return pd.DataFrame(rows, columns=[*KEYS, "ar_entropy"]).astype({"problem_id": "category"})


def test_counterfactuals_of_shards_are_those_of_the_run_and_survive_a_merge(tmp_path):
    """A sample that the run has one of, too, keeps that."""
    divided(tmp_path / "run")
    zero, one = find_shards(tmp_path / "run")
    for entropy, shard in ((1.0, zero), (2.0, one)):
        write_rows(read_run(shard), counterfactual(read_run(shard), entropy))
    whole = read_run(tmp_path / "run")
    assert has_counterfactual(whole)
    write_rows(whole, counterfactual(read_run(zero), 3.0))
    before = read_rows(whole).sort_values(KEYS, ignore_index=True)
    assert set(before["ar_entropy"]) == {2.0, 3.0}
    for out in (tmp_path / "elsewhere", tmp_path / "run"):
        after = read_rows(merge([zero, one], out=out)).sort_values(KEYS, ignore_index=True)
        assert after[KEYS].astype(str).equals(before[KEYS].astype(str))
    assert after["ar_entropy"].tolist() == before["ar_entropy"].tolist() and not zero.exists()


def test_of_linked_shards_the_links_go_and_the_shards_stay(tmp_path, undivided):
    divided(tmp_path / "far")
    (tmp_path / "run").mkdir()
    for shard in find_shards(tmp_path / "far"):
        (tmp_path / "run" / shard.name).symlink_to(shard)
    same_files(merge(find_shards(tmp_path / "run"), out=tmp_path / "run").folder, undivided.folder)
    assert not list((tmp_path / "run").glob("shard-*"))
    assert read_run(tmp_path / "far").samples.equals(undivided.samples)


def test_parts_of_one_run_do_not_become_two(tmp_path):
    """But a run that was made twice, and two different runs, do."""
    for name, own in (("a", HALVES[:1]), ("b", HALVES[1:]), ("again", HALVES)):
        divided(tmp_path / name, own)
    make(dataclasses.replace(CONFIG, order="random"), tmp_path / "other", shard=HALVES[1])
    runs = {tmp_path / name: find_shards(tmp_path / name) for name in ("a", "b", "again", "other")}
    with pytest.raises(InputError, match=r"shards of one run lie in .*a and in .*b; .* --out"):
        require_apart({out: runs[out] for out in (tmp_path / "a", tmp_path / "b")})
    require_apart({out: runs[out] for out in (tmp_path / "a", tmp_path / "other")})
    divided(tmp_path / "twice")
    require_apart({tmp_path / name: find_shards(tmp_path / name) for name in ("again", "twice")})


@pytest.mark.parametrize("name", ["notes.txt", "mine/notes.txt", "tokens/notes.txt", "tokens/mine/a.parquet"])
def test_a_shard_with_files_of_somebody_else_is_not_removed(tmp_path, name):
    zero, _ = (run.folder for run in divided(tmp_path / "run"))
    (zero / name).parent.mkdir(exist_ok=True)
    (zero / name).write_text("mine")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(InputError, match=f"{name.split('/')[-1]} is no part|mine is no part"):
        merge(find_shards(tmp_path / "run"), out=tmp_path / "run")
    assert sorted(tmp_path.rglob("*")) == before


def test_unfinished_shards_are_merged_and_continued(tmp_path, undivided):
    make(CONFIG, tmp_path / "run", shard=HALVES[0])
    with pytest.raises(KeyboardInterrupt):
        make(CONFIG, tmp_path / "run", shard=HALVES[1], make_sampler=Stopped)
    run = merge(find_shards(tmp_path), out=tmp_path / "run")
    assert len(run.samples) == 8 and not run.complete and not (run.folder / "summary.json").exists()
    make(CONFIG, run.folder)
    same_files(run.folder, undivided.folder)


def test_a_merge_that_is_stopped_anywhere_goes_on(tmp_path, monkeypatch, undivided):
    divided(tmp_path / "shards")
    for last in itertools.count():
        out = tmp_path / f"stopped-{last}"
        shutil.copytree(tmp_path / "shards", out)
        with pytest.MonkeyPatch.context() as patch:
            changes = itertools.count()
            for name in ("replace", "link", "unlink", "rmdir", "mkdir"):
                patch.setattr(os, name, stopping(getattr(os, name), changes, last))
            try:
                merge(find_shards(out), out=out)
            except Killed:
                done = False
            else:
                done = True
        assert read_run(out).samples.equals(undivided.samples), f"after {last} changes"
        if not done:
            left = list(out.glob("shard-*")) or not (out / "summary.json").exists()
            if left and list(out.glob("shard-*")):
                merge(find_shards(out), out=out)
            same_files(out, undivided.folder)
        else:
            break
    assert last > 10


class Killed(BaseException):
    pass


def stopping(call, changes, last):
    def counted(*args, **kwargs):
        if next(changes) >= last:
            raise Killed
        return call(*args, **kwargs)

    return counted


def test_shards_that_do_not_belong_together_are_refused(tmp_path):
    divided(tmp_path / "run")
    other = dataclasses.replace(CONFIG, sampling=dataclasses.replace(CONFIG.sampling, seed=1))
    make(other, tmp_path / "seed", shard=HALVES[1])
    make(CONFIG, tmp_path / "weights", shard=HALVES[1], predictor=FakePredictor(weights="two"))
    make(CONFIG, tmp_path / "quarters", shard=Shard(index=2, count=4))
    zero, one = find_shards(tmp_path / "run")
    for name, words in (("seed", "seed"), ("weights", "other weights"), ("quarters", "in two shards")):
        with pytest.raises(InputError, match=words):
            merge([zero, *find_shards(tmp_path / name)], out=tmp_path / "out")
    assert not (tmp_path / "out").exists()
    shutil.copytree(one, tmp_path / "run" / "shard-3-of-4")
    with pytest.raises(InputError, match="in two shards"):
        read_run(tmp_path / "run")
    with pytest.raises(InputError, match="there is no shard in"):
        find_shards(tmp_path / "nothing")
    with pytest.raises(InputError, match="not among the shards"):
        merge([one], out=tmp_path / "run")


@pytest.mark.parametrize(
    "other", [{"weights": "two"}, {"dtype": "torch.bfloat16"}, {"vocabulary": "letters"}, "other questions"]
)
def test_a_shard_that_the_others_cannot_be_joined_with_is_refused_before_it_is_there(tmp_path, monkeypatch, other):
    divided(tmp_path / "run", HALVES[:1])
    if isinstance(other, str):
        problems = [dataclasses.replace(one, question=other) for one in FakeTask().problems()]
        monkeypatch.setattr(runner, "problems_of", lambda _: problems)
    with pytest.raises(InputError, match=r"shard-0-of-2 was made (by another model|with dtype|from other data)"):
        predictor = FakePredictor(**other) if isinstance(other, dict) else FakePredictor()
        make(CONFIG, tmp_path / "run", shard=HALVES[1], predictor=predictor)
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["shard-0-of-2"]


def test_shards_made_before_and_after_a_models_folder_was_moved_are_one_run(tmp_path):
    places = [tmp_path / "before", tmp_path / "after"]
    for place, shard in zip(places, HALVES, strict=True):
        place.mkdir()
        config = extended(model=str(place))
        make(config, tmp_path / "run", shard=shard)
        place.rmdir()
    places[1].mkdir()
    assert read_run(tmp_path / "run").complete
    assert merge(find_shards(tmp_path / "run"), out=tmp_path / "run").complete
    assert read_finished_run(tmp_path / "run", config) is not None


def test_a_folder_has_the_whole_run_or_its_shards(tmp_path):
    make(CONFIG, tmp_path / "whole")
    with pytest.raises(InputError, match="without --shard"):
        make(CONFIG, tmp_path / "whole", shard=HALVES[0])
    make(CONFIG, tmp_path / "run", shard=HALVES[0])
    with pytest.raises(InputError, match="flexeval merge"):
        make(CONFIG, tmp_path / "run")
    with pytest.raises(InputError, match="holds shard 0/2"):
        make(CONFIG, tmp_path / "run", shard=Shard(index=2, count=4))
    make(CONFIG, tmp_path / "run", shard=Shard(index=3, count=4))
    assert read_run(tmp_path / "run").lacking == "the shards of 1 problems"
    with pytest.raises(InputError, match="shard 5/8 has no problem, since the run has 4"):
        make(CONFIG, tmp_path / "many", shard=Shard(index=5, count=8))
    assert not (tmp_path / "many").exists()


def test_a_shard_has_no_samples_of_another(tmp_path):
    make(CONFIG, tmp_path, shard=HALVES[0])
    folder = tmp_path / "shard-0-of-2"
    config = json.loads((folder / "config.json").read_text())
    assert config["shard"] == {"index": 0, "count": 2}
    folder.rename(tmp_path / "shard-1-of-2")
    with pytest.raises(InputError, match="is shard 0/2 of a run, not 1/2"):
        make(CONFIG, tmp_path, shard=HALVES[1])


def test_shards_are_graded_one_by_one(tmp_path):
    divided(tmp_path)
    for shard in find_shards(tmp_path):
        before, after = regrade(shard, FakeTask())
        assert before.samples.equals(after.samples)
    assert read_run(tmp_path).complete


def test_the_samples_of_a_complete_run_are_the_same_to_the_byte_however_it_came_about(tmp_path, undivided, monkeypatch):
    monkeypatch.setattr(storage, "FLUSH_SAMPLES", 1)
    pieces = tmp_path / "pieces"
    with pytest.raises(KeyboardInterrupt):
        make(CONFIG, pieces, make_sampler=Stopped)
    make(extended(num_samples=2), pieces, make_sampler=only([("p2", 1), ("p0", 0), ("p3", 0)]))
    make(extended(limit=2), pieces)
    make(CONFIG, pieces)
    assert (pieces / "samples.jsonl").read_bytes() == (undivided.folder / "samples.jsonl").read_bytes()
