"""HTML and progress bars for notebooks, and the colours of decodes. Knows no records.

Every text is escaped, and what is not printable appears as an escape, so that neither a model nor a file can write
HTML, move a cursor or turn the direction of the text around it. Styles stand in the elements, since a notebook shows
many of these; colours are those of the page around, except on coloured tokens.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from html import escape
from math import isnan
from typing import NoReturn

from flexeval.errors import printable

_RAMP = ((68, 1, 84), (59, 82, 139), (33, 145, 140), (94, 201, 98), (253, 231, 37))
"""Red, green, blue from low to high: viridis, which keeps its order in greyscale and for the colour-blind."""

_BAR_AFTER = 5.0
"""Seconds of work before there is a bar."""

Colour = tuple[int, int, int]


def notebook_bar(name: str) -> Callable[[int, int], None]:
    """What is to be called with how many are done, and of how many: it moves a bar, in a notebook and nowhere else.

    Work that takes a few seconds shows none.
    """
    ipython = sys.modules.get("IPython")
    if ipython is None or not hasattr(ipython.get_ipython(), "kernel"):
        return lambda _done, _total: None
    from tqdm.auto import tqdm

    bar: tqdm[NoReturn] | None = None

    def move(done: int, total: int) -> None:
        nonlocal bar
        if bar is None:
            bar = tqdm(total=total, initial=done, desc=name, delay=_BAR_AFTER)
        bar.update(done - bar.n)
        if done == total:
            bar.close()

    return move


def shade(share: float) -> tuple[Colour, bool]:
    """The colour of a share in [0, 1], and whether white is read better on it than black (luminance of Rec. 601)."""
    place = share * (len(_RAMP) - 1)
    below = min(int(place), len(_RAMP) - 2)
    red, green, blue = (
        round(low + (place - below) * (high - low)) for low, high in zip(_RAMP[below], _RAMP[below + 1], strict=True)
    )
    return (red, green, blue), 0.299 * red + 0.587 * green + 0.114 * blue < 128


def safe(text: object) -> str:
    """A text as HTML."""
    return escape(printable(str(text)))


def block(*parts: str) -> str:
    """Parts below each other."""
    return f'<div style="margin: .4em 0; line-height: 1.6">{"".join(f"<div>{part}</div>" for part in parts)}</div>'


def heading(text: str) -> str:
    """A line in bold."""
    return f"<b>{safe(text)}</b>"


def facts(values: Mapping[str, object]) -> str:
    """Names and values on lines that wrap between them."""
    return " · ".join(
        f'<span style="opacity: .7">{safe(name)}</span>&nbsp;{safe(value)}' for name, value in values.items()
    )


def table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table whose first column names the rows."""
    left, right = "text-align: left", "text-align: right; white-space: nowrap"
    head = "".join(f'<th style="{right if i else left}">{safe(name)}</th>' for i, name in enumerate(columns))
    body = "".join(
        "<tr>"
        + "".join(f'<td style="{right if i else left}">{safe(cell)}</td>' for i, cell in enumerate(row))
        + "</tr>"
        for row in rows
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def legend(title: str, highest: float) -> str:
    """What the colours of `tokens` mean: from 0 to the highest value."""
    stops = ", ".join(f"rgb({red},{green},{blue})" for red, green, blue in _RAMP)
    bar = f'<span style="background: linear-gradient(to right, {stops})">{"&nbsp;" * 24}</span>'
    return f'<span style="opacity: .7">{safe(title)}: 0</span> {bar} <span style="opacity: .7">{highest:.3g}</span>'


def tokens(
    pieces: Sequence[str], values: Sequence[float], notes: Sequence[str], marked: Sequence[bool], *, highest: float
) -> str:
    """The text of tokens, each on the colour of its value.

    Args:
        pieces: their texts.
        values: at least 0; NaN leaves a token plain.
        notes: what the pointer shows above each.
        marked: which ones are underlined with dots.
        highest: the value with the last colour.
    """
    spans = []
    for piece, value, note, mark in zip(pieces, values, notes, marked, strict=True):
        style = "" if isnan(value) else _style(value / highest if highest else 0.0)
        style += "; text-decoration: underline dotted 2px; text-underline-offset: 3px" if mark else ""
        spans.append(f'<span style="{style}" title="{safe(note)}">{safe(piece)}</span>')
    text = "".join(spans)
    return f'<span style="font-family: monospace; white-space: pre-wrap; unicode-bidi: isolate">{text}</span>'


def _style(share: float) -> str:
    (red, green, blue), dark = shade(min(max(share, 0.0), 1.0))
    return f"background: rgb({red},{green},{blue}); color: {'#fff' if dark else '#000'}"
