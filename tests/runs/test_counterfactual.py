"""The AR counterfactual: the recorded entropies of an AR run, and the definition for any other."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest
import torch
from oracles import RandomOracle
from runs_fakes import CONFIG, FakeTask, make

from flexeval.errors import InputError
from flexeval.runs import counterfactual as module
from flexeval.runs.counterfactual import add_counterfactual
from flexeval.runs.counterfactual_table import COUNTERFACTUAL, has_counterfactual, tokens_with_counterfactual
from flexeval.runs.store import RunSet, pooled, read_run
from flexeval.sampling import Sampler


class Spoken(RandomOracle):
    """Texts of some length."""

    def __init__(self, **options):
        super().__init__(words=5, sharpness=1.0, eos_bonus=-1.0, **options)


def sampled(folder, order="ar", model=None, **settings):
    config = dataclasses.replace(
        CONFIG, order=order, num_samples=4, sampling=dataclasses.replace(CONFIG.sampling, **settings)
    )
    return make(config, folder, predictor=model or Spoken(), make_sampler=Sampler)


def computed(folder, model=None, **options):
    add_counterfactual(read_run(folder), predictor=model or Spoken(), task=FakeTask(), **options)
    return tokens_with_counterfactual(read_run(folder))


def by_definition(rows, gen_length=8):
    """One canvas a token, one token at a time."""
    oracle, expected = Spoken(), []
    for row in rows.itertuples():
        mine = rows[(rows["problem_id"] == row.problem_id) & (rows["sample_index"] == row.sample_index)]
        (problem,) = (p for p in FakeTask().problems() if p.id == row.problem_id)
        prompt = oracle.encode(FakeTask().prompt(problem))
        canvas = np.full(len(prompt) + gen_length, oracle.mask_id)
        canvas[: len(prompt)] = prompt
        for before in mine[mine["position"] < row.position].itertuples():
            canvas[len(prompt) + before.position] = before.token_id
        log_p = oracle.log_conditionals(canvas)[len(prompt) + row.position]
        p = np.exp(log_p)
        p[oracle.mask_id] = 0
        p /= p.sum()
        expected.append(-(p[p > 0] * np.log(p[p > 0])).sum())
    return np.array(expected)


@pytest.mark.parametrize("settings", [{}, {"cfg_scale": 0.7}, {"temperature": 1.5, "logits_eos_inf": True}])
def test_of_an_ar_run_it_is_the_recorded_entropy(tmp_path, settings):
    sampled(tmp_path, **settings)
    rows = computed(tmp_path)
    text = rows[rows["in_text"]]
    assert len(text) > 30
    np.testing.assert_allclose(text["ar_entropy"], text["entropy"], atol=1e-5)


def test_of_another_order_it_is_its_definition(tmp_path):
    sampled(tmp_path, "confidence", block_length=8)
    rows = computed(tmp_path)
    text = rows[rows["in_text"]]
    assert len(text) > 30
    np.testing.assert_allclose(text["ar_entropy"], by_definition(text), atol=1e-5)
    assert (text["ar_entropy"] - text["entropy"]).abs().max() > 0.1, "another order sees other canvases"
    assert rows.loc[~rows["in_text"], "ar_entropy"].isna().all()


def test_a_hole_in_a_text_is_a_mask_in_the_prefix(tmp_path):
    sampled(tmp_path, "confidence", logits_mask_inf=False, logits_eos_inf=True, temperature=1.5)
    run = read_run(tmp_path)
    text = run.tokens()[run.tokens()["in_text"]]
    assert len(text) < run.samples["length"].sum(), "no text has a hole, so this shows nothing"
    assert computed(tmp_path)["ar_entropy"].notna().sum() == len(text)


def test_the_rows_are_those_of_the_token_table(tmp_path):
    run = sampled(tmp_path, "confidence")
    rows, columns = computed(tmp_path), run.tokens().columns
    assert list(rows.columns) == [*columns, "ar_entropy"]
    for name in columns:
        assert rows[name].astype(str).tolist() == run.tokens()[name].astype(str).tolist()
    some = tokens_with_counterfactual(run, ["entropy"])
    assert list(some.columns) == ["problem_id", "sample_index", "position", "entropy", "ar_entropy"]


def test_a_view_of_part_of_the_run_has_its_part_of_the_rows(tmp_path):
    run = sampled(tmp_path, "confidence")
    whole = computed(tmp_path).astype({"problem_id": object})
    part = run.part(num_samples=2, limit=2)
    rows = tokens_with_counterfactual(part).astype({"problem_id": object})
    inside = whole["problem_id"].isin(part.problems["problem_id"]) & (whole["sample_index"] < 2)
    assert 0 < inside.sum() < len(whole)
    np.testing.assert_array_equal(rows["ar_entropy"], whole.loc[inside, "ar_entropy"])


@pytest.mark.parametrize("batch_size", [1, 3, 100])
def test_each_prefix_of_a_problem_is_evaluated_once(tmp_path, batch_size):
    run = sampled(tmp_path, "confidence")
    text = run.tokens()[run.tokens()["in_text"]]
    prefixes = {
        (row.problem_id, *mine["token_id"][mine["position"] < row.position])
        for (_, _), mine in text.groupby(["problem_id", "sample_index"], observed=True)
        for row in mine.itertuples()
    }
    model = Spoken()
    computed(tmp_path, model, batch_size=batch_size)
    assert sum(map(len, model.evaluated)) == len(prefixes) < len(text)
    assert max(map(len, model.evaluated)) <= batch_size


def test_it_is_stored_and_grows_with_the_run(tmp_path):
    run = sampled(tmp_path)
    assert not has_counterfactual(run)
    computed(tmp_path)
    assert has_counterfactual(run)

    model = Spoken()
    (path,) = tmp_path.glob(f"{COUNTERFACTUAL}-*.parquet")
    computed(tmp_path, model)
    assert model.evaluated == []
    assert [path] == list(tmp_path.glob(f"{COUNTERFACTUAL}*"))

    config = dataclasses.replace(CONFIG, num_samples=6, limit=5)
    run = make(config, tmp_path, predictor=Spoken(), make_sampler=Sampler)
    assert not has_counterfactual(run)
    with pytest.raises(InputError, match="lacks the AR counterfactual of"):
        tokens_with_counterfactual(run)
    rows = computed(tmp_path)
    text = rows[rows["in_text"]]
    np.testing.assert_allclose(text["ar_entropy"], text["entropy"], atol=1e-5)


def test_what_is_computed_is_kept_when_it_is_stopped(tmp_path, monkeypatch):
    run = sampled(tmp_path)
    done, entropies = [], module.ar_entropies

    def stop(*args, **options):
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(args)
        return entropies(*args, **options)

    with monkeypatch.context() as patch:
        patch.setattr(module, "ar_entropies", stop)
        with pytest.raises(KeyboardInterrupt):
            computed(tmp_path)
    assert not has_counterfactual(run)
    patched = []
    monkeypatch.setattr(
        module, "ar_entropies", lambda *args, **options: patched.append(1) or entropies(*args, **options)
    )
    rows = computed(tmp_path)
    assert len(patched) == 2, "two of four problems were left"
    text = rows[rows["in_text"]]
    np.testing.assert_allclose(text["ar_entropy"], text["entropy"], atol=1e-5)


def test_progress_counts_samples_up_to_all(tmp_path):
    sampled(tmp_path)
    seen = []
    computed(tmp_path, progress=lambda done, total: seen.append((done, total)))
    with_text = int((read_run(tmp_path).samples["length"] > 0).sum())
    assert seen[0] == (0, with_text)
    assert seen[-1] == (with_text, with_text)


def test_another_prompt_type_or_task_is_refused(tmp_path):
    sampled(tmp_path)

    class Half(Spoken):
        def __init__(self):
            super().__init__()
            self.dtype = torch.bfloat16
            self.fingerprint = dataclasses.replace(self.fingerprint, weights="other")

    class Chatty(Spoken):
        def encode(self, prompt):
            return [0, *super().encode(prompt)]

    other = Spoken()
    other.fingerprint = dataclasses.replace(other.fingerprint, weights="other")
    with pytest.raises(InputError, match="made by another model: the weights"):
        computed(tmp_path, other)
    with pytest.raises(InputError, match="dtype float32, not bfloat16"):
        computed(tmp_path, Half())
    with pytest.raises(InputError, match="another prompt of problem 'p0'"):
        computed(tmp_path, Chatty())
    with pytest.raises(InputError, match="of task 'runs-fake', not"):
        add_counterfactual(read_run(tmp_path), predictor=Spoken(), task=FakeTask(size=2))
    assert not list(tmp_path.glob(f"{COUNTERFACTUAL}*"))


def test_of_two_files_that_a_kill_left_the_newer_counts(tmp_path):
    run = sampled(tmp_path)
    rows = computed(tmp_path)
    (path,) = tmp_path.glob(f"{COUNTERFACTUAL}-*.parquet")
    older = path.read_bytes()
    module.write_rows(run, module.read_rows(run).assign(ar_entropy=np.float32(0.5)))
    path.write_bytes(older)
    assert rows["ar_entropy"].max() > 0.5 == tokens_with_counterfactual(run)["ar_entropy"].max()


def test_a_pooled_run_has_the_rows_of_all_its_parts(tmp_path):
    parts = [sampled(tmp_path / f"{seed}", "confidence", seed=seed) for seed in (0, 1)]
    (pooled_run,) = pooled(RunSet(tuple(parts)))
    first = computed(tmp_path / "0")
    assert not has_counterfactual(pooled_run)
    second = computed(tmp_path / "1")
    assert has_counterfactual(pooled_run)
    rows = tokens_with_counterfactual(pooled_run)
    second["sample_index"] += parts[0].config.num_samples
    own = pd.concat([frame.astype({"problem_id": str, "piece": str}) for frame in (first, second)])
    own = own.sort_values(["problem_id", "sample_index", "position"]).reset_index(drop=True)
    pd.testing.assert_frame_equal(rows.astype({"problem_id": str, "piece": str}), own, check_dtype=False)


def test_a_damaged_file_is_named(tmp_path):
    run = sampled(tmp_path)
    computed(tmp_path)
    (path,) = tmp_path.glob(f"{COUNTERFACTUAL}-*.parquet")
    path.write_bytes(path.read_bytes()[:-9] + b"nonsense")
    with pytest.raises(InputError, match="remove it and compute it again"):
        tokens_with_counterfactual(run)
