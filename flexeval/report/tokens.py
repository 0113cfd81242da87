"""The sections on committed tokens: their entropy, the words that were bypassed, and the order itself."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from flexeval.errors import InputError
from flexeval.report.page import Part, Section, Table, bounds, percent
from flexeval.report.task_runs import TaskRuns
from flexeval.runs.one_pass import in_one_pass
from flexeval.runs.store import Run
from flexeval.stats.bootstrap import interval
from flexeval.stats.bypass import Enrichment, bypass_table, enrichment, most_bypassed
from flexeval.stats.entropy import connector_entropy, highest_entropy_words
from flexeval.stats.intervals import p_value_text
from flexeval.stats.order import global_ar_ness, local_ar_ness, order_distance
from flexeval.stats.ranks import non_top_rate, proposal_against_commit

_NO_TEXT = "This run has no text to measure yet."
_IMPORTED = "This run was imported: another program drew its texts, and how it drew their tokens is not known."


# ----- words: entropy and bypass -----

WORDS_SHOWN = 12
_QUANTITIES = {
    "entropy": "at commit",
    "eligible_entropy": "when eligible",
    "frontier_entropy": "at the frontier",
    "closure": "closure",
}


@dataclass(frozen=True, kw_only=True)
class WordStatistics:
    """What the token rows of one run say about words; the rows themselves are not kept."""

    label: str
    entropy: pd.DataFrame
    highest: pd.DataFrame
    bypass: pd.DataFrame
    most_bypassed: pd.DataFrame
    enrichment: Enrichment | str
    """Connectors against other words, or why that cannot be measured."""


@dataclass(frozen=True, kw_only=True)
class TaskWords:
    """The runs of a task that have tokens of text, and a line for each of those that have none."""

    task: str
    runs: Sequence[WordStatistics]
    without_text: Sequence[str]


def measure_words(group: TaskRuns) -> TaskWords:
    """Entropy and bypass of the runs of a task."""
    having, without_text = [], []
    for label, run in group.named:
        if len(run.samples) and run.samples["length"].max() > 0:
            having.append(functools.partial(_word_statistics, label, run))
        else:
            without_text.append(f"{label}: {_IMPORTED if run.imported else _NO_TEXT}")
    runs = [measured.result() for measured in in_one_pass(having)]
    return TaskWords(task=group.task, runs=runs, without_text=without_text)


def _word_statistics(label: str, run: Run) -> WordStatistics:
    entropies, passed = ["entropy", "eligible_entropy", "frontier_entropy"], ["commit_step", "frontier_step", "passes"]
    tokens = run.token_parts(["problem_id", "in_text", *entropies])
    words, steps = run.word_parts(entropies), run.word_parts(passed)
    enriched, *tables = in_one_pass(
        [
            lambda: enrichment(run.word_parts(["in_block", "passes"])),
            lambda: connector_entropy(tokens, words, quantities=list(_QUANTITIES)),
            lambda: highest_entropy_words(words, tokens, top=WORDS_SHOWN),
            lambda: bypass_table(steps, by="connector"),
            lambda: most_bypassed(steps, top=WORDS_SHOWN),
        ]
    )
    entropy, highest, bypass, most = (table.result() for table in tables)
    try:
        connectors: Enrichment | str = enriched.result()
    except InputError as error:
        connectors = str(error)
    return WordStatistics(
        label=label, entropy=entropy, highest=highest, bypass=bypass, most_bypassed=most, enrichment=connectors
    )


def entropy_section(tasks: Sequence[TaskWords], figures: Sequence[Part]) -> Section:
    """Entropies of tokens, of connectors and of other words."""
    return Section(
        name="entropy",
        title="Entropy",
        about="Entropy of the untempered softmax in nats, mean with 95 % interval over problems: when a token was "
        "committed, when its position became eligible, and when it became the frontier. Closure is the last minus the "
        "first. A word counts at its first token. Connectors are the 26 words of the paper's list, at the start of a "
        "clause.",
        parts=figures,
        tasks=[(task.task, [*_entropy_table(task), *_highest_table(task), *_notes(task)]) for task in tasks],
    )


def bypass_section(tasks: Sequence[TaskWords], figures: Sequence[Part]) -> Section:
    """How often words were passed over, and connectors more often than others at the same place."""
    return Section(
        name="bypass",
        title="Bypass",
        about="A word is bypassed when, at some step, its first token was the leftmost eligible position and another "
        "position was committed. The matched difference compares connectors with other words of the same problem at "
        "the same position in the block; its p is from a permutation test.",
        parts=figures,
        tasks=[(task.task, [*_bypass_table(task), *_most_bypassed_table(task), *_notes(task)]) for task in tasks],
    )


def _notes(task: TaskWords) -> list[Part]:
    return list(task.without_text)


def _entropy_table(task: TaskWords) -> list[Part]:
    rows = []
    for run in task.runs:
        measured = run.entropy.set_index(["group", "quantity"]).to_dict("index")
        for group in ("all tokens", "connectors", "other words"):
            cells = [measured[group, name] for name in _QUANTITIES]
            if cells[0]["count"]:
                means = [bounds(cell["estimate"], cell["low"], cell["high"], ".2f") for cell in cells]
                rows.append([run.label, group, *means, str(int(cells[0]["count"]))])
    columns = ["run", "of", *_QUANTITIES.values(), "count"]
    return [Table(columns=columns, rows=rows, caption="Mean entropy, nats", labels=2)] if rows else []


def _highest_table(task: TaskWords) -> list[Part]:
    rows = [
        [run.label, ", ".join(f"{row['word']} {row['estimate']:.2f}" for row in run.highest.to_dict("records"))]
        for run in task.runs
        if len(run.highest)
    ]
    caption = "Words of the highest mean entropy at commit, nats, among those with 20 occurrences or more"
    return [Table(columns=["run", "words"], rows=rows, caption=caption, words=(1,))] if rows else []


def _bypass_table(task: TaskWords) -> list[Part]:
    rows = []
    for run in task.runs:
        rates = run.bypass.set_index("connector")[["rate", "low", "high"]].reindex([True, False])
        cells = [_rate(*rates.loc[connector]) for connector in (True, False)]
        found = run.enrichment
        matched = (
            ["–", "–"] if isinstance(found, str) else [percent(found.difference, "+"), p_value_text(found.p_value)]
        )
        rows.append([run.label, *cells, *matched])
    columns = ["run", "connectors, %", "other words, %", "matched difference, points", "p"]
    parts: list[Part] = [Table(columns=columns, rows=rows, caption="Bypass rate with 95 % intervals")] if rows else []
    return parts + [f"{run.label}: {run.enrichment}." for run in task.runs if isinstance(run.enrichment, str)]


def _rate(rate: float, low: float, high: float) -> str:
    return bounds(100 * rate, 100 * low, 100 * high, ".1f")


def _most_bypassed_table(task: TaskWords) -> list[Part]:
    rows = [
        [
            run.label,
            row["word"],
            "yes" if row["connector"] else "",
            f"{row['bypassed']} of {row['occurrences']}",
            _rate(row["rate"], row["low"], row["high"]),
            f"{row['delay']:.1f}",
        ]
        for run in task.runs
        for row in run.most_bypassed.to_dict("records")
        if row["bypassed"]
    ]
    if not rows:
        return ["No word with 20 occurrences or more was bypassed."] if task.runs else []
    columns = ["run", "word", "connector", "bypassed", "rate, %", "mean delay, steps"]
    caption = "The most bypassed words, among those with 20 occurrences or more"
    return [Table(columns=columns, rows=rows, caption=caption, words=(2,), labels=2)]


# ----- the order -----

SAMPLES = 16
"""Of each problem, at most: the work of comparing orders grows with the square."""
KS = (1, 4)
"""Of AR-ness."""
BINS = 5
"""Ranges of the likeliest token's probability."""
_ORDER_COLUMNS = ["problem_id", "sample_index", "position", "in_text", "commit_step", "rank", "prob", "top_prob"]


