"""`flexeval compare`: one run against another on the same problems."""

from __future__ import annotations

import argparse
import dataclasses
import math
import sys
import typing
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from flexeval.cli import formatting, options, stored_runs
from flexeval.errors import InputError, did_you_mean

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
  flexeval compare RUN RUN --votes --flips
  flexeval compare RUN RUN --k 1 --fail-if below            status 1 if the first is worse: for CI

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
    options.add_votes(parser)
    parser.add_argument(
        "--diversity",
        action="store_true",
        help="Also compare how different the samples of a problem are: distinct answers and texts, self-BLEU, and the "
        "entropy of the answers. Takes equally many samples of both.",
    )
    parser.add_argument(
        "--flips",
        action="store_true",
        help="Also list the problems whose samples were right in one run and wrong in the other, sample by sample.",
    )
    parser.add_argument(
        "--extrapolate",
        metavar="K",
        help="Also fit a beta-binomial model to each run and print its Pass@k from n to K: a fit, not a measurement.",
    )
    parser.add_argument(
        "--fail-if",
        metavar="VERDICT,...",
        help="Exit with status 1 where Pass@k of the first run has one of these verdicts (below, above, unresolved) at "
        "a k of --k: a test of a new checkpoint against the last one.",
    )
    options.add_files(
        parser.add_argument_group("output"), rows="one row for each difference: its measure, and its k or budget"
    )


def run(args: argparse.Namespace) -> int:
    """Read, compare, print and write."""
    from flexeval.cli import output
    from flexeval.runs.store import fewest_samples
    from flexeval.stats.coverage import flips
    from flexeval.stats.curves import comparison, crossing_point
    from flexeval.stats.diversity import diversity_table, require_one_n
    from flexeval.stats.extrapolation import extrapolate
    from flexeval.stats.nfe import default_budgets, pass_at_nfe_table
    from flexeval.stats.pass_at_k import all_at_k_table, coverage_auc, pass_at_k_table, potential_at_k
    from flexeval.stats.votes import answer_entropy_table, majority_table

    output.check_targets({"--json": args.json, "--csv": args.csv})
    unwanted = _unwanted(args.fail_if)
    runs = stored_runs.read_pair(args)
    n = fewest_samples(*runs)
    ks = options.ks(args.k, n, limit=f"a problem has {n}")
    far = _beyond(args.extrapolate, n)
    if args.diversity:
        require_one_n(*(run.samples for run in runs))
    costs_known = not any(run.imported for run in runs)
    if args.nfe is None:
        budgets = default_budgets(*(run.samples for run in runs)) if costs_known else []
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
        pass_at_nfe=_fractions(*(pass_at_nfe_table(run.outcomes(), budgets) for run in runs)) if costs_known else None,
        maj_at_k=_fractions(*(majority_table(run.outcomes(), ks) for run in runs)) if args.votes else None,
        all_at_k=_fractions(*(all_at_k_table(of_run, ks) for of_run in counts)) if args.votes else None,
        diversity=_fractions(*(diversity_table(run.samples) for run in runs)) if args.diversity else None,
        answer_entropy=(
            comparison(
                *(answer_entropy_table(run.samples) for run in runs),
                largest=math.log(max(int(of_run["n"].max()) for of_run in counts)),
            )
            if args.diversity
            else None
        ),
        flips=flips(*(run.outcomes() for run in runs)) if args.flips else None,
        extrapolation=formatting.by_run(labels, [extrapolate(of_run, far) for of_run in counts]) if far else None,
    )
    rows = formatting.described_pair(_rows(found), runs)
    output.deliver(args, _shown(runs, found), _as_json(runs, found), rows)
    return _status(found, unwanted)


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
    pass_at_nfe: pd.DataFrame | None
    """None where it is not known what a sample cost."""
    maj_at_k: pd.DataFrame | None
    all_at_k: pd.DataFrame | None
    diversity: pd.DataFrame | None
    answer_entropy: pd.DataFrame | None
    """In nats."""
    flips: pd.DataFrame | None
    """The columns of `stats.coverage.flips`. These are None where they were not asked for."""
    extrapolation: pd.DataFrame | None
    """run, and the columns of `stats.extrapolate`; None where it was not asked for."""


def _unwanted(text: str | None) -> frozenset[str]:
    """The verdicts of --fail-if. Raises InputError for another word."""
    from flexeval.stats.verdict import Verdict

    known = typing.get_args(Verdict)
    words = [] if text is None else [word.strip() for word in text.split(",")]
    for word in words:
        if word not in known:
            raise did_you_mean("verdict in --fail-if", word, known)
    return frozenset(words)


def _status(found: Comparison, unwanted: frozenset[str]) -> int:
    """1 where Pass@k has an unwanted verdict, said on stderr; else 0."""
    at = found.pass_at_k[found.pass_at_k["verdict"].isin(unwanted)]
    if at.empty:
        return 0
    named = ", ".join(f"pass@{k} {verdict}" for k, verdict in zip(at["k"], at["verdict"], strict=True))
    print(f"flexeval: failed by --fail-if: {named}", file=sys.stderr)
    return 1


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
_ENTROPIES = {"nats": [*_DIFFERENCES["percent"], *_DIFFERENCES["points"]]}
_ESTIMATES = {"percent": ["estimate", "low", "high"]}


