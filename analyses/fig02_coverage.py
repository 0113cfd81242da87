"""Figures 2 and 4: the problems that AR order, arbitrary order, both or neither solve with n samples.

The paper takes n = 1024; the figure says which n the runs have, since more samples solve more problems.

    python analyses/fig02_coverage.py runs/tiny
"""

from __future__ import annotations

import sys
from pathlib import Path

from flexeval.figures.coverage import Coverage
from flexeval.plots.render import rendered
from flexeval.runs.store import read_runs


def main(folders: list[str]) -> None:
    figure = Coverage()
    data = figure.data(read_runs([Path(folder) for folder in folders]))
    print(data.to_string(index=False))
    Path(f"{figure.name}.png").write_bytes(rendered(figure.draw(data), "png"))


if __name__ == "__main__":
    main(sys.argv[1:])
