"""The figures of some runs as SVG inside the page, each in the section that it belongs to; or one as its own page."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import pandas as pd
from markupsafe import Markup
from matplotlib.figure import Figure as Drawing

from flexeval.errors import DamageError, InputError
from flexeval.figures import FIGURES
from flexeval.figures.figure import Figure
from flexeval.plots.inline import dark_rules, inline_svg, is_wide
from flexeval.report.links import START, Links
from flexeval.report.page import Part, Section, html, make_page
from flexeval.runs.one_pass import in_one_pass
from flexeval.runs.store import RunSet

LARGEST_FIGURES = 2_500_000
"""Bytes of all figures of a page together."""

_SECTIONS = {
    "pass-at-k": ("pass-at-k", "difference"),
    "coverage": ("coverage",),
    "entropy": ("connector-entropy", "entropy-closure"),
    "bypass": ("bypassed-words",),
}
"""Section -> its figures; the others have a section of their own."""


class Figures:
    """Every figure that these runs suffice for, drawn once. The largest are left out where a page cannot hold all."""

    def __init__(self, runs: RunSet, links: Links | None = None, *, budget: int = LARGEST_FIGURES) -> None:
        self._drawn: dict[str, Markup] = {}
        self._missing: dict[str, str] = {}
        numbers = in_one_pass([functools.partial(_numbers, name, runs) for name in FIGURES])
        for name, found in zip(FIGURES, numbers, strict=True):
            try:
                figure, data = found.result()
                drawing = figure.draw(data)
            except DamageError:
                raise
            except InputError as error:
                self._missing[name] = str(error)
                continue
            self._drawn[name] = _inline(figure, drawing, links)
        self._leave_out(budget)

    def _leave_out(self, budget: int) -> None:
        size = {name: len(markup.encode()) for name, markup in self._drawn.items()}
        total = sum(size.values())
        for name in sorted(size, key=size.__getitem__, reverse=True):
            if total <= budget:
                return
            total -= size[name]
            del self._drawn[name]
            self._missing[name] = f"too large for this page ({size[name] / 1e6:.1f} MB); `flexeval figures` draws it"

    def of(self, section: str) -> list[Part]:
        """The figures of a section, or the reason why one cannot be drawn."""
        return [
            self._drawn.get(name) or f"No figure {name}: {self._missing[name]}."
            for name in _SECTIONS[section]
            if name in self._drawn or name in self._missing
        ]

    def others(self) -> Sequence[Part]:
        """The figures that belong to no section, and the reasons why some are missing."""
        placed = {name for names in _SECTIONS.values() for name in names}
        drawn = [markup for name, markup in self._drawn.items() if name not in placed]
        reasons = {name: why for name, why in self._missing.items() if name not in placed}
        return [*drawn, html("missing_figures", reasons=reasons)] if reasons else drawn

    def dark_style(self) -> str:
        """The rules by which the figures of this page change their colours where the reader prefers dark pages."""
        return dark_rules("".join(self._drawn.values()))


def figure_page(figure: Figure, drawing: Drawing, data: pd.DataFrame) -> bytes:
    """A figure as an HTML file that needs no other: a writer for `flexeval.figures.make_figures`.

    Pointing at a mark shows its values and its interval.
    """
    inline = _inline(figure, drawing, None)
    lead = "Point at a mark for its values and its interval."
    section = Section(name="figure", title=figure.source.capitalize(), parts=[inline])
    return make_page(figure.title, lead, [section], Markup(), more_style=dark_rules(inline)).encode()


def _numbers(name: str, runs: RunSet) -> tuple[Figure, pd.DataFrame]:
    figure = FIGURES.get(name)()
    return figure, figure.data(runs)


def _inline(figure: Figure, drawing: Drawing, links: Links | None) -> Markup:
    label = f"{figure.title}; `flexeval figures` writes its numbers as CSV."
    svg = inline_svg(drawing, figure.name, label, links.of if links else lambda row: None)
    opens = " A point opens the decodes behind it." if f'href="{START}' in svg else ""
    caption = f"{figure.title} ({figure.source}).{opens}"
    return html("figure", name=figure.name, svg=svg, caption=caption, wide=is_wide(drawing))
