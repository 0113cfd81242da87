"""The model that lm-eval talks to, on a checkpoint of random weights."""

from __future__ import annotations

import functools
from datetime import timedelta
from types import SimpleNamespace

import pytest
import torch
from lm_eval.api.instance import Instance
from lm_eval.api.model import CachingLM, hash_args
from lm_eval.api.registry import get_model
from precision import near
from sqlitedict import SqliteDict

import flexeval
from flexeval.errors import InputError
from flexeval.lm_harness import FlexevalLM
from flexeval.lm_harness.likelihood import SCORING_FIELDS, Continuation, Scorer
from flexeval.lm_harness.parallel import Processes
from flexeval.lm_harness.task import SampleInstance
from flexeval.records import Prompt, SamplingConfig

LENGTH = 8


@pytest.fixture(scope="session")
def llada(llada_folder):
    return flexeval.load_model(llada_folder)


def make(llada, **args):
    return FlexevalLM(llada, **{"gen_length": LENGTH, "temperature": 1.0, **args})


def generate(context, doc_id=0, **asked):
    return Instance(
        request_type="generate_until", doc={}, arguments=(context, asked), idx=0, metadata=("some_task", doc_id, 1)
    )


def score(context, continuation):
    return Instance(request_type="loglikelihood", doc={}, arguments=(context, continuation), idx=0)


def rolling(text):
    return Instance(request_type="loglikelihood_rolling", doc={}, arguments=(text,), idx=0)


def answers(lm, requests):
    return lm.generate_until(requests, disable_tqdm=True)


# ----- making one -----


def test_it_is_registered_and_reads_both_forms_of_arguments(llada_folder):
    cls = get_model("flexeval")
    assert cls is FlexevalLM
    args = {"pretrained": str(llada_folder), "order": "eb:gamma=0.2;proxy=margin", "temperature": 1, "device": "cpu"}
    text = ",".join(f"{name}={value}" for name, value in args.items())
    one = cls.create_from_arg_string(text, {"batch_size": 2, "max_batch_size": None, "device": "cuda:0"})
    two = cls.create_from_arg_obj(args, {"batch_size": "auto:4", "device": None})
    assert one.get_model_info() == two.get_model_info()
    assert one.get_model_info()["flexeval"]["order"] == "eb:gamma=0.2,proxy=margin"
    assert answers(one, [generate("ab", gen_length=4)]) == answers(two, [generate("ab", gen_length=4)])


@pytest.mark.parametrize(
    ("args", "line"),
    [
        ({"temprature": 1}, "unknown model argument: 'temprature'. Did you mean 'temperature'"),
        ({"pretraned": "tiny"}, "'pretraned'. Did you mean 'pretrained'.*Known: .*device.*mc_num.*order.*temperature"),
        ({"oder": "ar"}, "'oder'. Did you mean 'order'"),
        ({"order": "eb:gamma=0.2", "proxy": "margin"}, "by ';': 'order=eb:gamma=0.2;proxy=...'"),
        ({"loglikelihood_gen_length": 2000}, "leave room for a context in the [0-9]+ positions"),
        ({"order": "eb:gamma=x"}, "must be a number"),
        ({"mc_num": 0}, "model argument 'mc_num' must be at least 1"),
        ({"batch_size": "many"}, "model argument 'batch_size' must be a whole number"),
        ({"seed": "x"}, "model argument 'seed' must be a whole number"),
    ],
)
def test_bad_arguments_are_one_line(llada, args, line):
    with pytest.raises(InputError, match=line):
        make(llada, **args)


# ----- text -----


