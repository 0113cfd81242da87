"""Figure 11b: the accuracy of each problem under an order against that under AR order.

Chance in n samples pulls the correlation towards 0, so compare it between orders of equal n only.

    python analyses/fig11b_correlation.py runs/tiny
"""

from __future__ import annotations

import sys
from pathlib import Path

from flexeval.figures.correlation import Correlation
from flexeval.plots.render import rendered
from flexeval.runs.store import read_runs


def main(folders: list[str]) -> None:
    figure = Correlation()
    data = figure.data(read_runs([Path(folder) for folder in folders]))
    print(data.to_string(index=False))
    Path(f"{figure.name}.png").write_bytes(rendered(figure.draw(data), "png"))


if __name__ == "__main__":
    main(sys.argv[1:])
