"""Hashes against published vectors, and what they do not depend on."""

from __future__ import annotations

import numpy as np

from flexeval.hashing import json_hash, mixed_bits


def test_mixed_bits_are_those_of_splitmix64():
    """The first three outputs of the generator at seed 0: its state moves on by the constant that is added first."""
    states = np.arange(3, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    assert [hex(x) for x in mixed_bits(states)] == ["0xe220a8397b1dcdaf", "0x6e789e6aa1b965f4", "0x6c45d188009454f"]


def test_no_two_numbers_mix_to_one():
    assert len(np.unique(mixed_bits(np.arange(100_000, dtype=np.uint64)))) == 100_000


def test_the_hash_of_json_is_sha256_of_its_sorted_text():
    assert json_hash({"b": None, "a": [1, 2.5]}) == json_hash({"a": (1, 2.5), "b": None})
    assert json_hash({}) == "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
    assert json_hash({"a": 1}) != json_hash({"a": 1.5})
