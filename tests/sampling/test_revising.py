"""Orders that revise: equal to the public loops, exact, bounded, independent of the batch, and wholly recorded."""

from __future__ import annotations

import dataclasses
from collections import Counter, defaultdict
from dataclasses import dataclass
from itertools import product
from typing import ClassVar

import golden_vectors
import numpy as np
import pytest
from oracles import IndependentOracle, RandomOracle
from public_rules import RULES, Model
from revisions import canvas_before, events, lives
from scipy.stats import chisquare

from flexeval.errors import InputError, PluginError
from flexeval.models import load_model
from flexeval.orders import Order, Revision, get_order, take_leftmost
from flexeval.records import Prompt, SamplingConfig
from flexeval.sampling import Sampler, SampleRequest

REVISING = ["remdm:eta=0.3", "remdm:rule=conf", "remdm:rule=loop,number=2", "edit:tau=0.5,tau_edit=0.4",
            "t2m:tau=0.4", "t2m:rule=t2t,tau=0.4,tau_back=0.3", "t2m:rule=logit_diff,tau=0.4,tau_back=0.1"]  # fmt: skip
QUESTIONS = ("What is 3 + 4?", "Tom has 12 pens. He buys 5 more. How many pens has he?")
WAITING = ["klass:tau=0.3,tau_kl=2", "tlc", "tct:tau=0.4"]


@pytest.fixture(scope="module")
def tiny():
    return load_model("tiny", device="cpu", dtype="float32")


def requests(problems=3, samples=3):
    return [SampleRequest(problem_id=f"p{p}", sample_index=i, prompt_ids=list(range(1, p + 2)))
            for p in range(problems) for i in range(samples)]  # fmt: skip


def draw(model, order, config, wanted=None, batch_size=None):
    order = order if isinstance(order, Order) else get_order(order)
    got = Sampler(model, order, config, batch_size=batch_size).run(wanted or requests())
    return {(t.problem_id, t.sample_index): t for t in got}


# ----- the public code -----


@pytest.mark.parametrize("temperature", [0.0, 0.8])
@pytest.mark.parametrize("index", [0, 1], ids=["short", "long"])
@pytest.mark.parametrize("spec", RULES)
def test_an_order_is_the_public_loop(tiny, spec, temperature, index):
    """Canvas by canvas; at temperature 0 with the mask token among the candidates, as in the public code."""
    rule, parameters = RULES[spec]
    order, length, block = get_order(spec), 24, 12
    prompt = tiny.encode(Prompt(user=QUESTIONS[index]))
    settings = {"temperature": temperature, "mask_drawn": temperature == 0}
    canvases, text = rule(Model(tiny, prompt, length, **settings, problem_id="p", index=index), block, **parameters)
    config = SamplingConfig(gen_length=length, block_length=block, temperature=temperature, stop_at_eos=False,
                            logits_eos_inf=True, logits_mask_inf=temperature > 0)  # fmt: skip
    request = SampleRequest(problem_id="p", sample_index=index, prompt_ids=prompt)
    (got,) = Sampler(tiny, order, config).run([request])
    assert got.token_ids_G.tolist() == text
    assert [canvas_before(got, step, tiny.mask_id) for step in range(len(canvases))] == canvases
    evaluated = canvases
    if spec.startswith("remdm") and "loop" not in spec:
        # A step that commits nothing needs no evaluation.
        after = [*canvases[1:], text]
        evaluated = [one for one, then in zip(canvases, after, strict=True)
                     if any(a == tiny.mask_id != b for a, b in zip(one, then, strict=True))]  # fmt: skip
    assert got.nfe == len(evaluated) and not got.capped
    # What is compared is more than an order that never takes back.
    rare = spec in ("wino", "edit")  # whose published thresholds want a model that is less sure
    assert (temperature, index) != (0.8, 1) or not order.revises or rare or len(got.revisions)


EDITING = "llada2.1_moe"
EDITED = golden_vectors.decodes_of(EDITING)["decode"]


