"""Characters that the font of the figures lacks: one note instead of matplotlib's warning for each text.

In PNG and PDF files they are boxes. A browser has other fonts, so SVG shows them.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from flexeval.errors import Note

_LACKING = re.compile(r"Glyph (\d+) .* missing from (?:current )?font")
"""Matplotlib's warning."""
_NAMED = 8
"""Characters that a note names, at most."""


@contextmanager
def glyphs_may_lack(*, noted: bool = False) -> Iterator[None]:
    """Keep matplotlib's warnings about single characters back; others come at the end.

    Args:
        noted: whether a `Note` says at the end which characters were lacking.
    """
    lacking: dict[str, None] = {}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            yield
        finally:
            others = []
            for one in caught:
                if glyph := _LACKING.match(str(one.message)):
                    lacking[chr(int(glyph[1]))] = None
                else:
                    others.append(one)
    for one in others:
        warnings.warn_explicit(one.message, one.category, one.filename, one.lineno)
    if lacking and noted:
        named = ", ".join(map(repr, list(lacking)[:_NAMED])) + (", ..." if len(lacking) > _NAMED else "")
        warnings.warn(Note(f"the font of the figures lacks {named}: boxes in PNG and PDF files"), stacklevel=3)
