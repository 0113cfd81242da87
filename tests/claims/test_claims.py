"""Runs with a planted truth get the planted verdict."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from planted import run_of, solved, write_run
from published_runs import paper_run

from flexeval.claims import CLAIMS, examine, findings_footer, findings_frame, findings_markdown
from flexeval.claims import tokens as token_claims
from flexeval.claims.blocks import slope_weights
from flexeval.claims.selection import groups
from flexeval.errors import DamageError
from flexeval.runs.store import RunSet
from flexeval.stats.bypass import enrichment


def examined(name, *runs):
    """The one finding of a claim."""
    (finding,) = CLAIMS.get(name)().examine(RunSet(tuple(runs)))
    return finding


def drawn(chance, *, problems=100, samples=16, seed=0):
    """Every sample correct with this chance, or with its problem's."""
    rng = np.random.default_rng(seed)
    return rng.random((problems, samples)) < np.broadcast_to(np.reshape(chance, (-1, 1)), (problems, samples))


# ----- arbitrary order against AR order -----


@pytest.mark.parametrize(
    ("ar", "confidence", "expected"), [(0.4, 0.6, "holds"), (0.6, 0.4, "does not hold"), (0.5, 0.46, "unresolved")]
)
def test_not_worse_at_one(ar, confidence, expected):
    finding = examined(
        "arbitrary-order-not-worse-at-1", run_of(drawn(ar), "ar"), run_of(drawn(confidence, seed=1), "confidence")
    )
    assert finding.verdict == expected
    assert finding.low <= finding.estimate <= finding.high
    assert abs(finding.estimate - (confidence - ar)) < 0.06


@pytest.mark.parametrize(
    ("ar", "confidence", "expected"),
    [(range(80), range(60), "holds"), (range(60), range(80), "does not hold"), (range(70), range(70), "unresolved")],
)
def test_better_at_the_largest_k(ar, confidence, expected):
    finding = examined("ar-better-at-largest-k", run_of(solved(ar), "ar"), run_of(solved(confidence), "confidence"))
    assert finding.verdict == expected
    assert finding.estimate == pytest.approx((len(ar) - len(confidence)) / 100)


@pytest.mark.parametrize(
    ("ar", "confidence", "expected"),
    [
        (range(100), range(90), "holds"),
        (range(60), range(30, 90), "does not hold"),
        (range(20), range(15), "unresolved"),
    ],
)
def test_nearly_a_subset(ar, confidence, expected):
    finding = examined("nearly-a-subset", run_of(solved(ar), "ar"), run_of(solved(confidence), "confidence"))
    assert finding.verdict == expected
    assert finding.estimate == pytest.approx(len(set(ar) & set(confidence)) / len(confidence))


def test_of_nothing_solved_there_is_no_share_to_measure_or_to_correct_others_for():
    none = run_of(solved([]), "confidence")
    finding = examined("nearly-a-subset", run_of(solved(range(50)), "ar"), none)
    assert finding.verdict == "not measured" and finding.estimate is finding.p_holm is None
    assert finding.measured == "needs a problem that confidence solves with 16 samples, and it solves none"


# ----- blocks -----


def blocks(chances, **settings):
    return [run_of(drawn(chance, seed=9), "confidence", block=block, **settings) for block, chance in chances.items()]


def test_the_slope_is_that_of_a_line():
    lengths = [1, 2, 8, 32]
    rng = np.random.default_rng(0)
    values = rng.normal(size=4)
    assert slope_weights(lengths) @ values == pytest.approx(np.polyfit(np.log2(lengths), values, 1)[0])


@pytest.mark.parametrize(
    ("chances", "falls", "early"),
    [
        ({1: 0.2, 8: 0.05, 16: 0.05, 32: 0.05}, "holds", "holds"),
        ({1: 0.2, 8: 0.2, 16: 0.05, 32: 0.02}, "holds", "does not hold"),
        ({1: 0.02, 8: 0.05, 16: 0.1, 32: 0.2}, "does not hold", "does not hold"),
        ({1: 0.1, 8: 0.1, 16: 0.1, 32: 0.1}, "unresolved", "unresolved"),
    ],
)
def test_loss_by_block_length(chances, falls, early):
    runs = blocks(chances)
    assert examined("falls-with-block-length", *runs).verdict == falls
    assert examined("loss-between-block-1-and-8", *runs).verdict == early


