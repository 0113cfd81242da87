"""Figure 6: the words that arbitrary order passes over most often.

The paper does not define a bypass; `flexeval.stats.bypass` says what is counted here.

    python analyses/fig06_bypassed_words.py runs/tiny
"""

from __future__ import annotations

import sys
from pathlib import Path

from flexeval.figures.bypassed_words import BypassedWords
from flexeval.plots.render import rendered
from flexeval.runs.store import read_runs


def main(folders: list[str]) -> None:
    figure = BypassedWords()
    data = figure.data(read_runs([Path(folder) for folder in folders]))
    print(data.to_string(index=False))
    Path(f"{figure.name}.png").write_bytes(rendered(figure.draw(data), "png"))


if __name__ == "__main__":
    main(sys.argv[1:])
