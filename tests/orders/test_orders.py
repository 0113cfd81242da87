"""Every order against its rule, one row and one position at a time."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flexeval.errors import InputError, PluginError
from flexeval.orders import ORDERS, get_order, take_highest
from flexeval.records import DecodingState

SPECS = [
    "ar", "confidence", "top_prob", "margin", "entropy", "random", "permutation:seed=3", "egi", "parallel-3",
    "threshold:tau=0.6", "threshold:tau=0.5", "factor:factor=0.8", "eb:gamma=0.7", "eb:gamma=0.7,proxy=confidence",
    "eb:gamma=0.7,proxy=margin", "fork:tau=0.6", "fork:tau=0.5", "low_confidence_dynamic:tau=0.5",
    "low_confidence_dynamic:tau=0.5,strict=false", "tlc:t_pos=0.4", "tct:tau=0.6,t_pos=0.2", "tct:tau=0.6,t_pos=0",
    "klass:tau=0.4,tau_kl=0.3",
]  # fmt: skip


@st.composite
def states(draw):
    rows, length = draw(st.integers(1, 4)), draw(st.integers(1, 9))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    eligible = rng.random((rows, length)) < draw(st.sampled_from([0.2, 0.6, 1.0]))
    eligible[np.arange(rows), rng.integers(length, size=rows)] = True

    def score(high=1.0):
        # Few distinct values, so that ties are common.
        values = np.round(rng.random((rows, length)) * 6) / 6 * high
        return np.where(eligible, values, np.nan).astype(np.float32)

    return DecodingState(
        eligible_BG=eligible,
        frontier_B=eligible.argmax(axis=1),
        budget_B=np.minimum(rng.integers(1, 4, size=rows), eligible.sum(axis=1)),
        step_B=rng.integers(0, 5, size=rows),
        committed_B=rng.integers(0, 2, size=rows),
        top_prob_BG=score(),
        margin_BG=score(),
        entropy_BG=score(2.0),
        proposal_BG=np.where(eligible, rng.integers(0, 50, size=(rows, length)), -1),
        confidence_BG=score(),
        uniform_BG=rng.random((rows, length)),
        noise_BG=rng.random((rows, length)),
        drift_BGH=rng.random((rows, length, 2)),
        window_step_B=rng.integers(0, 3, size=rows),
    )


def best(score_G, eligible, count):
    """The `count` best of a list of positions; the leftmost among equals."""
    return set(sorted(eligible, key=lambda g: (-score_G[g], g))[:count])


def expected(spec, state, row):
    """What an order's rule says for one row, spelled out."""
    eligible = np.flatnonzero(state.eligible_BG[row]).tolist()
    budget = int(state.budget_B[row])
    top, margin, entropy, confidence = (
        array[row].astype(float)
        for array in (state.top_prob_BG, state.margin_BG, state.entropy_BG, state.confidence_BG)
    )
    name = spec.partition(":")[0]
    if name == "ar":
        return set(eligible[:budget])
    if name == "permutation":
        place = np.random.default_rng(3).permutation(state.eligible_BG.shape[1])
        return best(-place, eligible, budget)
    if name == "egi":
        return best(entropy if state.committed_B[row] == 0 else top, eligible, budget)
    if name == "parallel-3":
        return best(confidence, eligible, 3)
    if name == "low_confidence_dynamic":
        # Half of the scores' steps of a sixth: equal to tau, which counts unless the order is strict.
        clear = {g for g in eligible if confidence[g] > 0.5 or (confidence[g] == 0.5 and "strict=false" in spec)}
        return clear if len(clear) >= budget else best(confidence, eligible, budget)
    # A half, unlike 0.6, is among the scores: what equals tau clears it.
    tau = np.float32(0.5 if "tau=0.5" in spec else 0.6)
    if name == "threshold":
        return best(confidence, eligible, 1) | {g for g in eligible if confidence[g] >= tau}
    if name == "fork":
        return {g for g in eligible if top[g] >= tau} or {eligible[0]}
    if name == "tlc":
        return best(confidence - 0.4 * np.log(-np.log(state.noise_BG[row])), eligible, budget)
    if name == "tct":
        noise = state.noise_BG[row]
        accept = confidence >= np.float32(0.6)
        if "t_pos=0.2" in spec:
            accept = noise < 1 / (1 + np.exp((0.6 - confidence) / 0.2))
        return {g for g in eligible if accept[g]} or best(confidence, eligible, 1)
    if name == "klass":
        rests = (state.drift_BGH[row] < 0.3).all(axis=1) & (state.window_step_B[row] >= 1)
        return {g for g in eligible if rests[g] and confidence[g] > np.float32(0.4)} or best(confidence, eligible, 1)
    if name == "factor":
        ordered = sorted(eligible, key=lambda g: (-confidence[g], g))
        sizes = [n for n, g in enumerate(ordered, start=1) if confidence[g] >= 1 - 0.8 / (n + 1)]
        return set(ordered[: max([1, *sizes])])
    if name == "eb":
        error = {"confidence": -top, "margin": -margin}.get(spec.rpartition("=")[2], entropy)
        ordered = sorted(eligible, key=lambda g: (error[g], g))
        fits = [n for n in range(1, len(ordered) + 1)
                if sum(entropy[ordered[:n]]) - max(entropy[ordered[:n]]) <= 0.7]  # fmt: skip
        return set(ordered[: max(fits)])
    score = {"confidence": confidence, "top_prob": top, "margin": margin, "entropy": -entropy,
             "random": state.uniform_BG[row]}[name]  # fmt: skip
    return best(score, eligible, budget)


