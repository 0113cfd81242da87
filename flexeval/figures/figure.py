"""What a figure is: runs -> the numbers behind it -> the drawing.

The two halves are apart so that the numbers can be written beside the drawing, tested, and drawn again from the file.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Any, ClassVar

import pandas as pd
from matplotlib.figure import Figure as Drawing

from flexeval.errors import PluginError
from flexeval.figures.selection import MODELS, ORDERS, Unavailable, framed, largest_groups
from flexeval.figures.settings import SETTINGS, foot
from flexeval.plots.layout import finish
from flexeval.plots.style import house_style
from flexeval.registry import require_texts
from flexeval.runs.store import RunSet


def other_way(setting: str) -> str:
    """Orders and models exchanged; other settings as they are."""
    return {ORDERS: MODELS, MODELS: ORDERS}.get(setting, setting)


class Figure(ABC):
    """A figure of the paper, one of ours, or somebody else's.

    A subclass gives the texts, which runs the figure compares (`free`, `usable`), what it takes from them (`rows`) and
    how that is drawn (`drawing`). It may extend `data` and `foot`.
    """

    name: ClassVar[str]
    """Of the registry and of the files."""
    title: str
    """What stands above the drawing."""
    title_of_models: ClassVar[str] = ""
    """The same where models are compared; empty where the figure compares orders only."""
    source: ClassVar[str]
    """"paper, Figure 5", or "ours"."""
    needs: str
    """Which runs it needs, in words that continue "figure 'pass-at-k' needs ..."."""
    note: ClassVar[str] = ""
    """What intervals and marks mean; stands at the foot, below the settings."""

    free: frozenset[str] = frozenset({"order"})
    """The settings in which the runs of one panel may differ."""
    per: tuple[str, ...] = ("model", "task")
    """One group of runs is shown for each combination of these."""
    same_problems: ClassVar[bool] = True
    """Whether the runs of a group are cut to the problems that all of them have."""
    measured: ClassVar[bool] = False
    """Whether it shows what is measured while a sample is drawn (token rows, evaluations), which imported runs lack."""

    def __init__(self, compare: str = ORDERS) -> None:
        """Compare orders, or models and checkpoints: then the runs of a panel are of one order.

        Raises:
            Unavailable: this figure compares orders only.
        """
        self.compare = compare
        if compare == MODELS:
            if not self.title_of_models:
                raise Unavailable(f"figure {self.name!r} compares orders only")
            self.title, self.needs = self.title_of_models, "runs of two models or checkpoints, alike in all else"
            self.free, self.per = frozenset(map(other_way, self.free)), tuple(map(other_way, self.per))

    @abstractmethod
    def usable(self, group: RunSet) -> RunSet:
        """The runs of a comparable group that the figure would show; none when they do not suffice."""

    @abstractmethod
    def rows(self, group: RunSet) -> Iterable[pd.DataFrame]:
        """What is drawn of a group that `usable` chose: one row a mark, each frame `with_settings` of its run.

        Estimates and intervals are what `flexeval.stats` gives: fractions, nats, steps.
        """

    @abstractmethod
    def drawing(self, data: pd.DataFrame) -> Drawing:
        """Panels with everything in `data`; `draw` adds the title, the legend and the foot."""

    def data(self, runs: RunSet) -> pd.DataFrame:
        """Everything that is drawn, one row a mark, with the settings of its run (`flexeval.figures.settings`).

        Raises:
            Unavailable: the runs lack what the figure needs; the line says which runs to make.
            PluginError: `usable` or `rows` answers something else than it must.
        """
        measured = RunSet(tuple(run for run in runs if not (self.measured and run.imported)), runs.left_out)
        lacking = "" if len(measured) == len(runs) else "; imported runs hold nothing that was measured while sampling"
        groups = largest_groups(
            measured,
            free=self.free,
            per=self.per,
            usable=lambda group: self._checked("usable()", self.usable(group), RunSet, "a RunSet"),
            missing=f"figure {self.name!r} needs {self.needs}{lacking}",
            same_problems=self.same_problems,
        )
        return framed(groups, self._frames)

    def _frames(self, group: RunSet) -> list[pd.DataFrame]:
        frames = self._checked("rows()", self.rows(group), Iterable, "a list of DataFrames")
        return [self._checked("rows()", rows, pd.DataFrame, "a list of DataFrames") for rows in frames]

    def draw(self, data: pd.DataFrame) -> Drawing:
        """The drawing of `data`, in the house style whatever the caller's settings of matplotlib are.

        Raises:
            Unavailable: there is nothing in `data`, as when no sample has any text.
            PluginError: `data` has no settings, or `drawing` does not answer a matplotlib Figure.
        """
        if self._checked("data()", data, pd.DataFrame, "a DataFrame").empty:
            raise Unavailable(f"figure {self.name!r} has nothing to show: no sample of these runs holds what it counts")
        if lacking := [name for name in SETTINGS if name not in data]:
            raise PluginError(
                f"data() of figure {self.name!r} lacks the columns {', '.join(lacking)}; make its rows with "
                "flexeval.figures.settings.with_settings(rows, run)"
            )
        with house_style():
            drawing = self._checked("drawing()", self.drawing(data), Drawing, "a matplotlib Figure")
            return finish(drawing, title=self.title, foot=self.foot(data))

    def foot(self, data: pd.DataFrame) -> str:
        """The small print: the settings of the runs, and `note`."""
        return foot(data, self.note)

    def _checked(self, method: str, answer: Any, kind: type[Any], wanted: str) -> Any:
        if not isinstance(answer, kind):
            raise PluginError(f"{method} of figure {self.name!r} must return {wanted}, not a {type(answer).__name__}")
        return answer


def check_figure_class(kind: object) -> None:
    """Raise PluginError, which says what to write, unless something is a class of figures that can be used."""
    if not isinstance(kind, type) or not issubclass(kind, Figure):
        raise PluginError(f"{kind!r} is no class of figures; write a subclass of flexeval.figures.Figure")
    require_texts(kind, "figure", "title", "source", "needs")
    if unwritten := sorted(getattr(kind, "__abstractmethods__", ())):
        raise PluginError(f"figure {kind.name!r} has no method {unwritten[0]}(); see flexeval.figures.Figure")
