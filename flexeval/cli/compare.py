"""`flexeval compare`: one run against another on the same problems."""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from flexeval.cli import options, pair, stored
from flexeval.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

    from flexeval.runs.store import RunSet

_EPILOG = """\
examples:
  flexeval compare RUN RUN
  flexeval compare RUN RUN --limit 100 --num-samples 16
  flexeval compare RUN RUN --k 1,4,16,64 --nfe 64,256,1024 --json compare.json
  flexeval compare RUN RUN --diversity --extrapolate 1024

Differences are the first run minus the second, paired by problem, with 95 % intervals over problems; the band
holds all differences of a table at once. A verdict says above or below where the band does and the exact test of the
problems that differ agrees (p at most 0.05; at k = n it is McNemar's). The curves cross where the run that leads
at the smallest k falls behind for good. CoverageAUC is the mean of Pass@k over the grid of k, each weighted by its
stretch of log k. Potential@k is the share of failing single samples that k samples turn into a success. pass@NFE
is the chance to have solved a problem within a total budget of mask-predictor evaluations.
"""


def add_parser(verbs: Any) -> None:
    """Register the verb."""
    verbs.add_parser(
        "compare",
        help="two runs: differences in Pass@k, where they cross, CoverageAUC, Potential@k, pass@NFE, diversity",
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
    parser.add_argument(
        "--diversity",
        action="store_true",
        help="Also compare how different the samples of a problem are: distinct answers, distinct texts, self-BLEU.",
    )
    parser.add_argument(
        "--extrapolate",
        metavar="K",
        help="Also fit a beta-binomial model to each run and read Pass@k off it, from n to K. A fit, no measurement.",
    )
    stored.add_output(parser, rows="one row a difference: its measure, and its k or budget")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Read, compare, print and write."""
    from flexeval.cli import compare_report, output
    from flexeval.stats.curves import crossing_point
    from flexeval.stats.diversity import diversity_table
    from flexeval.stats.extrapolation import extrapolate
    from flexeval.stats.nfe import pass_at_nfe_table
    from flexeval.stats.pass_at_k import coverage_auc, pass_at_k_table, potential_at_k

    output.check_targets({"--json": args.json, "--csv": args.csv})
    runs = pair.read_pair(args)
    ks, budgets, far = _ks(args.k, runs), _budgets(args.nfe, runs), _beyond(args.extrapolate, runs)

    a, b = counts = [run.counts() for run in runs]
    labels = runs.labels()
    report = compare_report.Comparison(
        ks=ks,
        pass_at_k=_fractions(pass_at_k_table(a, ks), pass_at_k_table(b, ks)),
        crossing=crossing_point(a, b, ks) if len(ks) > 1 else None,
        area=_fractions(coverage_auc(a, ks), coverage_auc(b, ks)),
        potential=_each(labels, [potential_at_k(of_run, [k for k in ks if k > 1]) for of_run in counts]),
        pass_at_nfe=_fractions(*(pass_at_nfe_table(run.samples, budgets) for run in runs)),
        diversity=_fractions(*(diversity_table(run.samples) for run in runs)) if args.diversity else None,
        extrapolation=_each(labels, [extrapolate(of_run, far) for of_run in counts]) if far else None,
    )

    compare_report.show(output.console(stdout_taken=args.json == "-"), runs, report)
    output.write_json(args.json, compare_report.as_json(runs, report))
    output.write_csv(args.csv, compare_report.rows(report))
    return 0


def _fractions(a: pd.DataFrame, b: pd.DataFrame) -> pd.DataFrame:
    from flexeval.stats.curves import comparison

    return comparison(a, b, largest=1.0)


def _each(labels: Sequence[str], tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """The tables of the runs under each other."""
    import pandas as pd

    return pd.concat([stored.named(*both) for both in zip(labels, tables, strict=True)], ignore_index=True)


def _ks(text: str | None, runs: RunSet) -> list[int]:
    """The values of --k, ascending. Raises InputError unless they are whole numbers up to n of every problem."""
    from flexeval.runs.store import fewest_samples
    from flexeval.stats.pass_at_k import default_ks

    n = fewest_samples(*runs)
    if text is None:
        return default_ks(n)
    ks = _ascending(text, what="every k of --k")
    if ks[-1] > n:
        raise InputError(f"pass@{ks[-1]} needs {ks[-1]} samples of every problem, but one has {n}; keep k <= {n}")
    return ks


def _beyond(text: str | None, runs: RunSet) -> list[int]:
    """n, its doublings, and the value of --extrapolate. Raises InputError unless that is a whole number past n."""
    from flexeval.runs.store import fewest_samples

    if text is None:
        return []
    n = fewest_samples(*runs)
    furthest = options.whole_number(text, least=1, what="--extrapolate")
    if furthest <= n:
        raise InputError(f"--extrapolate is for k past n = {n}, not {furthest}; Pass@k up to n is measured")
    doublings = int(math.log2(furthest / n))
    return sorted({*(n * 2**i for i in range(doublings + 1)), furthest})


def _budgets(text: str | None, runs: RunSet) -> list[int]:
    from flexeval.stats.nfe import default_budgets

    return default_budgets(*(run.samples for run in runs)) if text is None else _ascending(text, what="every --nfe")


def _ascending(text: str, *, what: str) -> list[int]:
    return sorted({options.whole_number(part.strip(), least=1, what=what) for part in text.split(",")})
