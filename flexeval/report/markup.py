"""HTML from Python, escaped unless it says that it is HTML already. Knows elements and tables, and nothing of runs."""

from __future__ import annotations

import html
import json
from collections.abc import Iterable, Sequence
from typing import Any


class Markup(str):
    """Text that is HTML already. Everything else is escaped when it is put into an element."""

    __slots__ = ()


def escape(text: str) -> Markup:
    """The text as HTML that shows it; what has no shape of its own (controls, direction marks) shows as escapes."""
    return text if isinstance(text, Markup) else Markup(html.escape(visible(text)))


def visible(text: str) -> str:
    """The text with every character that is not printable as its escape; line ends stay."""
    return "".join(
        char if char.isprintable() or char == "\n" else char.encode("unicode_escape").decode("ascii") for char in text
    )


def join(parts: Iterable[str]) -> Markup:
    """The parts one after the other, each escaped unless it is markup."""
    return Markup("".join(map(escape, parts)))


def element(name: str, *content: str, **attributes: str | int) -> Markup:
    """One element. `_` stands for `-` in names of attributes, and one at the end is dropped (`class_`)."""
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(str(value))}"' for key, value in attributes.items()
    )
    return Markup(f"<{name}{written}>{join(content)}</{name}>")


def note(text: str) -> Markup:
    """A remark that something is missing or left out."""
    return element("p", text, class_="note")


def table(
    columns: Sequence[str], rows: Iterable[Sequence[str]], *, caption: str, texts: Sequence[int] = (), labels: int = 1
) -> Markup:
    """A table that scrolls by itself where the page is too narrow for it.

    Args:
        columns: what heads each column.
        rows: the cells, one text a column.
        caption: what the table shows, with units.
        texts: the columns that hold words; the others hold numbers and are set flush right.
        labels: how many columns at the left name their row.
    """

    def kind(column: int) -> dict[str, str | int]:
        return {} if column < labels or column in texts else {"class_": "number"}

    head = element("tr", *(element("th", name, scope="col", **kind(i)) for i, name in enumerate(columns)))
    body = [
        element(
            "tr",
            *(element("th", cell, scope="row") for cell in row[:labels]),
            *(element("td", cell, **kind(i)) for i, cell in enumerate(row[labels:], start=labels)),
        )
        for row in rows
    ]
    whole = element("table", element("caption", caption), element("thead", head), element("tbody", *body))
    return element("div", whole, class_="scroll", role="region", tabindex=0, aria_label=caption)


def island(name: str, value: Any) -> Markup:
    """Data for a script, as JSON that cannot end its element whatever the texts in it hold.

    Everything outside ASCII is escaped, and so are the three characters that HTML reads.
    """
    text = json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    for char in "<>&":
        text = text.replace(char, f"\\u{ord(char):04x}")
    return Markup(f'<script type="application/json" id="{escape(name)}">{text}</script>')
