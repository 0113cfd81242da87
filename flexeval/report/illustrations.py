"""The figures of some runs as parts of the page, each under the section that it belongs to."""

from __future__ import annotations

from flexeval.errors import InputError
from flexeval.figures import FIGURES
from flexeval.report.drawing import inline_svg
from flexeval.report.markup import Markup, element, join, note
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


class Illustrations:
    """Every figure that these runs give, drawn once.

    Where all together are too large for a page, the heaviest are left out.
    """

    def __init__(self, runs: RunSet, *, budget: int = LARGEST_FIGURES) -> None:
        self._drawn: dict[str, Markup] = {}
        self._missing: dict[str, str] = {}
        for name in FIGURES:
            try:
                figure = FIGURES.get(name)()
                drawing = figure.draw(figure.data(runs))
            except InputError as error:
                self._missing[name] = str(error)
                continue
            svg = inline_svg(drawing, name, f"{figure.title}; `flexeval figures` writes its numbers as CSV.")
            caption = element("figcaption", f"{figure.title} ({figure.source}).")
            self._drawn[name] = element("figure", element("div", svg, class_="paper"), caption, id=f"figure-{name}")
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

    def of(self, section: str) -> Markup:
        """The figures of a section, with the reason where one cannot be drawn."""
        return join(
            self._drawn.get(name) or note(f"No figure {name}: {self._missing[name]}.")
            for name in _SECTIONS[section]
            if name in self._drawn or name in self._missing
        )

    def others(self) -> Markup:
        """The figures that belong to no section, then why some could not be drawn."""
        placed = {name for names in _SECTIONS.values() for name in names}
        drawn = [markup for name, markup in self._drawn.items() if name not in placed]
        reasons = [element("li", f"{name}: {why}.") for name, why in self._missing.items() if name not in placed]
        if not reasons:
            return join(drawn)
        summary = element("summary", f"Figures that are not here: {len(reasons)}")
        return join([*drawn, element("details", summary, element("ul", *reasons))])
