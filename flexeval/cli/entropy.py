"""`flexeval entropy`: how uncertain the model was about words when they were committed, order by order."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from flexeval.cli import options, stored

if TYPE_CHECKING:
    import pandas as pd

    from flexeval.models import MaskPredictor
    from flexeval.runs.store import Run, RunSet

_EPILOG = """\
examples:
  flexeval entropy runs/tiny/word-problems/ar-* runs/tiny/word-problems/confidence-*
  flexeval entropy runs/tiny/word-problems --top 30 --csv entropy.csv
  flexeval entropy runs/tiny/word-problems/confidence-* --counterfactual

Entropies are in nats, of the untempered softmax, at the first token of a word. Connectors are the paper's
list, whole words at the start of a clause. A position is the frontier while it is the leftmost that may be
committed; closure is the entropy then minus the entropy at commit. Intervals are 95 % bootstrap intervals
over problems. The AR counterfactual of a token is its entropy given only the tokens before it.
"""


def add_parser(verbs: Any) -> None:
    """Register the verb."""
    verbs.add_parser(
        "entropy",
        help="entropy of connectors and all tokens when they were committed, by order",
        description="Entropy at commit, at the frontier and when eligible: connectors against all tokens, and by word.",
        epilog=_EPILOG,
        declare=_declare,
    )


def _declare(parser: argparse.ArgumentParser) -> None:
    stored.add_runs(parser)
    parser.add_argument(
        "--counterfactual",
        action="store_true",
        help="Compute the AR counterfactual where it is not stored with the run. Needs the model; continues.",
    )
    parser.add_argument("--top", metavar="N", default="10", help="Words of highest entropy to list. [default: 10]")
    parser.add_argument(
        "--min-count", metavar="N", default="20", help="Occurrences that a listed word needs. [default: 20]"
    )
    options.add_machine(parser, batch=True)
    stored.add_output(parser, rows="one row a run, group of words and quantity")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Read, compute what is asked for, print and write."""
    from flexeval.cli import entropy_report, output
    from flexeval.runs.store import read_runs

    top = options.whole_number(args.top, least=1, what="--top")
    min_count = options.whole_number(args.min_count, least=1, what="--min-count")
    options.check_machine(args)
    output.check_targets({"--json": args.json, "--csv": args.csv})
    runs = read_runs(args.runs)
    if args.counterfactual:
        _add_counterfactuals(runs, args)

    report = entropy_report.make(runs, [_tokens(run) for run in runs], top=top, min_count=min_count)
    entropy_report.show(output.console(stdout_taken=args.json == "-"), runs, report)
    output.write_json(args.json, entropy_report.as_json(runs, report))
    output.write_csv(args.csv, entropy_report.entropy_rows(report))
    return 0


def _tokens(run: Run) -> pd.DataFrame:
    """The token rows, with the counterfactual where it is stored."""
    from flexeval.runs.counterfactual_table import has_counterfactual, tokens_with_counterfactual

    columns = ["problem_id", "sample_index", "position", "piece", "in_text"]
    columns += ["entropy", "eligible_entropy", "frontier_entropy"]
    return tokens_with_counterfactual(run, columns) if has_counterfactual(run) else run.tokens(columns)


def _add_counterfactuals(runs: RunSet, args: argparse.Namespace) -> None:
    """Compute what is missing; each model is loaded once, if runs of a model stand together."""
    from flexeval.runs.counterfactual_table import has_counterfactual
    from flexeval.tasks import get_task

    loaded: dict[str, MaskPredictor] = {}
    for label, run in zip(runs.labels(), runs, strict=True):
        if has_counterfactual(run):
            continue
        # Only now: it imports torch.
        from flexeval.runs.counterfactual import add_counterfactual

        if run.config.model not in loaded:
            loaded = {run.config.model: options.load_model(args, run.config.model)}
        predictor = loaded[run.config.model]
        with _bar(label) as report:
            add_counterfactual(
                run,
                predictor=predictor,
                task=get_task(run.config.task, data_dir=args.data_dir),
                batch_size=options.batch_size(args),
                workers=options.side_by_side(predictor),
                progress=report,
            )


@contextmanager
def _bar(label: str) -> Iterator[Callable[[int, int], None]]:
    """Progress over the samples of a run, where there is a terminal."""
    from rich.progress import Progress

    from flexeval.cli import output

    console = output.messages()
    with Progress(console=console, disable=not console.is_terminal) as bars:
        bar = bars.add_task(f"{label}: AR counterfactual", total=None)
        yield lambda done, total: bars.update(bar, completed=done, total=total)
