"""Figure 5: Pass@k over the block length of arbitrary order.

Block 1 is AR order. `flexeval sweep --over block_length=1,2,4,8,16,32 --order confidence` makes the runs.

    python analyses/fig05_block_length.py runs/tiny
"""

from __future__ import annotations

import sys
from pathlib import Path

from flexeval.figures.block_length import BlockLength
from flexeval.plots.render import rendered
from flexeval.runs.store import read_runs


def main(folders: list[str]) -> None:
    figure = BlockLength()
    data = figure.data(read_runs([Path(folder) for folder in folders]))
    print(data.to_string(index=False))
    Path(f"{figure.name}.png").write_bytes(rendered(figure.draw(data), "png"))


if __name__ == "__main__":
    main(sys.argv[1:])
