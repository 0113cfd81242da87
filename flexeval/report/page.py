"""Sections -> one HTML file that needs nothing else and may fetch nothing.

The policy in its head allows the page's own style and script by their hashes and nothing more; it also forbids every
way of turning text into elements by script. Knows no runs.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files

from flexeval.report.markup import Markup, element, join


@dataclass(frozen=True, kw_only=True)
class Section:
    """A part of the page with a heading of its own and an entry in the menu."""

    name: str
    """Its id in the page."""
    title: str
    body: Markup


def asset(name: str) -> Markup:
    """A file that belongs to the page: its style, its script, or a piece of it."""
    return Markup(files("flexeval.report").joinpath(name).read_text("utf-8"))


def make_page(title: str, lead: str, sections: Sequence[Section], data: Markup) -> str:
    """The whole page.

    Args:
        title: its heading.
        lead: a sentence below the heading.
        sections: in order.
        data: what the viewer's script reads; empty when there is no viewer, and then no script either.
    """
    style, script = asset("report.css"), asset("viewer.js") if data else Markup("")
    head = join(
        [
            Markup('<meta charset="utf-8">'),
            Markup(f'<meta http-equiv="Content-Security-Policy" content="{_policy(style, script)}">'),
            Markup('<meta name="viewport" content="width=device-width, initial-scale=1">'),
            Markup('<link rel="icon" href="data:,">'),
            element("title", title),
            element("style", style),
        ]
    )
    menu = element("ul", *(element("li", element("a", one.title, href=f"#{one.name}")) for one in sections))
    body = join(
        [
            element("header", element("h1", title), element("p", lead, class_="lead")),
            element("nav", menu, aria_label="Sections"),
            element("main", *map(_section, sections)),
            data,
            element("script", script) if script else Markup(""),
        ]
    )
    return f'<!DOCTYPE html>\n<html lang="en">\n<head>{head}</head>\n<body>{body}</body>\n</html>\n'


def _section(section: Section) -> Markup:
    heading = element("h2", section.title, id=f"{section.name}-title")
    return element("section", heading, section.body, id=section.name, aria_labelledby=f"{section.name}-title")


def _policy(style: str, script: str) -> str:
    rules = ["default-src 'none'", "img-src data:", f"style-src {_hash(style)}"]
    rules += [f"script-src {_hash(script)}"] if script else []
    return "; ".join([*rules, "base-uri 'none'", "form-action 'none'", "require-trusted-types-for 'script'"])


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
