"""Figure 8: accuracy over tokens per step under the entropy-bounded sampler, and with k tokens a step.

Give the runs of two models, before and after training, each at several gamma or k, to see both in a panel.

    python analyses/fig08_tokens_per_step.py runs/tiny
"""

from __future__ import annotations

import sys
from pathlib import Path

from flexeval.figures.tokens_per_step import TokensPerStep
from flexeval.plots.render import rendered
from flexeval.runs.store import read_runs


def main(folders: list[str]) -> None:
    figure = TokensPerStep()
    data = figure.data(read_runs([Path(folder) for folder in folders]))
    print(data.to_string(index=False))
    Path(f"{figure.name}.png").write_bytes(rendered(figure.draw(data), "png"))


if __name__ == "__main__":
    main(sys.argv[1:])
