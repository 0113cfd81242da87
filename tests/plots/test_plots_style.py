"""Series can be distinguished without colour and by the colour-blind, and names keep their look."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from numpy.typing import NDArray

from flexeval.errors import InputError
from flexeval.orders import ORDERS
from flexeval.plots.style import looks

SEEN = {
    "colour": np.eye(3),
    "grey": np.tile([0.2126, 0.7152, 0.0722], (3, 1)),
    # Machado, Oliveira and Fernandes 2009, severity 1.
    "deuteranopia": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
    "protanopia": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "tritanopia": np.array(
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]]
    ),
}
"""What becomes of linear red, green and blue on a grey print, and in the eyes of the colour-blind."""
# Ottosson 2020: OKLab, in which equal distances look equally large; black to white is 1.
CONES = np.array(
    [[0.4122214708, 0.5363325363, 0.0514459929], [0.2119034982, 0.6806995451, 0.1073969566],
     [0.0883024619, 0.2817188376, 0.6299787005]]
)  # fmt: skip
OPPONENTS = np.array(
    [[0.2104542553, 0.7936177850, -0.0040720468], [1.9779984951, -2.4285922050, 0.4505937099],
     [0.0259040371, 0.7827717662, -0.8086757660]]
)  # fmt: skip

FIXED_PACE = ("ar", "confidence", "top_prob", "entropy", "margin", "random", "egi")
OWN_PACE = ("ar", "confidence", "eb", "parallel-k", "threshold", "factor")
FAMILIES = (
    ["eb:gamma=0.05", "eb:gamma=0.2", "eb:gamma=0.5", "eb:gamma=1.0"], ["parallel-2", "parallel-4", "parallel-8"],
    ["k = 1", "k = 8", "k = 32"], ["tiny", "tiny+ar@30"],
)  # fmt: skip


def seen(colour: str, how: str) -> NDArray[np.float64]:
    """The place of a colour in OKLab."""
    rgb = np.array(to_rgb(colour))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    return OPPONENTS @ np.cbrt(CONES @ np.clip(SEEN[how] @ linear, 0, 1))


def nearest(labels, how: str) -> float:
    """The smallest distance between two looks."""
    places = [seen(look.colour, how) for look in looks(labels).values()]
    return min(float(np.linalg.norm(a - b)) for a, b in combinations(places, 2))


@pytest.mark.parametrize("how", SEEN)
@pytest.mark.parametrize(
    ("together", "least"), [(FIXED_PACE, 0.05), (OWN_PACE, 0.06), *((family, 0.07) for family in FAMILIES)]
)
def test_colours_that_stand_in_one_panel_differ_in_any_eye_and_print(together, least, how):
    assert nearest(together, how) >= least


def test_every_order_has_a_look_of_its_own():
    chosen = looks(ORDERS)
    assert list(chosen) == list(ORDERS)
    assert len({(look.dash, look.marker) for look in chosen.values()}) == len(chosen)
    assert len({look.marker for look in chosen.values()}) == len(chosen)


@pytest.mark.parametrize(
    "labels",
    [
        [f"eb:gamma={i}" for i in range(30)],
        ["ar", "ar T=1.0", "confidence", "k = 1", "k = 8", "model a", "model b", "one", "two"],
        [f"series {i}" for i in range(30)],
        [*ORDERS, *(f"{order}:x={i}" for order in ORDERS for i in range(5))],
        [*ORDERS, *(f"{mine}:x={i}" for mine in "abcdefghijkl" for i in range(5))],
        [f"model-{i}" for i in range(40)],
    ],
)
def test_no_two_series_share_dash_marker_and_filling(labels):
    chosen = looks(labels)
    assert len({(look.dash, look.marker, look.fill) for look in chosen.values()}) == len(labels)


def test_more_series_than_looks_are_refused():
    with pytest.raises(InputError, match="31 series are more than one figure can tell apart"):
        looks(f"eb:gamma={i}" for i in range(31))


def test_an_order_looks_the_same_beside_any_other():
    assert looks(["confidence"])["confidence"] == looks(["ar", "eb", "confidence"])["confidence"]
    assert looks(["eb:gamma=0.5"])["eb:gamma=0.5"] == looks(["eb"])["eb"]
    assert looks(["parallel-4"])["parallel-4"] == looks(["parallel-k"])["parallel-k"]


@pytest.mark.parametrize("members", FAMILIES)
def test_a_family_has_one_marker_whatever_else_is_there(members):
    for labels in (members, ["ar", "confidence", *members[::-1]]):
        chosen = looks(labels)
        assert len({chosen[label].marker for label in members}) == 1
        assert len({chosen[label].colour for label in members}) == len(members)
