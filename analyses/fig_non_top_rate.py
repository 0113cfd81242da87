"""Ours: how often a committed token is not the likeliest, over the temperature (arXiv:2609.34509).

`confidence` filters unlikely draws out, because it selects among draws; `top_prob` does not.

    python analyses/fig_non_top_rate.py runs/tiny
"""

from __future__ import annotations

import sys
from pathlib import Path

from flexeval.figures.non_top_rate import NonTopRate
from flexeval.plots.render import rendered
from flexeval.runs.store import read_runs


def main(folders: list[str]) -> None:
    figure = NonTopRate()
    data = figure.data(read_runs([Path(folder) for folder in folders]))
    print(data.to_string(index=False))
    Path(f"{figure.name}.png").write_bytes(rendered(figure.draw(data), "png"))


if __name__ == "__main__":
    main(sys.argv[1:])
