"""Pass@k before and after training in AR order: does the whole curve rise, or its start?

Give the runs of a model and of its last checkpoint: `flexeval reproduce --preset tiny-grpo` makes them.

    python analyses/fig_trained_pass_at_k.py runs/tiny
"""

from __future__ import annotations

import sys
from pathlib import Path

from flexeval.figures.trained_pass_at_k import TrainedPassAtK
from flexeval.plots.render import rendered
from flexeval.runs.store import read_runs


def main(folders: list[str]) -> None:
    figure = TrainedPassAtK()
    data = figure.data(read_runs([Path(folder) for folder in folders]))
    print(data.to_string(index=False))
    Path(f"{figure.name}.png").write_bytes(rendered(figure.draw(data), "png"))


if __name__ == "__main__":
    main(sys.argv[1:])
