"""Figure 7: the entropy of connectors when they are committed, AR order against arbitrary order.

The vertical lines are the means over all tokens, the dashed lines of the paper.

    python analyses/fig07_connector_entropy.py runs/tiny
"""

from __future__ import annotations

import sys
from pathlib import Path

from flexeval.figures.connector_entropy import ConnectorEntropy
from flexeval.plots.render import rendered
from flexeval.runs.store import read_runs


def main(folders: list[str]) -> None:
    figure = ConnectorEntropy()
    data = figure.data(read_runs([Path(folder) for folder in folders]))
    print(data.to_string(index=False))
    Path(f"{figure.name}.png").write_bytes(rendered(figure.draw(data), "png"))


if __name__ == "__main__":
    main(sys.argv[1:])
