"""Figure 10: Pass@k over the temperature, order by order.

Rings mark the best temperature of each order, which the paper compares.

    python analyses/fig10_temperature.py runs/tiny
"""

from __future__ import annotations

import sys
from pathlib import Path

from flexeval.figures.temperature import Temperature
from flexeval.plots.render import rendered
from flexeval.runs.store import read_runs


def main(folders: list[str]) -> None:
    figure = Temperature()
    data = figure.data(read_runs([Path(folder) for folder in folders]))
    print(data.to_string(index=False))
    Path(f"{figure.name}.png").write_bytes(rendered(figure.draw(data), "png"))


if __name__ == "__main__":
    main(sys.argv[1:])
