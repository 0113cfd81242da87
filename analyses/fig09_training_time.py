"""Figure 9: held-out accuracy over the time of training and over the rollouts drawn, training by training.

Give the runs of a model and of its checkpoints in AR order: `flexeval reproduce --preset tiny-grpo` makes them.

    python analyses/fig09_training_time.py runs/tiny
"""

from __future__ import annotations

import sys
from pathlib import Path

from flexeval.figures.training_time import TrainingTime
from flexeval.plots.render import rendered
from flexeval.runs.store import read_runs


def main(folders: list[str]) -> None:
    figure = TrainingTime()
    data = figure.data(read_runs([Path(folder) for folder in folders]))
    print(data.to_string(index=False))
    Path(f"{figure.name}.png").write_bytes(rendered(figure.draw(data), "png"))


if __name__ == "__main__":
    main(sys.argv[1:])
