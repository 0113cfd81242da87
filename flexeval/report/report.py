"""Runs -> one self-contained HTML page: settings, claims, numbers, figures, and decodes to play step by step."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from flexeval import claims
from flexeval.errors import InputError
from flexeval.report.certainty import bypass_section, entropy_section, measure
from flexeval.report.decodes import decodes
from flexeval.report.groups import TaskRuns, by_task
from flexeval.report.illustrations import Illustrations
from flexeval.report.markup import Markup
from flexeval.report.page import Section, make_page
from flexeval.report.reach import coverage_section, pass_at_k_section
from flexeval.report.settings import settings_section
from flexeval.report.verdicts import claims_section
from flexeval.report.viewer import viewer_section
from flexeval.runs.files import replace_file
from flexeval.runs.store import RunSet

LARGEST_PAGE = 5_000_000
"""Bytes of a page: it is to open at once, also on a phone."""
LARGEST_DECODES = 2_500_000
"""Bytes of the viewer's data."""


def write_report(runs: RunSet, path: Path) -> None:
    """Write the page of some runs. The same runs give the same bytes.

    Raises:
        InputError: as `render`.
        OSError: it could not be written; an old file is untouched.
    """
    replace_file(path, render(runs).encode())


def render(runs: RunSet) -> str:
    """The page of some runs.

    Raises:
        InputError: no runs, or so many that their page would be larger than `LARGEST_PAGE`.
    """
    if not len(runs):
        raise InputError("there are no runs to report on; give folders that `flexeval passk` wrote")
    groups = by_task(runs)
    measured = [measure(group) for group in groups]
    figures = Illustrations(runs)
    played = decodes(runs, budget=LARGEST_DECODES)
    sections = [
        settings_section(runs, groups),
        pass_at_k_section(groups, figures.of("pass-at-k")),
        coverage_section(groups, figures.of("coverage")),
        entropy_section(measured, figures.of("entropy")),
        bypass_section(measured, figures.of("bypass")),
        claims_section(claims.examine(runs)),
        viewer_section(played),
        Section(name="figures", title="More figures", body=figures.others()),
    ]
    page = make_page(
        _title(runs),
        _lead(runs, groups),
        [section for section in sections if section.body],
        played.island if played else Markup(""),
    )
    if len(page) > LARGEST_PAGE:
        raise InputError(f"a page of {len(runs)} runs has {len(page)} bytes, more than {LARGEST_PAGE}; give fewer runs")
    return page


def _title(runs: RunSet) -> str:
    models = dict.fromkeys(run.model for run in runs)
    tasks = dict.fromkeys(run.config.task for run in runs)
    return f"{', '.join(models)} on {', '.join(tasks)}"


def _lead(runs: RunSet, groups: Sequence[TaskRuns]) -> str:
    samples = sum(len(run.samples) for run in runs)
    return (
        f"What the decoding order does to the answers: {len(runs)} run{'s' if len(runs) > 1 else ''} of "
        f"{len(groups)} task{'s' if len(groups) > 1 else ''}, {samples:,} samples. By flexeval."
    )
