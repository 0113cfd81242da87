"""The figures of some runs as SVG inside the page, each in the section that it belongs to.

The page's policy forbids `style` attributes and unknown elements, so that an SVG has its styles as attributes, ids of
its own, and nothing that points outside.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from xml.etree import ElementTree

from markupsafe import Markup
from matplotlib.figure import Figure as Drawing

from flexeval.errors import InputError
from flexeval.figures import FIGURES
from flexeval.plots.render import rendered
from flexeval.report.page import Part, html
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
            caption = f"{figure.title} ({figure.source})."
            self._drawn[name] = html("figure", name=name, svg=svg, caption=caption)
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


# ----- SVG -----

_ENLARGED = 1.5
_COLUMN = 300.0
"""Points that a figure for one column of a paper stays below."""
_LONG_DECIMAL = re.compile(r"-?\d+\.\d{3,}")


def inline_svg(drawing: Drawing, name: str, label: str) -> Markup:
    """The drawing as an element.

    Args:
        drawing: as a figure of `flexeval.figures` drew it.
        name: unique in the page; its ids begin with it.
        label: what it shows, for those who do not see it.
    """
    text = rendered(drawing, "svg").decode()
    root = ElementTree.fromstring(text)
    for parent in list(root.iter()):
        for child in list(parent):
            if _local(child.tag) in ("metadata", "style"):
                parent.remove(child)
    used = set(re.findall(r"#([\w.-]+)", text))
    for part in root.iter():
        part.tag = _local(part.tag)
        part.attrib = {key: _referring(text, name) for key, text in _attributes(part.attrib).items()}
        if (own := part.attrib.pop("id", None)) in used:
            part.set("id", f"{name}-{own}")
    # On a screen the type of a paper's column is small; the height follows from the width.
    width = float(root.attrib.pop("width").removesuffix("pt"))
    root.attrib.pop("height")
    root.attrib |= {"width": f"{_ENLARGED * width:g}pt", "class": "wide" if width > _COLUMN else "narrow"}
    # What the removed style sheet said of everything.
    root.attrib |= {"stroke-linejoin": "round", "stroke-linecap": "butt", "role": "img", "aria-label": label}
    return Markup(ElementTree.tostring(root, encoding="unicode"))


def _local(name: str) -> str:
    return name.rpartition("}")[2]


def _attributes(given: dict[str, str]) -> dict[str, str]:
    """Without namespaces, with the declarations of `style` as attributes, and paths to a hundredth of a point."""
    attributes = {_local(key): text for key, text in given.items()}
    for declaration in attributes.pop("style", "").split(";"):
        key, colon, text = declaration.partition(":")
        if colon:
            attributes[key.strip()] = text.strip()
    if "font-family" in attributes:
        # For readers without the font that the drawing was measured with: one as wide, then any.
        attributes["font-family"] += ", Verdana, sans-serif"
    if "d" in attributes:
        attributes["d"] = _LONG_DECIMAL.sub(lambda number: f"{float(number[0]):.2f}", attributes["d"])
    return attributes


def _referring(text: str, name: str) -> str:
    """The attribute's text with its references to ids of this drawing renamed."""
    if text.startswith("#") and not re.fullmatch("#[0-9a-fA-F]{3,8}", text):
        return f"#{name}-{text[1:]}"
    return text.replace("url(#", f"url(#{name}-")
