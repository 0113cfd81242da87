"""`flexeval compare` and `flexeval coverage` on runs of a model of a few words."""

from __future__ import annotations

import csv
import dataclasses
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from flexeval.cli.main import main
from flexeval.runs.reader import read_contents
from flexeval.runs.store import Run, read_run
from flexeval.runs.writer import problem_bytes
from flexeval.stats.curves import crossing_point
from flexeval.stats.extrapolation import BetaBinomial
from flexeval.stats.nfe import pass_at_nfe_table
from flexeval.stats.pass_at_k import pass_at_k_table
from flexeval.stats.votes import answer_entropy_table, majority_table

pytestmark = pytest.mark.usefixtures("bigram", "in_tmp")


@pytest.fixture
def sampled(capsys: pytest.CaptureFixture[str]) -> Callable[..., Run]:
    """Samples one order with `flexeval passk`; the run."""

    def sample(order: str, *argv: str) -> Run:
        given = (
            "--task",
            "word-problems",
            "--limit",
            "8",
            "--num-samples",
            "4",
            "--gen-length",
            "8",
            "--temperature",
            "1",
        )
        assert main(["passk", "--order", order, *given, "--json", "-", *argv]) == 0
        return read_run(Path(json.loads(capsys.readouterr().out)["runs"][0]["folder"]))

    return sample


@pytest.fixture
def printed(capsys: pytest.CaptureFixture[str]) -> Callable[..., dict[str, Any]]:
    """Runs a verb with --json -; the JSON, with the tables from stderr under "tables"."""

    def run(verb: str, *argv: str) -> dict[str, Any]:
        assert main([verb, *argv, "--json", "-"]) == 0
        captured = capsys.readouterr()
        result: dict[str, Any] = json.loads(captured.out)
        return {**result, "tables": captured.err}

    return run


def test_compare_shows_what_the_runs_hold(sampled: Callable[..., Run], printed: Callable[..., Any]) -> None:
    a, b = sampled("ar"), sampled("random")
    result = printed("compare", str(a.folder), str(b.folder), "--csv", "rows.csv")
    assert [run["order"] for run in result["runs"]] == ["ar", "random"]
    assert [run["other_settings"] for run in result["runs"]] == [[], []]
    assert [row["k"] for row in result["pass_at_k"]] == [1, 2, 4]
    accuracy = [100 * run.samples["correct"].mean() for run in (a, b)]
    assert accuracy[0] != accuracy[1], "a comparison of equal runs would show nothing"
    at_1 = result["pass_at_k"][0]
    assert [at_1["a_percent"], at_1["b_percent"]] == pytest.approx(accuracy)
    assert at_1["difference_points"] == pytest.approx(accuracy[0] - accuracy[1])
    crossing = crossing_point(a.counts(), b.counts(), [1, 2, 4])
    assert result["crossing"]["k_star"] == crossing.k_star
    assert result["crossing"]["share_percent"] == 100 * crossing.share and "share" not in result["crossing"]
    assert result["coverage_auc"]["ks"] == [1, 2, 4]
    means = [sum(row[name] for row in result["pass_at_k"]) / 3 for name in ("a_percent", "b_percent")]
    assert [result["coverage_auc"][name] for name in ("a_percent", "b_percent")] == pytest.approx(means)
    for row in result["pass_at_nfe"]:
        values = [100 * pass_at_nfe_table(run.samples, [row["nfe"]]).mean().iloc[0] for run in (a, b)]
        assert [row["a_percent"], row["b_percent"]] == pytest.approx(values)

    rows = list(csv.DictReader(Path("rows.csv").read_text().splitlines()))
    assert [row["measure"] for row in rows] == (
        ["pass_at_k"] * 3 + ["coverage_auc"] + ["pass_at_nfe"] * len(result["pass_at_nfe"])
    )
    assert float(rows[2]["band_high_points"]) == pytest.approx(result["pass_at_k"][2]["band_high_points"])


def test_every_number_of_a_file_says_its_unit(sampled: Callable[..., Run], printed: Callable[..., Any]) -> None:
    folders = [str(sampled(order).folder) for order in ("ar", "random")]
    for verb in ("compare", "coverage"):
        more = ("--diversity", "--votes", "--flips", "--extrapolate", "8") if verb == "compare" else ()
        result = printed(verb, *folders, *more, "--csv", f"{verb}.csv")
        header = Path(f"{verb}.csv").read_text().partition("\n")[0].split(",")
        bare = {"a", "b", "difference", "low", "high", "estimate", "share", "band_low", "band_high"}
        assert not bare & set(header)
        rows = [row for part in result.values() if isinstance(part, list) for row in part]
        assert rows and not any(bare & set(row) for row in rows)