@pytest.mark.parametrize("count", [1, 2])
def test_a_score_that_is_no_number_is_refused_only_where_a_position_is_eligible(count):
    score, eligible = np.array([[0.1, np.nan, 0.3]]), np.array([[True, False, True]])
    assert take_highest(score, eligible, np.array([count])).sum() == count
    with pytest.raises(PluginError, match="NaN at an eligible position"):
        take_highest(score, ~eligible, np.array([count]))


@pytest.mark.parametrize("spec", SPECS)
@settings(max_examples=60)
@given(state=states())
def test_an_order_follows_its_rule(spec, state):
    commit = get_order(spec)(state)
    assert commit.dtype == bool and commit.shape == state.eligible_BG.shape
    for row in range(len(commit)):
        assert set(np.flatnonzero(commit[row]).tolist()) == expected(spec, state, row)


@pytest.mark.parametrize("spec", SPECS)
@settings(max_examples=20)
@given(state=states())
def test_an_order_treats_rows_apart(spec, state):
    """A row's choice does not depend on the other rows, which is what keeps samples independent of their batch."""
    together = get_order(spec)(state)
    for row in range(len(together)):
        alone = DecodingState(**{name: array[row : row + 1] for name, array in vars(state).items()})
        assert np.array_equal(get_order(spec)(alone)[0], together[row])


def flat_state(rows, length, **changes):
    """A state in which nothing stands out."""
    flat = {name: np.zeros((rows, length), dtype=np.float32) for name in
            ("top_prob_BG", "margin_BG", "entropy_BG", "confidence_BG", "uniform_BG")}  # fmt: skip
    flat |= {"eligible_BG": np.ones((rows, length), dtype=bool), "proposal_BG": np.zeros((rows, length), dtype=int)}
    flat |= {name: np.zeros(rows, dtype=int) for name in ("frontier_B", "step_B", "committed_B")}
    return DecodingState(**{**flat, "budget_B": np.ones(rows, dtype=int), **changes})


@pytest.mark.parametrize(("masks", "commits"), [(3, 3), (6, 5), (10, 7), (28, 19), (40, 20)])
def test_wino_commits_at_most_seven_tenths_of_the_masks_and_5_to_20(masks, commits):
    nothing = {"revisable_BG": np.zeros((1, masks), dtype=bool), "unseen_prob_BG": np.full((1, masks), np.nan)}
    state = flat_state(1, masks, confidence_BG=np.ones((1, masks)), commit_step_BG=np.full((1, masks), -1), **nothing)
    assert get_order("wino")(state).commit_BG.sum() == commits


