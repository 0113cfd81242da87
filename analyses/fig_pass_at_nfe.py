"""Ours: orders compared at an equal number of evaluations (arXiv:2609.39859).

Orders that commit several tokens a step buy more samples for the same budget.

    python analyses/fig_pass_at_nfe.py runs/tiny
"""

from __future__ import annotations

import sys
from pathlib import Path

from flexeval.figures.pass_at_nfe import PassAtNFE
from flexeval.plots.render import rendered
from flexeval.runs.store import read_runs


def main(folders: list[str]) -> None:
    figure = PassAtNFE()
    data = figure.data(read_runs([Path(folder) for folder in folders]))
    print(data.to_string(index=False))
    Path(f"{figure.name}.png").write_bytes(rendered(figure.draw(data), "png"))


if __name__ == "__main__":
    main(sys.argv[1:])
