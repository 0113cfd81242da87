"""Pass@k over k: of AR order against arbitrary order (figures 1 and 3 of the paper), of every order (figure 11a), and
the difference to AR order.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import pandas as pd
from matplotlib.axes import Axes

from flexeval import published
from flexeval.figures.curves import CurveFigure
from flexeval.figures.selection import (
    MODELS,
    against_first,
    at_fixed_pace,
    at_least,
    common_ks,
    comparable,
    compared,
    of_pair,
)
from flexeval.figures.settings import MEASURED, WHY_NONE, foot, published_pass_at_k, sources, with_settings
from flexeval.plots.curves import corner, powers_of_two
from flexeval.plots.style import FAINT, INK
from flexeval.records import CORRECT
from flexeval.runs.store import TEMPERATURE, Run, RunSet, alike
from flexeval.stats.curves import crossing_point, difference_band, pass_at_k_band

MAIN_TEMPERATURES = (TEMPERATURE, 1.0)
"""The paper's, and the one at which tokens are drawn from the model's own distribution."""
BAND_NOTE = "Bands hold the whole curve with 95 % confidence (bootstrap over problems)."


class PassAtKFigure(CurveFigure):
    """Curves over k in powers of two."""

    note = BAND_NOTE
    x = "k"
    labels = ("k", "Pass@k, %")

    def finish_panel(self, panel: Axes, rows: pd.DataFrame) -> None:
        """See `CurveFigure.finish_panel`."""
        powers_of_two(panel, rows["k"].dropna().astype(int))


class PassAtK(PassAtKFigure):
    """Rows of quantity `pass@k` at each k, and a row of quantity `crossing` whose estimate is k*.

    One panel at the paper's temperature and one at the model's own, where there are such runs; else one at each.
    """

    name = "pass-at-k"
    title = "Pass@k: AR order against arbitrary order"
    title_of_models = "Pass@k: one model against another"
    source = "paper, Figures 1 and 3"
    needs = "a run of order ar and one of order confidence, alike in all else"
    per = by = ("model", "task", "temperature")

    def data(self, runs: RunSet) -> pd.DataFrame:
        """See `Figure.data`."""
        main = [run for run in runs if run.config.sampling.temperature in MAIN_TEMPERATURES]
        groups = comparable(RunSet(tuple(main)), free=self.free) if main else []
        if not any(map(self.usable, groups)):
            return super().data(runs)
        others = sorted({run.config.sampling.temperature for run in runs} - set(MAIN_TEMPERATURES))
        not_shown = [f"T = {', '.join(f'{temperature:g}' for temperature in others)}"] if others else []
        return super().data(RunSet(tuple(main), (*runs.left_out, *not_shown)))

    def usable(self, group: RunSet) -> RunSet:
        """See `Figure.usable`."""
        return of_pair(group, self.compare)

    def rows(self, group: RunSet) -> Iterable[pd.DataFrame]:
        """See `Figure.rows`."""
        first, second = group
        ks = common_ks(group)
        curves = pd.concat(pass_at_k_frames(group, ks), ignore_index=True)
        curves["quantity"] = "pass@k"
        crossing = crossing_point(first.counts(), second.counts(), ks) if len(ks) > 1 else None
        if crossing is None or crossing.k_star is None:
            return [curves]
        at = {"source": [MEASURED], "estimate": crossing.k_star, "low": crossing.low, "high": crossing.high}
        rows = with_settings(pd.DataFrame(at), first).assign(quantity="crossing")
        return [pd.concat([curves, rows], ignore_index=True)]

    def finish_panel(self, panel: Axes, rows: pd.DataFrame) -> None:
        """Mark where the curves cross."""
        super().finish_panel(panel, rows)
        for row in rows[rows["quantity"] == "crossing"].to_dict("records"):
            panel.axvline(row["estimate"], color=FAINT, linestyle=":", linewidth=0.8)
            high = f"{row['high']:.1f}]" if math.isfinite(row["high"]) else "∞)"
            low = f"{row['low']:.1f}" if row["low"] >= 1 else "below 1"
            corner(panel, f"cross at k = {row['estimate']:.1f} [{low}, {high}")

    def foot(self, data: pd.DataFrame) -> str:
        """See `Figure.foot`."""
        return foot(data, self.note + verdicts_note(data) + sources(data))


class Samplers(PassAtKFigure):
    """One row an order and k: every order that sets no pace of its own."""

    name = "samplers"
    title = "Pass@k by decoding order"
    title_of_models = "Pass@k by model"
    source = "paper, Figure 11a"
    needs = "runs of two orders or more, alike in all else"
    height = 2.4

    def usable(self, group: RunSet) -> RunSet:
        """See `Figure.usable`."""
        return at_least(at_fixed_pace(group), 2)

    def rows(self, group: RunSet) -> Iterable[pd.DataFrame]:
        """See `Figure.rows`."""
        return pass_at_k_frames(group, common_ks(group))

    def foot(self, data: pd.DataFrame) -> str:
        """See `Figure.foot`."""
        return foot(data, self.note + verdicts_note(data) + sources(data))


class DifferenceToAR(PassAtKFigure):
    """One row an order and k; positive where the order is better than AR (the model than the first, `reference`)."""

    name = "difference"
    title = "Pass@k minus that of AR order"
    title_of_models = "Pass@k minus that of the first model"
    source = "ours"
    needs = "a run of order ar and one of another order, alike in all else"
    note = (
        f"Paired by problem. {BAND_NOTE} Each does so by itself, not corrected for the number of curves; "
        "the verdicts of flexeval passk are, by wider bands."
    )
    same_problems = False
    height = 2.2
    labels = ("k", "difference, points")

    def usable(self, group: RunSet) -> RunSet:
        """See `Figure.usable`."""
        return against_first(group, self.compare)

    def rows(self, group: RunSet) -> Iterable[pd.DataFrame]:
        """See `Figure.rows`."""
        first, *others = group
        for other in others:
            own, run = alike(first, other)
            band = difference_band(run.counts(), own.counts(), common_ks(RunSet((own, run))))
            yield with_settings(band, run).assign(reference=compared(first, self.compare))

    def foot(self, data: pd.DataFrame) -> str:
        """See `Figure.foot`. It names the first model."""
        firsts = ", ".join(data["reference"].unique())
        return foot(data, f"Minus {firsts}. {self.note}" if self.compare == MODELS else self.note)

    def finish_panel(self, panel: Axes, rows: pd.DataFrame) -> None:
        """Mark where there is no difference."""
        super().finish_panel(panel, rows)
        panel.axhline(0, color=INK, linewidth=0.7, zorder=1)


def pass_at_k_frames(group: RunSet, ks: list[int]) -> list[pd.DataFrame]:
    """`pass_at_k_rows` of each run; where `correct` counts, also its curve by each other verdict that all runs have."""
    names = set.intersection(*(set(run.tally()) for run in group)) - {CORRECT}
    frames = []
    for run in group:
        frames.append(pass_at_k_rows(run, ks))
        for name in sorted(names) if run.counted == CORRECT else ():
            view = run.counting(name)
            frames.append(with_settings(pass_at_k_band(view.counts(), ks).assign(source=MEASURED), view))
    return frames


def verdicts_note(data: pd.DataFrame) -> str:
    """The sentence on dotted curves; empty where there are none."""
    others = sorted(set(data["counted"]) - {CORRECT})
    dotted = CORRECT in set(data["counted"]) and others
    return f" Dotted: by the verdict {' and '.join(others)} instead of correct." if dotted else ""


def pass_at_k_rows(run: Run, ks: list[int]) -> pd.DataFrame:
    """One run's measured curve with its simultaneous band, and the published numbers of its setting, or why none."""
    measured = pass_at_k_band(run.counts(), ks)
    measured.insert(0, "source", MEASURED)
    measured[WHY_NONE] = published.pass_at_k(run).why_none or float("nan")
    known = published_pass_at_k(run)
    return (
        pd.concat([with_settings(measured, run), known], ignore_index=True)
        if len(known)
        else with_settings(measured, run)
    )