@pytest.mark.parametrize(("family", "number"), [(EDITING, number) for number in range(len(EDITED))])
def test_a_decode_with_edits_is_reproduced(tmp_path, family, number):
    """LLaDA2.1's own decodes: tokens, edits, the step of each first commit, and evaluations."""
    case = EDITED[number]
    params = case["params"]
    model = golden_vectors.load(family, tmp_path, attention=f"block-causal:{params['block_length']}")
    length = sum(step >= 0 for step in case["canvas_commit_step"][0])
    config = SamplingConfig(gen_length=length, block_length=min(params["block_length"], length), temperature=0.0,
                            logits_mask_inf=False, stop_at_eos=False)  # fmt: skip
    order = (f"edit:tau={params['threshold']},tau_edit={params['editing_threshold']},"
             f"least={params.get('num_to_transfer', 1)},post_steps={params['max_post_steps']}")  # fmt: skip
    request = SampleRequest(problem_id="p", sample_index=0, prompt_ids=case["prompt_ids"][0])
    (got,) = Sampler(model, get_order(order), config).run([request])
    np.testing.assert_array_equal(got.token_ids_G, case["canvas_ids"][0][:length])
    first = got.commit_step_G.tolist()
    for event in reversed(events(got)):
        first[event["position"]] = event["commit_step"]
    assert first == case["canvas_commit_step"][0][:length]
    edits = [(e["step"], e["position"], e["old_token"], e["new_token"]) for e in events(got)]
    assert edits == [(e["step"], e["position"], e["old"], e["new"]) for e in case["edits"]]
    assert got.nfe == case["denoise_calls"] and not got.capped


def test_some_of_these_decodes_have_edits():
    assert any(case["edits"] for case in EDITED)


# ----- exact -----


def transitions(oracle, text):
    """The distribution at each position of a canvas [G, V], the mask token left out."""
    probs = np.exp(oracle.log_conditionals(np.array([1, *text])))[1:]
    probs[:, oracle.mask_id] = 0
    return probs / probs.sum(axis=1, keepdims=True)


def outcomes(options):
    """Product of independent choices: [(value, probability), ...] for each place -> [(values, probability)]."""
    for chosen in product(*options):
        yield tuple(value for value, _ in chosen), float(np.prod([p for _, p in chosen]))


def enumerated_remdm(oracle, size, steps, *, rule, eta):
    """The exact distribution of the final canvas: every choice of positions and of tokens, step by step."""
    mask = (oracle.mask_id, 1.0)
    states = {(mask,) * size: 1.0}
    for i in range(steps):
        a, b = i / steps, (i + 1) / steps
        most = min(1.0, (1 - b) / a) if a else 1.0
        following = defaultdict(float)
        for state, weight in states.items():
            probs = transitions(oracle, [token for token, _ in state])
            total = sum(np.exp(-p) for token, p in state if token != oracle.mask_id)
            options = []
            for g, (token, p) in enumerate(state):
                sigma = min(eta, most) if rule == "cap" else most * np.exp(-p) / max(total, 1e-300)
                if token != oracle.mask_id:
                    options.append([((token, p), 1 - sigma), (mask, sigma)])
                else:
                    fill = (b - (1 - (sigma if rule == "cap" else 0)) * a) / (1 - a)
                    filled = [((t, probs[g, t]), fill * probs[g, t]) for t in range(oracle.mask_id)]
                    options.append([(mask, 1 - fill), *filled])
            for new, p in outcomes(options):
                if p > 0:
                    following[new] += weight * p
        states = following
    final = defaultdict(float)
    for state, weight in states.items():
        final[tuple(token for token, _ in state)] += weight
    return final


def enumerated_edit(oracle, size, *, tau, tau_edit, post_steps):
    """The same for editing: the only chance is in the draws, of which every position has one a step."""
    final, states = defaultdict(float), {((oracle.mask_id,) * size, 0): 1.0}
    while states:
        following = defaultdict(float)
        for (text, posts), weight in states.items():
            probs = transitions(oracle, text)
            full = oracle.mask_id not in text
            for drawn, p in outcomes([[(t, row[t]) for t in range(oracle.mask_id)] for row in probs]):
                new, confidence = list(text), [probs[g, t] for g, t in enumerate(drawn)]
                masks = [g for g in range(size) if text[g] == oracle.mask_id]
                clear = [g for g in masks if confidence[g] > tau]
                best = sorted(masks, key=lambda g: (-confidence[g], g))[:1]
                changed = [g for g in range(size)
                           if g not in masks and drawn[g] != text[g] and confidence[g] > tau_edit]  # fmt: skip
                for g in [*(clear or best), *changed]:
                    new[g] = drawn[g]
                again = (not full or changed) and posts + full < post_steps
                if oracle.mask_id in new or again:
                    following[tuple(new), posts + full] += weight * p
                else:
                    final[tuple(new)] += weight * p
        states = following
    return final


