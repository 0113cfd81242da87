"""Keys and values that are kept change no sample; what is approximate is Fast-dLLM's rule; memory is bounded."""

from __future__ import annotations

import copy
import dataclasses

import numpy as np
import pytest
import torch
from checkpoints import write_llada, write_qwen
from oracles import RandomOracle
from test_sampler_blocks import RULES, blind
from transformers import DynamicCache

from flexeval import get_task, load_model
from flexeval.errors import InputError
from flexeval.models.attention import Attention
from flexeval.models.past import Kept, Past
from flexeval.orders import get_order
from flexeval.records import RunConfig, SamplingConfig
from flexeval.runs.identity import canonical_config, config_to_dict, default_folder_name, require_same_run
from flexeval.sampling import Sampler, SampleRequest
from flexeval.sampling import forward as forwards
from flexeval.sampling.prefixes import Prefixes

MAKERS = {
    "in place": lambda folder: write_qwen(folder, "a2d-qwen3", head_dim=16),
    "shifted": lambda folder: write_qwen(folder, "Fast_dLLM_Qwen", bd_size=3),
}


@pytest.fixture(scope="module", params=MAKERS)
def model(request, tmp_path_factory):
    """Random weights; a text ends at any of 20 tokens, so that samples leave early."""
    loaded = load_model(str(MAKERS[request.param](tmp_path_factory.mktemp("model") / "m")), dtype="float32")
    loaded.stop_ids = frozenset(range(20))
    return loaded


@pytest.fixture(params=RULES)
def rule(request) -> Attention:
    return RULES[request.param]


def requests(samples: int = 2) -> list[SampleRequest]:
    """Prompts of 1 to 7 tokens: shorter than a block, whole blocks, and with a tail in the answer's first block."""
    return [
        SampleRequest(problem_id=f"p{p}", sample_index=i, prompt_ids=list(range(30, 31 + 3 * p)))
        for p in range(3)
        for i in range(samples)
    ]


def draw(model, spec, config, *, batch_size=5, workers=1, wanted=None):
    sampler = Sampler(model, get_order(spec), config, batch_size=batch_size, workers=workers)
    return {(t.problem_id, t.sample_index): t for t in sampler.run(wanted or requests())}, sampler.counters


def assert_equal_samples(one, other):
    assert one.keys() == other.keys()
    for key, trajectory in one.items():
        assert_equal_records(trajectory, other[key], of=key)


def assert_equal_records(one, other, *, of):
    for field in dataclasses.fields(one):
        got, want = getattr(one, field.name), getattr(other, field.name)
        if dataclasses.is_dataclass(got):
            assert_equal_records(got, want, of=of)
        elif np.asarray(got).dtype == np.float32:
            np.testing.assert_allclose(got, want, atol=1e-5, err_msg=f"{field.name} of {of}")
        else:
            np.testing.assert_array_equal(got, want, err_msg=f"{field.name} of {of}")


# ----- exact -----


@pytest.mark.parametrize("settings", [{}, {"stop_at_eos": False, "logits_mask_inf": False}, {"cfg_scale": 0.5}])
def test_samples_are_those_without_a_cache(model, rule, settings):
    """Also where the mask is drawn, so that finished blocks have holes, and where blocks forget a token."""
    model.attention = rule
    if settings and rule.kind == "block-causal":
        model.attention = dataclasses.replace(rule, forgets=3)
    config = SamplingConfig(gen_length=8, temperature=1.0, seed=1, **settings)
    for spec, workers in (("confidence", 1), ("random", 2)):
        without, counted = draw(model, spec, dataclasses.replace(config, cache="none"), workers=workers)
        kept, also_counted = draw(model, spec, config, workers=workers)
        assert_equal_samples(kept, without)
        assert counted == also_counted


@pytest.mark.parametrize("name", ["from the prompt", "rank"])
@pytest.mark.parametrize(
    "spec", ["remdm:eta=0.5", "edit:tau=0.3,tau_edit=0.02,post_steps=2", "t2m:tau=0.3,remasks=1,post_steps=1"]
)
def test_orders_that_take_tokens_back_are_kept_up_with(model, spec, name):
    """What is kept is known by its tokens; where these change, it is another prefix."""
    model.attention = RULES[name]
    config = SamplingConfig(gen_length=8, temperature=1.0, seed=1)
    without, _ = draw(model, spec, dataclasses.replace(config, cache="none"), wanted=requests(1))
    assert any(len(t.revisions.step_N) for t in without.values()), "nothing was taken back"
    assert_equal_samples(draw(model, spec, config, wanted=requests(1))[0], without)


