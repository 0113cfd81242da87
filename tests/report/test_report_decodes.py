"""What the viewer is given equals the token table, for problems and samples that are chosen by a rule."""

from __future__ import annotations

import dataclasses
import json
from urllib.parse import parse_qsl

import numpy as np
import pandas as pd
import pytest
from report_runs import HOSTILE, run_set, with_verdicts, write_run

from flexeval.report import decodes as decodes_module
from flexeval.report.decodes import CERTAIN, NAT, decodes, decodes_section
from flexeval.report.links import START
from flexeval.runs.store import Run, RunSet

PLENTY = 10**9
SPARSE = ("rank", "passes", "frontier_step", "frontier_entropy")


def data_of(found) -> dict:
    return json.loads(
        found.island.removeprefix('<script type="application/json" id="decode-data">')[: -len("</script>")]
    )


def rows_of(task: dict, run: dict) -> pd.DataFrame:
    """The token table that the viewer's data describes."""
    rows = []
    for sample in run["samples"]:
        sparse = {name: dict(zip(sample[name][::2], sample[name][1::2], strict=True)) for name in SPARSE}
        for position, step in enumerate(sample["step"]):
            if step < 0:
                continue
            eligible = sample["eligible_entropy"][position]
            rows.append(
                {
                    "problem_id": task["problems"][sample["problem"]]["id"],
                    "sample_index": sample["sample"],
                    "position": position,
                    "piece": run["pieces"][sample["piece"][position]],
                    "in_text": position < sample["length"],
                    "commit_step": step,
                    "entropy": sample["entropy"][position] / NAT,
                    "prob": sample["prob"][position] / CERTAIN,
                    "eligible_entropy": np.nan if eligible is None else eligible / NAT,
                    "rank": sparse["rank"].get(position, 0),
                    "passes": sparse["passes"].get(position, 0),
                    "frontier_step": sparse["frontier_step"].get(position, -1),
                    "frontier_entropy": sparse["frontier_entropy"].get(position, np.nan * NAT) / NAT,
                }
            )
    return pd.DataFrame(rows)


@pytest.mark.parametrize("pieces", [("Since", " 2", " +", ".", " yes"), HOSTILE], ids=["plain", "hostile"])
@pytest.mark.parametrize("order", ["ar", "confidence"])
def test_the_data_is_the_token_table(tmp_path, order, pieces):
    runs = run_set(write_run(tmp_path / "run", order=order, pieces=pieces, gen_length=24))
    (task,) = data_of(decodes(runs, budget=PLENTY))["tasks"]
    (run,) = task["runs"]
    told = rows_of(task, run)
    kept = runs[0].tokens(list(told.columns)).astype({"problem_id": object, "piece": object})
    for name, unit in (("entropy", NAT), ("eligible_entropy", NAT), ("frontier_entropy", NAT), ("prob", CERTAIN)):
        np.testing.assert_allclose(told.pop(name), kept.pop(name), rtol=0, atol=0.5001 / unit)
    pd.testing.assert_frame_equal(told, kept, check_dtype=False)


def test_verdicts_and_problems_are_those_of_the_run(tmp_path):
    runs = run_set(write_run(tmp_path / "run", problems=4, samples=3))
    (task,) = data_of(decodes(runs, budget=PLENTY))["tasks"]
    stored = runs[0].problems.rename(columns={"problem_id": "id"})[["id", "question", "target"]]
    assert task["problems"] == stored.to_dict("records")
    for told, row in zip(task["runs"][0]["samples"], runs[0].samples.itertuples(), strict=True):
        assert task["problems"][told["problem"]]["id"] == row.problem_id
        assert told["verdicts"] == {"correct": row.correct}
        for name in ("extracted", "error", "nfe", "length"):
            assert told[name] == getattr(row, name)


def test_the_viewer_is_given_every_verdict_of_a_sample(tmp_path):
    grade = {"correct": True, "verdicts": {"sound": False, "brief": True}}
    (task,) = data_of(decodes(run_set(write_run(tmp_path / "run", grade=grade)), budget=PLENTY))["tasks"]
    for told in task["runs"][0]["samples"]:
        assert told["verdicts"] == {"correct": True, "brief": True, "sound": False}