def p_value(oracle, spec, expected, size, samples=4000):
    config = SamplingConfig(gen_length=size, temperature=1.0, stop_at_eos=False, seed=5)
    wanted = [SampleRequest(problem_id="p", sample_index=i, prompt_ids=[1]) for i in range(samples)]
    counts = Counter(tuple(t.token_ids_G.tolist()) for t in draw(oracle, spec, config, wanted, 1000).values())
    assert sum(expected.values()) == pytest.approx(1)
    kept = [one for one, p in expected.items() if p * samples >= 5]
    rest = 1 - sum(expected[one] for one in kept)
    observed = [counts[one] for one in kept]
    return chisquare([*observed, samples - sum(observed)], [samples * expected[one] for one in kept] + [samples * rest]
                     if rest > 1e-9 else [samples * expected[one] for one in kept] + [1e-9]).pvalue  # fmt: skip


def test_remdm_has_the_distribution_of_its_chain():
    oracle = RandomOracle(words=2, sharpness=1.0)
    cap = enumerated_remdm(oracle, 3, 6, rule="cap", eta=0.4)
    conf = enumerated_remdm(oracle, 2, 4, rule="conf", eta=0.0)
    assert p_value(oracle, "remdm:eta=0.4", cap, 3) > 1e-4
    assert p_value(oracle, "remdm:rule=conf", conf, 2) > 1e-4
    # Without remasking it is another distribution, which the test tells apart.
    assert p_value(oracle, "remdm:eta=0", cap, 3) < 1e-4


def test_edit_has_the_distribution_of_its_chain():
    """Above all: every draw at a position is a fresh one, though its position was drawn before."""
    oracle = RandomOracle(words=2, sharpness=0.7)
    expected = enumerated_edit(oracle, 2, tau=0.9, tau_edit=0.4, post_steps=3)
    assert p_value(oracle, "edit:tau=0.9,tau_edit=0.4,post_steps=3", expected, 2) > 1e-4
    assert p_value(oracle, "edit:tau=0.9,tau_edit=2,post_steps=3", expected, 2) < 1e-4


# ----- what is promised -----


def assert_same(one, other):
    assert one.keys() == other.keys()
    for key, trajectory in one.items():
        for pair in ((trajectory, other[key]), (trajectory.revisions, other[key].revisions)):
            for field in dataclasses.fields(pair[0]):
                got, want = (getattr(each, field.name) for each in pair)
                if field.name != "revisions" and np.asarray(got).dtype == np.float32:
                    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-5)
                elif field.name != "revisions":
                    np.testing.assert_array_equal(got, want, err_msg=f"{field.name} of {key}")


@pytest.mark.parametrize("spec", [*REVISING, *WAITING])
def test_a_sample_is_the_same_in_any_batch(spec):
    oracle = RandomOracle(words=6, eos_bonus=1.0)
    config = SamplingConfig(gen_length=10, block_length=5, temperature=0.9, seed=2)
    alone = draw(oracle, spec, config, batch_size=1)
    for batch_size, wanted in [(3, requests()), (64, requests()[::-1]), (5, requests()[4:] + requests()[:4])]:
        assert_same(draw(oracle, spec, config, wanted, batch_size), alone)


def test_wino_is_the_same_in_any_batch(tiny):
    """Also where prompts differ in length, and the last block is shorter, so that twins are out of use."""
    config = SamplingConfig(gen_length=20, block_length=8, temperature=0.9, logits_eos_inf=True)
    alone = draw(tiny, "wino:tau=0.3", config, batch_size=1)
    assert_same(draw(tiny, "wino:tau=0.3", config, batch_size=64), alone)
    assert any(len(t.revisions) for t in alone.values())