def test_a_conversation_is_the_prompt_of_the_runner(llada):
    lm = make(llada)
    prompt = Prompt(user="How many?", system="Count.", prefill="<reasoning>")
    turns = [
        {"role": "system", "content": prompt.system},
        {"role": "user", "content": prompt.user},
        {"role": "assistant", "content": prompt.prefill},
    ]
    assert lm.tok_encode(lm.apply_chat_template(turns, add_generation_prompt=False)) == llada.encode(prompt)
    bare = Prompt(user="How many?")
    assert lm.tok_encode(lm.apply_chat_template(turns[1:2])) == llada.encode(bare)
    several = lm.apply_chat_template([turns[1], {"role": "assistant", "content": "3"}, turns[1]])
    assert several.count("How many?") == 2
    assert lm.chat_template(True) == lm.tokenizer.chat_template
    assert "/" not in lm.tokenizer_name


def test_a_plain_text_has_one_bos_where_the_tokenizer_writes_one(llada):
    lm = make(llada)
    bos = lm.tokenizer.bos_token_id
    assert lm.tok_encode("ab") == lm.tok_encode(f"{lm.tokenizer.bos_token}ab") == [bos, *lm.tok_encode("ab", False)]
    assert bos not in lm.tok_encode("ab", add_special_tokens=False)


# ----- generate_until -----


def test_answers_are_those_of_the_sampler(llada):
    """Same key, same prompt, same settings: the text of `Sampler`."""
    from flexeval.sampling import Sampler, SampleRequest

    lm = make(llada, order="confidence", seed=5)
    prompt = Prompt(user="How many?")
    requests = [
        SampleInstance(
            request_type="generate_until",
            doc={},
            arguments=("not read", {"until": []}),
            idx=i,
            metadata=("task", 0, 1),
            problem_id="some/problem",
            sample_index=i,
            prompt=prompt,
            gen_length=99,
        )
        for i in range(3)
    ]
    sampler = Sampler(
        llada, flexeval.get_order("confidence"), SamplingConfig(gen_length=LENGTH, temperature=1.0, seed=5)
    )
    wanted = [
        SampleRequest(problem_id="some/problem", sample_index=i, prompt_ids=llada.encode(prompt)) for i in range(3)
    ]
    drawn = {t.sample_index: llada.decode(t.token_ids_G[: t.length].tolist()) for t in sampler.run(wanted)}
    assert answers(lm, requests) == [drawn[i] for i in range(3)]


def test_repeats_are_different_samples_and_neither_batch_nor_company_matters(llada):
    lm, single = make(llada), make(llada, batch_size=1)
    one, two = generate("ab"), generate("a longer context", doc_id=1)
    # lm-eval repeats one and the same object.
    both = answers(lm, [one] * 4 + [two] * 4)
    assert len(set(both[:4])) == 4
    assert answers(single, [two] * 4) == both[4:]
    assert answers(lm, [two, one] * 2) == [both[4], both[0], both[5], both[1]]
    assert answers(make(llada, seed=1), [one] * 4) != both[:4]


@pytest.mark.filterwarnings("ignore:a task asks for greedy texts:flexeval.errors.Note")
def test_every_request_gets_its_own_settings_and_its_own_place(llada):
    lm = make(llada)
    asked = [
        {"max_gen_toks": 3},
        {"do_sample": False},
        {"max_gen_toks": 3, "temperature": 0.0},
        {"seed": 9},
        {"order": "random"},
        {"do_sample": False, "max_tokens": 3},
    ]
    together = answers(lm, [generate("ab", **settings) for settings in asked])
    # The document's number counts repeats, so each is asked alone as the same document.
    alone = [answers(lm, [generate("ab", doc_id=0, **settings)])[0] for settings in asked]
    assert together[1] == alone[1]
    assert together[2] == together[5] == alone[2] == alone[5]
    assert all(len(together[i]) <= 3 for i in (0, 2, 5))
    assert together[1].startswith(together[2][:1])
    assert len({together[1], together[3], together[4]}) == 3


def test_the_text_ends_before_the_first_stop(llada):
    lm = make(llada)
    (whole,) = answers(lm, [generate("ab")])
    early, late = whole[2], whole[-1]
    cut = answers(lm, [generate("ab", until=[late, early])])[0]
    assert cut == whole[: min(whole.index(early), whole.index(late))]
    assert answers(lm, [generate("ab", until=["never there", ""])]) == [whole]