def test_runs_of_a_task_carry_the_same_problems_and_samples(tmp_path):
    whole = write_run(tmp_path / "whole", problems=40, samples=6)
    begun = write_run(tmp_path / "begun", order="confidence", problems=40, samples=6, finished=20)
    other = write_run(tmp_path / "other", task="sudoku4")
    words, sudoku = data_of(decodes(run_set(whole, begun, other), budget=PLENTY))["tasks"]
    assert [words["name"], sudoku["name"]] == ["word-problems", "sudoku4"]
    # Twenty samples are those of problems 0 to 3: only these can be set side by side.
    assert [one["id"] for one in words["problems"]] == [f"word-problems/{i}" for i in range(4)]
    carried = [{(one["problem"], one["sample"]) for one in run["samples"]} for run in words["runs"]]
    assert carried[0] == {(i, j) for i in range(4) for j in range(4)}
    assert carried[1] == {(i, j) for i, j in carried[0] if 6 * i + j < 20}


def test_problems_are_spread_over_the_task_and_what_is_left_out_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr(decodes_module, "_PLANS", ((24, 4),))
    found = decodes(run_set(write_run(tmp_path / "run", problems=47, samples=6)), budget=PLENTY)
    (task,) = data_of(found)["tasks"]
    places = [int(one["id"].rpartition("/")[2]) for one in task["problems"]]
    assert places == list(range(0, 47, 2))
    (scope,) = found.scope
    assert "24 of 47 problems" in scope and "first 4 of 6 samples" in scope


def test_the_budget_holds_and_more_budget_never_carries_less(tmp_path):
    runs = run_set(write_run(tmp_path / "run", problems=30, samples=4))
    before = 0
    for budget in (0, 2_000, 4_000, 10_000, 30_000, PLENTY):
        found = decodes(runs, budget=budget)
        carried = 0 if found is None else len(data_of(found)["tasks"][0]["runs"][0]["samples"])
        assert found is None or len(found.island.encode()) <= budget
        assert carried >= before
        before = carried
    assert before == 30 * 4


def test_a_sample_that_committed_nothing_is_shown_empty(tmp_path):
    run = run_set(write_run(tmp_path / "run", problems=1, samples=2))[0]
    empty = run.samples.iloc[[-1]].assign(sample_index=2, text="", length=0)
    run = dataclasses.replace(run, samples=pd.concat([run.samples, empty], ignore_index=True))
    (task,) = data_of(decodes(RunSet((run,)), budget=PLENTY))["tasks"]
    assert [len(one["step"]) > 0 for one in task["runs"][0]["samples"]] == [True, True, False]


def test_the_token_tables_are_read_once(tmp_path, monkeypatch):
    runs, read = run_set(write_run(tmp_path / "run", problems=30, samples=4)), []
    tokens = Run.tokens
    monkeypatch.setattr(Run, "tokens", lambda run, *columns: read.append(run.folder) or tokens(run, *columns))
    fewest = decodes(runs, budget=4_000)
    assert fewest is not None and "the first 1 of 4" in fewest.scope[0]
    assert read == [runs[0].folder]


def test_nothing_to_show_is_none(tmp_path):
    assert decodes(run_set(write_run(tmp_path / "run", finished=0)), budget=PLENTY) is None


def test_texts_that_no_file_holds_survive(tmp_path):
    hostile = "\ud800 </script> \x00"
    runs = with_verdicts(run_set(write_run(tmp_path / "run")), extracted=hostile, error=hostile)
    (task,) = data_of(decodes(runs, budget=PLENTY))["tasks"]
    assert {(one["extracted"], one["error"]) for one in task["runs"][0]["samples"]} == {(hostile, hostile)}


@pytest.fixture(scope="module")
def disagreeing(tmp_path_factory):
    """Orders ar and entropy: where the one is right the other is wrong, on every sample."""
    folder, size = tmp_path_factory.mktemp("runs"), {"problems": 9, "samples": 5}
    return run_set(write_run(folder / "ar", **size), write_run(folder / "entropy", order="entropy", **size))


def test_the_page_begins_with_a_sample_that_the_first_order_has_right_and_the_other_wrong(disagreeing):
    found = decodes(disagreeing, budget=PLENTY)
    address, text = found.opens
    said = dict(parse_qsl(address.removeprefix(START)))
    assert (said["a"], said["b"]) == ("ar", "entropy")
    assert text == f"Watch ar solve {said['problem']} and entropy fail"
    assert data_of(found)["opens"] == address
    for run, correct in zip(disagreeing, (True, False), strict=True):
        own = run.samples.set_index(["problem_id", "sample_index"])["correct"]
        assert own[said["problem"], int(said["sample"])] == correct