@pytest.fixture
def computed(model):
    """How many columns the first layer was given, forward by forward."""
    sizes = []
    hook = model.module.model.embed_tokens.register_forward_pre_hook(lambda _, given: sizes.append(given[0].numel()))
    yield sizes
    hook.remove()


def test_a_finished_block_is_computed_once_and_a_step_computes_its_block(model, computed):
    model.attention = RULES["from the prompt"]
    config = SamplingConfig(gen_length=8, temperature=1.0, stop_at_eos=False)
    wanted = [SampleRequest(problem_id="p", sample_index=i, prompt_ids=[30, 31, 32, 33]) for i in range(6)]
    if model.shifted:
        # The first of a block is read off the block before it.
        model.attention = RULES["first token apart"]
    draw(model, "ar", config, batch_size=6, wanted=wanted[:1])
    if not model.shifted:
        # The prompt's whole block; two steps in the block of its tail; then, twice, a finished block and three steps.
        assert computed == [3, 3, 3, *(2 * [3, 3, 3, 3])]
    whole = sum(computed)
    computed.clear()
    draw(model, "ar", dataclasses.replace(config, cache="none"), batch_size=6, wanted=wanted[:1])
    assert whole < sum(computed) / 2
    computed.clear()
    draw(model, "ar", dataclasses.replace(config, temperature=0.0), batch_size=6, wanted=wanted)
    assert sum(computed) == whole, "equal samples of a problem share everything"


def test_what_is_known_of_a_canvas_without_its_prompt_stays_known(model, computed):
    """Under guidance each step evaluates two canvases of a sample, which take turns: each goes on from its own."""
    model.attention = RULES["from the prompt"]
    config = SamplingConfig(gen_length=9, temperature=1.0, stop_at_eos=False)
    drawn = draw(model, "random", config, wanted=requests(1)[1:])[0]
    once = sum(computed)
    computed.clear()
    guided = draw(model, "random", dataclasses.replace(config, cfg_scale=0.5), wanted=requests(1)[1:])[0]
    assert all(guided[key].nfe == 2 * drawn[key].nfe for key in drawn)
    assert sum(computed) == 2 * once


@pytest.mark.parametrize("spec", ["remdm:eta=0.5", "remdm:rule=conf"])
def test_what_is_known_of_a_sample_that_skips_a_step_stays_known(model, computed, spec):
    """Where an order commits nothing in one sample and something in another, they take turns."""
    model.attention = RULES["from the prompt"]
    config = SamplingConfig(gen_length=9, temperature=1.0, stop_at_eos=False)
    wanted = [SampleRequest(problem_id=f"p{t}", sample_index=0, prompt_ids=list(range(t, t + 4))) for t in (30, 40, 50)]
    alone = 0
    for request in wanted:
        draw(model, spec, config, wanted=[request])
        alone += sum(computed)
        computed.clear()
    draw(model, spec, config, wanted=wanted)
    assert sum(computed) <= alone


def test_samples_of_a_problem_share_the_prompt(model, monkeypatch):
    """What is kept is the prompt once, and of each sample its own blocks: bytes are known beforehand."""
    model.attention = RULES["from the prompt"]
    held = []
    part = Prefixes.part

    def spied(self, *arguments):
        found = part(self, *arguments)
        parts = {kept for each in self._kept.values() for kept in each.chain()}
        assert self.columns * model.bytes_per_column == sum(kept.bytes for kept in parts)
        held.append(self.columns)
        return found

    monkeypatch.setattr(Prefixes, "part", spied)
    wanted = [SampleRequest(problem_id="p", sample_index=i, prompt_ids=[*range(30, 60)]) for i in range(5)]
    sampler = Sampler(model, get_order("random"), SamplingConfig(gen_length=9, temperature=1.0, stop_at_eos=False))
    list(sampler.run(wanted))
    assert held[0] == (27 if model.shifted else 30)
    # Where predictions are shifted, the first step reads the prompt's last block, which is then joined to each answer.
    assert max(held) == (27 + 5 * 9 if model.shifted else 30 + 5 * 6)
    assert all(forward._prefixes.columns == 0 for forward in sampler._forwards), "nothing is kept after a run"


@pytest.mark.parametrize("columns", [0, 7, 20])
def test_what_does_not_fit_is_computed_again(model, rule, monkeypatch, columns):
    model.attention = rule
    config = SamplingConfig(gen_length=8, temperature=1.0, seed=4)
    want, _ = draw(model, "random", dataclasses.replace(config, cache="none"))
    limits = dataclasses.replace(forwards.LIMITS["cpu"], kept_bytes=columns * model.bytes_per_column)
    monkeypatch.setitem(forwards.LIMITS, "cpu", limits)
    held, finished = [], Prefixes._finished

    def spied(self, *arguments):
        found = finished(self, *arguments)
        held.append(self.columns)
        return found

    monkeypatch.setattr(Prefixes, "_finished", spied)
    got, _ = draw(model, "random", config)
    assert_equal_samples(got, want)
    # Also with what is copied when small pieces are put together.
    assert max(held) <= columns
    assert columns < 20 or max(held) > 10 or rule.kind == "full-to-block"


