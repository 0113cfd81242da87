"""What the paper reports (arXiv:2601.15165v4, LLaDA-8B-Instruct), in words for the claims table. Numbers in percent."""

from __future__ import annotations

from functools import cache
from importlib import resources

import pandas as pd

from flexeval.registry import parse_spec


def pass_at_k_gap(task: str, *, k: int, first: str, second: str) -> str | None:
    """Pass@k of one order minus that of another, in points, on the task or else on each benchmark of the paper."""
    numbers = _numbers("pass_at_k.csv")
    at_k = numbers[(numbers["k"] == k) & numbers["source"].str.contains("Table 4")]
    by_order = at_k.pivot_table(index="benchmark", columns="order", values="pass_at_k_percent", sort=False)
    gaps = (by_order[first] - by_order[second]).dropna()
    return _joined(task, {str(benchmark): f"{gap:+.1f} points" for benchmark, gap in gaps.items()}, f"k = {k}")


def coverage(task: str) -> str | None:
    """Problems that arbitrary order alone, and AR order alone, solves, of all problems."""
    words = {
        str(row.benchmark): f"{row.confidence_only_percent:g} % alone (AR alone {row.ar_only_percent:g} %)"
        for row in _numbers("coverage.csv").itertuples()
    }
    return _joined(task, words, "k = 1024")


def _joined(task: str, by_benchmark: dict[str, str], note: str) -> str | None:
    name, _ = parse_spec(task) if task else ("", {})
    shown = {name: by_benchmark[name]} if name in by_benchmark else by_benchmark
    said = ", ".join(f"{benchmark} {words}" for benchmark, words in shown.items())
    return f"{said} ({note})" if said else None


@cache
def _numbers(name: str) -> pd.DataFrame:
    # A file beside the figures that are drawn with it; the path, since claims do not import figures.
    path = resources.files("flexeval") / "figures" / "paper" / name
    with path.open(encoding="utf-8") as file:
        return pd.read_csv(file)