@pytest.mark.parametrize("spec", [*REVISING, "remdm:eta=1", "edit:tau=2,tau_edit=0", "t2m:tau=2,tau_back=1,share=1"])
def test_a_block_ends_within_its_bound(spec):
    """However little is committed and however much is taken back."""
    order, config = get_order(spec), SamplingConfig(gen_length=11, block_length=4, temperature=1.3, stop_at_eos=False)
    bound = sum(map(order.most_steps, (4, 4, 3)))
    for trajectory in draw(RandomOracle(words=6), order, config).values():
        assert trajectory.nfe <= bound and trajectory.commit_step_G.max() < bound and not trajectory.capped
        assert (trajectory.commit_step_G >= 0).all()


def test_wino_takes_a_step_a_position_at_most(tiny):
    config = SamplingConfig(gen_length=16, block_length=8, temperature=2.0, stop_at_eos=False)
    for spec in ("wino:tau=0,tau_back=1", "wino:tau=1,tau_back=1", "wino:tau=0.2,tau_back=1"):
        for trajectory in draw(tiny, spec, config).values():
            assert trajectory.nfe <= 16 and not trajectory.capped


@dataclass(frozen=True)
class Restless(Order):
    """Takes everything back that it commits."""

    name = "restless"
    reads: ClassVar[frozenset[str]] = frozenset({"past"})
    adaptive = True
    revises = True

    def __call__(self, state):
        one_B = state.eligible_BG.any(axis=1).astype(int)
        return Revision(commit_BG=take_leftmost(state.eligible_BG, one_B), remask_BG=state.revisable_BG)


@dataclass(frozen=True)
class Idle(Restless):
    """Commits nothing, and wants to see more."""

    name = "idle"

    def __call__(self, state):
        return Revision(commit_BG=np.zeros_like(state.eligible_BG), again_B=np.ones(len(state.step_B), dtype=bool))


@dataclass(frozen=True)
class Doubtful(Restless):
    """Takes nothing back, and always wants another look."""

    name = "doubtful"

    def __call__(self, state):
        commit_BG = super().__call__(state).commit_BG
        return Revision(commit_BG=commit_BG, again_B=np.ones(len(commit_BG), dtype=bool))


@dataclass(frozen=True)
class Bookkeeper(Restless):
    """In its first steps it rewrites what stands at odd positions, and masks the rest again at every third step."""

    name = "bookkeeper"
    reads: ClassVar[frozenset[str]] = frozenset({"past", "redraw"})

    def __call__(self, state):
        BOOKS.append(state.remasks_BG[0].copy())
        odd_BG = state.revisable_BG & (np.arange(state.revisable_BG.shape[1]) % 2 == 1)
        early, third = state.step_B[0] < 9, state.step_B[0] % 3 == 2
        return Revision(
            commit_BG=super().__call__(state).commit_BG,
            remask_BG=state.revisable_BG & ~odd_BG & (early and third),
            rewrite_BG=odd_BG & early,
        )


@dataclass(frozen=True)
class Looker(Order):
    """From left to right; it looks at how far distributions moved in the last three steps."""

    name = "looker"
    reads: ClassVar[frozenset[str]] = frozenset({"drift"})
    history = 3

    def __call__(self, state):
        before = state.step_B[:, None, None] <= np.arange(self.history)[::-1]
        watched_BG1 = state.eligible_BG[:, :, None]
        assert np.isinf(state.drift_BGH[np.broadcast_to(before & watched_BG1, state.drift_BGH.shape)]).all()
        assert np.isfinite(state.drift_BGH[np.broadcast_to(~before & watched_BG1, state.drift_BGH.shape)]).all()
        return take_leftmost(state.eligible_BG, state.budget_B)


def test_no_distribution_moved_before_the_first_step():
    """Also where a sample takes the place of one that is finished."""
    config = SamplingConfig(gen_length=6, temperature=1.0, stop_at_eos=False)
    draw(RandomOracle(words=4), Looker(), config, batch_size=2)


def test_guidance_takes_two_evaluations_a_step():
    config = SamplingConfig(gen_length=6, block_length=3, temperature=1.0, stop_at_eos=False)
    plain, guided = (
        draw(RandomOracle(words=4), Doubtful(), dataclasses.replace(config, cfg_scale=s)) for s in (0.0, 0.5)
    )
    assert all(guided[key].nfe == 2 * plain[key].nfe for key in plain)


