"""Ours: Pass@k of each order minus that of AR order, paired by problem.

Curves whose bands overlap may still differ, since both were measured on the same problems; this shows it.

    python analyses/fig_difference.py runs/tiny
"""

from __future__ import annotations

import sys
from pathlib import Path

from flexeval.figures.difference import DifferenceToAR
from flexeval.plots.render import rendered
from flexeval.runs.store import read_runs


def main(folders: list[str]) -> None:
    figure = DifferenceToAR()
    data = figure.data(read_runs([Path(folder) for folder in folders]))
    print(data.to_string(index=False))
    Path(f"{figure.name}.png").write_bytes(rendered(figure.draw(data), "png"))


if __name__ == "__main__":
    main(sys.argv[1:])
