"""What samples took back, on disk: as it was sampled, nothing where nothing was, and refused where it is damaged."""

from __future__ import annotations

import dataclasses
import json
from typing import ClassVar

import numpy as np
import pandas as pd
import pytest
from oracles import RandomOracle
from runs_fakes import CONFIG, FakeTask, make

from flexeval.cli.main import main
from flexeval.errors import InputError
from flexeval.orders import get_order
from flexeval.records import REVISION_COLUMNS
from flexeval.runs.counterfactual import add_counterfactual
from flexeval.runs.revisions import SCHEMA
from flexeval.runs.store import RunSet, pooled, read_run, reopen_run
from flexeval.sampling import Sampler
from flexeval.stats.revisions import first_commits, successors, taken_back_by_piece

EDIT, T2M = "edit:tau=0.4,tau_edit=0.3", "t2m:tau=0.3"


class Spoken(RandomOracle):
    """Texts of some length."""

    def __init__(self):
        super().__init__(words=5, sharpness=1.5, eos_bonus=-1.0)


class Kept(Sampler):
    """Remembers what it drew."""

    drawn: ClassVar[dict] = {}

    def run(self, requests):
        for trajectory in super().run(requests):
            self.drawn[trajectory.problem_id, trajectory.sample_index] = trajectory
            yield trajectory


def sampled(folder, order=EDIT, *, num_samples=4, **settings):
    sampling = dataclasses.replace(CONFIG.sampling, temperature=1.0, **settings)
    config = dataclasses.replace(CONFIG, order=order, num_samples=num_samples, sampling=sampling)
    return make(config, folder, predictor=Spoken(), make_sampler=Kept)


@pytest.mark.parametrize("order", [EDIT, T2M, "remdm:eta=0.5"])
def test_what_was_taken_back_is_read_as_it_was_sampled(tmp_path, order):
    run = sampled(tmp_path / "run", order)
    frame = run.revisions()
    assert list(frame.columns) == SCHEMA.names and len(frame)
    assert not run.samples["capped"].any()
    problems = list(run.problems["problem_id"])
    for sample in run.samples.itertuples():
        trajectory = Kept.drawn[sample.problem_id, sample.sample_index]
        mine = frame[(frame["problem_id"] == sample.problem_id) & (frame["sample_index"] == sample.sample_index)]
        for name in REVISION_COLUMNS:
            np.testing.assert_array_equal(mine[name], getattr(trajectory.revisions, f"{name}_N"))
        assert mine["old_piece"].tolist() == Spoken().pieces(mine["old_token"])
    places = [problems.index(problem) for problem in frame["problem_id"]]
    assert list(zip(places, frame["sample_index"], strict=True)) == sorted(
        zip(places, frame["sample_index"], strict=True)
    )
    # A view has its own samples only.
    assert set(run.part(num_samples=2, limit=2).revisions()["sample_index"]) <= {0, 1}


def test_an_order_that_does_not_revise_takes_no_space(tmp_path):
    run = sampled(tmp_path / "run", "confidence")
    assert len(run.revisions()) == 0 and list(run.revisions().columns) == SCHEMA.names
    assert not list((run.folder / "tokens").glob("revised-*"))
    assert "revised" not in (run.folder / "sampling.jsonl").read_text()
    assert "capped" not in (run.folder / "samples.jsonl").read_text()


def test_a_run_goes_on_and_is_pooled_with_what_it_took_back(tmp_path):
    whole = sampled(tmp_path / "whole").revisions()
    sampled(tmp_path / "grown", num_samples=2)
    pd.testing.assert_frame_equal(sampled(tmp_path / "grown").revisions(), whole)

    other = sampled(tmp_path / "other", seed=7)
    (both,) = pooled(RunSet((read_run(tmp_path / "whole"), other)))
    assert len(both.revisions()) == len(whole) + len(other.revisions())
    assert both.revisions()["sample_index"].max() >= 4


def test_damage_is_refused_and_what_a_kill_leaves_is_removed(tmp_path):
    run = sampled(tmp_path / "run")
    (path,) = (run.folder / "tokens").glob("revised-*")
    left = path.with_name(f"revised-00007-{'0' * 16}.parquet")
    left.write_bytes(b"half")
    with reopen_run(run.folder):
        assert not left.exists() and path.exists()
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(InputError, match="not as it was written"):
        read_run(run.folder).revisions()
    path.unlink()
    with pytest.raises(InputError, match="revised-"):
        read_run(run.folder).revisions()


