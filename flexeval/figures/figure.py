"""What a figure is: runs -> the numbers behind it -> the drawing.

The two halves are apart so that the numbers can be written beside the drawing, tested, and drawn again from the file.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import pandas as pd
from matplotlib.figure import Figure as Drawing

from flexeval.errors import InputError
from flexeval.plots.style import house_style
from flexeval.runs.store import RunSet


class Unavailable(InputError):
    """These runs lack what a figure needs; the line says which runs to make."""


class Figure(ABC):
    """A figure of the paper, or one of ours."""

    name: ClassVar[str]
    """Of the registry and of the files."""
    title: ClassVar[str]
    """What stands above the drawing."""
    source: ClassVar[str]
    """"paper, Figure 5", or "ours"."""

    @abstractmethod
    def data(self, runs: RunSet) -> pd.DataFrame:
        """Everything that is drawn, one row a mark, with the settings of its run (`flexeval.figures.settings`).

        Estimates and intervals are what `flexeval.stats` gives: fractions, nats, steps.

        Raises:
            Unavailable: the runs lack what the figure needs.
        """

    def draw(self, data: pd.DataFrame) -> Drawing:
        """The drawing of `data`, in the house style whatever the caller's settings of matplotlib are.

        Raises:
            Unavailable: there is nothing in `data`, as when no sample has any text.
        """
        if data.empty:
            raise Unavailable(f"figure {self.name!r} has nothing to show: no sample of these runs holds what it counts")
        with house_style():
            return self.drawing(data)

    @abstractmethod
    def drawing(self, data: pd.DataFrame) -> Drawing:
        """As `draw`, in whatever style is in force."""