BOOKS: list[np.ndarray] = []
"""How often each position was masked again, as the bookkeeper was told at each step."""


def test_a_rewritten_token_was_not_masked_again():
    BOOKS.clear()
    config = SamplingConfig(gen_length=6, temperature=1.0, stop_at_eos=False)
    [trajectory] = draw(RandomOracle(words=4), Bookkeeper(), config, wanted=requests(1, 1)).values()
    made = trajectory.revisions
    masked = Counter(made.position_N[made.new_token_N < 0].tolist())
    assert BOOKS[-1].tolist() == [masked[position] for position in range(6)]
    assert masked and (made.new_token_N >= 0).any()


@dataclass(frozen=True)
class Watcher(Restless):
    """Commits two positions a step, masks the oldest tokens again at every third; compares what it sees of a token."""

    name = "watcher"
    reads: ClassVar[frozenset[str]] = frozenset({"past", "kept", "proposal"})

    def __call__(self, state):
        revisable_BG = state.revisable_BG
        assert np.array_equal(state.kept_before_BG[revisable_BG], state.kept_prob_BG[revisable_BG])
        assert np.array_equal(state.commit_prob_BG[revisable_BG], state.kept_prob_BG[revisable_BG])
        for prob, token in zip(state.kept_prob_BG[revisable_BG], state.token_BG[revisable_BG], strict=True):
            SEEN[int(token)].add(round(float(prob), 5))
        commit_BG = take_leftmost(state.eligible_BG, np.minimum(2, state.eligible_BG.sum(axis=1)))
        for at in zip(*np.nonzero(commit_BG), strict=True):
            SEEN[int(state.proposal_BG[at])].add(round(float(state.confidence_BG[at]), 5))
        oldest_B1 = np.where(revisable_BG, state.commit_step_BG, 99).min(axis=1, keepdims=True)
        back_BG = revisable_BG & (state.commit_step_BG == oldest_B1) & (state.step_B % 3 == 2)[:, None]
        return Revision(commit_BG=commit_BG, remask_BG=back_BG)


SEEN: defaultdict[int, set[float]] = defaultdict(set)
"""The probabilities that the watcher saw, by token."""


@pytest.mark.parametrize(
    ("settings", "probabilities"),
    [
        ({}, [0.5, 0.3, 0.2]),
        # Squared at temperature 1/2, the third left out by top_k.
        ({"scored": "sampled", "top_k": 2}, [0.25 / 0.34, 0.09 / 0.34]),
        ({"confidence_eos_eot_inf": True}, [0.5 / 0.7, 0.0, 0.2 / 0.7]),
    ],
)
def test_what_is_compared_is_on_one_scale(settings, probabilities):
    """A model that says the same at every step moves no token's score, whatever scores are read from."""
    SEEN.clear()
    oracle = IndependentOracle(np.array([0.5, 0.3, 0.2]))
    oracle.eos_id = 1
    config = SamplingConfig(gen_length=12, block_length=6, temperature=0.5, stop_at_eos=False, **settings)
    got = draw(oracle, Watcher(), config)
    assert any(len(trajectory.revisions) for trajectory in got.values())
    assert [len(SEEN[token]) for token in range(len(probabilities))] == [1] * len(probabilities)
    assert [SEEN[token].pop() for token in range(len(probabilities))] == pytest.approx(probabilities, abs=1e-4)


@pytest.mark.parametrize("order", [Restless(), Idle(), Doubtful()])
def test_a_rule_without_end_is_ended_and_says_so(order):
    config = SamplingConfig(gen_length=6, block_length=3, temperature=1.0, stop_at_eos=False)
    for trajectory in draw(RandomOracle(words=4), order, config).values():
        assert trajectory.capped and (trajectory.commit_step_G >= 0).all()
        assert trajectory.commit_step_G.max() < 2 * (order.most_steps(3) + 3)


