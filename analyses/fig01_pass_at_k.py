"""Figures 1 and 3: Pass@k of AR order against arbitrary order (`confidence`), and where the curves cross.

Both curves carry a band that holds the whole of it; published numbers of the same setting are drawn hollow.

    python analyses/fig01_pass_at_k.py runs/tiny
"""

from __future__ import annotations

import sys
from pathlib import Path

from flexeval.figures.pass_at_k import PassAtK
from flexeval.plots.render import rendered
from flexeval.runs.store import read_runs


def main(folders: list[str]) -> None:
    figure = PassAtK()
    data = figure.data(read_runs([Path(folder) for folder in folders]))
    print(data.to_string(index=False))
    Path(f"{figure.name}.png").write_bytes(rendered(figure.draw(data), "png"))


if __name__ == "__main__":
    main(sys.argv[1:])
