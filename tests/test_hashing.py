"""Hashes against published vectors, and what they do not depend on."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from flexeval.hashing import code_hash, json_hash, mixed_bits
from flexeval.orders import get_order


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


# ----- code -----

PACKAGE = {
    "__init__": "",
    "order": "from . import rules\nfrom package_of_others.limits import MOST\nclass Mine:\n    call = rules.call\n",
    "rules": "def call(state):\n    return state\n",
    "limits": "MOST = 3\n",
    "plots": "COLOUR = 1\n",
}


@pytest.mark.parametrize(
    ("name", "line", "counts"),
    [
        ("order", "class Other: ...\n", True),
        ("rules", "call = None\n", True),
        ("limits", "MOST = 4\n", True),
        ("plots", "COLOUR = 2\n", False),
        ("order", "\n   # said otherwise\r\n", False),
    ],
)
def test_the_hash_of_code_is_of_what_a_class_uses_of_its_package(tmp_path, monkeypatch, name, line, counts):
    package = tmp_path / tmp_path.name
    package.mkdir()
    for module, code in PACKAGE.items():
        (package / f"{module}.py").write_text(code.replace("package_of_others", package.name))
    monkeypatch.syspath_prepend(tmp_path)
    kind = type("Mine", (), {"__module__": f"{package.name}.order"})
    before = code_hash(kind)
    with (package / f"{name}.py").open("a") as file:
        file.write(line)
    assert (code_hash(kind) != before) == counts
    sys.modules.pop(package.name)


def test_a_class_of_a_notebook_is_known_by_itself_and_ours_by_their_version():
    class Mine:
        tau = 1

        def call(self):
            return self.tau

    class Other(Mine):
        tau = 2

    Mine.__module__ = Other.__module__ = "__main__"
    assert code_hash(Mine) == code_hash(Mine) != code_hash(Other)
    assert code_hash(type(get_order("ar"))) is None
