"""Runs that differ in their seed are one run: its samples, its token rows, and what cannot be pooled."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest
from pooled_runs import written

from flexeval.runs.store import PooledRun, RunSet, pooled, read_run, read_runs

MODEL = {"weights": "w", "network": "n", "vocabulary": "v", "files": None, "revision": None}


def test_samples_add_up_and_are_told_apart(tmp_path):
    runs = [written(tmp_path / f"{seed}", seed=seed, samples=samples) for seed, samples in ((5, 3), (2, 4))]
    (run,) = pooled(RunSet(tuple(runs)))
    assert isinstance(run, PooledRun) and run.complete and run.seed == "2+5"
    assert run.config.num_samples == 7
    assert run.samples.groupby("problem_id", sort=False)["sample_index"].apply(list).tolist() == [list(range(7))] * 3
    assert run.counts()["n"].tolist() == [7, 7, 7]
    assert run.counts()["c"].tolist() == sum(each.counts()["c"] for each in runs).tolist()
    assert run.effort.samples == sum(each.effort.samples for each in runs)
    assert list(dict.fromkeys(run.samples["problem_id"])) == list(run.problems["problem_id"])


def test_token_rows_are_those_of_the_runs(tmp_path):
    first, second = (written(tmp_path / f"{seed}", seed=seed, samples=2 + seed) for seed in (0, 1))
    (run,) = pooled(RunSet((first, second)))
    rows, own = run.tokens(), pd.concat(
        [first.tokens(), second.tokens().assign(sample_index=lambda rows: rows["sample_index"] + 2)]
    )  # fmt: skip
    assert list(rows.columns) == list(first.tokens().columns)
    keys = ["problem_id", "sample_index", "position"]
    assert rows[keys].to_numpy().tolist() == sorted(rows[keys].to_numpy().tolist())
    own = own.astype({"problem_id": str, "piece": str}).sort_values(keys).reset_index(drop=True)
    pd.testing.assert_frame_equal(rows.astype({"problem_id": str, "piece": str}), own)
    assert list(rows["problem_id"].cat.categories) == list(run.problems["problem_id"])
    assert list(run.tokens(["rank", "entropy"]).columns) == ["rank", "entropy"]
    assert not list(tmp_path.rglob("*pooled*")), "no copy on disk"


@pytest.mark.parametrize(("num_samples", "limit"), [(1, None), (3, 2), (5, 3)])
def test_a_part_takes_the_first_samples(tmp_path, num_samples, limit):
    runs = [written(tmp_path / f"{seed}", seed=seed, samples=2 + seed) for seed in (0, 1)]
    (whole,) = pooled(RunSet(tuple(runs)))
    part = whole.part(num_samples=num_samples, limit=limit)
    assert set(part.counts()["n"]) == {num_samples}
    kept = part.tokens(["problem_id", "sample_index"]).drop_duplicates()
    assert len(kept) == len(part.samples) == num_samples * (limit or 3)
    assert set(kept["sample_index"]) == set(range(num_samples))


def test_pooling_again_changes_nothing(tmp_path):
    once = pooled(RunSet(tuple(written(tmp_path / f"{seed}", seed=seed) for seed in (0, 1))))
    twice = pooled(once)
    assert twice.runs == once.runs and twice.left_out == once.left_out == ()


def test_the_same_seed_again_is_no_more_samples(tmp_path):
    """Equal seeds draw equal samples: counting them twice would halve no error and seem to."""
    runs = [
        written(tmp_path / f"{i}", seed=seed, samples=samples) for i, (seed, samples) in enumerate([(0, 2), (0, 4)])
    ]
    found = pooled(RunSet(tuple(runs)))
    assert [run.config.num_samples for run in found] == [4]
    assert found.left_out == ("a run of ar at T = 0.6, block 8, length 8, seed 0 (the same seed again)",)
    # Nor do they outweigh more samples of other prompts.
    more = written(tmp_path / "more", seed=1, samples=5, prompt_hash="1")
    assert list(pooled(RunSet((*runs, more)))) == [more]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"prompt_hash": "1"}, "other problems or prompts"),
        ({"problems": 2}, "2 problems, not 3"),
        ({"record": {"model": {**MODEL, "weights": "other"}}}, "another model, data, code or dtype"),
        ({"record": {"prompt_template": {"user": "{question}!"}}}, "another model, data, code or dtype"),
        ({"record": {"order_code": "other"}}, "another model, data, code or dtype"),
        ({"dtype": "bfloat16"}, "another model, data, code or dtype"),
    ],
)
def test_only_what_agrees_is_pooled_and_the_rest_is_told(tmp_path, change, why):
    first, second = written(tmp_path / "0", seed=0, samples=4), written(tmp_path / "1", seed=1, samples=4)
    odd = written(tmp_path / "2", seed=2, samples=4, **change)
    found = pooled(RunSet((odd, first, second)))
    assert [run.seed for run in found] == ["0+1"]
    assert len(found.left_out) == 1 and found.left_out[0].endswith(f"seed 2 ({why})")


def test_of_as_many_samples_those_with_token_rows_are_kept(tmp_path):
    drawn = written(tmp_path / "drawn", record={"model": MODEL})
    imported = written(tmp_path / "imported", record={"imported": {}}, dtype="unknown")
    for runs in ((imported, drawn), (drawn, imported)):
        found = pooled(RunSet(runs))
        assert list(found) == [drawn] and len(found.left_out) == 1
    more = written(tmp_path / "more", samples=3, record={"imported": {}}, dtype="unknown")
    assert list(pooled(RunSet((drawn, more)))) == [more]


def test_the_machine_makes_no_difference_nor_where_the_weights_lie(tmp_path):
    runs = [
        written(tmp_path / device, seed=seed, device=device, record={"model": {**MODEL, "files": device}})
        for seed, device in ((0, "cpu"), (1, "cuda"))
    ]
    assert [run.seed for run in pooled(RunSet(tuple(runs)))] == ["0+1"]


def test_a_run_that_is_not_finished_is_left_out(tmp_path):
    whole, part = written(tmp_path / "0", seed=0), written(tmp_path / "1", seed=1)
    part = dataclasses.replace(part, samples=part.samples.iloc[:-1])
    found = pooled(RunSet((whole, part)))
    assert [run.seed for run in found] == [0]
    assert "not finished" in found.left_out[0]
    assert list(pooled(RunSet((part,)))) == [part]


def test_checkpoints_of_one_label_and_two_trainings_stay_apart(tmp_path):
    lineage = {
        "base": "tiny", "training": "ar", "rollout_order": "ar", "fast": False, "step": 3, "samples": 12,
        "seconds": 1.0,
    }  # fmt: skip
    runs = [written(tmp_path / f"{i}", seed=i, record={"lineage": {**lineage, "seed": i}}) for i in range(2)]
    found = pooled(RunSet(tuple(runs)))
    assert list(found) == runs and found.left_out == ()


def test_other_settings_stay_apart(tmp_path):
    runs = [
        written(tmp_path / f"{i}", **settings)
        for i, settings in enumerate(
            [{}, {"temperature": 1.0}, {"order": "random"}, {"top_p": 0.9}, {"gen_length": 16}]
        )
    ]
    found = pooled(read_runs([tmp_path]))
    assert len(found) == len(runs) and found.left_out == ()
    assert {run.folder for run in found} == {run.folder for run in runs}
    assert np.all([read_run(run.folder).complete for run in found])