def order_section(groups: Sequence[TaskRuns]) -> Section:
    """AR-ness, order distance, and how often the likeliest token was committed."""
    return Section(
        name="order",
        title="Order",
        about="Local AR-ness@k is the share of runs of k commits in which each position is right after the one before. "
        "Global AR-ness@k is the share of commits at one of the k leftmost masks. Both are 100 % for AR. Order "
        "distance compares the commit steps of two samples of a problem: 0 for the same order, 50 % for two random "
        "ones, 100 % for reversed ones. A token is non-top when another one was likelier in the untempered "
        "distribution. Means with 95 % intervals over problems.",
        tasks=[(group.task, _order_tables(group)) for group in groups],
    )


def _order_tables(group: TaskRuns) -> list[Part]:
    measures, likeliest = [], []
    without_text: list[Part] = []
    for label, run in group.named:
        if run.imported:
            without_text.append(f"{label}: {_IMPORTED}")
            continue
        tokens = run.part(num_samples=SAMPLES, limit=run.config.limit).tokens(_ORDER_COLUMNS)
        if tokens["in_text"].any():
            measures.append([label, *_order_measures(tokens)])
            likeliest.append([label, *_likeliest(tokens)])
        else:
            without_text.append(f"{label}: {_NO_TEXT}")
    if not measures:
        return without_text
    most = max(run.config.num_samples for run in group.runs)
    extent = f"first {SAMPLES} samples of a problem" if most > SAMPLES else "all samples"
    columns = ["run", *(f"local @{k}" for k in KS), *(f"global @{k}" for k in KS), "order distance", "non-top tokens"]
    ranges = [f"{100 * i // BINS}–{100 * (i + 1) // BINS} %" for i in range(BINS)]
    caption = (
        "Tokens that were the likeliest when they were committed, %, by the probability of the likeliest token. In "
        "brackets the mean of that probability, %, which is what one untempered draw would give"
    )
    return [
        Table(columns=columns, rows=measures, caption=f"AR-ness, order distance, non-top tokens, %; {extent}"),
        Table(columns=["run", *ranges], rows=likeliest, caption=caption),
        *without_text,
    ]


def _order_measures(tokens: pd.DataFrame) -> list[str]:
    ar_ness = [local_ar_ness(tokens, ks=KS), global_ar_ness(tokens, ks=KS)]
    columns = [by_problem[[k]] for by_problem in ar_ness for k in KS]
    columns.append(order_distance(tokens).set_index("problem_id")[["distance"]])
    return [*map(_mean, columns), percent(non_top_rate(tokens))]


def _mean(column: pd.DataFrame) -> str:
    """Over the problems that have a value."""
    known = column.dropna()
    if known.empty:
        return "–"
    (found,) = interval(known).values()
    return percent(found)


def _likeliest(tokens: pd.DataFrame) -> list[str]:
    """One cell for each range of probabilities."""
    found = {
        round(BINS * row["low"]): f"{100 * row['committed']:.1f} ({100 * row['top_prob']:.1f})"
        for row in proposal_against_commit(tokens, bins=BINS).to_dict("records")
    }
    return [found.get(i, "–") for i in range(BINS)]