def test_a_capped_sample_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(type(get_order("edit")), "most_steps", lambda self, size: 1)
    run = sampled(tmp_path / "run")
    assert run.samples["capped"].any()
    lines = [json.loads(line) for line in (run.folder / "samples.jsonl").read_text().splitlines()]
    assert [line.get("capped", False) for line in lines].count(True) == run.samples["capped"].sum()
    assert read_run(run.folder).samples["capped"].tolist() == run.samples["capped"].tolist()


def test_measurements_at_the_first_commit(tmp_path):
    run = sampled(tmp_path / "run", T2M)
    tokens, revisions = run.tokens(), run.revisions()
    first = first_commits(tokens, revisions)
    assert list(first.columns) == [name for name in tokens.columns if name not in ("rank", "top_prob")]
    changed = 0
    for (_, now), (_, then) in zip(tokens.iterrows(), first.iterrows(), strict=True):
        mine = revisions[(revisions["problem_id"] == now["problem_id"])
                         & (revisions["sample_index"] == now["sample_index"])
                         & (revisions["position"] == now["position"])]  # fmt: skip
        oldest = mine.iloc[0] if len(mine) else now
        names = {"entropy": "commit_entropy", "prob": "commit_prob"} if len(mine) else {}
        assert then["commit_step"] == oldest["commit_step"] and then["passes"] == oldest["passes"]
        for name in ("entropy", "prob"):
            assert then[name] == pytest.approx(oldest[names.get(name, name)])
        assert (then["piece"], then["eligible_entropy"]) == (now["piece"], pytest.approx(now["eligible_entropy"]))
        changed += len(mine) > 0
    assert changed
    # Without revisions, the first commit is the last.
    plain = sampled(tmp_path / "plain", "confidence")
    same = first_commits(plain.tokens(), plain.revisions())
    pd.testing.assert_frame_equal(same, plain.tokens()[list(same.columns)])


@pytest.mark.parametrize("order", [EDIT, T2M])
def test_what_stood_next(tmp_path, order):
    run = sampled(tmp_path / "run", order, stop_at_eos=False)
    found = successors(run.tokens(), run.revisions())
    lives = {}
    for row in found.itertuples():
        lives.setdefault((row.problem_id, row.sample_index, row.position), []).append(row)
    for (problem, index, position), rows in lives.items():
        final = int(Kept.drawn[problem, index].token_ids_G[position])
        assert [row.next_token for row in rows] == [*[row.old_token for row in rows[1:]], final]
        assert {row.last_token for row in rows} == {final}
        for row in rows:
            assert row.new_token in (-1, row.next_token)


def test_what_was_taken_back_by_its_text(tmp_path):
    run = sampled(tmp_path / "run", T2M)
    tokens, revisions = run.tokens(), run.revisions()
    table = taken_back_by_piece(tokens, revisions).set_index("piece")
    drawn = [Spoken().pieces(trajectory.token_ids_G) for trajectory in Kept.drawn.values()]
    committed = [trajectory.commit_step_G >= 0 for trajectory in Kept.drawn.values()]
    for piece, row in table.iterrows():
        gone = sum(old.strip() == piece for old in revisions["old_piece"])
        stands = sum(text.strip() == piece and there for texts, at in zip(drawn, committed, strict=True)
                     for text, there in zip(texts, at, strict=True))  # fmt: skip
        assert (row["taken_back"], row["commits"]) == (gone, gone + stands)
        assert row["share"] == pytest.approx(gone / (gone + stands))
    assert table["taken_back"].sum() == len(revisions) > 0
    assert table["commits"].is_monotonic_decreasing


def test_the_counterfactual_of_what_was_taken_back_is_refused(tmp_path, capsys):
    run = sampled(tmp_path / "run")
    with pytest.raises(InputError, match="takes tokens back") as refusal:
        add_counterfactual(run, predictor=Spoken(), task=FakeTask())
    assert "\n" not in str(refusal.value)
    # What it would take is not said either.
    assert main(["entropy", str(run.folder), "--counterfactual", "--dry-run"]) == 2
    assert "takes tokens back" in capsys.readouterr().err