def test_eb_at_gamma_zero_commits_one_position_at_a_time():
    state = flat_state(1, 4, entropy_BG=np.array([[0.5, 0.2, 0.3, 0.4]], dtype=np.float32))
    assert get_order("eb:gamma=0")(state).tolist() == [[False, True, False, False]]


def test_egi_opens_at_its_own_temperature():
    state = flat_state(2, 1, committed_B=np.array([0, 3]))
    assert get_order("egi:first_temperature=1.5").temperature(state, 0.6).tolist() == [1.5, 0.6]
    assert get_order("ar").temperature(state, 0.6).tolist() == [0.6, 0.6]


def test_which_orders_draw_before_they_select():
    propose = {name for name in ORDERS if get_order("parallel-2" if name == "parallel-k" else name).draw == "propose"}
    plain = {"confidence", "low_confidence_dynamic", "parallel-k", "threshold", "factor"}
    assert propose == plain | {"tlc", "tct", "klass", "wino", "edit", "t2m"}


def test_a_position_temperature_draws_positions_as_it_says():
    """The first of `tlc` is drawn from softmax(c / t), further ones from what is left; `tct` accepts each by itself."""
    confidence_G = np.array([0.9, 0.8, 0.65], dtype=np.float32)
    rows = 20_000
    noise_BG = np.random.default_rng(0).random((rows, 3))
    state = flat_state(rows, 3, confidence_BG=np.tile(confidence_G, (rows, 1)), noise_BG=noise_BG)
    weights = np.exp(confidence_G / 0.2) / np.exp(confidence_G / 0.2).sum()
    assert get_order("tlc:t_pos=0.2")(state).mean(axis=0) == pytest.approx(weights, abs=0.012)
    two = DecodingState(**{**vars(state), "budget_B": np.full(rows, 2)})
    left_out = [sum(weights[i] * weights[j] / (1 - weights[i]) for i, j in ((a, b), (b, a)))
                for a, b in ((1, 2), (0, 2), (0, 1))]  # fmt: skip
    assert 1 - get_order("tlc:t_pos=0.2")(two).mean(axis=0) == pytest.approx(left_out, abs=0.012)
    accepted = 1 / (1 + np.exp((0.7 - confidence_G) / 0.1))
    none = np.prod(1 - accepted)
    expected = accepted + none * np.array([1, 0, 0])
    assert get_order("tct:tau=0.7,t_pos=0.1")(state).mean(axis=0) == pytest.approx(expected, abs=0.012)


@pytest.mark.parametrize("spec", [*SPECS, "left_to_right", "low_confidence", "arbitrary", "lcr", "tpp", "topk_margin",
                                  "neg_entropy", "entropy_bound", "parallel-k:k=5"])  # fmt: skip
def test_a_spec_names_the_same_order_as_what_it_builds(spec):
    order = get_order(spec)
    assert get_order(order.spec) == order
    assert order.spec.partition(":")[0].startswith(order.name.removesuffix("-k"))


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ("confidense", "Did you mean 'confidence'"),
        ("eb:gama=1", "Did you mean 'gamma'"),
        ("eb:gamma=much", "must be a number"),
        ("eb:gamma=nan", "must be a number"),
        ("eb:gamma=-1", ">= 0"),
        ("eb:proxy=mrgin", "Did you mean 'margin'"),
        ("eb:gamma", "name:param=value".replace("name", "eb")),
        ("eb:gamma=1,gamma=2", "given twice"),
        ("threshold:tau=2", "between 0 and 1"),
        ("fork:tau=-0.1", "between 0 and 1"),
        ("factor:factor=-1", ">= 0"),
        ("parallel-k", "parallel-4"),
        ("parallel-0", "at least 1"),
        ("egi:first_temperature=-1", ">= 0"),
        ("ar:k=2", "takes no parameters"),
        ("permutation:seed=1.5", "whole number"),
    ],
)
def test_a_bad_spec_gets_one_clear_line(spec, says):
    with pytest.raises(InputError) as refusal:
        get_order(spec)
    assert says in str(refusal.value) and "\n" not in str(refusal.value)
