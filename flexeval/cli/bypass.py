"""`flexeval bypass`: which words an order passes over, and whether connectors more than other words."""

from __future__ import annotations

import argparse
import dataclasses
import functools
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from flexeval.cli import formatting, options, stored_runs
from flexeval.errors import InputError

if TYPE_CHECKING:
    import pandas as pd
    from rich.table import Table

    from flexeval.stats.bypass import Enrichment
    from flexeval.stats.parts import Rows

EPILOG = """\
examples:
  flexeval bypass runs/forks/forks/confidence-*
  flexeval bypass runs/forks/forks --top 30 --min-count 50 --csv bypass.csv

A word is bypassed when its first token was the leftmost position that could be committed and another position was
committed instead. Its delay is the number of steps from when it became the leftmost position to its commit.
Connectors are compared with other words of the same problem at the same position in the block. The p-value is from a
permutation test that shuffles the labels among these words.
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    options.add_stored_runs(parser)
    options.add_words(parser, top="15", listed="of the most bypassed words")
    options.add_files(parser.add_argument_group("output"), rows="one row for each run and word")


def run(args: argparse.Namespace) -> int:
    """Read, count, print and write."""
    from flexeval.cli import output
    from flexeval.runs.one_pass import in_one_pass
    from flexeval.stats.bypass import bypass_tables

    top = options.whole_number(args.top, least=1, what="--top")
    min_count = options.whole_number(args.min_count, least=1, what="--min-count")
    output.check_targets({"--json": args.json, "--csv": args.csv})
    runs = stored_runs.read(args.runs)
    labels = runs.labels()

    enrichments: dict[str, Enrichment | InputError] = {}
    tables, most = [], []
    for label, run in zip(labels, runs, strict=True):
        words = run.word_parts(_COLUMNS)
        enriched, found = in_one_pass(
            [
                functools.partial(_enrichment, words),
                functools.partial(bypass_tables, words, top=top, min_count=min_count),
            ]
        )
        enrichments[label] = enriched.result()
        every, highest = found.result()
        tables.append(every)
        most.append(highest)
    every_word, most_often = formatting.by_run(labels, tables), formatting.by_run(labels, most)

    shown = [*_shown(enrichments, most_often), *stored_runs.introduction(runs)]
    content = {
        "runs": stored_runs.about(runs),
        "enrichment": [_enrichment_row(label, found) for label, found in enrichments.items()],
        "most_bypassed": formatting.json_rows(most_often, **_UNITS),
        "words": formatting.json_rows(every_word, **_UNITS),
    }
    rows = formatting.described(formatting.with_units(every_word, **_UNITS), runs)
    output.deliver(args, shown, content, rows)
    return 0


_COLUMNS = ("in_block", "commit_step", "frontier_step", "passes")
_UNITS = {"percent": ["rate", "low", "high"], "steps": ["delay"]}


def _enrichment(words: Rows) -> Enrichment | InputError:
    """The comparison of connectors with other words, or the reason why there is none."""
    from flexeval.stats.bypass import enrichment

    try:
        return enrichment(words)
    except InputError as error:
        return error


def _enrichment_row(label: str, found: Enrichment | InputError) -> dict[str, Any]:
    """As JSON values: the numbers, or the reason why there are none."""
    import pandas as pd

    if isinstance(found, InputError):
        return {"run": label, "missing": str(found)}
    content = {field.name: getattr(found, field.name) for field in dataclasses.fields(found)}
    content |= {name: content[name].numbers() for name in ("difference", "ratio")}
    row = pd.json_normalize({"run": label, **content}, sep="_")
    differences = ["difference_estimate", "difference_low", "difference_high"]
    return formatting.json_rows(row, percent=["rate", "matched_rate"], points=differences)[0]


# ----- the terminal -----


def _shown(enrichments: Mapping[str, Enrichment | InputError], most: pd.DataFrame) -> Iterator[str | Table]:
    columns = ["", "connectors", "rate", "others, matched", "difference", "ratio", "p"]
    yield "Bypass rate of connectors and of other words at the same place, percent"
    yield formatting.table(columns, [_enrichment_cells(label, found) for label, found in enrichments.items()])
    for label, found in enrichments.items():
        if isinstance(found, InputError):
            yield f"{label}: {found}"
        elif found.unmatched:
            yield f"{label}: {found.unmatched} more connectors have no other word at their place, and are not compared"
    columns = ["run", "rank", "word", "connector", "rate", "occurrences", "delay"]
    yield "Most bypassed words: rate in percent with Wilson intervals, delay in steps"
    yield formatting.table(columns, [_word_cells(row) for row in most.to_dict("records")], keys=3)


def _enrichment_cells(label: str, found: Enrichment | InputError) -> list[str]:
    if isinstance(found, InputError):
        return [label, *["-"] * 6]
    difference, ratio = found.difference, found.ratio
    return [
        label,
        str(found.connectors),
        f"{100 * found.rate:.1f}",
        f"{100 * found.matched_rate:.1f}",
        formatting.estimate(difference.estimate, difference.low, difference.high, "+.1f"),
        formatting.estimate(ratio.estimate, ratio.low, ratio.high, ".2f", scale=1),
        f"{found.p_value:.4f}",
    ]


def _word_cells(row: Mapping[Any, Any]) -> list[str]:
    return [
        row["run"],
        str(row["rank"]),
        row["word"],
        "yes" if row["connector"] else "",
        formatting.estimate(row["rate"], row["low"], row["high"]),
        str(row["occurrences"]),
        "-" if row["delay"] != row["delay"] else f"{row['delay']:.1f}",
    ]
