"""Whatever setting is accepted gives a valid decode; what float32 cannot compute with is refused."""

from __future__ import annotations

import dataclasses
import math
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles import RandomOracle

from flexeval.errors import InputError
from flexeval.grpo.config import GRPOConfig
from flexeval.orders import get_order
from flexeval.records import SamplingConfig
from flexeval.sampling import Sampler, SampleRequest

ANY_NUMBER = (
    st.floats()
    | st.floats(-324, 308.25).map(lambda exponent: 10.0**exponent)
    | st.sampled_from([0.0, 5e-324, 1e-40, 2.0**-126, 1e-6, 0.6, 1.0, 2.0**126, 1e30, 3.4e38, 4e38, math.inf, -0.0])
)
ORDERS = {
    "threshold:tau": "threshold",
    "factor:factor": "factor",
    "fork:tau": "fork",
    "eb:gamma": "eb",
    "egi:first_temperature": "egi",
}
"""A numeric parameter -> its order."""


@given(
    temperature=ANY_NUMBER | st.just(0.6),
    cfg_scale=ANY_NUMBER | st.just(0.0),
    top_p=ANY_NUMBER | st.just(1.0),
    top_k=st.integers(0, 12) | st.just(10**30),
    scored=st.sampled_from(["model", "sampled"]),
    parameter=st.sampled_from(sorted(ORDERS)),
    value=ANY_NUMBER | st.just(0.5),
)
@settings(max_examples=400)
def test_an_accepted_setting_gives_a_valid_decode(parameter, value, **given_settings):
    try:
        config = SamplingConfig(gen_length=4, **given_settings)
        order = get_order(f"{parameter}={value!r}")
    except InputError as refusal:
        # One line, which names what was refused.
        assert "\n" not in str(refusal)
        assert any(name in str(refusal) for name in (*given_settings, parameter.split(":")[1]))
        return
    oracle = RandomOracle(words=6)
    request = SampleRequest(problem_id="p", sample_index=0, prompt_ids=[1, 2])
    (got,) = Sampler(oracle, order, config).run([request])
    text = got.token_ids_G[: got.length]
    assert ((text >= 0) & (text < oracle.vocab_size)).all() and oracle.mask_id not in text
    for measured in (got.entropy_G, got.prob_G, got.top_prob_G):
        known = measured[got.commit_step_G >= 0]
        assert np.isfinite(known).all() and (known >= 0).all()
    assert (got.prob_G[got.commit_step_G >= 0] <= 1 + 1e-6).all()


@pytest.mark.parametrize("value", [-1.0, 1e-40, 5e-324, 4e38, 1e300, math.inf, -math.inf, math.nan])
@pytest.mark.parametrize("name", ["temperature", "cfg_scale"])
def test_what_float32_cannot_compute_with_is_refused(name, value):
    with pytest.raises(InputError, match=f"^{name} must be .*{re.escape(str(value))}$"):
        SamplingConfig(**{name: value})


@pytest.mark.parametrize("value", ["1e-40", "4e38", "inf", "-inf", "nan", "-1"])
@pytest.mark.parametrize("parameter", ["factor:factor", "eb:gamma", "egi:first_temperature"])
def test_so_are_parameters_of_orders(parameter, value):
    with pytest.raises(InputError, match=f"{parameter.split(':')[1]}.* must be "):
        get_order(f"{parameter}={value}")


def test_the_range_that_a_refusal_names_is_accepted():
    for value in (1e-40, 1e39):
        with pytest.raises(InputError) as refusal:
            SamplingConfig(temperature=value)
        least, most = map(float, re.findall(r"\d\.?\d*e[-+]\d+", str(refusal.value))[:2])
        for accepted in (0, least, 1.0, most):
            assert SamplingConfig(temperature=accepted).temperature == accepted
            assert get_order(f"egi:first_temperature={accepted}")


@pytest.mark.parametrize("value", [1e-40, 1e39, math.inf, -math.inf, math.nan])
@pytest.mark.parametrize("name", [f.name for f in dataclasses.fields(GRPOConfig) if f.type == "float"])
def test_so_is_every_number_of_a_training(name, value):
    if (name, value) == ("fast_share", 1e-40):
        return  # a share of positions, of which at least one is taken
    with pytest.raises(InputError, match=f"{name} must "):
        GRPOConfig(**{name: value})


def test_a_training_refuses_temperatures_without_gradients():
    for settings_ in ({"temperature": 1e-20}, {"rollout_order": "egi:first_temperature=1e-20"}):
        with pytest.raises(InputError, match="must be between 1e-06 and 1e\\+06"):
            _ = GRPOConfig(**settings_).order
