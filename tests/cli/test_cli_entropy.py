"""`flexeval entropy` and `flexeval bypass` on runs of a model of a few words: what is printed is what the runs hold."""

from __future__ import annotations

import argparse
import csv
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from precision import near

from flexeval.cli import options
from flexeval.cli.main import main
from flexeval.runs.store import RunSet, read_runs
from flexeval.stats.bypass import bypass_table, enrichment
from flexeval.stats.entropy import highest_entropy_words
from flexeval.stats.traces import trace_table
from flexeval.stats.words import find_words, word_places

ORDERS = ("ar", "confidence")


@pytest.fixture(autouse=True)
def _wide_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Titles stand on one line."""
    monkeypatch.setenv("COLUMNS", "200")


@pytest.fixture
def loaded(bigram: list[str], monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The models that were loaded: the bigram model, saying "So" where it says "The"."""
    model = type(options.load_model(argparse.Namespace(), "tiny"))
    plain = model.pieces

    def pieces(self: Any, token_ids: Sequence[int]) -> list[str]:
        return [" So" if piece == " The" else piece for piece in plain(self, token_ids)]

    monkeypatch.setattr(model, "pieces", pieces)
    bigram.clear()
    return bigram


@pytest.fixture
def runs(in_tmp: Path, loaded: list[str], capsys: pytest.CaptureFixture[str]) -> RunSet:
    """A stored run of each order."""
    small = [
        "--task",
        "word-problems",
        "--limit",
        "6",
        "--num-samples",
        "6",
        "--gen-length",
        "12",
        "--block-length",
        "3",
        "--temperature",
        "1",
    ]
    assert main(["passk", *small, *(word for order in ORDERS for word in ("--order", order))]) == 0
    capsys.readouterr()
    loaded.clear()
    return read_runs([Path("runs")])


def printed(capsys: pytest.CaptureFixture[str], *argv: str) -> dict[str, Any]:
    assert main([*argv, "--json", "-"]) == 0
    content: dict[str, Any] = json.loads(capsys.readouterr().out)
    return content