def _as_json(runs: RunSet, found: Comparison) -> dict[str, Any]:
    """All of it as JSON values. A bound of the crossing beyond the largest k is null."""

    def rows(frame: pd.DataFrame | None, units: dict[str, list[str]]) -> list[dict[str, Any]] | None:
        return None if frame is None else formatting.json_rows(frame, **units)

    (area,) = formatting.json_rows(found.coverage_auc, **_DIFFERENCES)
    return {
        "runs": stored_runs.about(runs),
        "counted": runs[0].counted,
        "machines": _machines(runs),
        "pass_at_k": formatting.json_rows(found.pass_at_k, **_DIFFERENCES),
        "crossing": None if found.crossing is None else _crossing_row(found.crossing),
        "coverage_auc": {"ks": found.ks, **area},
        "potential_at_k": formatting.json_rows(found.potential_at_k, **_ESTIMATES),
        "pass_at_nfe": rows(found.pass_at_nfe, _DIFFERENCES),
        "maj_at_k": rows(found.maj_at_k, _DIFFERENCES),
        "all_at_k": rows(found.all_at_k, _DIFFERENCES),
        "diversity": rows(found.diversity, _DIFFERENCES),
        "answer_entropy": rows(found.answer_entropy, _ENTROPIES),
        "flips": rows(found.flips, {"points": ["difference"]}),
        "extrapolation": rows(found.extrapolation, _ESTIMATES),
    }


def _rows(found: Comparison) -> pd.DataFrame:
    """All differences below each other: measure, at (k or evaluations), and the columns of `stats.comparison`."""
    import pandas as pd

    tables = []
    for measure in ("pass_at_k", "coverage_auc", "pass_at_nfe", "maj_at_k", "all_at_k"):
        frame = getattr(found, measure)
        if frame is None:
            continue
        table = frame.rename(columns={frame.columns[0]: "at"})
        table["at"] = pd.to_numeric(table["at"], errors="coerce").astype("Int64")
        table.insert(0, "measure", measure)
        tables.append(table)
    if found.diversity is not None:
        tables.append(found.diversity)
    rows = formatting.with_units(pd.concat(tables, ignore_index=True), **_DIFFERENCES)
    if found.answer_entropy is None:
        return rows
    return pd.concat([rows, formatting.with_units(found.answer_entropy, **_ENTROPIES)], ignore_index=True)


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
    if found.pass_at_nfe is None:
        yield "No pass@NFE: what a sample cost is not known of runs that were imported"
    else:
        yield "pass@NFE in percent: solved within a budget of mask-predictor evaluations"
        yield _difference_table(found.pass_at_nfe, "NFE {}", labels)
    if found.maj_at_k is not None and found.all_at_k is not None:
        yield "maj@k in percent: the most frequent answer of k samples is right, each of tied answers with equal chance"
        yield _difference_table(found.maj_at_k, "maj@{}", labels)
        yield "all@k in percent: k samples are all right"
        yield _difference_table(found.all_at_k, "all@{}", labels)
    if found.diversity is not None:
        yield "Diversity in percent: distinct ones among the samples of a problem; self-BLEU"
        yield _difference_table(found.diversity.replace({"measure": _DIVERSITY}), "{}", labels)
    if found.answer_entropy is not None:
        yield "Entropy of the answers of a problem's samples in nats; no answer counts as one more"
        yield _difference_table(found.answer_entropy, "answer entropy", labels, form=".3f", scale=1)
    if found.flips is not None:
        yield from _flips(found.flips, labels)
        if runs[0].seed != runs[1].seed or any(run.imported for run in runs):
            yield (
                "These runs do not share random numbers (another seed, or samples of another program): which sample "
                "stands beside which is arbitrary, and only the numbers of right samples say something."
            )
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


MOST_FLIPS = 20
"""Problems that the terminal lists; the JSON file has all."""


def _flips(frame: pd.DataFrame, labels: Sequence[str]) -> Iterator[str | Table]:
    """What flips in all, and the problems where most does."""
    a, b = labels
    a_alone, b_alone = ((frame["solved_by"] == name).sum() for name in ("a", "b"))
    yield (
        f"Flips: {frame['lost'].sum()} of {frame['n'].sum()} samples are right under {a} and wrong under {b}, "
        f"{frame['gained'].sum()} the other way; {a_alone} problems are solved by {a} alone, {b_alone} by {b} alone"
    )
    flipped = frame[(frame["lost"] > 0) | (frame["gained"] > 0)]
    shown = flipped.head(MOST_FLIPS)
    solved_by = {"a": a, "b": b}
    rows = [
        [
            row["problem_id"],
            f"{row['c_a']}/{row['n']}",
            f"{row['c_b']}/{row['n']}",
            str(row["lost"]),
            str(row["gained"]),
            f"{100 * row['difference']:+.1f}",
            solved_by.get(row["solved_by"], row["solved_by"]),
        ]
        for row in shown.to_dict("records")
    ]
    if rows:
        counts = ["right under the first only", "under the second only", "difference, points"]
        yield formatting.table(["problem", a, b, *counts, "solved by"], rows, right=[a, b, *counts])
    if len(flipped) > len(shown):
        yield f"{len(flipped) - len(shown)} more problems flip; --json has all"


def _difference_table(
    frame: pd.DataFrame, name: str, labels: Sequence[str], *, form: str = ".1f", scale: float = 100
) -> Table:
    """One row for each row of the comparison, with the band where there are several."""
    from flexeval.stats.intervals import bounds_text, p_value_text

    several = len(frame) > 1
    rows = []
    for label, row in zip(frame.iloc[:, 0], frame.to_dict("records"), strict=True):
        rows.append(
            [
                name.format(label),
                f"{scale * row['a']:{form}}",
                f"{scale * row['b']:{form}}",
                formatting.estimate(row["difference"], row["low"], row["high"], f"+{form}", scale=scale),
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
