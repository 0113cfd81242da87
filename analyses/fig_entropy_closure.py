"""Ours: the entropy that bypassed words lose until they are committed.

Both entropies are of the same words; the dotted lines are what later tokens took away.

    python analyses/fig_entropy_closure.py runs/tiny
"""

from __future__ import annotations

import sys
from pathlib import Path

from flexeval.figures.entropy_closure import EntropyClosure
from flexeval.plots.render import rendered
from flexeval.runs.store import read_runs


def main(folders: list[str]) -> None:
    figure = EntropyClosure()
    data = figure.data(read_runs([Path(folder) for folder in folders]))
    print(data.to_string(index=False))
    Path(f"{figure.name}.png").write_bytes(rendered(figure.draw(data), "png"))


if __name__ == "__main__":
    main(sys.argv[1:])
