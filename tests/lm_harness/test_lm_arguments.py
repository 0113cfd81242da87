"""What lm-eval makes of its arguments, read back as records."""

from __future__ import annotations

import pytest
from lm_eval._cli.utils import key_val_to_dict
from lm_eval.utils import simple_parse_args_string

from flexeval.errors import InputError, Note
from flexeval.lm_harness.arguments import LENGTH_NAMES, read_fields, read_generation, read_order
from flexeval.records import SamplingConfig

PARSERS = pytest.mark.parametrize("parse", [key_val_to_dict, simple_parse_args_string], ids=["command", "string"])
"""lm-eval reads `--model_args` with one of its parsers, and `simple_evaluate(model_args="...")` with another."""


def generation(asked, *, order="ar", gen_length=None, **sampling):
    return read_generation(asked, order=order, sampling=sampling, gen_length=gen_length)


@PARSERS
@pytest.mark.parametrize(
    "spec",
    ["ar", "egi:first_temperature=1.5", "eb:gamma=0.2;proxy=margin", "parallel-4", "threshold:tau=0.5"],
)
def test_an_order_survives_the_commas_of_lm_eval(parse, spec):
    args = parse(f"pretrained=tiny,order={spec},seed=3")
    assert args.keys() == {"pretrained", "order", "seed"}
    assert read_order(args["order"]) == read_order(spec)
    assert read_order(spec).replace(",", ";").startswith(spec.partition(":")[0].partition("-")[0])


def test_several_parameters_are_all_read():
    assert read_order("eb:gamma=0.2;proxy=margin") == read_order("eb:gamma=0.2,proxy=margin")


def test_a_quoted_order_keeps_its_comma_on_the_command_line():
    assert read_order(key_val_to_dict('order="eb:gamma=0.2,proxy=margin"')["order"]) == "eb:gamma=0.2,proxy=margin"


@PARSERS
def test_fields_get_the_type_of_their_record(parse):
    raw = parse("temperature=1,top_k=5,steps=none,seed=-1,stop_at_eos=false,gen_length=64,scored=sampled")
    fields = read_fields(raw, what="model argument")
    wanted = {"temperature": 1.0, "top_k": 5, "steps": None, "seed": -1, "stop_at_eos": False, "gen_length": 64}
    assert fields == {**wanted, "scored": "sampled"}
    assert {type(value) for value in fields.values()} == {float, int, type(None), bool, str}
    SamplingConfig(**fields)


@pytest.mark.parametrize("name", LENGTH_NAMES)
def test_every_name_of_the_length_is_the_length(name):
    assert generation({name: 12}, gen_length=48).sampling.gen_length == 12


def test_a_length_may_be_said_twice_in_different_types():
    assert generation({"max_gen_toks": 16, "max_tokens": "16", "gen_length": 16.0}).sampling.gen_length == 16


def test_who_decides_the_length():
    assert generation({}).sampling.gen_length == SamplingConfig().gen_length
    assert generation({}, gen_length=48).sampling.gen_length == 48
    assert read_generation({}, order="ar", sampling={"gen_length": 20}, gen_length=48).sampling.gen_length == 20
    # Tasks write None for what they leave open.
    assert generation({"max_gen_toks": None, "temperature": None}, gen_length=48) == generation({}, gen_length=48)


@pytest.mark.parametrize(
    ("asked", "temperature"),
    [
        ({}, 0.8),
        ({"do_sample": True}, 0.8),
        ({"do_sample": False}, 0.0),
        ({"do_sample": False, "temperature": 0.7}, 0.0),
        ({"do_sample": True, "temperature": 0.7}, 0.7),
        ({"temperature": 0.7}, 0.7),
        ({"temperature": 0}, 0.0),
    ],
)
def test_temperature_and_do_sample(recwarn, asked, temperature):
    assert generation(asked, temperature=0.8).sampling.temperature == temperature
    overruled = [str(warning.message) for warning in recwarn if warning.category is Note]
    assert ["overrules temperature 0." in note for note in overruled] == [True] * (temperature == 0)


def test_a_request_may_say_everything_a_model_may():
    asked = {"top_p": 0.9, "top_k": 3, "seed": 7, "order": "eb:gamma=0.2", "block_length": 4, "until": "\n", "steps": 8}
    found = generation({**asked, "max_tokens": 8}, seed=1, top_p=0.5)
    assert found.order == read_order("eb:gamma=0.2")
    assert found.until == ("\n",)
    assert found.sampling == SamplingConfig(gen_length=8, top_p=0.9, top_k=3, seed=7, block_length=4, steps=8)


def test_empty_stops_are_none():
    assert generation({"until": ["", "\n\n", ""]}).until == ("\n\n",)
    assert generation({"until": []}).until == ()


@pytest.mark.parametrize(
    ("asked", "line"),
    [
        ({"num_beams": 4}, "unknown generation argument: 'num_beams'"),
        ({"temprature": 1}, "Did you mean 'temperature'"),
        ({"max_gen_toks": 5, "max_tokens": 6}, "different lengths"),
        ({"max_gen_toks": [3]}, r"generation argument 'max_gen_toks' must be a whole number, not '\[3\]'"),
        ({"max_gen_toks": 0}, "gen_length must be at least 1"),
        ({"until": 5}, "generation argument 'until' must be a text or a list of texts, not 5"),
        ({"until": [None, "x"]}, r"'until' must be a text or a list of texts, not \[None, 'x'\]"),
        ({"order": "eb:gamma=0.2", "proxy": "margin"}, "'order=eb:gamma=0.2;proxy=...'"),
        ({"order": "threshold", "tau": 0.5}, "'order=threshold:tau=...'"),
        ({"max_gen_toks": "many"}, "generation argument 'max_gen_toks' must be a whole number"),
        ({"do_sample": "perhaps"}, "generation argument 'do_sample' must be true or false"),
        ({"top_p": 2}, "top_p must lie in"),
        ({"order": "arr"}, "unknown order: 'arr'"),
        ({"order": "eb:gama=1"}, "unknown parameter of order 'eb'"),
    ],
)
def test_what_cannot_be_read_is_refused(asked, line):
    with pytest.raises(InputError, match=line) as caught:
        generation(asked)
    assert "\n" not in str(caught.value)
