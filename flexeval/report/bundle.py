"""Runs -> a folder of pages with an index: a static site, which a web server or a Hugging Face Space shows as it is."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup

from flexeval.errors import InputError
from flexeval.fields import require_path
from flexeval.report.headline import headline
from flexeval.report.page import Section, html, make_page
from flexeval.report.report import render
from flexeval.report.task_runs import by_task
from flexeval.runs.store import Run, RunSet, as_runs, pooled
from flexeval.runs.target import write_target

_CARD, _INDEX = "README.md", "index.html"
_OURS = "Made by `flexeval report`"
"""In the card, which tells a site from a folder of somebody's own."""
_ABOUT = f"""\
---
title: {{title}}
sdk: static
app_file: {_INDEX}
pinned: false
---

Reports on what the decoding order does to the answers of masked diffusion language models. {_OURS};
each page is whole by itself and needs no network.
"""


@dataclass(frozen=True, kw_only=True)
class Page:
    """One report of the site."""

    file: str
    model: str
    task: str
    runs: int
    samples: int
    sentences: list[str]
    """Its headline."""
    content: bytes


def write_bundle(runs: RunSet, folder: str | Path, *, say: Callable[[str], None] | None = None) -> list[Path]:
    """Write a page for each model (with its checkpoints) and task, index.html, and README.md, which a Space reads.

    All pages are made before the first is written. Other files of the folder stay. The same runs give the same bytes.

    Args:
        runs: what they are about.
        folder: is made where it is missing. Files of an earlier site are replaced, and nobody else's.
        say: told what is being made, in a few words.

    Returns:
        The files, index.html first.

    Raises:
        InputError: as `flexeval.report.render`; or the folder has files of these names that are of no site.
        OSError: a file cannot be written; those before it are whole.
    """
    folder, runs = require_path(folder, what="the folder of the site"), as_runs(runs)
    _require_own(folder, [_INDEX, _CARD])
    pages = _pages(runs, say or (lambda _: None))
    about = _ABOUT.format(title=json.dumps(_title(pages)))
    contents = {_INDEX: _index(pages), **{page.file: page.content for page in pages}, _CARD: about.encode()}
    _require_own(folder, contents)
    folder.mkdir(parents=True, exist_ok=True)
    # The card first: it says of the others whose they are, also after a stop.
    for name in (_CARD, *contents):
        write_target(folder / name, contents[name])
    return [folder / name for name in contents]


def _require_own(folder: Path, names: Iterable[str]) -> None:
    """Raise InputError where the folder has files of these names, and no card of ours."""
    card = folder / _CARD
    if card.is_file() and _OURS in card.read_text("utf-8", errors="replace"):
        return
    if found := next((name for name in names if os.path.lexists(folder / name)), None):
        raise InputError(f"{str(folder)!r} holds {found!r}, which is no part of a site of reports; give another folder")


def _pages(runs: RunSet, say: Callable[[str], None]) -> list[Page]:
    groups: dict[tuple[str, str], list[Run]] = {}
    for run in runs:
        model = run.lineage.base if run.lineage else run.model
        groups.setdefault((model, run.config.task), []).append(run)
    pages: list[Page] = []
    for (model, task), own in groups.items():
        say(f"the page of {model} and {task}")
        shown = pooled(RunSet(tuple(own)))
        pages.append(
            Page(
                file=_file_name(f"{model}-{task}", taken={page.file.lower() for page in pages}),
                model=model,
                task=task,
                runs=len(shown),
                samples=sum(len(run.samples) for run in shown),
                sentences=headline(by_task(shown)),
                content=render(RunSet(tuple(own))),
            )
        )
    return pages


def _file_name(text: str, taken: set[str]) -> str:
    """A name that every file system and address takes as it is, and no other page has."""
    stem = re.sub(r"[^A-Za-z0-9]+", "-", text).strip("-")[:80] or "report"
    names = [f"{stem}.html", *(f"{stem}-{number}.html" for number in range(2, len(taken) + 3))]
    return next(name for name in names if name.lower() not in {_INDEX, *taken})


def _title(pages: list[Page]) -> str:
    return f"Decoding orders: {', '.join(dict.fromkeys(page.model for page in pages))}"


def _index(pages: list[Page]) -> bytes:
    section = Section(name="reports", title="Reports", parts=[html("reports", pages=pages)])
    lead = "What the decoding order does to the answers, one page for each model and task. By flexeval."
    return make_page(_title(pages), lead, [section], Markup()).encode()