def test_compare_adds_what_k_samples_save_and_how_different_they_are(
    sampled: Callable[..., Run], printed: Callable[..., Any]
) -> None:
    a, b = sampled("ar"), sampled("random")
    result = printed("compare", str(a.folder), str(b.folder), "--diversity")
    for run, label in ((a, "ar"), (b, "random")):
        passed = {k: 100 * pass_at_k_table(run.counts(), [k]).mean().iloc[0] for k in (1, 4)}
        (found,) = (row for row in result["potential_at_k"] if (row["run"], row["k"]) == (label, 4))
        assert found["estimate_percent"] == pytest.approx(100 * (passed[4] - passed[1]) / (100 - passed[1]))
    texts = {row["measure"]: row for row in result["diversity"]}["distinct_texts"]
    distinct = [100 * run.samples.groupby("problem_id")["text"].nunique().mean() / 4 for run in (a, b)]
    assert [texts["a_percent"], texts["b_percent"]] == pytest.approx(distinct)
    for words in ("Potential@4", "distinct answers", "self-BLEU"):
        assert words in result["tables"]
    plain = printed("compare", str(a.folder), str(b.folder), "--k", "1")
    assert plain["diversity"] is plain["extrapolation"] is None and plain["potential_at_k"] == []


def test_compare_votes_and_flips_are_those_of_the_samples(
    sampled: Callable[..., Run], printed: Callable[..., Any]
) -> None:
    a, b = sampled("ar"), sampled("random")
    result = printed("compare", str(a.folder), str(b.folder), "--votes", "--flips", "--diversity", "--csv", "rows.csv")
    for row in result["maj_at_k"]:
        values = [100 * majority_table(run.samples, [row["k"]]).mean().iloc[0] for run in (a, b)]
        assert [row["a_percent"], row["b_percent"]] == pytest.approx(values)
    at_4 = result["all_at_k"][-1]
    assert at_4["a_percent"] == pytest.approx(100 * (a.counts()["c"] == 4).mean())
    (entropy,) = result["answer_entropy"]
    values = [answer_entropy_table(run.samples).mean().iloc[0] for run in (a, b)]
    assert [entropy["a_nats"], entropy["b_nats"]] == pytest.approx(values)
    right = [run.samples.set_index(["problem_id", "sample_index"])["correct"] for run in (a, b)]
    assert sum(row["lost"] for row in result["flips"]) == (right[0] & ~right[1]).sum()
    assert sum(row["gained"] for row in result["flips"]) == (right[1] & ~right[0]).sum()
    assert len(result["flips"]) == 8
    for words in ("maj@4", "all@2", "answer entropy", "Flips:", "solved by"):
        assert words in result["tables"]
    assert "do not share random numbers" not in result["tables"]
    other = sampled("random", "--seed", "1")
    assert "do not share random numbers" in printed("compare", str(a.folder), str(other.folder), "--flips")["tables"]
    rows = list(csv.DictReader(Path("rows.csv").read_text().splitlines()))
    assert {row["measure"] for row in rows} >= {"maj_at_k", "all_at_k", "answer_entropy"}
    assert float(rows[-1]["a_nats"]) == pytest.approx(values[0])


def test_compare_extrapolates_on_request_and_says_that_it_is_a_fit(
    sampled: Callable[..., Run], printed: Callable[..., Any], refused: Callable[..., str]
) -> None:
    a, b = sampled("ar"), sampled("random")
    result = printed("compare", str(a.folder), str(b.folder), "--extrapolate", "20")
    of_a = [row for row in result["extrapolation"] if row["run"] == "ar"]
    assert [row["k"] for row in of_a] == [4, 8, 16, 20]
    assert [row["extrapolated"] for row in of_a] == [False, True, True, True]
    assert [row["estimate_percent"] for row in of_a] == pytest.approx(
        100 * BetaBinomial.fit(a.counts()).pass_at_k([4, 8, 16, 20])
    )
    assert "EXTRAPOLATED" in result["tables"] and "fitted pass@20" in result["tables"]
    message = refused("compare", str(a.folder), str(b.folder), "--extrapolate", "4")
    assert "--extrapolate must be above n = 4, not 4" in message


def test_compare_says_what_it_is_about(sampled: Callable[..., Run], printed: Callable[..., Any]) -> None:
    folders = [str(sampled(order).folder) for order in ("ar", "random")]
    tables = printed("compare", *folders, "--k", "4,1", "--nfe", "8,16")["tables"]
    words = ("pass@4", "ar − random", "verdict", "band over all", "CoverageAUC in percent, over k = 1, 4", "NFE 16")
    for expected in (*words, *folders, "8 problems, 32 samples (", "T = 1"):
        assert expected in tables
    assert "overtake" in tables or "No crossing" in tables


def test_coverage_counts_the_problems_of_the_runs(sampled: Callable[..., Run], printed: Callable[..., Any]) -> None:
    a, b = sampled("random"), sampled("ar")
    result = printed("coverage", str(a.folder), str(b.folder), "--csv", "parts.csv")
    by_a, by_b = ({row.problem_id for row in run.counts().itertuples() if row.c} for run in (a, b))
    expected = {"a_only": len(by_a - by_b), "b_only": len(by_b - by_a), "both": len(by_a & by_b)}
    expected["neither"] = 8 - len(by_a | by_b)
    assert {name: result[name] for name in expected} == expected
    assert result["n"] == 4
    rows = list(csv.DictReader(Path("parts.csv").read_text().splitlines()))
    assert {row["part"]: int(row["problems"]) for row in rows} == expected
    assert sum(float(row["share_percent"]) for row in rows) == pytest.approx(100)
    for words in ("n = 4", "ar only", "random only", "McNemar", "Of the problems that ar solves"):
        assert words in result["tables"]


