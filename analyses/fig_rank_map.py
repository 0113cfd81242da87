"""Ours: the rank of the committed token, step by step, `confidence` against `top_prob`.

The same question as the rate of non-top commits, asked at every step.

    python analyses/fig_rank_map.py runs/tiny
"""

from __future__ import annotations

import sys
from pathlib import Path

from flexeval.figures.rank_map import RankMap
from flexeval.plots.render import rendered
from flexeval.runs.store import read_runs


def main(folders: list[str]) -> None:
    figure = RankMap()
    data = figure.data(read_runs([Path(folder) for folder in folders]))
    print(data.to_string(index=False))
    Path(f"{figure.name}.png").write_bytes(rendered(figure.draw(data), "png"))


if __name__ == "__main__":
    main(sys.argv[1:])
