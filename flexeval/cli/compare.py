"""`flexeval compare`: one run against another on the same problems."""

from __future__ import annotations

import argparse
import dataclasses
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from flexeval.cli import formatting, options, stored_runs
from flexeval.errors import InputError

if TYPE_CHECKING:
    import pandas as pd
    from rich.table import Table

    from flexeval.runs.store import RunSet
    from flexeval.stats.curves import Crossing

EPILOG = """\
examples:
  flexeval compare RUN RUN
  flexeval compare RUN RUN --limit 100 --num-samples 16
  flexeval compare RUN RUN --k 1,4,16,64 --nfe 64,256,1024 --json compare.json
  flexeval compare RUN RUN --diversity --extrapolate 1024

Differences are the first run minus the second, paired by problem, with 95 % intervals over problems. The note below
the tables explains their bands and verdicts. The curves cross where the run that leads at the smallest k falls behind
for good. CoverageAUC is the mean of Pass@k over the grid of k, each k weighted by its stretch of log k. Potential@k is
the share of failing single samples that k samples turn into a success. pass@NFE is the chance of solving a problem
within a total budget of mask-predictor evaluations.
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    stored_runs.add_pair(parser)
    options.add_ks(parser)
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
        help="Also fit a beta-binomial model to each run and print its Pass@k from n to K: a fit, not a measurement.",
    )
    options.add_files(
        parser.add_argument_group("output"), rows="one row for each difference: its measure, and its k or budget"
    )


def run(args: argparse.Namespace) -> int:
    """Read, compare, print and write."""
    from flexeval.cli import output
    from flexeval.runs.store import fewest_samples
    from flexeval.stats.curves import crossing_point
    from flexeval.stats.diversity import diversity_table
    from flexeval.stats.extrapolation import extrapolate
    from flexeval.stats.nfe import default_budgets, pass_at_nfe_table
    from flexeval.stats.pass_at_k import coverage_auc, pass_at_k_table, potential_at_k

    output.check_targets({"--json": args.json, "--csv": args.csv})
    runs = stored_runs.read_pair(args)
    n = fewest_samples(*runs)
    ks = options.ks(args.k, n, limit=f"a problem has {n}")
    far = _beyond(args.extrapolate, n)
    if args.nfe is None:
        budgets = default_budgets(*(run.samples for run in runs))
    else:
        budgets = options.ascending(args.nfe, what="every --nfe")

    a, b = counts = [run.counts() for run in runs]
    labels = runs.labels()
    found = Comparison(
        ks=ks,
        pass_at_k=_fractions(pass_at_k_table(a, ks), pass_at_k_table(b, ks)),
        crossing=crossing_point(a, b, ks) if len(ks) > 1 else None,
        coverage_auc=_fractions(coverage_auc(a, ks), coverage_auc(b, ks)),
        potential_at_k=formatting.by_run(
            labels, [potential_at_k(of_run, [k for k in ks if k > 1]) for of_run in counts]
        ),
        pass_at_nfe=_fractions(*(pass_at_nfe_table(run.outcomes(), budgets) for run in runs)),
        diversity=_fractions(*(diversity_table(run.samples) for run in runs)) if args.diversity else None,
        extrapolation=formatting.by_run(labels, [extrapolate(of_run, far) for of_run in counts]) if far else None,
    )
    output.deliver(args, _shown(runs, found), _as_json(runs, found), _rows(found).assign(counted=args.verdict))
    return 0


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """The first run (a) against the second (b); fractions, as `flexeval.stats.curves.comparison` gives them."""

    ks: list[int]
    """The grid of Pass@k and CoverageAUC."""
    pass_at_k: pd.DataFrame
    crossing: Crossing | None
    """None for a single k."""
    coverage_auc: pd.DataFrame
    potential_at_k: pd.DataFrame
    """run, and the columns of `stats.potential_at_k`."""
    pass_at_nfe: pd.DataFrame
    diversity: pd.DataFrame | None
    """None where it was not asked for."""
    extrapolation: pd.DataFrame | None
    """run, and the columns of `stats.extrapolate`; None where it was not asked for."""


def _fractions(a: pd.DataFrame, b: pd.DataFrame) -> pd.DataFrame:
    from flexeval.stats.curves import comparison

    return comparison(a, b, largest=1.0)


def _beyond(text: str | None, n: int) -> list[int]:
    """n, its doublings, and the value of --extrapolate. Raises InputError unless that is a whole number above n."""
    if text is None:
        return []
    furthest = options.whole_number(text, least=1, what="--extrapolate")
    if furthest <= n:
        raise InputError(f"--extrapolate must be above n = {n}, not {furthest}; Pass@k up to n is measured")
    doublings = int(math.log2(furthest / n))
    return sorted({*(n * 2**i for i in range(doublings + 1)), furthest})


# ----- files -----

_DIFFERENCES = {"percent": ["a", "b"], "points": ["difference", "low", "high", "band_low", "band_high"]}
_ESTIMATES = {"percent": ["estimate", "low", "high"]}


def _as_json(runs: RunSet, found: Comparison) -> dict[str, Any]:
    """All of it as JSON values. A bound of the crossing beyond the largest k is null."""
    diversity, extrapolation = found.diversity, found.extrapolation
    (area,) = formatting.json_rows(found.coverage_auc, **_DIFFERENCES)
    return {
        "runs": stored_runs.about(runs),
        "counted": runs[0].counted,
        "machines": _machines(runs),
        "pass_at_k": formatting.json_rows(found.pass_at_k, **_DIFFERENCES),
        "crossing": None if found.crossing is None else _crossing_row(found.crossing),
        "coverage_auc": {"ks": found.ks, **area},
        "potential_at_k": formatting.json_rows(found.potential_at_k, **_ESTIMATES),
        "pass_at_nfe": formatting.json_rows(found.pass_at_nfe, **_DIFFERENCES),
        "diversity": None if diversity is None else formatting.json_rows(diversity, **_DIFFERENCES),
        "extrapolation": None if extrapolation is None else formatting.json_rows(extrapolation, **_ESTIMATES),
    }


def _rows(found: Comparison) -> pd.DataFrame:
    """All differences below each other: measure, at (k or evaluations), and the columns of `stats.comparison`."""
    import pandas as pd

    tables = []
    for measure in ("pass_at_k", "coverage_auc", "pass_at_nfe"):
        frame = getattr(found, measure)
        table = frame.rename(columns={frame.columns[0]: "at"})
        table["at"] = pd.to_numeric(table["at"], errors="coerce").astype("Int64")
        table.insert(0, "measure", measure)
        tables.append(table)
    if found.diversity is not None:
        tables.append(found.diversity)
    return formatting.with_units(pd.concat(tables, ignore_index=True), **_DIFFERENCES)


def _machines(runs: RunSet) -> str | None:
    from flexeval.runs.store import machine_differences

    return machine_differences([environment for run in runs for environment in run.environments])


def _crossing_row(crossing: Crossing) -> dict[str, Any]:
    row = {name: None if value == math.inf else value for name, value in dataclasses.asdict(crossing).items()}
    del row["share"]
    return {**row, "share_percent": 100 * crossing.share}


# ----- the terminal -----

_DIVERSITY = {"distinct_answers": "distinct answers", "distinct_texts": "distinct texts", "self_bleu": "self-BLEU"}


def _shown(runs: RunSet, found: Comparison) -> Iterator[str | Table]:
    """The tables and, below them, the settings."""
    labels = runs.labels()
    yield f"Pass@k in percent; difference in points, paired by problem, with 95 % interval{formatting.counted(runs)}"
    yield _difference_table(found.pass_at_k, "pass@{}", labels)
    if found.crossing is not None:
        yield _crossing_line(found.crossing, labels, found.ks)
    yield f"CoverageAUC in percent, over k = {', '.join(map(str, found.ks))}"
    yield _difference_table(found.coverage_auc, "CoverageAUC", labels)
    if len(found.potential_at_k):
        yield "Potential@k in percent: the share of failing single samples that k samples turn into a success"
        yield _estimate_table(found.potential_at_k, "Potential@{}", labels)
    yield "pass@NFE in percent: solved within a budget of mask-predictor evaluations"
    yield _difference_table(found.pass_at_nfe, "NFE {}", labels)
    if found.diversity is not None:
        yield "Diversity in percent: distinct ones among the samples of a problem; self-BLEU"
        yield _difference_table(found.diversity.replace({"measure": _DIVERSITY}), "{}", labels)
    if found.extrapolation is not None:
        yield (
            "EXTRAPOLATED Pass@k in percent, by a beta-binomial fit beyond n: it assumes a distribution of success "
            "rates over problems that n samples hardly test, and its intervals do not cover a wrong assumption"
        )
        yield _estimate_table(found.extrapolation, "fitted pass@{}", labels)
    yield formatting.VERDICTS
    yield from stored_runs.introduction(runs)
    if difference := _machines(runs):
        yield difference


def _difference_table(frame: pd.DataFrame, name: str, labels: Sequence[str]) -> Table:
    """One row for each row of the comparison, with the band where there are several."""
    from flexeval.stats.intervals import bounds_text, p_value_text

    several = len(frame) > 1
    rows = []
    for label, row in zip(frame.iloc[:, 0], frame.to_dict("records"), strict=True):
        rows.append(
            [
                name.format(label),
                f"{100 * row['a']:.1f}",
                f"{100 * row['b']:.1f}",
                formatting.estimate(row["difference"], row["low"], row["high"], "+.1f"),
                *([bounds_text(row["band_low"], row["band_high"], "+.1f", scale=100)] if several else []),
                p_value_text(row["p_value"]),
                row["verdict"],
            ]
        )
    band = ["band over all"] if several else []
    return formatting.table(["", *labels, " − ".join(labels), *band, "p", "verdict"], rows, right=["p"])


def _estimate_table(frame: pd.DataFrame, name: str, labels: Sequence[str]) -> Table:
    """One row for each k, one column for each run."""
    rows = []
    for k, of_k in frame.groupby("k", sort=True):
        bounds = of_k[["estimate", "low", "high"]].itertuples(index=False)
        rows.append([name.format(k), *(formatting.estimate(*of_run) for of_run in bounds)])
    return formatting.table(["", *labels], rows)


def _crossing_line(crossing: Crossing, labels: Sequence[str], ks: Sequence[int]) -> str:
    resamples = f"{100 * crossing.share:.0f} % of the resamples"
    if crossing.leader is None:
        return f"No crossing: the runs tie at k = {ks[0]}"
    leader, other = labels if crossing.leader == "a" else reversed(labels)
    if crossing.k_star is None or crossing.low is None or crossing.high is None:
        return f"No crossing: {leader} leads at k = {ks[0]} and still at k = {ks[-1]} (overtaken in {resamples})"
    low = f"{crossing.low:.1f}" if crossing.low > 0 else f"below {ks[0]}"
    high = f"{crossing.high:.1f}" if math.isfinite(crossing.high) else f"beyond {ks[-1]}"
    return f"{other} overtakes {leader} at k* = {crossing.k_star:.1f} [{low}, {high}] (in {resamples})"