def test_coverage_at_fewer_samples(
    sampled: Callable[..., Run], printed: Callable[..., Any], refused: Callable[..., str]
) -> None:
    folders = [str(sampled("ar").folder), str(sampled("random", "--num-samples", "6", "--top-p", "0.9").folder)]
    assert "problems have 4 to 6 samples" in refused("coverage", *folders)
    found = printed("coverage", *folders, "--num-samples", "3")
    assert found["n"] == 3
    # What is not at its default is said of each run.
    assert [run["other_settings"] for run in found["runs"]] == [[], ["top_p 0.9"]]
    assert "seed 0, top_p 0.9, " in found["tables"]
    assert "a problem has 4 samples; use at most 4" in refused("coverage", *folders, "--num-samples", "5")
    # The more samples, the fewer of them are distinct, whatever the order.
    assert "problems have 4 to 6 samples; compare the first 4" in refused("compare", *folders, "--diversity")


@pytest.mark.parametrize("verb", ["compare", "coverage"])
def test_the_examples_name_two_runs(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main([verb, "--help"])
    examples = [line for line in capsys.readouterr().out.splitlines() if line.startswith(f"  flexeval {verb}")]
    assert examples
    for line in examples:
        named = re.findall(r" (?:RUN|NEW|OLD)\b", line)
        assert len(named) == 2 and "*" not in line, "a pattern may stand for more than one folder"


@pytest.mark.parametrize("verb", ["compare", "coverage"])
def test_runs_of_unequal_extent_are_cut(
    sampled: Callable[..., Run], printed: Callable[..., Any], refused: Callable[..., str], verb: str
) -> None:
    a, b = sampled("ar"), sampled("random", "--limit", "5", "--num-samples", "6")
    folders = (str(a.folder), str(b.folder))
    assert "compare the first problems of both with --limit" in refused(verb, *folders)
    result = printed(verb, *folders, "--limit", "5", "--num-samples", "4")
    assert [(run["problems"], run["samples"]) for run in result["runs"]] == [(5, 20), (5, 20)]
    assert "--limit is 6, but a run has 5 problems; use at most 5" in refused(verb, *folders, "--limit", "6")


@pytest.mark.parametrize("verb", ["compare", "coverage"])
def test_refuses_runs_that_cannot_be_compared(
    sampled: Callable[..., Run], refused: Callable[..., str], verb: str
) -> None:
    ar = str(sampled("ar").folder)
    fewer = str(sampled("random", "--limit", "5").folder)
    other = str(sampled("ar", "--task", "word-problems:size=9").folder)
    assert "one has 8, the other 5" in refused(verb, ar, fewer)
    assert "different tasks, 'word-problems' and 'word-problems:size=9'" in refused(verb, ar, other)
    assert "is given twice" in refused(verb, ar, f"{ar}/../{Path(ar).name}")
    assert f"{ar!r} is given twice" in refused(verb, ar, ar, fewer)
    assert "two runs are compared, not 3" in refused(verb, ar, "runs")
    assert "no run in 'nowhere'" in refused(verb, ar, "nowhere")
    assert f"two runs are compared, not 1; name two folders ({ar})" in refused(verb, ar)

    # As if the data had been others when the run was made.
    contents = read_contents(Path(ar))
    first, *others = contents.problems
    problems, _ = problem_bytes([dataclasses.replace(first, target=f"1{first.target}"), *others], contents.header.key)
    Path(ar, "problems.jsonl").write_bytes(problems)
    Path(ar, "summary.json").unlink()
    whole = str(sampled("random", "--limit", "8").folder)
    assert "is not the same problem in all runs" in refused(verb, ar, whole)

    # As a run is that was stopped before its first sample.
    begun = sampled("random", "--limit", "8", "--num-samples", "2", "--seed", "1").folder
    for name in ("samples.jsonl", "sampling.jsonl"):
        (begun / name).write_bytes(b"")
    (begun / "summary.json").unlink()
    wanted = f"has no sample of {first.id!r} yet; let `flexeval passk` finish it"
    for options in ((), ("--num-samples", "1")):
        assert wanted in refused(verb, whole, str(begun), *options)
    assert wanted in refused("power", str(begun))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--k", "8"), "pass@8 needs 8 samples of every problem, but a problem has 4; use k <= 4"),
        (("--k", "1,x"), "every k of --k"),
        (("--nfe", "0"), "every --nfe must be at least 1"),
        (("--nfe", "1000000"), "outlasts the samples of"),
        (("--json", "nowhere/a.json"), "there is no folder"),
    ],
)
def test_refuses_options_before_anything_is_printed(
    sampled: Callable[..., Run], refused: Callable[..., str], options: tuple[str, str], message: str
) -> None:
    folders = [str(sampled(order).folder) for order in ("ar", "random")]
    assert message in refused("compare", *folders, *options)
