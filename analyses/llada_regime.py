"""LLaDA-8B-Instruct's regime beside that of stored runs: how far a small model is from the one that papers are about.

    python analyses/llada_regime.py runs/tiny/word-problems --out results/tiny/regime.md

Published numbers are in results/paper/llada_regime.csv, with their sources. They are of another model and of other
tasks, so that nothing here is a comparison in one setting, and no verdict is given: the table shows whether entropies,
order and accuracy are of the same size. Of several runs of an order, the one of the nearest temperature is taken, and
of those the one with most samples. Intervals are 95 % bootstrap intervals over problems. A dash: no number is published
(AR-ness and bypass rates of LLaDA are in plots only), or no run is of that order.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd

from flexeval.errors import InputError
from flexeval.runs.store import Run, read_runs
from flexeval.stats.bootstrap import interval
from flexeval.stats.entropy import ALL_CONNECTORS, ALL_TOKENS, connector_entropy
from flexeval.stats.intervals import Interval, interval_text
from flexeval.stats.order import global_ar_ness, local_ar_ness
from flexeval.stats.pass_at_k import pass_at_k_table
from flexeval.stats.pooled import pool, pooled_interval
from flexeval.stats.ranks import non_top_rate
from flexeval.stats.words import find_words

PUBLISHED = Path(__file__).resolve().parents[1] / "results" / "paper" / "llada_regime.csv"
BENCHMARKS = ("gsm8k", "math500")
COLUMNS = [
    "problem_id", "sample_index", "position", "piece", "in_text", "entropy", "rank", "commit_step", "passes"
]  # fmt: skip
FIRST_SAMPLES = 16
"""Samples of each problem whose order is looked at."""


def entropy_of(group: str) -> Callable[[Run], str]:
    """The mean entropy at commit of a group of tokens; nats."""

    def measured(run: Run) -> str:
        tokens = run.tokens(COLUMNS)
        table = connector_entropy(tokens, find_words(tokens), quantities=["entropy"])
        (row,) = table[table["group"] == group].to_dict("records")
        return interval_text(row["estimate"], row["low"], row["high"], ".2f")

    return measured


def percent(measured: Callable[[Run], Interval]) -> Callable[[Run], str]:
    """A share as text."""
    return lambda run: measured(run).text(scale=100)


def bypass_rate(run: Run) -> Interval:
    """The share of text tokens that were passed over while they were the frontier."""
    tokens = run.tokens(["problem_id", "in_text", "passes"])
    text = tokens[tokens["in_text"]]
    return pooled_interval(pool(text["passes"] > 0, text["problem_id"]), largest=1.0)


def ar_ness(measure: Callable[..., pd.DataFrame]) -> Callable[[Run], Interval]:
    """AR-ness@1, the mean over problems."""

    def measured(run: Run) -> Interval:
        part = run.part(num_samples=min(FIRST_SAMPLES, run.config.num_samples), limit=run.config.limit)
        return interval(measure(part.tokens(COLUMNS), ks=[1]).dropna())[1]

    return measured


def canvas_share(run: Run) -> Interval:
    """Evaluations of a sample over the positions of its canvas."""
    share = run.samples["nfe"] / run.config.sampling.gen_length
    return pooled_interval(pool(share, run.samples["problem_id"]))


MEASURED: dict[str, tuple[str, Callable[[Run], str]]] = {
    "Pass@1": ("%", percent(lambda run: interval(pass_at_k_table(run.counts(), [1]))[1])),
    "entropy of all tokens": ("nats", entropy_of(ALL_TOKENS)),
    "entropy of connectors": ("nats", entropy_of(ALL_CONNECTORS)),
    "commits of non-top tokens": ("%", percent(lambda run: non_top_rate(run.tokens(COLUMNS)))),
    "tokens bypassed": ("%", percent(bypass_rate)),
    "local AR-ness@1": ("%", percent(ar_ness(local_ar_ness))),
    "global AR-ness@1": ("%", percent(ar_ness(global_ar_ness))),
    "evaluations over canvas": ("%", percent(canvas_share)),
}
"""Quantity -> its unit, and how it is measured on a run."""
ORDERS = ("ar", "confidence", "top_prob")


def nearest(runs: list[Run], order: str, temperature: float) -> Run | None:
    """The run of an order at the nearest temperature with most samples; None without any."""
    own = [run for run in runs if run.config.order == order]
    return min(
        own, key=lambda run: (abs(run.config.sampling.temperature - temperature), -len(run.samples)), default=None
    )


def rows(runs: list[Run], published: pd.DataFrame) -> list[list[str]]:
    """Quantity and order; the published number on each benchmark; the run's."""
    lines = []
    for quantity, (unit, measure) in MEASURED.items():
        for order in ORDERS:
            known = published[(published["quantity"] == quantity) & (published["order"] == order)]
            temperature = 0.6 if known.empty else float(known["temperature"].iloc[0])
            run = nearest(runs, order, temperature)
            if known.empty and run is None:
                continue
            by_benchmark = {row["benchmark"]: row for row in known.to_dict("records")}
            cells = [_published(by_benchmark.get(name)) for name in BENCHMARKS]
            ours = "–" if run is None else f"{measure(run)} (T = {run.config.sampling.temperature:g})"
            lines.append([f"{quantity}, {unit}", order, f"{temperature:g}", *cells, ours])
    return lines


def _published(row: dict[Any, Any] | None) -> str:
    if row is None:
        return "–"
    low, high = f"{row['low']:g}", f"{row['high']:g}"
    return low if low == high else f"{low} to {high}"


def report(runs: list[Run], published: pd.DataFrame) -> str:
    """The table, and where its numbers are from."""
    columns = ["", "order", "T published", *(f"LLaDA-8B, {name}" for name in BENCHMARKS), "these runs"]
    lines = [columns, ["---"] * len(columns), *rows(runs, published)]
    table = "".join(f"| {' | '.join(cells)} |\n" for cells in lines)
    first = runs[0]
    models = ", ".join(dict.fromkeys(f"{run.model} on {run.config.task}" for run in runs))
    sources = "; ".join(dict.fromkeys(published["quantity"] + ": " + published["source"]))
    return (
        f"These runs: {models}, {len(first.problems)} problems, {first.config.num_samples} samples. They are of "
        f"another model and task than the published numbers, so that sizes may be compared and nothing else.\n\n"
        f"{table}\n"
        f"Published: {sources}.\n"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path, help="run folders of one model and task, or folders of these")
    parser.add_argument("--block-length", type=int, default=32, help="of the runs to take [default: 32]")
    parser.add_argument("--out", type=Path, help="also write the table here")
    arguments = parser.parse_args()
    try:
        found = [run for run in read_runs(arguments.runs) if run.complete]
    except InputError as error:
        parser.error(str(error))
    length = arguments.block_length
    runs = [run for run in found if run.config.order == "ar" or run.config.sampling.block == length]
    if len({(run.model, run.config.task) for run in runs}) != 1:
        parser.error("give complete runs of one model and one task")
    text = report(runs, pd.read_csv(PUBLISHED))
    print(text)
    if arguments.out is not None:
        folders = " ".join(map(str, arguments.runs))
        arguments.out.write_text(
            f"# LLaDA's regime beside ours\n\n`python analyses/llada_regime.py {folders}`\n\n{text}"
        )


if __name__ == "__main__":
    main()
