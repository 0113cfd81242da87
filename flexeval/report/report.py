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
from flexeval.report.ordering import order_section
from flexeval.report.page import Section, make_page
from flexeval.report.reach import coverage_section, pass_at_k_section
from flexeval.report.settings import settings_section
from flexeval.report.verdicts import claims_section
from flexeval.report.viewer import viewer_section
from flexeval.runs.store import RunSet, pooled
from flexeval.runs.target import write_target

LARGEST_PAGE = 5_000_000
"""Bytes of a page: it is to open at once, also on a phone."""
LARGEST_DECODES = 2_500_000
"""Bytes of the viewer's data; less where the rest of the page leaves less."""
_VIEWER = 50_000
"""Bytes of the viewer without its data, at most."""


def write_report(runs: RunSet, path: Path) -> None:
    """Write the page of some runs. The same runs give the same bytes.

    Raises:
        InputError: as `render`.
        OSError: it could not be written; an old file is untouched.
    """
    write_target(path, render(runs))


def render(runs: RunSet) -> bytes:
    """The page of some runs, at most `LARGEST_PAGE`: decodes and the heaviest figures are left out where it must be.

    Raises:
        InputError: no runs, or so many that their tables alone are too large.
    """
    if not len(runs):
        raise InputError("there are no runs to report on; give folders that `flexeval passk` wrote")
    given, runs = runs, pooled(runs)
    groups = by_task(runs)
    measured = [measure(group) for group in groups]
    figures = Illustrations(given)
    sections = [
        settings_section(runs, groups),
        claims_section(claims.examine(given)),
        pass_at_k_section(groups, figures.of("pass-at-k")),
        coverage_section(groups, figures.of("coverage")),
        entropy_section(measured, figures.of("entropy")),
        bypass_section(measured, figures.of("bypass")),
        order_section(groups),
        Section(name="figures", title="More figures", body=figures.others()),
    ]
    taken = _VIEWER + sum(len(section.body.encode()) for section in sections)
    played = decodes(runs, budget=min(LARGEST_DECODES, LARGEST_PAGE - taken))
    sections.insert(-1, viewer_section(played))
    page = make_page(
        _title(runs),
        _lead(runs, groups),
        [section for section in sections if section.body],
        played.island if played else Markup(""),
    ).encode()
    if len(page) > LARGEST_PAGE:
        raise InputError(f"a page of {len(runs)} runs has {len(page)} bytes, more than {LARGEST_PAGE}; give fewer runs")
    return page


def _title(runs: RunSet) -> str:
    models = dict.fromkeys(run.lineage.base if run.lineage else run.model for run in runs)
    checkpoints = {run.model for run in runs if run.lineage}
    tasks = dict.fromkeys(run.config.task for run in runs)
    trained = f" and {len(checkpoints)} checkpoint{'s' if len(checkpoints) > 1 else ''}" if checkpoints else ""
    return f"{', '.join(models)}{trained} on {', '.join(tasks)}"


def _lead(runs: RunSet, groups: Sequence[TaskRuns]) -> str:
    samples = sum(len(run.samples) for run in runs)
    return (
        f"What the decoding order does to the answers: {len(runs)} run{'s' if len(runs) > 1 else ''} of "
        f"{len(groups)} task{'s' if len(groups) > 1 else ''}, {samples:,} samples. By flexeval."
    )
