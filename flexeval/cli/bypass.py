"""`flexeval bypass`: which words an order passes over, and whether connectors more than other words."""

from __future__ import annotations

import argparse
import dataclasses
from typing import TYPE_CHECKING, Any

from flexeval.cli import options, stored
from flexeval.errors import InputError

if TYPE_CHECKING:
    import pandas as pd
    from rich.table import Table

    from flexeval.runs.store import Run
    from flexeval.stats.bypass import Enrichment
    from flexeval.stats.intervals import Interval

_EPILOG = """\
examples:
  flexeval bypass runs/tiny/word-problems/confidence-*
  flexeval bypass runs/tiny/word-problems --top 30 --min-count 50 --csv bypass.csv

A word is bypassed when its first token was the leftmost position that could be committed and something else
was committed instead. Its delay counts the steps from when it became the leftmost to its commit. Connectors
are compared with the other words of the same problem at the same position in the block; the p-value is of a
permutation test that shuffles the labels among these.
"""


def add_parser(verbs: Any) -> None:
    """Register the verb."""
    verbs.add_parser(
        "bypass",
        help="words that were passed over, and connectors against other words",
        description="Bypass rate and delay of words, and of connectors against other words at the same place.",
        epilog=_EPILOG,
        declare=_declare,
    )


def _declare(parser: argparse.ArgumentParser) -> None:
    stored.add_runs(parser)
    parser.add_argument("--top", metavar="N", default="15", help="Most bypassed words to list. [default: 15]")
    parser.add_argument(
        "--min-count", metavar="N", default="20", help="Occurrences that a listed word needs. [default: 20]"
    )
    stored.add_output(parser, rows="one row a run and word")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Read, count, print and write."""
    import pandas as pd

    from flexeval.cli import output
    from flexeval.cli.units import with_units
    from flexeval.runs.store import read_runs
    from flexeval.stats.bypass import bypass_table, most_bypassed
    from flexeval.stats.words import find_words

    top = options.whole_number(args.top, least=1, what="--top")
    min_count = options.whole_number(args.min_count, least=1, what="--min-count")
    output.check_targets({"--json": args.json, "--csv": args.csv})
    runs = read_runs(args.runs)
    labels = runs.labels()

    enrichments: dict[str, Enrichment | InputError] = {}
    tables, most = [], []
    for label, run in zip(labels, runs, strict=True):
        words = find_words(run.tokens(_COLUMNS))
        enrichments[label] = _enrichment(words, run)
        tables.append(stored.named(label, bypass_table(words)))
        most.append(stored.named(label, most_bypassed(words, top=top, min_count=min_count)))
    every_word, highest = (pd.concat(parts, ignore_index=True) for parts in (tables, most))

    console = output.console(stdout_taken=args.json == "-")
    console.print("Bypass rate of connectors and of other words at the same place, percent", soft_wrap=True)
    console.print(_enrichment_table(enrichments))
    for label, found in enrichments.items():
        if isinstance(found, InputError):
            console.print(f"{label}: {found}", soft_wrap=True)
    console.print("Most bypassed words: rate in percent with Wilson intervals, delay in steps", soft_wrap=True)
    console.print(_word_table(highest))
    for line in stored.introduction(labels, runs):
        console.print(line, soft_wrap=True)
    by_word = {"percent": ["rate", "low", "high"], "steps": ["delay"]}
    content = {
        "runs": stored.about(labels, runs),
        "enrichment": [_enrichment_row(label, found) for label, found in enrichments.items()],
        "most_bypassed": stored.records(with_units(highest, **by_word)),
        "words": stored.records(with_units(every_word, **by_word)),
    }
    output.write_json(args.json, content)
    output.write_csv(args.csv, with_units(every_word, **by_word))
    return 0


_COLUMNS = (
    "problem_id", "sample_index", "position", "piece", "in_text", "commit_step", "frontier_step", "passes"
)  # fmt: skip


def _enrichment(words: pd.DataFrame, run: Run) -> Enrichment | InputError:
    """Or why there is none."""
    from flexeval.stats.bypass import enrichment

    try:
        return enrichment(words, run.config.sampling.block)
    except InputError as error:
        return error


def _enrichment_row(label: str, found: Enrichment | InputError) -> dict[str, Any]:
    """As JSON values: the numbers, or the reason why there are none."""
    import pandas as pd

    from flexeval.cli.units import with_units

    if isinstance(found, InputError):
        return {"run": label, "missing": str(found)}
    content = {field.name: getattr(found, field.name) for field in dataclasses.fields(found)}
    content |= {name: content[name].numbers() for name in ("difference", "ratio")}
    row = pd.json_normalize({"run": label, **content}, sep="_")
    differences = ["difference_estimate", "difference_low", "difference_high"]
    return stored.records(with_units(row, percent=["rate", "matched_rate"], points=differences))[0]


# ----- tables -----


def _enrichment_table(enrichments: dict[str, Enrichment | InputError]) -> Table:
    from rich.table import Table

    table = Table("", "connectors", "rate", "others, matched", "difference", "ratio", "p")
    for label, found in enrichments.items():
        if isinstance(found, InputError):
            table.add_row(label, *["-"] * 6)
            continue
        table.add_row(
            label,
            str(found.connectors),
            f"{100 * found.rate:.1f}",
            f"{100 * found.matched_rate:.1f}",
            _interval(found.difference, scale=100, form="+.1f"),
            _interval(found.ratio, scale=1, form=".2f"),
            f"{found.p_value:.4f}",
        )
    return table


def _word_table(words: pd.DataFrame) -> Table:
    from rich.table import Table

    from flexeval.stats.intervals import interval_text

    table = Table("run", "rank", "word", "connector", "rate", "occurrences", "delay")
    for row in words.to_dict("records"):
        table.add_row(
            row["run"],
            str(row["rank"]),
            row["word"],
            "yes" if row["connector"] else "",
            interval_text(row["rate"], row["low"], row["high"], scale=100),
            str(row["occurrences"]),
            "-" if row["delay"] != row["delay"] else f"{row['delay']:.1f}",
        )
    return table


def _interval(interval: Interval, *, scale: float, form: str) -> str:
    return "-" if interval.estimate != interval.estimate else interval.text(form, scale=scale)
