"""The bootstrap against its closed form, against known truth, and its refusals."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats as student

from flexeval.errors import InputError
from flexeval.stats.bootstrap import Bootstrap, bootstrap_means, interval, paired_difference, resample
from flexeval.stats.pass_at_k import pass_at_k


def frame(values, ids=None):
    values = np.asarray(values, dtype=float)
    values = values[:, None] if values.ndim == 1 else values
    ids = [f"p{i}" for i in range(len(values))] if ids is None else ids
    return pd.DataFrame(values, index=pd.Index(ids, name="problem_id"))


def test_replicates_have_the_mean_and_variance_of_resampling():
    values = np.random.default_rng(0).random(50)
    means = bootstrap_means(values[:, None], bootstrap=Bootstrap(replicates=40_000))[:, 0]
    standard_error = values.std() / np.sqrt(50)
    assert means.mean() == pytest.approx(values.mean(), abs=5 * standard_error / np.sqrt(40_000))
    # The standard deviation of R near-normal draws is known to about 1 / sqrt(2 R).
    assert means.std() == pytest.approx(standard_error, rel=5 / np.sqrt(80_000))


def test_every_row_is_drawn_equally_often_in_every_chunk():
    rows, replicates = 200, 12_000  # more than two chunks
    means = bootstrap_means(np.eye(rows), bootstrap=Bootstrap(replicates=replicates))
    drawn = np.rint(means.sum(axis=0) * rows)
    assert drawn.sum() == rows * replicates
    assert np.abs(drawn - replicates).max() < 6 * np.sqrt(replicates)


def test_intervals_cover_the_truth_as_often_as_they_say():
    rng = np.random.default_rng(1)
    simulations, problems, n = 400, 60, 16
    solved = rng.beta(0.6, 1.2, size=(simulations, problems))
    table = frame(pass_at_k(n, rng.binomial(n, solved), 4).T)
    # E[1 - (1 - p)^4] for p ~ Beta(a, b) is 1 - B(a, b + 4) / B(a, b).
    truth = 1 - np.prod([(1.2 + i) / (1.8 + i) for i in range(4)])
    found = interval(table, bootstrap=Bootstrap(replicates=1_000))
    covered = np.mean([i.low <= truth <= i.high for i in found.values()])
    assert 0.90 <= covered <= 0.98


@pytest.mark.parametrize(("problems", "tasks"), [(4, 1), (8, 1), (25, 1), (24, 4), (200, 1)])
@pytest.mark.parametrize("level", [0.8, 0.95])
def test_a_difference_has_the_half_width_of_the_t_interval(problems, tasks, level):
    """The bootstrap's standard error lacks the factor sqrt(P / df) and its normal the tails: the interval has both.

    Strata of equal size and spread: df = problems - tasks, and the interval is that of the pooled t-test.
    """
    part = problems // tasks
    values = np.concatenate(
        [np.random.default_rng(problems).permutation(np.linspace(-1, 1, part)) for _ in range(tasks)]
    )
    found = paired_difference(
        frame(values), frame(np.zeros(problems)), tasks=np.repeat(np.arange(tasks), part).tolist(),
        bootstrap=Bootstrap(level=level, replicates=100_000),
    )[0]  # fmt: skip
    df = problems - tasks
    spread = np.sqrt((np.linspace(-1, 1, part) ** 2).sum() * tasks / df)
    half = student.t.ppf((1 + level) / 2, df) * spread / np.sqrt(problems)
    assert (found.high - found.low) / 2 == pytest.approx(half, rel=0.015)
    assert found.high + found.low == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("problems", [5, 12, 60])
def test_a_mean_of_symmetric_values_has_about_the_half_width_of_the_t_interval(problems):
    """Percentiles of near-normal replicates, as far out as Student's tails: exact but for the replicates' own tails."""
    values = student.norm.ppf((np.arange(problems) + 0.5) / problems)
    found = interval(frame(values), bootstrap=Bootstrap(level=0.8, replicates=100_000))[0]
    half = student.t.ppf(0.9, problems - 1) * values.std(ddof=1) / np.sqrt(problems)
    assert (found.high - found.low) / 2 == pytest.approx(half, rel=0.03)


@pytest.mark.parametrize("sign", [1, -1])
def test_the_interval_of_a_skewed_mean_leans_as_the_edgeworth_expansion_says(sign):
    """BCa is right to second order: mean + se (z + skewness / (6 sqrt(P)) (2 z^2 + 1)), so that its middle lies off the
    mean (Hall, The Bootstrap and Edgeworth Expansion, 1992, section 3.10). A tail or a sign off moves it by 40 %; at a
    low level, half of it is the correction of the bias.
    """
    problems = 100
    values = sign * student.expon.ppf((np.arange(problems) + 0.5) / problems)
    found = [interval(frame(values), bootstrap=Bootstrap(replicates=100_000, seed=seed))[0] for seed in range(4)]
    error = values.std() / np.sqrt(problems)
    for score in (1.96, 0.67):
        middle = np.mean([sum(each.at(score)) / 2 - each.estimate for each in found])
        lean = student.skew(values) / (6 * np.sqrt(problems)) * (2 * score**2 + 1)
        assert middle / error == pytest.approx(lean, rel=0.15)


@pytest.mark.parametrize("solved", range(6))
def test_the_interval_of_a_share_is_that_of_its_complement(solved):
    """Right and wrong exchanged, it is the mirror image, though many replicates equal the mean."""
    values = np.repeat([0.0, 1.0], [5 - solved, solved])
    right, wrong = (interval(frame(each))[0] for each in (values, 1 - values))
    assert (right.low, right.high) == pytest.approx((1 - wrong.high, 1 - wrong.low))


def test_what_each_problem_adds_is_what_the_replicates_show():
    """In tasks of unequal sizes: shares add up to the mean, influences to its variance and its third moment."""
    rng = np.random.default_rng(7)
    values, tasks = np.concatenate([rng.exponential(1, 40), rng.exponential(2, 8)]), ["large"] * 40 + ["small"] * 8
    found = resample(frame(values), tasks=tasks, bootstrap=Bootstrap(replicates=100_000))
    assert found.shares_PK.sum(axis=0) == pytest.approx(found.means_K)
    # Up to one factor: there, the number of tasks.
    influence_P = found.influence_PK[:, 0] / 2
    replicates_R = found.replicates_RK[:, 0]
    assert (influence_P**2).sum() == pytest.approx(replicates_R.var(), rel=0.02)
    skewness = (influence_P**3).sum() / (influence_P**2).sum() ** 1.5
    assert skewness == pytest.approx(student.skew(replicates_R), rel=0.1)


def test_pairing_narrows_the_interval_of_correlated_orders():
    rng = np.random.default_rng(2)
    difficulty = rng.random(200)
    first, second = (frame(difficulty + 0.05 * rng.standard_normal(200)) for _ in range(2))
    paired = paired_difference(first, second)[0]
    shuffled = frame(rng.permutation(second[0].to_numpy()))
    unpaired = paired_difference(first, shuffled)[0]
    assert paired.estimate == pytest.approx(unpaired.estimate)
    assert paired.high - paired.low < 0.3 * (unpaired.high - unpaired.low)


def test_pairs_by_problem_not_by_row():
    first = frame([0.1, 0.2, 0.9] * 4)
    assert paired_difference(first, first[::-1])[0].high == 0


@pytest.mark.parametrize(("shift", "verdict"), [(0.3, "above"), (-0.3, "below"), (0.0, "unresolved")])
def test_verdict_is_the_side_of_zero(shift, verdict):
    rng = np.random.default_rng(3)
    second = frame(rng.random(100))
    noise = rng.standard_normal(100)
    first = second + 0.1 * (noise - noise.mean())[:, None] + shift
    difference = paired_difference(first, second)[0]
    assert difference.verdict == verdict
    assert difference.estimate == pytest.approx(shift, abs=1e-12)


def test_no_verdict_from_fewer_problems_than_a_sign_test_needs():
    verdicts = [
        paired_difference(frame([0.5] * problems), frame([0.25] * problems))[0].verdict for problems in range(1, 8)
    ]
    assert verdicts == ["unresolved"] * 5 + ["above"] * 2


@pytest.mark.parametrize("values", [[0.25], [0.25, 0.25, 0.25], [0.0] * 9])
def test_problems_that_agree_give_no_width_and_no_nan(values):
    result = interval(frame(values))[0]
    assert (result.low, result.estimate, result.high) == pytest.approx((values[0],) * 3, abs=1e-15)


def test_tasks_are_resampled_apart_and_count_equally():
    table = frame([0.0] * 30 + [1.0] * 10)
    tasks = ["easy"] * 30 + ["hard"] * 10
    apart = interval(table, tasks=tasks)[0]
    assert (apart.low, apart.estimate, apart.high) == (0.5, 0.5, 0.5)
    pooled = interval(table)[0]
    assert pooled.estimate == 0.25 and pooled.high - pooled.low > 0.2


def test_the_seed_decides_the_interval():
    table = frame(np.random.default_rng(4).random((40, 2)))
    first, second = Bootstrap(seed=1), Bootstrap(seed=2)
    found = interval(table, bootstrap=first)
    assert found == interval(table, bootstrap=first) != interval(table, bootstrap=second)
    assert interval(table[[1]], bootstrap=first)[1].low == pytest.approx(found[1].low)


def test_refuses_runs_on_other_problems():
    with pytest.raises(InputError, match="not on the same problems: 'p2' is only in the first"):
        paired_difference(frame([0, 1, 1]), frame([0, 1]))
    with pytest.raises(InputError, match="'a' is given twice"):
        paired_difference(frame([0, 1], ids=["a", "a"]), frame([0, 1], ids=["a", "b"]))
    with pytest.raises(InputError, match="columns differ"):
        paired_difference(frame([[0, 1]]), frame([0]))


@pytest.mark.parametrize(
    ("table", "options", "message"),
    [
        (frame([]), {}, "no problem"),
        (frame([0.0, np.nan]), {}, "'p1' has no value"),
        (frame([0.0]), {"tasks": ["a", "b"]}, "2 task names for 1 problems"),
        (frame([0.0, 1.0]), {"tasks": ["a", None]}, "row 1 has no task"),
        (frame([0.0, 1.0], ids=["a", "a"]), {}, "'a' is given twice"),
    ],
)
def test_refuses_what_has_no_interval(table, options, message):
    with pytest.raises(InputError, match=message):
        interval(table, **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [({"level": 1.0}, r"level must lie in \(0, 1\)"), ({"replicates": 0}, "replicates must be at least 1")],
)
def test_refuses_numbers_that_mean_nothing(options, message):
    with pytest.raises(InputError, match=message):
        Bootstrap(**options)
