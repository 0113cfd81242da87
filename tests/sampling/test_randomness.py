"""Uniform numbers: the documented hash, and nothing else in the key."""

from __future__ import annotations

from hashlib import blake2b

import numpy as np
from scipy.stats import kstest

from flexeval.sampling.randomness import Purpose, sample_key, uniforms

MASK64 = (1 << 64) - 1


def mix(x: int) -> int:
    x = (x + 0x9E3779B97F4A7C15) & MASK64
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & MASK64
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & MASK64
    return x ^ (x >> 31)


def test_the_array_form_equals_the_definition_in_whole_numbers():
    keys = [sample_key(7, "gsm8k/test/1", i) for i in range(30)]
    positions, draws = np.array([0, 5, 2**24 - 1] * 10), np.array([0, 1, 2**32 - 1] * 10)
    got = uniforms(np.array(keys, dtype=np.uint64), Purpose.TOKEN, positions, draws)
    for value, key, position, draw in zip(got, keys, positions.tolist(), draws.tolist(), strict=True):
        word = (1 << 56) | (position << 32) | draw
        assert value == (mix((mix(word) + key) & MASK64) >> 11) / 2**53


def test_the_key_is_a_hash_of_seed_problem_and_index():
    digest = blake2b(b"3\x1fp\x1f11", digest_size=8).digest()
    assert sample_key(3, "p", 11) == int.from_bytes(digest, "little")
    assert len({sample_key(s, p, i) for s in (1, 11) for p in ("p", "1p", "p1") for i in (1, 11, 111)}) == 18


def test_uniform_over_every_part_of_the_key():
    keys = np.array([sample_key(0, "p", i) for i in range(4000)], dtype=np.uint64)
    samples = {
        "samples": uniforms(keys, Purpose.TOKEN, np.zeros(4000, dtype=int)),
        "positions": uniforms(keys[:1], Purpose.TOKEN, np.arange(4000)),
        "draws": uniforms(keys[:1], Purpose.TOKEN, np.zeros(4000, dtype=int), np.arange(4000)),
        "choices": uniforms(keys[:1], Purpose.POSITION, np.arange(4000)),
    }
    for name, values in samples.items():
        assert kstest(values, "uniform").pvalue > 1e-3, name
        assert abs(np.corrcoef(values[:-1], values[1:])[0, 1]) < 0.06, name
    assert abs(np.corrcoef(samples["positions"], samples["choices"])[0, 1]) < 0.06
