"""`flexeval entropy`: how uncertain the model was about words when they were committed, order by order."""

from __future__ import annotations

import argparse
import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from flexeval.cli import formatting, options, stored_runs
from flexeval.errors import InputError

if TYPE_CHECKING:
    import pandas as pd
    from rich.table import Table

    from flexeval.runs.store import Run, RunSet
    from flexeval.stats.parts import Rows

EPILOG = """\
examples:
  flexeval entropy runs/forks/forks/ar-* runs/forks/forks/confidence-*
  flexeval entropy runs/forks/forks --top 30 --csv entropy.csv
  flexeval entropy runs/forks/forks/confidence-* --counterfactual

Entropies are in nats, of the untempered softmax, at the first token of a word. Connectors are the words of the paper's
list, at the start of a clause. A position is the frontier while it is the leftmost one that may be committed; closure
is the entropy at that time minus the entropy at commit. The AR counterfactual of a token is its entropy given only the
tokens before it. log q is the log-probability of a token when it was committed; its variance is over the tokens of a
sample. Entropy descends where its mean rises from no block to the next. Intervals are 95 % bootstrap intervals over
problems.
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    options.add_stored_runs(parser)
    parser.add_argument(
        "--counterfactual",
        action="store_true",
        help="Compute the AR counterfactual of runs that do not have it yet. Needs the model; continues after a stop.",
    )
    options.add_verdict(parser)
    options.add_words(parser, top="10", listed="of the words with the highest entropy")
    options.add_machine(parser, batch=True)
    options.add_estimate(parser)
    options.add_files(parser.add_argument_group("output"), rows="one row for each run, group of words and quantity")


def run(args: argparse.Namespace) -> int:
    """Read, compute what is asked for, print and write."""
    from flexeval.cli import output
    from flexeval.runs.one_pass import in_one_pass
    from flexeval.stats.entropy import connector_entropy, highest_entropy_words
    from flexeval.stats.traces import block_entropy, trace_table, traces_by_verdict

    top = options.whole_number(args.top, least=1, what="--top")
    min_count = options.whole_number(args.min_count, least=1, what="--min-count")
    options.check_machine(args)
    options.check_estimate(args)
    output.check_targets({"--json": args.json, "--csv": args.csv})
    if args.dry_run and not args.counterfactual:
        raise InputError("--dry-run says what --counterfactual takes; give both, or leave it out")
    runs = stored_runs.read(args.runs).counting(args.verdict)
    if args.dry_run:
        from flexeval.cli.dry_run import dry_counterfactuals

        dry_counterfactuals(runs, args)
        return 0
    if args.counterfactual:
        _add_counterfactuals(runs, args)

    labels = runs.labels()
    measures: list[Callable[[Run], pd.DataFrame]] = [
        lambda run: connector_entropy(*_rows(run)),
        lambda run: highest_entropy_words(*reversed(_at_commit(run)), top=top, min_count=min_count),
        lambda run: traces_by_verdict(trace_table(*_decodes(run))),
        lambda run: block_entropy(*_decodes(run)),
    ]
    tables = [functools.partial(_of_each, runs, measure) for measure in measures]
    found = [table.result() for table in in_one_pass([*tables, functools.partial(_differences, runs)])]
    entropy, highest, traces, blocks, differences = found
    traces, blocks = (table.replace({"verdict": _sides(args.verdict)}) for table in (traces, blocks))

    estimate = ["estimate", "low", "high"]
    content = {
        "runs": stored_runs.about(runs),
        "entropy": formatting.json_rows(entropy, nats=estimate),
        "differences": formatting.json_rows(differences, nats=["difference", "low", "high"]),
        "highest_entropy_words": formatting.json_rows(highest, nats=estimate),
        **{
            quantity: formatting.json_rows(traces[traces["quantity"] == quantity].drop(columns="quantity"), **units)
            for quantity, units in _TRACE_UNITS.items()
        },
        "block_entropy": formatting.json_rows(blocks, nats=estimate),
    }
    shown = [
        *_shown(labels, entropy, differences, highest),
        *_by_verdict(labels, args.verdict, traces, blocks),
        *stored_runs.introduction(runs),
    ]
    rows = formatting.described(formatting.with_units(entropy, nats=estimate), runs)
    output.deliver(args, shown, content, rows)
    return 0


_ENTROPIES = ("entropy", "eligible_entropy", "frontier_entropy")
_OF_TRACES = ("problem_id", "sample_index", "block", "in_text", "entropy", "prob")


def _of_each(runs: RunSet, measure: Callable[[Run], pd.DataFrame]) -> pd.DataFrame:
    """One table of what is measured of each run."""
    from flexeval.runs.one_pass import in_one_pass

    found = in_one_pass([functools.partial(measure, run) for run in runs])
    return formatting.by_run(runs.labels(), [measured.result() for measured in found])


def _at_commit(run: Run) -> tuple[Rows, Rows]:
    """Token rows and words with the entropy at commit."""
    return run.token_parts(["problem_id", "in_text", "entropy"]), run.word_parts(["entropy"])


def _decodes(run: Run) -> tuple[Rows, pd.DataFrame]:
    """The token rows of traces, and the outcomes of their samples."""
    return run.token_parts(_OF_TRACES), run.outcomes()


def _rows(run: Run) -> tuple[Rows, Rows]:
    """Token rows and words in parts, with the counterfactual where it is stored."""
    from flexeval.runs.counterfactual_table import KEYS, has_counterfactual, with_counterfactual

    if not has_counterfactual(run):
        return run.token_parts(["problem_id", "in_text", *_ENTROPIES]), run.word_parts(_ENTROPIES)
    tokens, words = run.token_parts([*KEYS, "in_text", *_ENTROPIES]), run.word_parts([*KEYS[1:], *_ENTROPIES])
    return with_counterfactual(run, tokens), with_counterfactual(run, words)


def _add_counterfactuals(runs: RunSet, args: argparse.Namespace) -> None:
    """Compute what is missing. Each model is loaded once if its runs are next to each other."""
    from flexeval.cli import output
    from flexeval.cli.execute import RunSampler
    from flexeval.cli.progress import counted
    from flexeval.runs.counterfactual import require_counterfactual
    from flexeval.runs.counterfactual_table import has_counterfactual
    from flexeval.runs.identity import require_continuable

    sampler = RunSampler(args)
    labelled = zip(runs.labels(), runs, strict=True)
    missing = [(label, run) for label, run in labelled if not run.imported and not has_counterfactual(run)]
    for _, run in missing:
        output.check_run_folders([run.folder])
        require_counterfactual(run)
        require_continuable(run.record, dtype=args.dtype, folder=f"run folder {run.folder}")
    for label, run in missing:
        sampler.model(run.config)
        with counted(f"{label}: AR counterfactual") as progress:
            sampler.add_counterfactual(run, progress)


def _differences(runs: RunSet) -> pd.DataFrame:
    """first, second, group, difference, low, high, p_value, verdict: entropy at commit, each run minus the first.

    p-values are corrected by Holm's step-down over all rows, and verdicts follow them. Empty where the runs are not on
    the same problems.
    """
    import pandas as pd

    from flexeval.runs.one_pass import in_one_pass
    from flexeval.runs.store import changed_problem
    from flexeval.stats.entropy import ALL_CONNECTORS, ALL_TOKENS, pooled_entropy
    from flexeval.stats.pooled import pooled_difference
    from flexeval.stats.verdict import holm, side
    from flexeval.stats.words import connectors

    columns = ["first", "second", "group", "difference", "low", "high", "p_value", "verdict"]
    problems, labels = pd.Index(runs[0].problems["problem_id"]), runs.labels()
    others = any(len(problems.symmetric_difference(run.problems["problem_id"])) for run in runs)
    if len(runs) < 2 or others or changed_problem(runs) is not None:
        return pd.DataFrame(columns=columns)
    tokens, words = zip(*map(_at_commit, runs), strict=True)
    pooled = in_one_pass(
        [functools.partial(pooled_entropy, rows, problems) for rows in (*tokens, *map(connectors, words))]
    )
    of_rows = [sums.result() for sums in pooled]
    of_both = zip(of_rows[: len(runs)], of_rows[len(runs) :], strict=True)
    sums = [{ALL_TOKENS: of_tokens, ALL_CONNECTORS: of_connectors} for of_tokens, of_connectors in of_both]
    found = [
        (label, group, pooled_difference(own[group], reference))
        for label, own in list(zip(labels, sums, strict=True))[1:]
        for group, reference in sums[0].items()
        if own[group].counts_PK.any() and reference.counts_PK.any()
    ]
    p_values = holm([at.p_value(0) for *_, at in found])
    rows = [
        (label, labels[0], group, at.estimate, at.low, at.high, p, side(at.low, at.high, p, level=at.level))
        for (label, group, at), p in zip(found, p_values, strict=True)
    ]
    return pd.DataFrame(rows, columns=columns)


_TRACE_UNITS: Mapping[str, Mapping[str, Sequence[str]]] = {
    "log_prob": {"nats": ["estimate", "low", "high"]},
    "log_prob_variance": {"squared_nats": ["estimate", "low", "high"]},
    "entropy_descends": {"percent": ["estimate", "low", "high"]},
    "entropy_correlation": {},
}
"""Quantity of `stats.traces` -> the units of its numbers."""


def _sides(verdict: str) -> dict[str, str]:
    """What `stats.traces` calls the two sides of the verdict that counts -> what they are called of this one."""
    from flexeval.stats.traces import CORRECT, GAP, INCORRECT

    if verdict == CORRECT:
        return {}
    return {CORRECT: verdict, INCORRECT: f"not {verdict}", GAP: f"{verdict} − not {verdict}"}


# ----- the terminal -----

_QUANTITIES = {
    "entropy": "at commit",
    "eligible_entropy": "when eligible",
    "frontier_entropy": "at the frontier",
    "closure": "closure",
    "ar_entropy": "AR counterfactual",
    "ar_gap": "AR counterfactual − at commit",
}


def _shown(
    labels: Sequence[str], entropy: pd.DataFrame, differences: pd.DataFrame, words: pd.DataFrame
) -> Iterator[str | Table]:
    from flexeval.stats.entropy import ALL_CONNECTORS, ALL_TOKENS, QUANTITIES

    yield "Entropy at commit in nats: mean over occurrences, with 95 % intervals over problems"
    yield _side_by_side(entropy[entropy["quantity"] == "entropy"], "group", labels)
    for group in (ALL_TOKENS, ALL_CONNECTORS):
        of_group = entropy[entropy["group"] == group]
        known = [quantity for quantity in QUANTITIES if of_group.loc[of_group["quantity"] == quantity, "count"].any()]
        yield f"{group.capitalize()}: entropy in nats"
        rows = of_group[of_group["quantity"].isin(known)].replace({"quantity": _QUANTITIES})
        yield _side_by_side(rows, "quantity", labels)
    if len(differences):
        yield f"Entropy at commit, difference to {labels[0]}, paired by problem"
        columns = ["", "", "difference, nats", "p", "verdict"]
        yield formatting.table(columns, [_difference_cells(row) for row in differences.to_dict("records")], keys=2)
        yield "p is corrected by Holm's step-down over these rows; where it is above 0.05, the row is unresolved"
    elif len(labels) > 1:
        yield "The runs are not on the same problems, so differences are left out"
    yield "Words of the highest entropy at commit, and the ratio to the average token"
    columns = ["run", "rank", "word", "connector", "entropy, nats", "count", "ratio"]
    yield formatting.table(columns, [_word_cells(row) for row in words.to_dict("records")], keys=3)


_TRACES = {
    "log_prob": "mean log q, nats",
    "log_prob_variance": "variance of log q, squared nats",
    "entropy_descends": "entropy descends block by block, share of samples",
    "entropy_correlation": "rank correlation of block and entropy",
}


def _by_verdict(
    labels: Sequence[str], verdict: str, traces: pd.DataFrame, blocks: pd.DataFrame
) -> Iterator[str | Table]:
    yield f"{verdict.capitalize()} samples against others: means over samples"
    named = traces.assign(row=traces["quantity"].map(_TRACES) + ": " + traces["verdict"])
    yield _side_by_side(named, "row", labels)
    yield "Entropy at commit block by block, in nats: means over text tokens"
    numbered = blocks.assign(row=blocks["verdict"] + ", block " + (blocks["block"] + 1).astype(str))
    yield _side_by_side(numbered.sort_values(["verdict", "block"], kind="stable"), "row", labels)


def _side_by_side(rows: pd.DataFrame, by: str, labels: Sequence[str]) -> Table:
    """One row for each value of `by`, one column for each run."""
    cells = {(row["run"], row[by]): _estimate(row) for row in rows.to_dict("records")}
    lines = [[name, *(cells.get((label, name), "-") for label in labels)] for name in dict.fromkeys(rows[by])]
    return formatting.table(["", *labels], lines, right=labels)


def _difference_cells(row: Mapping[Any, Any]) -> list[str]:
    from flexeval.stats.intervals import p_value_text

    return [
        f"{row['first']} − {row['second']}",
        row["group"],
        formatting.estimate(row["difference"], row["low"], row["high"], "+.3f", scale=1),
        p_value_text(row["p_value"]),
        row["verdict"],
    ]


def _word_cells(row: Mapping[Any, Any]) -> list[str]:
    connector = "yes" if row["connector"] else ""
    ratio = f"{row['ratio']:.2f}"
    return [row["run"], str(row["rank"]), row["word"], connector, _estimate(row), str(row["count"]), ratio]


def _estimate(row: Mapping[Any, Any]) -> str:
    return formatting.estimate(row["estimate"], row["low"], row["high"], ".3f", scale=1) if row["count"] else "-"
