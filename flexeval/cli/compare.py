"""`flexeval compare`: one run against another on the same problems."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from flexeval.cli import options, pair, stored
from flexeval.errors import InputError

if TYPE_CHECKING:
    from flexeval.runs.store import RunSet

_EPILOG = """\
examples:
  flexeval compare runs/tiny/word-problems/ar-* runs/tiny/word-problems/confidence-*
  flexeval compare RUN RUN --k 1,4,16,64 --nfe 64,256,1024 --json compare.json

Differences are the first run minus the second, paired by problem, with 95 % intervals over problems; the band
holds the differences at all k at once. The curves cross where the run that leads at the smallest k falls behind
for good. CoverageAUC is the mean of Pass@k over the grid of k, each weighted by its stretch of log k. pass@NFE
is the chance to have solved a problem within a total budget of mask-predictor evaluations.
"""


def add_parser(verbs: Any) -> None:
    """Register the verb."""
    verbs.add_parser(
        "compare",
        help="two runs: differences in Pass@k, where they cross, CoverageAUC, pass@NFE",
        description="Paired differences between two runs on the same problems, with intervals and verdicts.",
        epilog=_EPILOG,
        declare=_declare,
    )


def _declare(parser: argparse.ArgumentParser) -> None:
    pair.add_pair(parser)
    parser.add_argument("--k", metavar="K,K,...", help="Where to take Pass@k. [default: powers of two up to n, and n]")
    parser.add_argument(
        "--nfe", metavar="N,N,...", help="Budgets of pass@NFE. [default: powers of two that both runs can pay]"
    )
    stored.add_output(parser, rows="one row a measure and k or budget")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Read, compare, print and write."""
    from flexeval import stats
    from flexeval.cli import compare_report, output

    for target in (args.json, args.csv):
        output.check_target(target)
    runs = pair.read_pair(args.runs)
    ks, budgets = _ks(args.k, runs), _budgets(args.nfe, runs)

    a, b = (run.counts() for run in runs)
    report = compare_report.Comparison(
        ks=ks,
        pass_at_k=stats.comparison(stats.pass_at_k_table(a, ks), stats.pass_at_k_table(b, ks)),
        crossing=stats.crossing_point(a, b, ks) if len(ks) > 1 else None,
        area=stats.comparison(stats.coverage_auc(a, ks), stats.coverage_auc(b, ks)),
        pass_at_nfe=stats.comparison(*(stats.pass_at_nfe_table(run.samples, budgets) for run in runs)),
    )

    compare_report.show(output.console(stdout_taken=args.json == "-"), runs, report)
    output.write_json(args.json, compare_report.as_json(runs, report))
    output.write_csv(args.csv, compare_report.rows(report))
    return 0


def _ks(text: str | None, runs: RunSet) -> list[int]:
    """The values of --k, ascending. Raises InputError unless they are whole numbers up to n of every problem."""
    from flexeval.stats import default_ks

    n = int(min(run.counts()["n"].min() for run in runs))
    if text is None:
        return default_ks(n)
    ks = _ascending(text, what="every k of --k")
    if ks[-1] > n:
        raise InputError(f"pass@{ks[-1]} needs {ks[-1]} samples of every problem, but one has {n}; keep k <= {n}")
    return ks


def _budgets(text: str | None, runs: RunSet) -> list[int]:
    from flexeval.stats import default_budgets

    return default_budgets(*(run.samples for run in runs)) if text is None else _ascending(text, what="every --nfe")


def _ascending(text: str, *, what: str) -> list[int]:
    return sorted({options.whole_number(part.strip(), least=1, what=what) for part in text.split(",")})
