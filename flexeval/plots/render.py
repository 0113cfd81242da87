"""Figure -> bytes of a file. The same figure gives the same bytes: no dates, no random names."""

from __future__ import annotations

from io import BytesIO
from typing import Literal

from matplotlib.figure import Figure

from flexeval.plots.style import house_style

Format = Literal["png", "pdf", "svg"]

_METADATA: dict[Format, dict[str, None]] = {
    "png": {"Software": None},
    "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
    "svg": {"Date": None, "Creator": None},
}


def rendered(figure: Figure, format: Format) -> bytes:
    """The file's content: PNG at 300 dots an inch, PDF with its fonts, or SVG with text as text."""
    buffer = BytesIO()
    with house_style():
        figure.savefig(buffer, format=format, metadata=_METADATA[format])
    return buffer.getvalue()
