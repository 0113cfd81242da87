"""Series can be distinguished without colour, and names keep their look."""

from __future__ import annotations

from itertools import combinations

import pytest
from matplotlib.colors import to_rgb

from flexeval.orders import ORDERS
from flexeval.plots.style import crossed_looks, looks


def lightness(colour: str) -> float:
    """What a grey print shows (Rec. 601)."""
    red, green, blue = to_rgb(colour)
    return 0.299 * red + 0.587 * green + 0.114 * blue


def test_every_order_has_a_look_of_its_own():
    chosen = looks(ORDERS)
    assert list(chosen) == list(ORDERS)
    assert len({(look.dash, look.marker) for look in chosen.values()}) == len(chosen)
    assert len({look.marker for look in chosen.values()}) == len(chosen)


@pytest.mark.parametrize(
    "labels",
    [
        [f"eb:gamma={i}" for i in range(20)],
        ["ar", "ar T=1.0", "confidence", "k = 1", "k = 8", "model a", "model b"],
        [f"series {i}" for i in range(78)],
        [*ORDERS, *(f"series {i}" for i in range(60))],
    ],
)
def test_no_two_series_share_dash_and_marker(labels):
    chosen = looks(labels)
    assert len({(look.dash, look.marker) for look in chosen.values()}) == len(labels)


def test_more_series_than_looks_are_refused():
    with pytest.raises(ValueError, match="more than can be distinguished"):
        looks(f"series {i}" for i in range(79))


def test_an_order_looks_the_same_beside_any_other():
    assert looks(["confidence"])["confidence"] == looks(["ar", "eb", "confidence"])["confidence"]
    assert looks(["eb:gamma=0.5"])["eb:gamma=0.5"] == looks(["eb"])["eb"]
    assert looks(["parallel-4"])["parallel-4"] == looks(["parallel-k"])["parallel-k"]


def test_the_orders_of_the_main_figures_differ_in_lightness():
    colours = [looks([order])[order].colour for order in ("ar", "confidence", "top_prob", "random")]
    assert all(abs(lightness(a) - lightness(b)) > 0.08 for a, b in combinations(colours, 2))


@pytest.mark.parametrize("models", [2, 6, 7])
def test_pairs_share_no_dash_and_marker(models):
    pairs = crossed_looks(map(str, range(models)), ("eb", "parallel-k"))
    assert len({(look.dash, look.marker) for look in pairs.values()}) == 2 * models


def test_a_pair_looks_like_both_its_parts():
    pairs = crossed_looks(("before", "after"), ("eb", "parallel-k"))
    for model in ("before", "after"):
        strokes = {(look.colour, look.dash) for (own, _), look in pairs.items() if own == model}
        assert len(strokes) == 1
    for family in ("eb", "parallel-k"):
        assert len({look.marker for (_, own), look in pairs.items() if own == family}) == 1
