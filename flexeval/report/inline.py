"""The decode viewer of the report in a notebook: a page of its own in a frame, which needs no network."""

from __future__ import annotations

from dataclasses import dataclass, field

from markupsafe import Markup

from flexeval.errors import InputError
from flexeval.report.decodes import decodes, decodes_section
from flexeval.report.page import make_page
from flexeval.runs.store import Run, RunSet, as_runs, pooled

LARGEST = 1_000_000
"""Bytes of the viewer's data: a notebook stores what it shows."""


@dataclass(frozen=True)
class Viewer:
    """A page that a notebook shows in a frame. The frame can run the page's own script and reach nothing outside."""

    page: str = field(repr=False)
    height: int
    """Of the frame, in pixels."""

    def _repr_html_(self) -> str:
        frame = '<iframe srcdoc="{}" sandbox="allow-scripts" style="width: 100%; height: {}px; border: 0"></iframe>'
        return Markup(frame).format(self.page, self.height)


def show_decodes(runs: RunSet | Run, *, height: int = 760) -> Viewer:
    """The decode viewer, as the last line of a cell of a notebook: play decodes, two orders side by side.

    Args:
        runs: of any tasks; it carries a part of their problems and samples, and says which.
        height: of the frame, in pixels.

    Raises:
        InputError: no sample whose decode is stored.
    """
    given = pooled(as_runs(runs))
    played = decodes(given, budget=LARGEST)
    if played is None:
        raise InputError("these runs hold no decode to show; draw samples with `flexeval passk`")
    return Viewer(page=make_page("Decodes", "", [decodes_section(played)], played.island), height=height)
