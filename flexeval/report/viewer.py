"""The section that plays decodes. Its script, `viewer.js`, reads the data of `flexeval.report.decodes`."""

from __future__ import annotations

from flexeval.report.decodes import Decodes
from flexeval.report.markup import element, join, note
from flexeval.report.page import Section, asset

_ABOUT = (
    "How an answer came about: each token where it was committed, step by step, under one order or two on the same "
    "problem. Equal sample numbers drew from the same random numbers. Bypassed tokens have a dotted underline: at "
    "some step they were the frontier, and something else was committed."
)


def viewer_section(played: Decodes | None) -> Section:
    """The viewer, and what it carries of the runs."""
    if played is None:
        body = note("There is no decode to show: no run has a sample that fits on the page.")
    else:
        body = join([element("p", _ABOUT), *map(note, played.scope), asset("viewer.html")])
    return Section(name="decodes", title="Decode viewer", body=body)