def test_unknown_settings_and_long_prompts_are_refused(llada):
    lm = make(llada)
    with pytest.raises(InputError, match="unknown generation argument: 'num_beams'"):
        answers(lm, [generate("ab", num_beams=2)])
    with pytest.raises(InputError, match="'some_task/0/0' has 2001 tokens"):
        answers(lm, [generate("a" * 2000)])


# ----- lm-eval's cache -----


class Counting:
    """A model that counts the forwards of another."""

    def __init__(self, lm, monkeypatch):
        self.calls = 0
        hidden = lm._predictor.hidden

        def counted(*args):
            self.calls += 1
            return hidden(*args)

        monkeypatch.setattr(lm._predictor, "hidden", counted)


def test_a_cache_keeps_repeats_apart(llada, tmp_path, monkeypatch):
    requests = [generate("ab")] * 4 + [generate("cd", doc_id=1)] * 4
    wanted = answers(make(llada), requests)
    path = str(tmp_path / "cache.db")

    # Written by a run without repeats, whose one answer lm-eval would give to all four.
    assert CachingLM(make(llada), path).generate_until(requests[:1]) == wanted[:1]
    assert CachingLM(make(llada), path).generate_until(requests) == wanted
    lm = make(llada)
    forwards = Counting(lm, monkeypatch)
    assert CachingLM(lm, path).generate_until(requests) == wanted
    assert forwards.calls == 0, "all eight are stored"
    # Another order or seed does not take the answers of this one.
    other = make(llada, seed=1)
    assert CachingLM(other, path).generate_until(requests) == answers(make(llada, seed=1), requests)
    assert forwards.calls > 0


def test_a_stopped_run_continues(llada, tmp_path, monkeypatch):
    requests = [generate("ab")] * 6
    wanted = answers(make(llada), requests)
    path = str(tmp_path / "cache.db")
    lm = make(llada, batch_size=2)
    decode = lm._predictor.decode
    texts = []

    def stop(token_ids):
        if len(texts) == 3:
            raise KeyboardInterrupt
        texts.append(decode(token_ids))
        return texts[-1]

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(lm._predictor, "decode", stop)
        CachingLM(lm, path).generate_until(requests)
    again = []
    monkeypatch.setattr(llada, "decode", lambda token_ids: again.append(decode(token_ids)) or again[-1])
    assert CachingLM(make(llada), path).generate_until(requests) == wanted
    assert len(again) == 3, "three were stored before the stop"


@pytest.fixture
def retrained(llada_folder):
    """The same folder with other weights."""
    model = flexeval.load_model(llada_folder)
    with torch.no_grad():
        for weight in model.module.parameters():
            weight.mul_(1.1)
    return model


def test_a_cache_tells_weights_apart_and_not_names(llada, retrained, tmp_path, monkeypatch):
    requests = [generate("ab")] * 2
    path = str(tmp_path / "cache.db")
    wanted = CachingLM(make(llada), path).generate_until(requests)
    assert retrained.name == llada.name
    other = make(retrained)
    forwards = Counting(other, monkeypatch)
    assert CachingLM(other, path).generate_until(requests) == answers(make(retrained), requests)
    assert forwards.calls > 0
    monkeypatch.setattr(llada, "name", "the same folder from elsewhere")
    forwards = Counting(make(llada), monkeypatch)
    assert CachingLM(make(llada), path).generate_until(requests) == wanted
    assert forwards.calls == 0


SCORINGS = [
    {},
    {"mc_num": 2, "seed": 1},
    {"mc_num": 2, "seed": 2},
    {"mc_num": 3, "seed": 1},
    {"cfg_scale": 1.5},
    {"logits_eos_inf": True},
    {"loglikelihood_gen_length": 12},
]
"""Ways to score, no two of which agree."""


