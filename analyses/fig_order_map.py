"""Ours: at which step each position is committed.

AR order is the diagonal; blocks are squares along it.

    python analyses/fig_order_map.py runs/tiny
"""

from __future__ import annotations

import sys
from pathlib import Path

from flexeval.figures.order_map import OrderMap
from flexeval.plots.render import rendered
from flexeval.runs.store import read_runs


def main(folders: list[str]) -> None:
    figure = OrderMap()
    data = figure.data(read_runs([Path(folder) for folder in folders]))
    print(data.to_string(index=False))
    Path(f"{figure.name}.png").write_bytes(rendered(figure.draw(data), "png"))


if __name__ == "__main__":
    main(sys.argv[1:])