@pytest.mark.parametrize("spec", [*REVISING, *WAITING])
def test_leaving_at_the_end_of_the_text_changes_no_text(spec):
    oracle, left = RandomOracle(words=5, eos_bonus=1.5), 0
    config = SamplingConfig(gen_length=15, block_length=5, temperature=1.0)
    early = draw(oracle, spec, config)
    whole = draw(oracle, spec, dataclasses.replace(config, stop_at_eos=False))
    for key, trajectory in whole.items():
        length = trajectory.length
        assert early[key].length == length
        assert early[key].token_ids_G[:length].tolist() == trajectory.token_ids_G[:length].tolist()
        left += early[key].nfe < trajectory.nfe
    assert left


# ----- the record -----


def entropy(probs_V):
    return -(probs_V[probs_V > 0] * np.log(probs_V[probs_V > 0])).sum()


@pytest.mark.parametrize("spec", REVISING)
def test_the_record_is_the_whole_history(spec):
    """Canvases, entropies and passes at the first, every further and the last commit, from the oracle's own numbers."""
    oracle, size = RandomOracle(words=6), 5
    config = SamplingConfig(gen_length=10, block_length=size, temperature=0.9, stop_at_eos=False)
    (got,) = draw(oracle, spec, config, requests(1, 1), batch_size=1).values()
    assert len(got.revisions)
    evaluated = [canvas[0, 1:].tolist() for canvas in oracle.evaluated]
    steps = got.commit_step_G.max() + 1
    replayed = [canvas_before(got, step, oracle.mask_id) for step in range(steps)]
    committing = {first for _, _, first, _ in lives(got)}
    wanted = [replayed[step] for step in range(steps) if get_order(spec).reads_model or step in committing]
    assert evaluated[: len(wanted)] == wanted and got.nfe == len(evaluated)

    # What was measured at a commit is of the canvas before it.
    for g in range(10):
        step, token = got.commit_step_G[g], got.token_ids_G[g]
        probs_V = transitions(oracle, replayed[step])[g]
        assert got.entropy_G[g] == pytest.approx(entropy(probs_V), abs=1e-4)
        assert got.prob_G[g] == pytest.approx(probs_V[token], abs=1e-4)
    for event in events(got):
        probs_V = transitions(oracle, replayed[event["commit_step"]])[event["position"]]
        assert event["commit_entropy"] == pytest.approx(entropy(probs_V), abs=1e-4)
        assert event["commit_prob"] == pytest.approx(probs_V[event["old_token"]], abs=1e-4)
        # And what was looked at when it was taken back.
        if get_order(spec).reads & {"kept", "redraw"}:
            now_V = transitions(oracle, canvas_before(got, event["step"], oracle.mask_id))[event["position"]]
            assert event["entropy"] == pytest.approx(entropy(now_V), abs=1e-4)
            assert event["old_prob"] == pytest.approx(now_V[event["old_token"]], abs=1e-4)
            if event["new_token"] >= 0:
                assert event["new_prob"] == pytest.approx(now_V[event["new_token"]], abs=1e-4)
        else:
            assert np.isnan([event["entropy"], event["old_prob"], event["new_prob"]]).all()

    # Passes count every step at which something was committed, and not at the frontier.
    passes, at_revision, block = np.zeros(10, int), {}, 0
    for step, canvas in enumerate(replayed):
        commits = [g for g, _, first, _ in lives(got) if first == step]
        block = max([block, *(g // size for g in commits)])
        for event in events(got):
            if event["step"] == step:
                at_revision[step, event["position"]] = (event["passes"], passes[event["position"]])
        masks = [g for g in range((block + 1) * size) if canvas[g] == oracle.mask_id]
        filled = [g for g in commits if g in masks]
        if masks and filled and masks[0] not in filled:
            passes[masks[0]] += 1
    assert got.passes_G.tolist() == passes.tolist()
    assert all(kept == counted for kept, counted in at_revision.values())


def test_orders_that_do_not_revise_have_no_revisions():
    for trajectory in draw(RandomOracle(words=4), "confidence", SamplingConfig(gen_length=6)).values():
        assert len(trajectory.revisions) == 0 and not trajectory.capped


# ----- bad input -----


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ("wino:tau=1.5", "between 0 and 1"),
        ("wino:tau_back=-0.1", "tau_back is a probability"),
        ("remdm:eta=2", "eta is a probability"),
        ("remdm:per_token=0.5", "between 1 and"),
        ("remdm:per_token=1e9", "between 1 and"),
        ("remdm:rule=none", "rule"),
        ("remdm:number=0", "so that decoding ends"),
        ("edit:tau=-1", "tau is a probability"),
        ("edit:post_steps=100000", "so that decoding ends"),
        ("t2m:remasks=-1", "so that decoding ends"),
        ("t2m:remasks=1000000", "so that decoding ends"),
        ("t2m:tau_back=3", "tau_back is a probability"),
        ("klass:rest=0", "rest counts steps"),
        ("klass:tau_kl=-1", ">= 0"),
        ("tct:tau=2", "between 0 and 1"),
        ("tlc:t_pos=-1", ">= 0"),
    ],
)
def test_a_rule_that_cannot_be_gets_one_clear_line(spec, says):
    with pytest.raises(InputError) as refusal:
        get_order(spec)
    assert says in str(refusal.value) and "\n" not in str(refusal.value)


def test_wino_says_which_models_it_needs():
    with pytest.raises(InputError, match="full attention and unshifted predictions"):
        Sampler(RandomOracle(words=3), get_order("wino"), SamplingConfig(gen_length=4))


def test_a_schedule_is_refused():
    with pytest.raises(InputError, match="decides itself"):
        Sampler(RandomOracle(words=3), get_order("edit"), SamplingConfig(gen_length=4, tokens_per_step=2))


def answering(**parts):
    """An order that gives a fixed answer, made from the eligible and the revisable positions."""

    @dataclass(frozen=True)
    class Wrong(Restless):
        name = "wrong"

        def __call__(self, state):
            return Revision(**{name: make(state) for name, make in parts.items()})

    return Wrong()


@pytest.mark.parametrize(
    ("parts", "says"),
    [
        ({"commit_BG": lambda s: ~s.eligible_BG}, "not eligible"),
        ({"commit_BG": lambda s: s.eligible_BG, "remask_BG": lambda s: s.eligible_BG}, "no token of the current block"),
        ({"commit_BG": lambda s: s.eligible_BG.astype(int)}, "commit_BG of its Revision must be a boolean array"),
        ({"commit_BG": lambda s: s.eligible_BG, "again_B": lambda s: s.step_B}, "again_B of its Revision"),
    ],
)
def test_a_wrong_revision_names_what_to_mend(parts, says):
    with pytest.raises(PluginError, match=says):
        draw(RandomOracle(words=3), answering(**parts), SamplingConfig(gen_length=4))


def test_an_order_says_that_it_revises():
    @dataclass(frozen=True)
    class Silent(Order):
        name = "silent"

        def __call__(self, state):
            return Revision(commit_BG=state.eligible_BG)

    @dataclass(frozen=True)
    class Paced(Silent):
        revises = True

    @dataclass(frozen=True)
    class Looking(Silent):
        reads: ClassVar[frozenset[str]] = frozenset({"kept"})

    with pytest.raises(PluginError, match="write `revises = True`"):
        draw(RandomOracle(words=3), Silent(), SamplingConfig(gen_length=4))
    with pytest.raises(PluginError, match="write `adaptive = True`"):
        draw(RandomOracle(words=3), Paced(), SamplingConfig(gen_length=4))
    with pytest.raises(PluginError, match="add `revises = True`"):
        draw(RandomOracle(words=3), Looking(), SamplingConfig(gen_length=4))


@pytest.mark.parametrize("spec", ["remdm:eta=0.3", "edit:tau=0.3,tau_edit=0.1", "t2m:tau=0.3"])
def test_every_step_is_a_time_of_its_own_also_where_a_first_token_is_apart(spec, tmp_path):
    """Where the block before decides a first token, its step counts: no token is taken back when it is committed."""
    model = golden_vectors.load("fast_dllm_v2", tmp_path, attention="block-causal:8")
    config = SamplingConfig(gen_length=17, block_length=4, temperature=1.0, stop_at_eos=False)
    for trajectory in draw(model, spec, config, requests(2, 2)).values():
        assert (trajectory.commit_step_G >= 0).all() and not trajectory.capped and len(trajectory.revisions)
        assert all(event["commit_step"] < event["step"] for event in events(trajectory))
        assert [canvas_before(trajectory, step, model.mask_id) for step in (0, 10**6)] == [
            [model.mask_id] * 17,
            trajectory.token_ids_G.tolist(),
        ]
