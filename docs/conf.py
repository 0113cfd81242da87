"""Settings of the documentation: `sphinx-build -W -n docs docs/_build/html` builds it."""

from __future__ import annotations

import re
import sys
from itertools import groupby
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import flexeval
from docs.reference_pages import write_reference

write_reference()

project = "flexeval"
author = "The flexeval authors"
copyright = "The flexeval authors, MIT licence"
release = version = flexeval.__version__

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build", "**/*.py"]

# Notebooks are shown as they are stored: their outputs are tested where they are made.
nb_execution_mode = "off"
myst_heading_anchors = 3
myst_enable_extensions = ["colon_fence"]

# Types are spelled in signatures; they are no references.
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
nitpick_ignore_regex = [("py:.*", r".*")]
suppress_warnings = ["mystnb.unknown_mime_type", "ref.python"]

html_theme = "pydata_sphinx_theme"
html_title = "flexeval"
html_theme_options = {"show_prev_next": False, "secondary_sidebar_items": ["page-toc"], "navigation_with_keys": False}
html_context = {"default_mode": "auto"}
html_show_sourcelink = False


_CODE = re.compile(r"(?<!`)`([^`]+)`(?!`)(?=(\w?))")


def _literal(code: re.Match[str]) -> str:
    return f"``{code[1]}``" + ("\\ " if code[2] else "")


def _marks_escaped(text: str) -> str:
    """Outside code, a star is no emphasis and Pass@k no address."""
    return re.sub(r"`[^`]+`|(?<= )\*|@", lambda found: found[0] if found[0][0] == "`" else f"\\{found[0]}", text)


def _table(text: str) -> list[str]:
    """A Markdown table as a list-table."""
    heading, _, *rows = (line.strip("| ").split(" | ") for line in text.split("\n"))
    cells = [[_CODE.sub(_literal, _marks_escaped(cell)) for cell in row] for row in (heading, *rows)]
    lines = [f"   {'  -' if place else '* -'} {cell}" for row in cells for place, cell in enumerate(row)]
    return ["", ".. list-table::", "   :header-rows: 1", "", *lines, ""]


def _as_it_stands(line: str) -> bool:
    return line.startswith(("|", "    "))


def _restructured(app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Docstrings are written for the eye: code in single backquotes, tables and listings as they stand."""
    kept: list[str] = []
    for literal, block in groupby(lines, key=lambda line: what in ("module", "data") and _as_it_stands(line)):
        text = "\n".join(block)
        if literal and text.startswith("|"):
            kept += _table(text)
        elif literal:
            kept += ["", "::", "", *(f"    {line}" for line in text.split("\n")), ""]
        else:
            kept += _CODE.sub(_literal, _marks_escaped(text)).split("\n")
    lines[:] = kept


def setup(app: Any) -> None:
    """Read docstrings before Napoleon does."""
    app.connect("autodoc-process-docstring", _restructured, priority=100)