def _no_forward(*_):
    raise AssertionError("everything is stored")


def scored(lm, kind, requests):
    found = getattr(lm, kind)(requests)
    return [round(answer if isinstance(answer, float) else answer[0], 3) for answer in found]


@pytest.mark.parametrize(
    ("kind", "requests"),
    [
        ("loglikelihood", [score("ab ", "cdef"), score("ab ", "efgh"), score("ab ", "cdef")]),
        ("loglikelihood_rolling", [rolling("abcdefgh")]),
    ],
)
def test_a_cache_keeps_ways_to_score_apart(llada, retrained, tmp_path, monkeypatch, kind, requests):
    path = str(tmp_path / "cache.db")
    makers = [functools.partial(make, llada, **settings) for settings in SCORINGS]
    makers.append(functools.partial(make, retrained))
    wanted = [scored(maker(), kind, requests) for maker in makers]
    assert len({tuple(scores) for scores in wanted}) == len(makers), "the test must tell them apart"
    assert [scored(CachingLM(maker(), path), kind, requests) for maker in makers] == wanted
    # Again: all are stored.
    for model in (llada, retrained):
        monkeypatch.setattr(model, "hidden", _no_forward)
    assert [scored(CachingLM(maker(), path), kind, requests) for maker in makers] == wanted
    # The seed decides nothing where nothing is drawn.
    assert scored(CachingLM(make(llada, seed=9), path), kind, requests) == wanted[0]


def test_a_cache_of_another_model_is_refused(llada, tmp_path):
    path = str(tmp_path / "cache.db")
    with SqliteDict(path, autocommit=True) as stored:
        stored[hash_args("loglikelihood", ("ab ", "cd"))] = (-1.0, True)
    with pytest.raises(InputError, match="holds answers that flexeval did not store"):
        CachingLM(make(llada), path)


# ----- several processes -----


def test_lists_of_requests_are_not_filled_up(llada, monkeypatch):
    """lm-eval adds as many copies as the longest list is longer than the own one."""
    lm = make(llada)
    monkeypatch.setattr(FlexevalLM, "world_size", 3)
    assert lm.all_gather(torch.tensor(7)).tolist() == [7, 7, 7]


def test_processes_wait_for_each_other_as_long_as_it_takes(monkeypatch):
    asked = {}

    def state(**options):
        asked.update(options)
        return SimpleNamespace(num_processes=2, process_index=1)

    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setattr("accelerate.PartialState", state)
    processes = Processes()
    assert (processes.rank, processes.size) == (1, 2)
    assert asked["timeout"] >= timedelta(days=30)


# ----- loglikelihood -----


@pytest.mark.parametrize("settings", SCORINGS)
def test_settings_reach_the_scorer(llada, settings):
    lm = make(llada, **settings)
    sampling = SamplingConfig(**{name: settings[name] for name in SCORING_FIELDS if name in settings})
    scorer = Scorer(llada, sampling, mc_num=settings.get("mc_num"))
    context, text = lm.tok_encode("ab"), lm.tok_encode("cdef", False)
    positions = settings.get("loglikelihood_gen_length", len(text))
    (wanted,) = scorer.score([Continuation(context_ids=context, token_ids=text, positions=positions)])
    assert lm.loglikelihood([score("ab", "cdef")]) == [(near(wanted.log_prob), wanted.greedy)]


def test_scores_are_cut_and_summed_as_lm_eval_asks(llada):
    lm = make(llada)
    [(whole, _), (first, _), (second, _)] = lm.loglikelihood(
        [score("ab ", "cd"), score("ab", " "), score("ab ", "cd")], disable_tqdm=True
    )
    assert whole == second < 0 and first < 0
    # A trailing space of the context belongs to the continuation.
    assert lm.loglikelihood([score("ab", " cd")], disable_tqdm=True)[0][0] == near(whole)
    # Without context, a text is conditioned on BOS.
    bos = lm.tokenizer.bos_token
    [(empty, _), (begun, _)] = lm.loglikelihood([score("", "cd"), score(bos, "cd")], disable_tqdm=True)
    assert empty == near(begun)


