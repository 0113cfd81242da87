"""What the pages show can be typed: their Python runs, and the commands that they name have those options."""

from __future__ import annotations

import contextlib
import io
import re
import shlex
from pathlib import Path

import pytest

from flexeval.cli.main import VERBS, main
from flexeval.models.families import FAMILIES
from flexeval.tasks import TASKS

DOCS = Path(__file__).parents[2] / "docs"
PAGES = sorted([*DOCS.glob("*.md"), *(DOCS / "howto").glob("*.md")])
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(page, language):
    return [text for name, text in FENCE.findall(page.read_text()) if name == language]


def commands(page):
    """The words of each `flexeval` command in a page's shell blocks."""
    for block in blocks(page, "bash"):
        for line in block.replace("\\\n", " ").splitlines():
            words = shlex.split(line, comments=True)
            if words[:1] == ["flexeval"]:
                yield words[1:]


@pytest.mark.parametrize("page", [page for page in PAGES if page.parent.name == "howto"], ids=lambda page: page.stem)
def test_its_python_runs(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    # What an example registers, other tests must not find.
    for registry in (FAMILIES, TASKS):
        for part in ("_targets", "_summaries"):
            monkeypatch.setattr(registry, part, {**getattr(registry, part)})
    names = {"__name__": "example"}
    for text in blocks(page, "python"):
        exec(compile(text, str(page), "exec", dont_inherit=True), names)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_its_commands_have_these_verbs_and_options(page):
    known = {}
    for verb, *words in commands(page):
        assert verb in VERBS
        if verb == "lm-eval":
            continue
        if verb not in known:
            printed = io.StringIO()
            with contextlib.redirect_stdout(printed), pytest.raises(SystemExit):
                main([verb, "--help"])
            known[verb] = set(re.findall(r"(?<![\w-])--?[a-z][\w-]*", printed.getvalue()))
        options = {word.partition("=")[0] for word in words if word.startswith("-") and word != "-"}
        assert options <= known[verb], f"{page.name}: {verb} has no {options - known[verb]}"


def test_a_table_of_contents_leads_to_every_page():
    """The build refuses a page that is in none; here, that those in this folder are not left out by a pattern."""
    listed = "".join(page.read_text() for page in (DOCS / "index.md", DOCS / "howto" / "index.md"))
    listed += (DOCS / "reference_pages.py").read_text()
    for page in PAGES:
        assert page.stem == "index" or page.stem in listed, f"{page.name} is in no table of contents"