def test_other_weights_have_other_keys_and_values(model):
    model.attention = RULES["from the answer"]
    config = SamplingConfig(gen_length=8, temperature=1.0, seed=4)
    changed = copy.copy(model)
    changed.module = copy.deepcopy(model.module)
    changed._trunk = changed.module.base_model
    sampler = Sampler(changed, get_order("ar"), config)
    before = [t.entropy_G for t in sampler.run(requests(1))]
    with torch.no_grad():
        changed.module.model.layers[0].self_attn.v_proj.weight.mul_(1.5)
    after = {t.problem_id: t for t in sampler.run(requests(1))}
    fresh = {t.problem_id: t for t in Sampler(changed, get_order("ar"), config).run(requests(1))}
    for name, trajectory in fresh.items():
        np.testing.assert_array_equal(after[name].entropy_G, trajectory.entropy_G)
    assert any(not np.array_equal(a, t.entropy_G, equal_nan=True) for a, t in zip(before, after.values(), strict=True))


def test_what_is_kept_in_small_pieces_is_put_together():
    """Columns that come one at a time make few parts, and the beginning, which others share, stays apart."""

    def grown(kept: Kept | None, columns: int) -> Kept:
        past = Past([kept], layers=1)
        new = torch.randn(1, 2, columns, 4)
        keys, values = past.update(new, 2 * new, 0)
        assert keys.shape == (1, 2, columns + (kept.length if kept else 0), 4)
        (made,) = past.added(torch.ones(1, columns, dtype=torch.bool))
        joined = torch.cat([part.keys[0] for part in made.chain()]).transpose(0, 1)
        np.testing.assert_array_equal(joined, keys[0])
        np.testing.assert_array_equal(torch.cat([part.values[0] for part in made.chain()]).transpose(0, 1), values[0])
        return made

    begun = kept = grown(None, 10)
    for length in range(11, 75):
        kept = grown(kept, 1)
        assert kept.length == length and kept.chain()[0] is begun
        assert len(kept.chain()) <= 2 + np.log2(length)
    for length in (1, 10, 11, 50, 74):
        first = kept.first(length)
        assert first is not None and first.length == length
        joined = torch.cat([part.keys[0] for part in kept.chain()])[:length]
        np.testing.assert_array_equal(torch.cat([part.keys[0] for part in first.chain()]), joined)


# ----- approximate, after Fast-dLLM -----


@pytest.fixture(scope="module")
def bundled():
    return load_model("tiny", device="cpu", dtype="float32")


def fast_dllm(model, prompt, config, *, dual, threshold=None):
    """Greedy decoding of one sample by Fast-dLLM's rule: at a block's first step the whole canvas is evaluated; at the
    others the block alone (dual), or all from it on, with the rest's keys and values of the first step.
    """
    length, block = len(prompt), config.block
    tokens = torch.tensor([[*prompt, *[model.mask_id] * config.gen_length]])
    steps, evaluations = torch.full((config.gen_length,), -1), 0

    def evaluate(columns, cache):
        mask = torch.zeros(1, 1, len(columns), len(columns) + cache.get_seq_length())
        given = {model._past_argument: cache}
        return model.module.model(tokens[:, columns], attention_mask=mask, position_ids=columns[None], **given)

    for start in range(length, tokens.shape[1], block):
        end = min(start + block, tokens.shape[1])
        columns, outside = torch.arange(tokens.shape[1]), DynamicCache()
        hidden = evaluate(columns, outside).last_hidden_state
        stay = torch.ones(tokens.shape[1], dtype=torch.bool)
        stay[start : end if dual else None] = False
        for layer in outside.layers:
            layer.keys, layer.values = layer.keys[:, :, stay], layer.values[:, :, stay]
        while True:
            masked = (tokens[0, columns] == model.mask_id) & (columns < end)
            logits = model.logits(hidden[0])
            logits[:, model.mask_id] = -torch.inf
            confidence, likeliest = logits.double().softmax(dim=-1).max(dim=-1)
            confidence[~masked] = -torch.inf
            chosen = confidence >= (threshold or 2)
            chosen[confidence.topk(min(config.tokens_per_step or 1, int(masked.sum()))).indices] = True
            tokens[0, columns[chosen]] = likeliest[chosen]
            steps[columns[chosen] - length] = evaluations
            evaluations += 1
            columns = (~stay).nonzero()[:, 0]
            if not (tokens[0, start:end] == model.mask_id).any():
                break
            hidden = evaluate(columns, copy.deepcopy(outside)).last_hidden_state
    return tokens[0, length:].numpy(), steps.numpy(), evaluations