def test_texts_have_no_likelihood_under_an_order_that_takes_tokens_back(llada):
    lm = make(llada, order="t2m:tau=0.5")
    for ask in (lambda: lm.loglikelihood([score("ab", "cd")]), lambda: lm.loglikelihood_rolling([rolling("ab")])):
        with pytest.raises(InputError, match="takes tokens back, so no text has a likelihood") as refusal:
            ask()
        assert "\n" not in str(refusal.value)
    assert len(answers(lm, [generate("ab")])) == 1


def test_a_score_on_the_samplers_canvas_is_what_the_sampler_recorded(llada):
    import numpy as np

    config = SamplingConfig(gen_length=LENGTH, temperature=1.0, stop_at_eos=False)
    lm = make(llada, loglikelihood_gen_length=LENGTH)
    context = lm.apply_chat_template([{"role": "user", "content": "How many?"}])
    [samples] = flexeval.sample(llada, ["How many?"], num_samples=4, config=config)
    for sample in samples:
        trajectory = sample.trajectory
        text = trajectory.token_ids_G[:3].tolist()
        [(total, greedy)] = lm._loglikelihood_tokens([((context, ""), lm.tok_encode(context), text)], True)
        assert total == near(np.log(trajectory.prob_G[:3].astype(np.float64)).sum())
        assert greedy == bool((trajectory.rank_G[:3] == 0).all())


def test_a_rolling_text_is_scored_in_windows_that_fit(llada, monkeypatch):
    lm = make(llada)
    text = "abcdefghij"
    ids = lm.tok_encode(text, False)
    [whole] = lm.loglikelihood_rolling([rolling(text)], disable_tqdm=True)
    assert whole == near(lm.loglikelihood([score("", text)], disable_tqdm=True)[0][0])
    # In a context of 6 a window holds 5 tokens after one of context.
    monkeypatch.setattr(lm, "max_length", 6)
    windows = [([lm.prefix_token_id], ids[:5]), (ids[4:5], ids[5:])]
    parts = lm._loglikelihood_tokens([(("", ""), *window) for window in windows], True)
    [total] = lm.loglikelihood_rolling([rolling(text)], disable_tqdm=True)
    assert total == near(sum(log_prob for log_prob, _ in parts))


@pytest.mark.parametrize("positions", [3, 10, 20, 23])
def test_a_rolling_text_on_the_samplers_canvas_is_scored_in_windows_that_fit(llada, monkeypatch, positions):
    lm = make(llada, loglikelihood_gen_length=positions)
    for model in (lm, llada):
        monkeypatch.setattr(model, "max_length", 24)
    text = "abcdefghijklmnopqrstuvwxyz" * 2
    ids = lm.tok_encode(text, False)
    # 23 tokens a window, and as much context as leaves its canvas within 24.
    wanted = 0.0
    for begin in range(0, len(ids), 23):
        tokens = ids[begin : begin + 23]
        room = 24 - max(len(tokens), positions)
        context = [lm.prefix_token_id, *ids[:begin]][-room:]
        [(log_prob, _)] = lm._loglikelihood_tokens([(("", ""), context, tokens)], True)
        wanted += log_prob
    assert lm.loglikelihood_rolling([rolling(text), rolling("")], disable_tqdm=True) == [near(wanted), 0.0]


def test_a_context_of_one_position_is_too_short_for_a_rolling_text(llada, monkeypatch):
    lm = make(llada)
    monkeypatch.setattr(lm, "max_length", 1)
    with pytest.raises(InputError, match="a context of 1 positions, and a text needs 2"):
        lm.loglikelihood_rolling([rolling("ab")])
