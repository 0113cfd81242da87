"""Runs -> one self-contained HTML page: settings, claims, numbers, figures, and decodes to play step by step."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path

from markupsafe import Markup

from flexeval import claims
from flexeval.errors import InputError
from flexeval.fields import require_path
from flexeval.records import CORRECT
from flexeval.report.answers import coverage_section, pass_at_k_section
from flexeval.report.claims import claims_section
from flexeval.report.decodes import decodes, decodes_section
from flexeval.report.figures import Figures
from flexeval.report.headline import headline
from flexeval.report.links import Links
from flexeval.report.page import Section, html, make_page
from flexeval.report.settings import settings_section
from flexeval.report.task_runs import TaskRuns, by_task, drawn_here
from flexeval.report.tokens import bypass_section, entropy_section, measure_words, order_section
from flexeval.runs.one_pass import in_one_pass
from flexeval.runs.store import RunSet, as_runs, changed_problem, changed_text, pooled
from flexeval.runs.target import write_target

LARGEST_PAGE = 5_000_000
"""Bytes of a page, so that it opens at once, also on a phone."""
LARGEST_DECODES = 2_500_000
"""Bytes of the viewer's data; less where the rest of the page leaves less."""
_VIEWER = 50_000
"""Bytes of the viewer without its data, at most."""


def write_report(runs: RunSet, path: str | Path, *, say: Callable[[str], None] | None = None) -> None:
    """Write the page of some runs. The same runs give the same bytes.

    Args:
        runs: what it is about.
        path: the file.
        say: as `render`.

    Raises:
        InputError: as `render`.
        OSError: it could not be written; an old file is untouched.
    """
    target = require_path(path, what="the file of the report")
    write_target(target, render(runs, say=say))


def render(runs: RunSet, *, say: Callable[[str], None] | None = None) -> bytes:
    """The page of some runs, at most `LARGEST_PAGE` bytes; where it would be larger, decodes and figures are left out.

    Args:
        runs: what it is about.
        say: told what is being made, in a few words.

    Raises:
        InputError: no runs, so many that their tables alone are too large, or runs of one task whose data differ.
    """
    runs = as_runs(runs)
    if not len(runs):
        raise InputError("there are no runs to report on; give folders that `flexeval passk` wrote")
    say = say or (lambda _: None)
    given, runs = runs, pooled(runs)
    groups = by_task(runs)
    for group in groups:
        if (changed := changed_problem(group.runs)) is not None:
            raise InputError(f"a page shows each problem once, but {changed_text(changed)}, or make a page of each")
    title, sentences, lead = _title(runs), headline(groups), _lead(runs, groups)
    links = Links(by_task(drawn_here(runs)))
    say("reading what was measured")
    found_words, drawn, examined, ordered = in_one_pass(
        [
            lambda: [measure_words(group) for group in groups],
            lambda: Figures(given, links),
            lambda: claims.examine(given),
            lambda: order_section(groups),
        ]
    )
    words, figures, findings, order = found_words.result(), drawn.result(), examined.result(), ordered.result()
    say("Pass@k and coverage")
    # The result and what supports it is open; what a reader looks up is folded.
    sections = [
        pass_at_k_section(groups, figures.of("pass-at-k")),
        coverage_section(groups, figures.of("coverage")),
        claims_section(findings),
    ]
    looked_up = [
        entropy_section(words, figures.of("entropy")),
        bypass_section(words, figures.of("bypass")),
        order,
        settings_section(runs, groups),
    ]
    if others := figures.others():
        looked_up.insert(3, Section(name="figures", title="More figures", parts=others))
    sections += [dataclasses.replace(section, folded=True) for section in looked_up]
    say("decodes to play")
    style = figures.dark_style()
    taken = _VIEWER + len(make_page(title, lead, sections, Markup(), more_style=style).encode())
    played = decodes(runs, budget=min(LARGEST_DECODES, LARGEST_PAGE - taken))
    sections.insert(0, decodes_section(played, imported=all(run.imported for run in runs)))
    head = html("headline", sentences=sentences, watch=played.opens if played else None, lead=lead)
    page = make_page(title, head, sections, played.island if played else Markup(), more_style=style).encode()
    if len(page) > LARGEST_PAGE:
        raise InputError(f"a page of {len(runs)} runs has {len(page)} bytes, more than {LARGEST_PAGE}; give fewer runs")
    return page


def _title(runs: RunSet) -> str:
    models = dict.fromkeys(run.lineage.base if run.lineage else run.model for run in runs)
    checkpoints = {run.model for run in runs if run.lineage}
    tasks = dict.fromkeys(run.config.task for run in runs)
    trained = f" and {len(checkpoints)} checkpoint{'s' if len(checkpoints) > 1 else ''}" if checkpoints else ""
    return f"{', '.join(models)}{trained} on {', '.join(tasks)}"


def _counted(runs: RunSet) -> str:
    names = dict.fromkeys(run.counted for run in runs if run.counted != CORRECT)
    return f", of which those with the verdict {', '.join(names)} count as solving their problem" if names else ""


def _lead(runs: RunSet, groups: Sequence[TaskRuns]) -> str:
    samples = sum(len(run.samples) for run in runs)
    return (
        f"What the decoding order does to the answers: {len(runs)} run{'s' if len(runs) > 1 else ''} of "
        f"{len(groups)} task{'s' if len(groups) > 1 else ''}, {samples:,} samples{_counted(runs)}. By flexeval."
    )
