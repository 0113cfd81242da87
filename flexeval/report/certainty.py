"""The sections on how sure the model was: entropy of what was committed, and what an order passed over."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from flexeval.errors import InputError
from flexeval.report.groups import TaskRuns, bounds, p_value, percent, under_tasks
from flexeval.report.markup import Markup, element, join, note, table
from flexeval.report.page import Section
from flexeval.runs.store import Run
from flexeval.stats.bypass import Enrichment, bypass_table, enrichment, most_bypassed
from flexeval.stats.entropy import connector_entropy, highest_entropy_words
from flexeval.stats.words import find_words

WORDS_SHOWN = 12
_READ = ["problem_id", "sample_index", "position", "piece", "in_text", "commit_step", "entropy", "eligible_entropy"]
_READ += ["frontier_step", "frontier_entropy", "passes"]
_QUANTITIES = {
    "entropy": "at commit",
    "eligible_entropy": "when eligible",
    "frontier_entropy": "at the frontier",
    "closure": "closure",
}
_WITHOUT_WORDS = "This run has no text to measure yet."


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What the token rows of one run say; the rows themselves are not kept."""

    label: str
    entropy: pd.DataFrame
    highest: pd.DataFrame
    bypass: pd.DataFrame
    most: pd.DataFrame
    enrichment: Enrichment | str
    """Or why there is none."""


@dataclass(frozen=True, kw_only=True)
class MeasuredTask:
    """The runs of a task that have text, and the names of those that have none."""

    task: str
    measured: Sequence[Measured]
    empty: Sequence[str]


def measure(group: TaskRuns) -> MeasuredTask:
    """Entropy and bypass of the runs of a task, one run in memory at a time."""
    measured, empty = [], []
    for label, run in group.named:
        if len(run.samples) and run.samples["length"].max() > 0:
            measured.append(_measure(label, run))
        else:
            empty.append(label)
    return MeasuredTask(task=group.task, measured=measured, empty=empty)


def _measure(label: str, run: Run) -> Measured:
    tokens = run.tokens(_READ)
    words = find_words(tokens)
    try:
        enriched: Enrichment | str = enrichment(words, run.config.sampling.block)
    except InputError as error:
        enriched = str(error)
    return Measured(
        label=label,
        entropy=connector_entropy(tokens, words, quantities=list(_QUANTITIES)),
        highest=highest_entropy_words(words, tokens, top=WORDS_SHOWN),
        bypass=bypass_table(words, by="connector"),
        most=most_bypassed(words, top=WORDS_SHOWN),
        enrichment=enriched,
    )


def entropy_section(tasks: Sequence[MeasuredTask], figures: Markup) -> Section:
    """Entropies of tokens, of connectors and of other words."""
    about = element(
        "p",
        "Nats of the untempered softmax, mean with 95 % interval over problems: when a token was committed, when its "
        "position became eligible, and when it became the frontier. Closure is the last minus the first. A word counts "
        "at its first token; connectors are the 26 of the paper's list, at the start of a clause.",
    )
    body = under_tasks([(task.task, _entropy(task)) for task in tasks])
    return Section(name="entropy", title="Entropy", body=join([about, figures, body]))


def bypass_section(tasks: Sequence[MeasuredTask], figures: Markup) -> Section:
    """How often words were passed over, and connectors more often than others at the same place."""
    about = element(
        "p",
        "A word is bypassed when its first token was the leftmost eligible position at some step and something else "
        "was committed. Matched compares connectors with the other words of the same problem at the same position in "
        "the block; p is of a permutation test.",
    )
    body = under_tasks([(task.task, _bypass(task)) for task in tasks])
    return Section(name="bypass", title="Bypass", body=join([about, figures, body]))


def _notes(task: MeasuredTask) -> list[Markup]:
    return [note(f"{label}: {_WITHOUT_WORDS}") for label in task.empty]


def _entropy(task: MeasuredTask) -> Markup:
    rows = []
    for run in task.measured:
        measured = run.entropy.set_index(["group", "quantity"]).to_dict("index")
        for group in ("all tokens", "connectors", "other words"):
            cells = [measured[group, name] for name in _QUANTITIES]
            if cells[0]["count"]:
                means = [bounds(cell["estimate"], cell["low"], cell["high"], ".2f") for cell in cells]
                rows.append([run.label, group, *means, str(int(cells[0]["count"]))])
    columns = ["run", "of", *_QUANTITIES.values(), "count"]
    caption = "Mean entropy, nats"
    parts = [table(columns, rows, caption=caption, labels=2)] if rows else []
    return join([*parts, _highest(task), *_notes(task)])


def _highest(task: MeasuredTask) -> Markup:
    found = [
        [run.label, ", ".join(f"{row['word']} {row['estimate']:.2f}" for row in run.highest.to_dict("records"))]
        for run in task.measured
        if len(run.highest)
    ]
    if not found:
        return Markup("")
    caption = "Words of the highest mean entropy at commit, nats, among those with 20 occurrences or more"
    return table(["run", "words"], found, caption=caption, texts=(1,))


def _bypass(task: MeasuredTask) -> Markup:
    rates = {
        run.label: run.bypass.set_index("connector")[["rate", "low", "high"]].reindex([True, False])
        for run in task.measured
    }
    rows = []
    for run in task.measured:
        cells = [_rate(*rates[run.label].loc[connector]) for connector in (True, False)]
        found = run.enrichment
        matched = ["–", "–"] if isinstance(found, str) else [percent(found.difference, "+"), p_value(found.p_value)]
        rows.append([run.label, *cells, *matched])
    columns = ["run", "connectors, %", "other words, %", "matched difference, points", "p"]
    parts = [table(columns, rows, caption="Bypass rate with 95 % intervals")] if rows else []
    reasons = [note(f"{run.label}: {run.enrichment}.") for run in task.measured if isinstance(run.enrichment, str)]
    return join([*parts, *reasons, _most(task), *_notes(task)])


def _rate(rate: float, low: float, high: float) -> str:
    return bounds(100 * rate, 100 * low, 100 * high, ".1f")


def _most(task: MeasuredTask) -> Markup:
    found = [
        [
            run.label,
            row["word"],
            "yes" if row["connector"] else "",
            f"{row['bypassed']} of {row['occurrences']}",
            _rate(row["rate"], row["low"], row["high"]),
            f"{row['delay']:.1f}",
        ]
        for run in task.measured
        for row in run.most.to_dict("records")
        if row["bypassed"]
    ]
    if not found:
        return note("No word with 20 occurrences or more was bypassed.")
    columns = ["run", "word", "connector", "bypassed", "rate, %", "mean delay, steps"]
    caption = "The most bypassed words, among those with 20 occurrences or more"
    return table(columns, found, caption=caption, texts=(2,), labels=2)