def test_the_first_sample_that_only_one_order_has_right_is_always_carried(disagreeing, monkeypatch):
    monkeypatch.setattr(decodes_module, "_PLANS", ((9, 1),))
    (task,) = data_of(decodes(disagreeing, budget=PLENTY))["tasks"]
    for run in task["runs"]:
        # Right on every other sample: 0 and 1 are the first on which the one, and the other, is right alone.
        assert [(one["problem"], one["sample"]) for one in run["samples"]] == [(i, j) for i in range(9) for j in (0, 1)]


def test_the_tally_of_every_problem_is_there_also_of_those_that_are_not_carried(disagreeing, monkeypatch):
    monkeypatch.setattr(decodes_module, "_PLANS", ((3, 1),))
    (task,) = data_of(decodes(disagreeing, budget=PLENTY))["tasks"]
    ids = [*(one["id"] for one in task["problems"]), *task["others"]]
    assert len(task["problems"]) == 3 and sorted(ids) == sorted(disagreeing[0].problems["problem_id"])
    for told, run in zip(task["runs"], disagreeing, strict=True):
        counts = run.counts().set_index("problem_id").loc[ids]
        assert told["tally"] == counts[["n", "c"]].to_numpy().ravel().tolist()


def test_problems_that_only_one_order_solves_are_among_those_carried(tmp_path, monkeypatch):
    """One sample each: every problem is solved by one order alone, so both kinds must be there."""
    folders = [write_run(tmp_path / order, order=order, problems=40, samples=1) for order in ("ar", "entropy")]
    monkeypatch.setattr(decodes_module, "_PLANS", ((8, 1),))
    (task,) = data_of(decodes(run_set(*folders), budget=PLENTY))["tasks"]
    first = [sample["verdicts"]["correct"] for sample in task["runs"][0]["samples"]]
    assert len(first) == 8 and 2 <= sum(first) <= 6


def test_words_lead_to_their_first_tokens(disagreeing):
    (task,) = data_of(decodes(disagreeing, budget=PLENTY))["tasks"]
    for run in task["runs"]:
        assert {"Since", "connectors"} <= set(run["words"])
        for word, places in run["words"].items():
            for place, position in zip(places[::2], places[1::2], strict=True):
                piece = run["pieces"][run["samples"][place]["piece"][position]]
                assert word == "connectors" or piece.strip() == word


def test_the_viewer_is_given_what_was_taken_back(tmp_path):
    """Also texts that no token of the answer has; a run that took nothing back has no such data."""
    taken_back = [(0, 1, 3, "Thus"), (2, 2, 5, " had"), (0, 4, 6, "Since")]
    revising = write_run(tmp_path / "t2m", order="t2m", taken_back=taken_back)
    (task,) = data_of(decodes(run_set(revising, write_run(tmp_path / "ar")), budget=PLENTY))["tasks"]
    runs = {run["label"]: run for run in task["runs"]}
    for sample in runs["t2m"]["samples"]:
        rows = np.reshape(sample["lives"], (-1, 6)).tolist()
        found = [(at, step, until, runs["t2m"]["pieces"][piece]) for at, step, until, piece, _, _ in rows]
        assert found == taken_back
        assert {(entropy, prob) for *_, entropy, prob in rows} == {(1.5 * NAT, 0.25 * CERTAIN)}
    assert len(set(runs["t2m"]["pieces"])) == len(runs["t2m"]["pieces"])
    assert all("lives" not in sample for sample in runs["ar"]["samples"])


def test_that_samples_share_random_numbers_is_said_of_runs_of_one_seed_only(tmp_path):
    ar, confidence = run_set(*(write_run(tmp_path / order, order=order) for order in ("ar", "confidence")))
    sampling = dataclasses.replace(confidence.config.sampling, seed=1)
    other = dataclasses.replace(confidence, config=dataclasses.replace(confidence.config, sampling=sampling))
    one_seed, seeds = (decodes_section(decodes(RunSet((ar, run)), budget=PLENTY)).about for run in (confidence, other))
    assert "Equal sample numbers drew from the same random numbers" in one_seed
    assert "Equal sample numbers" not in seeds and "stands beside which is arbitrary" in seeds
