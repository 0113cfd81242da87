r"""What revision changes: orders that take tokens back, beside their own rules with nothing taken back.

    flexeval passk --order ar --order confidence --order top_prob --order tlc --order tct --order klass \
        --order wino --order wino:tau_back=0 ... --verdict sound --num-samples 64 --limit 100 --out runs/revision
    python analyses/revision.py runs/revision --verdict sound -o results/revision/revision.md

One section for each group of runs that differ in order only; seeds are pooled. Each order that revises is compared with
`Order.committing`, the same rule with nothing taken back, on the same problems, and with the same random numbers where
both have the same seeds; so the difference is the revision. Which tables follow is said above each.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd

from flexeval.errors import InputError
from flexeval.figures.selection import comparable
from flexeval.orders import get_order
from flexeval.runs.store import Run, RunSet, alike, read_runs
from flexeval.runs.target import check_target, write_target
from flexeval.stats.coverage import coverage
from flexeval.stats.curves import comparison
from flexeval.stats.diversity import diversity_table
from flexeval.stats.entropy import ALL_CONNECTORS, OTHER_WORDS, connector_entropy
from flexeval.stats.nfe import pass_at_nfe_table
from flexeval.stats.pass_at_k import pass_at_k_table
from flexeval.stats.revisions import first_commits, successors, taken_back_by_piece
from flexeval.stats.votes import answer_entropy_table
from flexeval.stats.words import find_words

COLUMNS = ("problem_id", "sample_index", "position", "token_id", "piece", "in_text", "commit_step", "entropy")
MOST_WORDS = 8
"""Of the texts that are taken back most often, in the table of words."""
LEAST_SHARE = 0.002
"""Of all commits that a text must be to stand in it."""
REFERENCES = ("ar", "confidence", "top_prob")


def report(runs: RunSet) -> Iterator[str]:
    """All tables, in Markdown.

    Raises:
        InputError: no run of an order that revises beside its rule with nothing taken back.
    """
    yield (
        "# What revision changes\n\nMade by `python analyses/revision.py RUNS --verdict VERDICT -o FILE`. Pass@k in "
        "percent, differences in points with 95 % intervals over problems; entropies in nats of the untempered softmax."
    )
    found = False
    for group in comparable(runs, free={"order"}):
        rules = {run.config.order: get_order(run.config.order).counterpart for run in group}
        pairs = {spec: rule.spec for spec, rule in rules.items() if rule is not None and rule.spec in rules}
        if not pairs:
            continue
        found = True
        by_order = {run.config.order: run for run in alike(*group)}
        yield from section(by_order, [(by_order[one], by_order[other]) for one, other in pairs.items()])
        if group.left_out:
            yield f"\nLeft out: {'; '.join(group.left_out)}."
    if not found:
        raise InputError(
            "needs runs of an order that revises and of its rule with nothing taken back, as in wino:tau_back=0"
        )


def section(by_order: dict[str, Run], pairs: Sequence[tuple[Run, Run]]) -> Iterator[str]:
    """The tables of runs that differ in order only."""
    some = next(iter(by_order.values()))
    n, sampling = some.config.num_samples, some.config.sampling
    yield (
        f"\n## `{some.model}`, {some.config.task}, T = {sampling.temperature:g}\n\n"
        f"{len(some.problems)} problems x {n} samples, canvas of {sampling.gen_length}, blocks of {sampling.block}, "
        f"{sampling.pace}, seed {some.seed}, counted: {some.counted}."
    )
    yield from solved(by_order, n)
    yield from changed(pairs, by_order, n)
    yield from at_equal_cost(by_order)
    yield from diverse(by_order)
    yield from taken_back([run for run, _ in pairs], by_order)


# ----- what is solved -----


def solved(by_order: dict[str, Run], n: int) -> Iterator[str]:
    """Pass@k of every order."""
    ks = sorted({*(k for k in (1, 4, 16, 64, 256) if k <= n), n})
    verdicts = next(iter(by_order.values())).tally()
    head = [f"{verdict} @{k}" for verdict in verdicts for k in ks]
    yield "\nPass@k:\n\n" + _head(["order", *head, "evaluations a sample"])
    for order, run in by_order.items():
        cells = [
            f"{100 * value:.1f}"
            for verdict in verdicts
            for value in pass_at_k_table(run.counting(verdict).counts(), ks).mean()
        ]
        yield _row([f"`{order}`", *cells, f"{run.outcomes()['nfe'].mean():.1f}"])


def changed(pairs: Sequence[tuple[Run, Run]], by_order: dict[str, Run], n: int) -> Iterator[str]:
    """Differences to the rule with nothing taken back, and to the orders that commit for good."""
    yield f"\nDifferences at k = 1 and at k = {n} (there: problems that only one of both solves, exact McNemar p):\n"
    yield _head(["order", "minus", "@1", f"@{n}", "only one", "p"])
    rows = [*pairs, *((run, by_order[name]) for run, _ in pairs for name in REFERENCES if name in by_order)]
    for first, second in rows:
        tables = [pass_at_k_table(run.counts(), [1, n]) for run in (first, second)]
        table = comparison(*tables, largest=1.0).set_index("k")
        own = coverage(first.counts(), second.counts())
        cells = [
            f"{100 * table['difference'][k]:+.1f} [{100 * table['low'][k]:.1f}, {100 * table['high'][k]:.1f}]"
            for k in (1, n)
        ]
        only = f"{own.a_only}, {own.b_only}"
        yield _row([f"`{first.config.order}`", f"`{second.config.order}`", *cells, only, f"{own.p_value:.2g}"])


def at_equal_cost(by_order: dict[str, Run]) -> Iterator[str]:
    """Pass@NFE at budgets that all orders have samples for."""
    outcomes = {order: run.outcomes() for order, run in by_order.items()}
    most = min(int(own.groupby("problem_id", observed=True)["nfe"].sum().min()) for own in outcomes.values())
    budgets = [2**power for power in range(3, 12) if 2**power <= most]
    yield "\nPass@NFE, percent solved within so many evaluations of a problem:\n\n" + _head(
        ["order", *map(str, budgets)]
    )
    for order, own in outcomes.items():
        yield _row([f"`{order}`", *(f"{100 * value:.1f}" for value in pass_at_nfe_table(own, budgets).mean())])


def diverse(by_order: dict[str, Run]) -> Iterator[str]:
    """How much the samples of a problem differ."""
    yield "\nSamples of a problem: distinct answers and texts among them, and the entropy of their answers:\n"
    yield _head(["order", "distinct answers, %", "distinct texts, %", "answer entropy, nats"])
    for order, run in by_order.items():
        outcomes = run.outcomes()
        means = diversity_table(outcomes)[["distinct_answers", "distinct_texts"]].mean()
        cells = [f"{100 * value:.1f}" for value in means]
        yield _row([f"`{order}`", *cells, f"{answer_entropy_table(outcomes)['answer_entropy'].mean():.2f}"])


# ----- what is taken back -----


def taken_back(revising: Sequence[Run], by_order: dict[str, Run]) -> Iterator[str]:
    """How often, what, and what was measured at first commits."""
    yield (
        "\nEntropy at commit, connectors and other words; of an order that revises, of the last commit of a position "
        "and of its first (the words are those of the text):\n"
    )
    yield _head(["order", "connectors, last", "first", "other words, last", "first"])
    rows = {order: run.tokens(COLUMNS) for order, run in by_order.items()}
    revisions = {run.config.order: run.revisions() for run in revising}
    for order, tokens in rows.items():
        last = _entropies(tokens)
        first = _entropies(first_commits(tokens, revisions[order])) if order in revisions else None
        cells = [cell for name in last for cell in (last[name], first[name] if first else "")]
        yield _row([f"`{order}`", *cells])

    yield "\nWhat was taken back; it goes back where the token that stood before comes next at the position:\n"
    head = ["order", "a sample", "positions, %", "commits, %", "goes back, %", "masked again, %", "capped, %"]
    yield _head(head)
    for run in revising:
        tokens, own = rows[run.config.order], revisions[run.config.order]
        samples, positions = len(run.samples), int((tokens["commit_step"] >= 0).sum())
        changed_at = own.drop_duplicates(["problem_id", "sample_index", "position"])
        following = successors(tokens, own)
        shares = [
            len(changed_at) / positions,
            len(own) / (positions + len(own)),
            (following["next_token"] == following["old_token"]).mean(),
            (own["new_token"] < 0).mean(),
            run.samples["capped"].mean(),
        ]
        cells = [f"{100 * share:.1f}" for share in shares]
        yield _row([f"`{run.config.order}`", f"{len(own) / samples:.2f}", *cells])

    yield "\nTokens that are taken back most, by the share of their commits (and how often, of all samples):\n"
    for run in revising:
        table = taken_back_by_piece(rows[run.config.order], revisions[run.config.order])
        often = table[(table["commits"] >= LEAST_SHARE * table["commits"].sum()) & (table["piece"] != "")]
        highest = often.sort_values("share", ascending=False, kind="stable").head(MOST_WORDS)
        said = [
            f"{row['piece']} {100 * row['share']:.0f} % ({row['taken_back']})"
            for row in highest.to_dict("records")
            if row["taken_back"]
        ]
        yield f"- `{run.config.order}`: {', '.join(said) or 'none'}"


def _entropies(tokens: pd.DataFrame) -> dict[str, str]:
    table = connector_entropy(tokens, find_words(tokens), quantities=["entropy"]).set_index("group")
    cells = {}
    for name in (ALL_CONNECTORS, OTHER_WORDS):
        row = table.loc[name]
        cells[name] = f"{row['estimate']:.3f} [{row['low']:.3f}, {row['high']:.3f}]"
    return cells


# ----- Markdown -----


def _head(cells: Sequence[str]) -> str:
    return f"{_row(cells)}\n{_row(['---'] * len(cells))}"


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="+", help="run folders, or folders of these")
    parser.add_argument("--verdict", default="correct", help="the verdict that counts")
    parser.add_argument("-o", "--out", type=Path, help="the file to write; standard output where it is left out")
    arguments = parser.parse_args()
    try:
        if arguments.out is not None:
            check_target(str(arguments.out))
        text = "\n".join(report(read_runs(arguments.runs).counting(arguments.verdict))) + "\n"
    except InputError as error:
        parser.error(str(error))
    print(text) if arguments.out is None else write_target(arguments.out, text.encode())


if __name__ == "__main__":
    main()
