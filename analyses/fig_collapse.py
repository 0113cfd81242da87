"""Ours: how many of a problem's samples are still the same text after each step.

An order that begins with the surest tokens begins every sample alike.

    python analyses/fig_collapse.py runs/tiny
"""

from __future__ import annotations

import sys
from pathlib import Path

from flexeval.figures.collapse import Collapse
from flexeval.plots.render import rendered
from flexeval.runs.store import read_runs


def main(folders: list[str]) -> None:
    figure = Collapse()
    data = figure.data(read_runs([Path(folder) for folder in folders]))
    print(data.to_string(index=False))
    Path(f"{figure.name}.png").write_bytes(rendered(figure.draw(data), "png"))


if __name__ == "__main__":
    main(sys.argv[1:])