def test_equal_runs_at_all_block_lengths_allow_for_problems_that_were_not_met():
    """The rule of three, of the largest slope that a problem can have: all of what longer blocks add."""
    weights_B = slope_weights([1, 8, 32])
    unseen = (1 - 0.05 ** (1 / 100)) * weights_B[weights_B > 0].sum()
    finding = examined("falls-with-block-length", *blocks({1: 0.1, 8: 0.1, 32: 0.1}))
    assert (finding.low, finding.estimate, finding.high) == pytest.approx((-unseen, 0, unseen))


def test_ar_order_stands_for_block_one():
    runs = blocks({8: 0.05, 32: 0.05})
    assert examined("falls-with-block-length", *runs).verdict == "not measured"
    assert examined("falls-with-block-length", *runs, run_of(drawn(0.2), "ar")).verdict == "holds"


# ----- the critics -----


@pytest.mark.parametrize(
    ("top_prob", "confidence", "expected"),
    [
        (range(100), range(60), "holds"),
        (range(60), range(40), "does not hold"),
        (range(93), range(60), "unresolved"),
        (range(95), range(95), "unresolved"),  # nothing was lost, so nothing is recovered
        (range(95), range(100), "unresolved"),  # five problems against none may be chance: p = 0.06
        (range(85), range(95), "does not hold"),  # below AR order by ten problems against none
    ],
)
def test_top_prob_recovers(top_prob, confidence, expected):
    runs = [run_of(solved(which), order)
            for which, order in ((range(95), "ar"), (top_prob, "top_prob"), (confidence, "confidence"))]  # fmt: skip
    assert examined("top-prob-recovers", *runs).verdict == expected