@pytest.mark.parametrize("kind", ["prefix", "dual"])
@pytest.mark.parametrize(
    ("spec", "settings"), [("confidence", {}), ("confidence", {"tokens_per_step": 3}), ("threshold:tau=0.9", {})]
)
def test_an_approximate_decode_is_fast_dllms(bundled, kind, spec, settings):
    task = get_task("word-problems")
    config = SamplingConfig(
        gen_length=28, block_length=8, temperature=0.0, stop_at_eos=False, cache=kind, **settings
    )  # fmt: skip
    prompts = {problem.id: bundled.encode(task.prompt(problem)) for problem in task.problems()[:4]}
    wanted = [SampleRequest(problem_id=name, sample_index=0, prompt_ids=ids) for name, ids in prompts.items()]
    found, _ = draw(bundled, spec, config, wanted=wanted)
    plain, _ = draw(bundled, spec, dataclasses.replace(config, cache="exact"), wanted=wanted)
    differing = 0
    for name, ids in prompts.items():
        threshold = 0.9 if spec.startswith("threshold") else None
        with torch.inference_mode():
            tokens, steps, evaluations = fast_dllm(bundled, ids, config, dual=kind == "dual", threshold=threshold)
        got = found[name, 0]
        np.testing.assert_array_equal(got.token_ids_G, tokens)
        np.testing.assert_array_equal(got.commit_step_G, steps)
        assert got.nfe == evaluations
        differing += not np.allclose(got.prob_G, plain[name, 0].prob_G, atol=1e-6)
    assert differing, "the cache would not matter"


@pytest.mark.parametrize("kind", ["prefix", "dual"])
def test_an_approximate_sample_is_the_same_in_any_batch(tmp_path, kind):
    for maker in (write_llada, lambda folder: write_qwen(folder, "Dream")):
        model = load_model(str(maker(tmp_path / maker.__name__)), dtype="float32")
        config = SamplingConfig(gen_length=9, block_length=3, temperature=1.0, seed=3, cache=kind)
        alone, _ = draw(model, "random", config, batch_size=1)
        assert_equal_samples(draw(model, "random", config, batch_size=12, workers=2)[0], alone)


def test_an_approximate_cache_is_refused_where_it_means_nothing(bundled, model):
    config = SamplingConfig(gen_length=8, block_length=4, cache="dual")
    model.attention = RULES["from the prompt"]
    with pytest.raises(InputError, match="attends by block-causal:3, under which finished blocks are computed once"):
        Sampler(model, get_order("ar"), dataclasses.replace(config, block_length=3))
    with pytest.raises(InputError, match="needs a model on transformers' own layers"):
        Sampler(RandomOracle(words=3), get_order("ar"), config)
    with pytest.raises(InputError, match="cache 'dual' takes what was committed before the block for final"):
        Sampler(bundled, get_order("remdm"), config)
    for name, value in (("cfg_scale", 1.0), ("logits_mask_inf", False), ("batch_invariant", True)):
        with pytest.raises(InputError, match=f"cache 'dual' is not for {name} {value}; change one of them"):
            SamplingConfig(cache="dual", **{name: value})
    forward = forwards.Forward(bundled, config, batch_size=4)
    canvas = np.full((1, 12), bundled.mask_id)
    with pytest.raises(InputError, match="cache 'dual' is approximate, and likelihoods, counterfactuals"):
        forward.start(canvas, canvas > 0, np.ones((1, 8), dtype=bool))


def test_a_model_that_keeps_nothing_is_evaluated_whole():
    oracle = blind(RandomOracle(words=6), RULES["from the prompt"])
    whole, _ = draw(oracle, "confidence", SamplingConfig(gen_length=9, cache="none"))
    assert_equal_samples(draw(oracle, "confidence", SamplingConfig(gen_length=9))[0], whole)


# ----- which run it is -----


def test_an_exact_cache_makes_no_other_run_and_an_approximate_one_does():
    configs = {
        kind: canonical_config(RunConfig(sampling=SamplingConfig(cache=kind)))
        for kind in ("exact", "none", "prefix", "dual")
    }
    require_same_run(configs["exact"], configs["none"], folder="f")
    assert config_to_dict(configs["none"]) == config_to_dict(configs["exact"])
    assert len({default_folder_name(config) for config in configs.values()}) == 3
    with pytest.raises(InputError, match="was made with cache 'exact', not 'dual'"):
        require_same_run(configs["exact"], configs["dual"], folder="f")
