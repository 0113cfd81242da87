"""Ours: Pass@k with each order at the temperature where its mean commit entropy equals AR's.

Needs runs at temperatures on both sides of that one; nothing is extrapolated.

    python analyses/fig_matched_entropy.py runs/tiny
"""

from __future__ import annotations

import sys
from pathlib import Path

from flexeval.figures.matched_entropy import MatchedEntropy
from flexeval.plots.render import rendered
from flexeval.runs.store import read_runs


def main(folders: list[str]) -> None:
    figure = MatchedEntropy()
    data = figure.data(read_runs([Path(folder) for folder in folders]))
    print(data.to_string(index=False))
    Path(f"{figure.name}.png").write_bytes(rendered(figure.draw(data), "png"))


if __name__ == "__main__":
    main(sys.argv[1:])