def test_agreement_on_few_problems_shows_no_equality():
    for problems, expected in ((40, "unresolved"), (150, "holds")):
        runs = [run_of(solved(range(problems), problems=problems), order) for order in ("ar", "top_prob")]
        runs.append(run_of(solved(range(problems // 2), problems=problems), "confidence"))
        assert examined("top-prob-recovers", *runs).verdict == expected


def test_egi_exceeds():
    ar = run_of(solved(range(50)), "ar")
    assert examined("egi-exceeds-ar", ar, run_of(solved(range(80)), "egi")).verdict == "holds"
    assert examined("egi-exceeds-ar", ar, run_of(solved(range(20)), "egi")).verdict == "does not hold"


# ----- constraint tasks -----


def test_sudoku_is_examined_apart():
    runs = [
        run_of(solved(range(count)), order, task=task)
        for order, count in (("ar", 20), ("confidence", 70))
        for task in ("word-problems", "sudoku4:givens=5")
    ]
    by_claim = {finding.claim: finding for finding in examine(RunSet(tuple(runs))) if finding.verdict != "not measured"}
    assert by_claim["order-freedom-helps-sudoku"].task == "sudoku4:givens=5"
    assert by_claim["order-freedom-helps-sudoku"].verdict == "holds"
    assert by_claim["arbitrary-order-not-worse-at-1"].task == "word-problems"


# ----- claims about tokens -----

PIECES = ["So", " he", " has", ".", " Then", " she", " has", " more", "."]
CONNECTOR_AT = [0, 4]


def measured_with(*, connector, other, name="entropy_G"):
    """Means of a quantity at connectors and elsewhere; entropies vary by a tenth."""

    def arrays(rng, pieces):
        mean_G = np.full(len(pieces), other, dtype=float)
        mean_G[CONNECTOR_AT] = connector
        if name != "entropy_G":
            return {name: rng.random(len(pieces)) < mean_G}
        return {name: np.maximum(mean_G + rng.normal(0, 0.1, size=len(pieces)), 0)}

    return arrays


@pytest.mark.parametrize(
    ("connector", "other", "expected"),
    [
        (0.6, 0.9, "holds"),
        (1.5, 0.5, "does not hold"),
        (0.6, 0.3, "does not hold"),
        (0.6, 0.567, "does not hold"),  # over all lower by 0.08 nats, which is more than a tenth of 0.66
        (1.2, 0.55, "unresolved"),
    ],
)
def test_connector_entropy(tmp_path, connector, other, expected):
    """Under AR order 1.2 at connectors, 0.5 elsewhere: lower there and not lower over all must both hold."""
    ar = write_run(tmp_path / "ar", "ar", [PIECES], measured=measured_with(connector=1.2, other=0.5))
    confidence = write_run(
        tmp_path / "c", "confidence", [PIECES], measured=measured_with(connector=connector, other=other)
    )
    finding = examined("connector-entropy-lower", ar, confidence)
    assert finding.verdict == expected
    assert finding.estimate == pytest.approx(connector - 1.2, abs=0.05)


@pytest.mark.parametrize(
    ("connector", "permuted", "expected"),
    [(0.9, None, "holds"), (0.9, 0.5, "unresolved"), (0.1, None, "does not hold"), (0.5, None, "unresolved")],
)
def test_connectors_bypassed(tmp_path, monkeypatch, connector, permuted, expected):
    """Every other sample begins with a connector where the rest have another word, bypassed half of the time."""

    def measured(rng, pieces):
        rates = [connector if piece == "So" else 0.5 for piece in pieces]
        return {"passes_G": rng.random(len(pieces)) < rates}

    texts = [["So", " he", " has", "."], ["he", " has", " it", "."]]
    run = write_run(tmp_path / "c", "confidence", texts, samples=12, problems=40, measured=measured)
    if permuted is not None:
        # Interval and test nearly always agree; both have to.
        monkeypatch.setattr(
            token_claims, "enrichment", lambda words: dataclasses.replace(enrichment(words), p_value=permuted)
        )
    finding = examined("connectors-bypassed", run)
    assert finding.verdict == expected
    assert finding.estimate == pytest.approx(connector - 0.5, abs=0.12)


@pytest.mark.parametrize(
    ("by_temperature", "expected"),
    [
        ({0.6: 0.005, 1.0: 0.01}, "holds"),
        ({0.6: 0.0, 1.0: 0.01}, "unresolved"),  # 40 problems that agree may all be lucky: 0.95^40 = 0.13
        ({0.6: 0.0, 1.0: 0.3}, "does not hold"),
        ({0.6: 0.0, 1.0: 0.05}, "unresolved"),
        ({0.6: 0.0}, "not measured"),
        ({0.0: 0.3, 0.6: 0.005, 1.0: 0.01}, "holds"),  # a greedy run says nothing
    ],
)
def test_commits_top_tokens(tmp_path, by_temperature, expected):
    runs = [
        write_run(
            tmp_path / f"{temperature}",
            "confidence",
            [PIECES],
            problems=40,
            temperature=temperature,
            measured=measured_with(connector=rate, other=rate, name="rank_G"),
        )
        for temperature, rate in by_temperature.items()
    ]
    finding = examined("confidence-commits-top-tokens", *runs)
    assert finding.verdict == expected
    if expected != "not measured":
        assert finding.estimate == pytest.approx(by_temperature[max(by_temperature)], abs=0.03)


def test_damage_is_refused_and_not_left_out(tmp_path):
    run = write_run(tmp_path / "c", "confidence", [PIECES], measured=measured_with(connector=0.5, other=0.5))
    (shard,) = run.shards
    shard.write_bytes(shard.read_bytes()[:-1] + b"!")
    with pytest.raises(DamageError, match="wrong checksum"):
        examined("connectors-bypassed", run)


# ----- which runs are taken -----


def test_runs_are_cut_to_what_all_have():
    ar = run_of(solved(range(90), problems=100, samples=32), "ar")
    confidence = run_of(solved(range(30), problems=60, samples=16), "confidence")
    finding = examined("ar-better-at-largest-k", ar, confidence)
    assert "60 problems, n = 16" in finding.measured
    assert finding.estimate == pytest.approx(0.5)


def test_other_settings_are_left_out():
    ar, confidence = run_of(solved(range(80)), "ar"), run_of(solved(range(50)), "confidence")
    others = [
        run_of(solved(range(100)), "confidence", temperature=1.0),
        run_of(solved(range(100)), "confidence", top_p=0.9),
        run_of(solved(range(100)), "confidence", tokens_per_step=2),
        run_of(solved(range(100)), "confidence", block=8),
    ]
    alone = examined("ar-better-at-largest-k", ar, confidence)
    among = examined("ar-better-at-largest-k", *others, ar, confidence)
    assert dataclasses.replace(among, left_out="") == alone
    assert among.left_out == (
        "Left out, tiny, word-problems: 2 runs with several tokens a step, a cut distribution, or guidance."
    )
    assert {run.config.sampling.top_p for group in groups(RunSet(tuple(others))) for run in group.runs} == {1.0}


def pair(temperature, *, orders=("ar", "confidence")):
    """Runs in which AR order solves more at T = 1, and as much at any other temperature."""
    solve = {"ar": range(80), "confidence": range(50) if temperature == 1.0 else range(80)}
    return [run_of(solved(solve[order]), order, temperature=temperature) for order in orders]


@pytest.mark.parametrize(
    ("runs", "expected"),
    [
        (pair(0.6) + pair(1.0), {0.6: "unresolved", 1.0: "holds"}),
        (pair(1.0), {1.0: "holds"}),
        (pair(0.6) + pair(1.0, orders=["confidence"]), {0.6: "unresolved"}),
        (pair(0.6) + pair(1.0, orders=["ar"]) + pair(1.5), {0.6: "unresolved"}),
        (pair(1.5), {0.6: "not measured"}),
    ],
)
def test_claims_are_made_at_the_papers_temperature_and_at_the_models_own(runs, expected):
    findings = CLAIMS.get("ar-better-at-largest-k")().examine(RunSet(tuple(runs)))
    assert {finding.temperature: finding.verdict for finding in findings} == expected
    assert all(f"T = {finding.temperature:g}" in finding.measured for finding in findings)


def test_what_only_one_temperature_has_runs_for_is_not_told_missing_of_the_other():
    findings = examine(RunSet((*pair(0.6), *pair(1.0), run_of(solved(range(40)), "egi"))))
    told = [(finding.claim, finding.temperature) for finding in findings]
    assert ("egi-exceeds-ar", 0.6) in told
    assert ("egi-exceeds-ar", 1.0) not in told
    assert len(set(told)) == len(told)


def test_seeds_are_pooled():
    rng = np.random.default_rng(0)
    drawn_of = {(order, seed): rng.random((60, 16)) < chance
                for order, chance in (("ar", 0.2), ("confidence", 0.1)) for seed in (0, 1)}  # fmt: skip
    runs = [run_of(correct, order, seed=seed) for (order, seed), correct in drawn_of.items()]
    whole = [run_of(np.hstack([drawn_of[order, seed] for seed in (0, 1)]), order) for order in ("ar", "confidence")]
    for name in ("arbitrary-order-not-worse-at-1", "ar-better-at-largest-k", "nearly-a-subset"):
        assert examined(name, *runs) == examined(name, *whole)
    assert "n = 32" in examined("ar-better-at-largest-k", *runs).measured


def test_the_length_with_runs_at_the_papers_settings_is_taken_and_the_others_are_told():
    wanted = [run_of(solved(range(count)), order) for count, order in ((80, "ar"), (50, "confidence"))]
    longer = [run_of(solved(range(90)), order, gen_length=64, temperature=1.0) for order in ("ar", "confidence", "egi")]
    finding = examined("ar-better-at-largest-k", *longer, *wanted)
    assert finding.verdict == "holds" and "block 32 of 32" in finding.measured
    assert finding.left_out == "Left out, tiny, word-problems: 3 runs with length = 64."
    assert finding.left_out in findings_markdown([finding])


def test_only_runs_that_agree_in_all_other_settings_are_compared():
    other = {"batch_invariant": True, "stop_at_eos": False}
    apart = [run_of(solved(range(80)), "ar", **other), run_of(solved(range(50)), "confidence")]
    finding = examined("ar-better-at-largest-k", *apart)
    assert finding.verdict == "not measured"
    assert "1 run with" in finding.left_out and "stop_at_eos" in finding.left_out
    among = examined("ar-better-at-largest-k", *apart, run_of(solved(range(60)), "confidence", **other))
    assert among.verdict == "holds" and among.estimate == pytest.approx(0.2)


@pytest.mark.parametrize("reverse", [False, True])
def test_of_ar_runs_that_of_the_papers_block_is_taken_then_that_with_most_samples(reverse):
    few, many = run_of(solved(range(80), samples=8), block=8), run_of(solved(range(70)), block=16)
    confidence, paper = run_of(solved(range(50)), "confidence"), run_of(solved(range(90), samples=8))
    for ar, solves in (([few, many], 0.2), ([few, many, paper], 0.4)):
        finding = examined("ar-better-at-largest-k", *(reversed(ar) if reverse else ar), confidence)
        assert finding.estimate == pytest.approx(solves)
        assert "a run of ar at block 8, T = 0.6" in finding.left_out


def test_what_is_missing_is_said():
    finding = examined("top-prob-recovers", run_of(solved(range(50)), "ar"))
    assert finding.verdict == "not measured"
    assert finding.measured == "needs a run of top_prob at T = 0.6, block 32"
    assert finding.estimate is None


def test_an_incomplete_run_is_no_evidence():
    whole = run_of(solved(range(80)), "ar")
    part = dataclasses.replace(whole, samples=whole.samples.iloc[:-1])
    finding = examined("ar-better-at-largest-k", part, run_of(solved(range(50)), "confidence"))
    assert finding.verdict == "not measured"


@pytest.mark.parametrize("runs", [RunSet(()), run_of(solved([]), "ar")])
def test_every_claim_has_a_line_whatever_the_runs(runs):
    findings = examine(runs)
    assert [finding.claim for finding in findings] == list(CLAIMS)
    assert {finding.verdict for finding in findings} == {"not measured"}
    assert len(findings_frame(findings)) == len(findings)


def test_markdown_keeps_its_columns():
    ar, confidence = run_of(solved(range(80)), "ar"), run_of(solved(range(50)), "confidence")
    lines = findings_markdown(examine(RunSet((ar, confidence)))).splitlines()
    table, footer = lines[: 2 + len(list(CLAIMS))], lines[2 + len(list(CLAIMS)) :]
    assert {line.count(" | ") for line in table} == {7}
    assert "Holm" in footer[1] and len(footer) == 2


def test_claims_state_what_they_decide():
    for name in CLAIMS:
        claim = CLAIMS.get(name)
        assert claim.name == name
        assert "Holds when" in " ".join(claim.__doc__.split()), f"{name} does not say its rule"
        assert claim.sentence.endswith(".")


# ----- what was published beside what was measured -----


@pytest.mark.parametrize(
    ("claim", "samples", "published"),
    [
        ("arbitrary-order-not-worse-at-1", 8, "+2.5 points (k = 1, arXiv:2601.15165v4 Table 4)"),
        ("ar-better-at-largest-k", 128, "+4.2 points (k = 128, arXiv:2601.15165v4 Table 4)"),
        ("ar-better-at-largest-k", 8, "nothing comparable: none at k = 8"),
        ("nearly-a-subset", 8, "nothing comparable: num_samples 8 (published 1024)"),
    ],
)
def test_a_published_number_stands_beside_its_own_setting(claim, samples, published):
    runs = [paper_run(order, task="math500:template=d1", samples=samples) for order in ("ar", "confidence")]
    assert examined(claim, *runs).paper == published


@pytest.mark.parametrize("claim", ["arbitrary-order-not-worse-at-1", "ar-better-at-largest-k", "nearly-a-subset"])
def test_in_another_setting_stands_what_differs(claim):
    runs = [paper_run(order, task="math500", samples=8, gen_length=128) for order in ("ar", "confidence")]
    words = examined(claim, *runs).paper
    assert words.startswith("nothing comparable: prompt default (published d1), gen_length 128 (published 256)")


def test_no_published_number_stands_beside_another_model():
    runs = RunSet((run_of(drawn(0.5), "ar"), run_of(drawn(0.5, seed=1), "confidence")))
    assert {finding.paper for finding in examine(runs)} == {None}


# By another verdict


def test_claims_are_made_by_the_verdict_that_counts() -> None:
    """By correctness AR order is ahead at every k; by the other verdict it solves nothing."""
    ar, confidence = run_of(solved(range(90))), run_of(solved(range(20)), "confidence")
    never = [{"sound": False}] * len(ar.samples)
    as_correct = [{"sound": bool(one)} for one in confidence.samples["correct"]]
    runs = RunSet(
        (
            dataclasses.replace(ar, samples=ar.samples.assign(verdicts=never)),
            dataclasses.replace(confidence, samples=confidence.samples.assign(verdicts=as_correct)),
        )
    )
    for counted, verdict in (("correct", "holds"), ("sound", "does not hold")):
        findings = examine(runs.counting(counted))
        (found,) = (finding for finding in findings if finding.claim == "ar-better-at-largest-k")
        assert (found.verdict, found.counted) == (verdict, counted)
        assert ("counted: sound" in found.measured) == (counted == "sound")
        below = findings_footer(findings)
        assert any(line.startswith("Counted: sound.") for line in below) == (counted == "sound")
    # Side by side, each view is a group of its own.
    both = examine(RunSet((*runs, *runs.counting("sound"))))
    assert [(f.counted, f.verdict) for f in both if f.claim == "ar-better-at-largest-k"] == [
        ("correct", "holds"), ("sound", "does not hold"),
    ]  # fmt: skip
