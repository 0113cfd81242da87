"""Sections -> one HTML file that needs no other file and may fetch nothing. Knows no runs.

Templates escape every text. The policy in the page's head allows its own style and script by their hashes and nothing
else; it also forbids every way in which a script could turn text into elements.
"""

from __future__ import annotations

import base64
import hashlib
import json
import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from flexeval.stats.intervals import Interval, interval_text


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table of texts."""

    caption: str
    """What it shows, with units."""
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    words: Collection[int] = ()
    """Columns that hold words; the others hold numbers and are flush right."""
    labels: int = 1
    """How many columns at the left name their row."""

    def is_number(self, column: int) -> bool:
        """Whether a column holds numbers."""
        return column >= self.labels and column not in self.words


Part = Markup | Table | str
"""Of a section: HTML, a table, or text, which is shown as a note."""


@dataclass(frozen=True, kw_only=True)
class Section:
    """A part of the page with a heading and an entry in the menu."""

    name: str
    """Its id in the page."""
    title: str
    about: str = ""
    """What it shows, in a paragraph below the heading."""
    parts: Sequence[Part] = ()
    tasks: Sequence[tuple[str, Sequence[Part]]] = ()
    """Task -> its parts, which stand below its name when there are several tasks."""
    folded: bool = False
    """Whether only the heading shows until a reader opens it."""


def make_page(
    title: str, lead: Markup | str, sections: Sequence[Section], data: Markup, *, more_style: str = ""
) -> str:
    """The whole page.

    Args:
        title: its heading.
        lead: what stands below the heading: HTML, or a sentence.
        sections: in order.
        data: what the viewer's script reads; where it is empty there is no viewer, and no script.
        more_style: CSS after that of every page.
    """
    style, script = asset("report.css") + Markup(more_style), asset("viewer.js") if data else Markup()
    rules = ["default-src 'none'", "img-src data:", f"style-src {_hash(style)}"]
    rules += [f"script-src {_hash(script)}"] if script else []
    rules += ["base-uri 'none'", "form-action 'none'", "require-trusted-types-for 'script'"]
    return _TEMPLATES.get_template("page.html").render(
        title=title,
        lead=lead,
        sections=sections,
        policy="; ".join(rules),
        style=style,
        script=script,
        data=data,
    )


def html(macro: str, **values: Any) -> Markup:
    """A macro of `parts.html` as HTML. It escapes every text that is not `Markup`."""
    made: Markup = getattr(_TEMPLATES.get_template("parts.html").module, macro)(**values)
    return made


def asset(name: str) -> Markup:
    """A file of this folder, as it is: the style, the script, the viewer's HTML."""
    return Markup(files("flexeval.report").joinpath(name).read_text("utf-8"))


def island(name: str, value: Any) -> Markup:
    """Data for a script, as JSON that cannot end its element whatever its texts contain.

    Everything but printable ASCII is escaped, and so are the three characters that HTML reads.
    """
    text = json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    for char in "<>&\x7f":
        text = text.replace(char, f"\\u{ord(char):04x}")
    return Markup('<script type="application/json" id="{}">').format(name) + Markup(text) + Markup("</script>")


def visible(text: str) -> str:
    """The text with every character that is not printable as its escape; line ends stay."""
    return "".join(
        char if char.isprintable() or char == "\n" else char.encode("unicode_escape").decode("ascii") for char in text
    )


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


# ----- numbers -----


def percent(interval: Interval, sign: str = "") -> str:
    """Estimate and interval of a fraction, in percent."""
    return bounds(100 * interval.estimate, 100 * interval.low, 100 * interval.high, f"{sign}.1f")


def bounds(estimate: float, low: float, high: float, form: str) -> str:
    """`estimate [low, high]`, or a dash where the estimate is NaN."""
    if math.isnan(estimate):
        return "–"
    return interval_text(estimate, low, high, form).replace("-", "−")


# ----- templates -----


def _visible_unless_html(value: Any) -> Any:
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value


_TEMPLATES = Environment(
    loader=PackageLoader("flexeval.report", "."),
    autoescape=True,
    finalize=_visible_unless_html,
    undefined=StrictUndefined,
    keep_trailing_newline=True,
)
