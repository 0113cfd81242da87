"""Figure 11a: Pass@k of every order that was sampled.

Orders that set their own pace are left to the figure of Pass@NFE, where cost is equal.

    python analyses/fig11a_samplers.py runs/tiny
"""

from __future__ import annotations

import sys
from pathlib import Path

from flexeval.figures.samplers import Samplers
from flexeval.plots.render import rendered
from flexeval.runs.store import read_runs


def main(folders: list[str]) -> None:
    figure = Samplers()
    data = figure.data(read_runs([Path(folder) for folder in folders]))
    print(data.to_string(index=False))
    Path(f"{figure.name}.png").write_bytes(rendered(figure.draw(data), "png"))


if __name__ == "__main__":
    main(sys.argv[1:])