def test_entropies_are_those_of_the_runs(runs: RunSet, loaded: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    content = printed(capsys, "entropy", "runs", "--min-count", "2")
    assert [row["run"] for row in content["runs"]] == list(ORDERS)
    for run in runs:
        tokens = run.tokens()
        words = find_words(tokens)
        for group, rows in (("all tokens", tokens[tokens["in_text"]]), ("connectors", words[words["connector"]])):
            (found,) = (
                row
                for row in content["entropy"]
                if (row["run"], row["group"], row["quantity"]) == (run.config.order, group, "entropy")
            )
            assert found["count"] == len(rows) > 0
            assert found["estimate_nats"] == pytest.approx(rows["entropy"].mean(), rel=1e-6)
        ranked = [row["word"] for row in content["highest_entropy_words"] if row["run"] == run.config.order]
        assert ranked == list(highest_entropy_words(words, tokens, top=10, min_count=2)["word"])
    assert {(row["first"], row["second"], row["group"]) for row in content["differences"]} == {
        ("confidence", "ar", "all tokens"),
        ("confidence", "ar", "connectors"),
    }
    assert loaded == []


def test_traces_are_those_of_the_samples(runs: RunSet, capsys: pytest.CaptureFixture[str]) -> None:
    content = printed(capsys, "entropy", "runs")
    for run in runs:
        tokens = run.tokens()
        traces = trace_table(tokens.assign(block=tokens["position"] // 3), run.samples)
        for verdict, own in (("correct", traces[traces["correct"]]), ("incorrect", traces[~traces["correct"]])):
            for quantity, name in (("log_prob", "nats"), ("log_prob_variance", "squared_nats")):
                (row,) = (
                    row for row in content[quantity] if (row["run"], row["verdict"]) == (run.config.order, verdict)
                )
                assert row[f"estimate_{name}"] == pytest.approx(own[quantity].mean())
        text = tokens[tokens["in_text"]]
        of_run = [row for row in content["block_entropy"] if row["run"] == run.config.order]
        total = sum(row["estimate_nats"] * row["count"] for row in of_run)
        assert total == pytest.approx(text["entropy"].sum(), rel=1e-5)
    assert main(["entropy", "runs"]) == 0
    shown = capsys.readouterr().out
    for words in ("variance of log q, squared nats: correct", "incorrect, block 1", "entropy descends"):
        assert words in shown


def test_traces_are_by_the_verdict_that_counts(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    out = str(tmp_path / "forks")
    command = "passk --task forks --order confidence --temperature 1 --num-samples 4 --limit 32 --out"
    assert main([*command.split(), out]) == 0
    capsys.readouterr()
    (run,) = read_runs([out])
    tally, samples = run.tally(), len(run.samples)
    assert 0 < tally["sound"] < tally["correct"] < samples
    for verdict, other in (("correct", "incorrect"), ("sound", "not sound")):
        rows = printed(capsys, "entropy", out, "--verdict", verdict)["log_prob"]
        counts = {row["verdict"]: row["count"] for row in rows}
        assert counts == {verdict: tally[verdict], other: samples - tally[verdict], f"{verdict} − {other}": samples}
    assert main(["entropy", out, "--verdict", "soundly"]) == 2
    assert "soundly" in capsys.readouterr().err


def test_the_counterfactual_is_computed_once_and_equals_ar(
    runs: RunSet, loaded: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    content = printed(capsys, "entropy", "runs", "--counterfactual")
    assert loaded == ["tiny"]
    estimates = {
        (row["run"], row["quantity"]): row["estimate_nats"]
        for row in content["entropy"]
        if row["group"] == "all tokens"
    }
    assert estimates["ar", "ar_gap"] == near(0)
    assert estimates["ar", "ar_entropy"] == near(estimates["ar", "entropy"])
    assert abs(estimates["confidence", "ar_gap"]) > 0.01
    assert printed(capsys, "entropy", "runs", "--counterfactual") == content
    assert printed(capsys, "entropy", "runs") == content
    assert loaded == ["tiny"]


def test_bypass_rates_are_those_of_the_runs(runs: RunSet, capsys: pytest.CaptureFixture[str]) -> None:
    content = printed(capsys, "bypass", "runs", "--min-count", "1", "--csv", "bypass.csv")
    lines = list(csv.DictReader(Path("bypass.csv").read_text().splitlines()))
    for run in runs:
        expected = bypass_table(find_words(run.tokens())).set_index("word")
        rows = [row for row in lines if row["run"] == run.config.order]
        assert {row["word"]: int(row["bypassed"]) for row in rows} == expected["bypassed"].to_dict()
    assert {row["run"] for row in content["most_bypassed"]} == {"confidence"}, "AR bypasses nothing"
    (enriched,) = (row for row in content["enrichment"] if row["run"] == "confidence")
    words = find_words(runs.where(order="confidence")[0].tokens())
    again = enrichment(words.assign(in_block=words["position"] % 3))
    assert (enriched["rate_percent"], enriched["p_value"]) == pytest.approx((100 * again.rate, again.p_value))
    assert enriched["difference_low_points"] == pytest.approx(100 * again.difference.low)
    for row in lines:
        rate = 100 * int(row["bypassed"]) / int(row["occurrences"])
        assert float(row["low_percent"]) <= float(row["rate_percent"]) + 1e-9
        assert float(row["rate_percent"]) == pytest.approx(rate)


def test_a_run_without_connectors_to_compare_says_so(
    runs: RunSet, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def no_connectors(tokens: pd.DataFrame) -> tuple[Any, Any, Any]:
        row_W, word_W, connector_W = word_places(tokens)
        return row_W, word_W, connector_W & False

    monkeypatch.setattr("flexeval.runs.words.word_places", no_connectors)
    assert main(["bypass", "runs"]) == 0
    assert capsys.readouterr().out.count("there is no connector among the words") == 2
    assert {tuple(row) for row in printed(capsys, "bypass", "runs")["enrichment"]} == {("run", "missing")}


def test_tables_say_what_they_are_about(runs: RunSet, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["entropy", "runs"]) == 0
    entropy = capsys.readouterr().out
    for words in ("all tokens", "connectors", "So", "at the frontier", "confidence − ar", "model tiny", "T = 1"):
        assert words in entropy
    assert main(["bypass", "runs"]) == 0
    bypass = capsys.readouterr().out
    for words in ("others, matched", "delay", "block_length 3", "6 problems, 36 samples"):
        assert words in bypass


@pytest.mark.parametrize("verb", ["entropy", "bypass"])
def test_bad_input_is_one_line(in_tmp: Path, refused: Callable[..., str], verb: str) -> None:
    assert "there is no run in 'nowhere'" in refused(verb, "nowhere")
    assert "--top must be at least 1, not 0" in refused(verb, "runs", "--top", "0")
    assert "there is no folder 'missing'" in refused(verb, "runs", "--json", "missing/a.json")
    assert "RUN" in refused(verb)


def test_a_dry_run_counts_the_forwards_of_a_counterfactual(
    runs: RunSet, loaded: list[str], capsys: pytest.CaptureFixture[str], refused: Callable[..., str]
) -> None:
    content = printed(capsys, "entropy", "runs", "--counterfactual", "--dry-run", "--parameters", "1e6")
    assert [row["name"] for row in content["counterfactuals"]] == list(ORDERS)
    for row, run in zip(content["counterfactuals"], runs, strict=True):
        assert row["forwards"] == run.samples["length"].sum()
        length = run.problems["prompt_length"].mean() + 12
        assert row["operations"] == pytest.approx(2e6 * length * row["forwards"])
    assert not loaded
    assert "give both" in refused("entropy", "runs", "--dry-run")
