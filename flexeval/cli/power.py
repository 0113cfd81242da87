"""`flexeval power`: how wide the intervals of a comparison will be, before it is paid for."""

from __future__ import annotations

import argparse
import dataclasses
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from flexeval.cli import formatting, options, stored_runs
from flexeval.errors import InputError
from flexeval.records import CORRECT

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd
    from rich.table import Table

    from flexeval.runs.store import RunSet
    from flexeval.stats.extrapolation import BetaBinomial
    from flexeval.stats.power import TwoRuns

EPILOG = """\
examples:
  flexeval power RUN RUN
  flexeval power RUN --difference 3 --problems 200,1319 --samples 16,64
  flexeval power --pass-at 1=78.5,128=97.7
  flexeval power --pass-at 1=78.5,128=97.7 --pass-at 1=80,128=94.5 --correlation 0.7 --csv power.csv

Give a pilot of both runs, a pilot of one, or published accuracies of one or of both. Chances of a correct sample are
taken to be Beta distributed over problems. Pairs of runs with such chances are drawn, and their differences get the
intervals and bands of `compare`. The half-width is the median over the pairs; a difference as large as that of the
band is seen in about half of them. Power is the share of pairs whose whole band lies on the side of the true
difference.
"""

MOST_PROBLEMS, MOST_SAMPLES, MOST_SIMULATIONS = 100_000, 4096, 10_000
_DIFFERENCE, _CORRELATION = "5", "0.8"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    from pathlib import Path

    parser.add_argument("runs", metavar="RUN", nargs="*", type=Path, help="One or two run folders, the pilot.")
    parser.add_argument(
        "--pass-at",
        metavar="K=PERCENT,...",
        action="append",
        help="Published accuracies instead of a run: Pass@k in percent at one k or more, as in 1=41.5,16=80. May be "
        "given twice, for two runs.",
    )
    options.add_verdict(parser)
    planned = parser.add_argument_group("what is planned")
    planned.add_argument(
        "--problems", metavar="N,N,...", default="32,100,320,1000", help="Numbers of problems. [default: %(default)s]"
    )
    planned.add_argument(
        "--samples",
        metavar="N,N,...",
        default="8,32,128",
        help="Numbers of samples of each problem. [default: %(default)s]",
    )
    planned.add_argument(
        "--k", metavar="K,K,...", help="The k of Pass@k. [default: 1 and n, with bands over the powers of two up to n]"
    )
    planned.add_argument(
        "--difference",
        metavar="POINTS",
        help="Where only one run is given: its Pass@1 minus that of the other, which may be negative. "
        f"[default: {_DIFFERENCE}]",
    )
    planned.add_argument(
        "--correlation",
        metavar="R",
        help="Of a problem's chances under the two runs, from -1 to 1. The lower it is, the wider the intervals. "
        f"[default: that of two pilot runs, else {_CORRELATION}]",
    )
    simulation = parser.add_argument_group("simulation")
    simulation.add_argument(
        "--simulations", metavar="N", default="200", help="Pairs of runs to draw for each row. [default: %(default)s]"
    )
    simulation.add_argument("--seed", metavar="N", default="0", help="Of what is drawn. [default: %(default)s]")
    options.add_files(
        parser.add_argument_group("output"), rows="one row for each number of problems, number of samples and k"
    )


def run(args: argparse.Namespace) -> int:
    """Read, simulate, print and write."""
    from flexeval.cli import output
    from flexeval.stats.power import WIDTHS, power_table

    output.check_targets({"--json": args.json, "--csv": args.csv})
    plan = _plan(args)
    source = _source(args)
    bootstrap = dataclasses.replace(WIDTHS, seed=options.whole_number(args.seed, least=0, what="--seed"))
    checked = _checked(source, bootstrap.seed)
    table = power_table(
        source.two,
        problems=plan.problems,
        samples=plan.samples,
        ks=plan.ks,
        simulations=plan.simulations,
        bootstrap=bootstrap,
    )
    content = _as_json(source, plan, table, checked)
    rows = formatting.with_units(table, **_UNITS).assign(counted=args.verdict)
    output.deliver(args, _shown(source, plan, table, checked), content, rows)
    return 0


# ----- what is asked -----


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is to be simulated."""

    problems: list[int]
    samples: list[int]
    ks: list[int] | None
    simulations: int


@dataclass(frozen=True, kw_only=True)
class Source:
    """What is known of the two runs."""

    two: TwoRuns
    names: tuple[str, str]
    runs: RunSet | None
    """The pilot; None for published accuracies."""
    correlation_from: str
    notes: tuple[str, ...] = ()


def _plan(args: argparse.Namespace) -> Plan:
    problems = options.ascending(args.problems, what="every number of --problems")
    samples = options.ascending(args.samples, what="every number of --samples")
    for option, numbers, least, most in (
        ("--problems", problems, 2, MOST_PROBLEMS),
        ("--samples", samples, 1, MOST_SAMPLES),
    ):
        if not least <= numbers[0] <= numbers[-1] <= most:
            raise InputError(f"{option} takes numbers from {least} to {most}, not {numbers[0]} to {numbers[-1]}")
    fewest = f"the fewest of --samples is {samples[0]}"
    return Plan(
        problems=problems,
        samples=samples,
        ks=None if args.k is None else options.ks(args.k, samples[0], limit=fewest),
        simulations=options.whole_number(args.simulations, least=10, most=MOST_SIMULATIONS, what="--simulations"),
    )


def _source(args: argparse.Namespace) -> Source:
    """The model of both runs, from what was given of them."""
    from flexeval.stats.power import TwoRuns

    folders: list[Path] = args.runs
    curves: list[str] = args.pass_at or []
    if bool(folders) == bool(curves):
        raise InputError("give the pilot as one or two run folders, or published accuracies with --pass-at K=PERCENT")
    if curves and args.verdict != CORRECT:
        raise InputError("--verdict is for run folders; leave it out where accuracies are given with --pass-at")
    if len(folders) > 2 or len(curves) > 2:
        raise InputError(f"power is of two runs, but {max(len(folders), len(curves))} are given; give one or two")
    correlation = None
    if args.correlation is not None:
        correlation = _number(args.correlation, least=-1, most=1, what="--correlation")
    both = len(folders) == 2 or len(curves) == 2
    if both and args.difference is not None:
        raise InputError("--difference is for a single run; two runs have one of their own, so leave it out")
    assumed = float(_CORRELATION) if correlation is None else correlation
    difference = _number(args.difference or _DIFFERENCE, least=-100, most=100, what="--difference") / 100

    runs, names, notes = None, ["first", "second"], []
    if folders:
        runs = _pilot(args)
        names[: len(runs)] = runs.labels()
    if runs is not None and both:
        fitted = TwoRuns.of_pilot(*(pilot.counts() for pilot in runs))
        two = fitted if correlation is None else dataclasses.replace(fitted, correlation=correlation)
        if correlation is None and runs[0].seed == runs[1].seed and not any(run.imported for run in runs):
            notes = [
                "The pilots share their random numbers (one seed), so their correlation may be too high and widths too "
                "small; sample one with another --seed, or give --correlation."
            ]
    else:
        known = [_fitted(pilot.counts()) for pilot in runs] if runs is not None else [_curve(text) for text in curves]
        notes = [note for _, note in known if note]
        first, *second = (model for model, _ in known)
        two = (
            TwoRuns(a=first, b=second[0], correlation=assumed)
            if second
            else TwoRuns.shifted(first, difference=difference, correlation=assumed)
        )
    given = "given" if correlation is not None else ("that of the pilot" if runs is not None and both else "assumed")
    return Source(two=two, names=(names[0], names[1]), runs=runs, correlation_from=given, notes=tuple(notes))


def _pilot(args: argparse.Namespace) -> RunSet:
    if len(args.runs) == 2:
        return stored_runs.read_pair(args, cut=False)
    runs = stored_runs.read(args.runs)
    if len(runs) != 1:
        raise InputError(f"{str(args.runs[0])!r} holds {len(runs)} runs; name one or two of them")
    stored_runs.require_samples(runs[0])
    return runs.counting(args.verdict)


def _fitted(counts: pd.DataFrame) -> tuple[BetaBinomial, str]:
    from flexeval.stats.extrapolation import BetaBinomial

    return BetaBinomial.fit(counts), ""


def _curve(text: str) -> tuple[BetaBinomial, str]:
    """The distribution of chances behind a value of --pass-at, and what had to be assumed."""
    from flexeval.stats.extrapolation import BetaBinomial
    from flexeval.stats.power import SPREAD

    curve: dict[int, float] = {}
    for part in text.split(","):
        k_text, equals, percent = part.partition("=")
        if not equals:
            raise InputError(f"--pass-at takes K=PERCENT, as in 1=41.5,16=80, not {part.strip()!r}")
        k = options.whole_number(k_text.strip(), least=1, most=MOST_SAMPLES, what="every k of --pass-at")
        if k in curve:
            raise InputError(f"--pass-at gives k = {k} twice; keep one of them")
        curve[k] = _number(percent.strip(), least=0, most=100, what=f"pass@{k} of --pass-at") / 100
    if list(curve) != [1]:
        return BetaBinomial.through(curve), ""
    mean = curve[1]
    return BetaBinomial(alpha=mean * SPREAD, beta=(1 - mean) * SPREAD), (
        f"Pass@1 = {100 * mean:g} % alone does not say how problems differ; alpha + beta = {SPREAD:g} is assumed. "
        "Give Pass@k at a second k to measure it."
    )


def _number(text: str, *, least: float, most: float, what: str) -> float:
    from flexeval.registry import convert

    value = float(convert(text, float, what=what))
    if not least <= value <= most:
        raise InputError(f"{what} must lie between {least:g} and {most:g}, not {text}")
    return value


# ----- the pilot itself -----


def _checked(source: Source, seed: int) -> pd.DataFrame | None:
    """The pilot's own half-widths, as measured and as simulated at its size; None without two runs.

    One row a k, 1 and n: problems, n, k, measured, simulated, fractions.
    """
    from flexeval.runs.store import alike
    from flexeval.stats.curves import pass_at_k_differences
    from flexeval.stats.power import WIDTHS, power_table

    if source.runs is None or len(source.runs) < 2:
        return None
    runs = alike(*source.runs)
    problems, n = len(runs[0].problems), min(runs[0].config.num_samples, MOST_SAMPLES)
    counts = [run.first(problems, num_samples=n).counts() for run in runs]
    table = power_table(source.two, problems=[problems], samples=[n], bootstrap=dataclasses.replace(WIDTHS, seed=seed))
    measured = pass_at_k_differences(counts[0], counts[1], ks=table["k"].tolist())
    widths = [(measured[k].high - measured[k].low) / 2 for k in table["k"]]
    return table[["problems", "n", "k"]].assign(measured=widths, simulated=table["half_width"])


# ----- files -----

_UNITS = {"points": ["difference", "half_width", "band_half_width"], "percent": ["power"]}


def _as_json(source: Source, plan: Plan, table: pd.DataFrame, checked: pd.DataFrame | None) -> dict[str, Any]:
    two = source.two
    return {
        "runs": None if source.runs is None else stored_runs.about(source.runs),
        "counted": None if source.runs is None else source.runs[0].counted,
        "chances": [
            {"run": name, "alpha": model.alpha, "beta": model.beta, "pass_at_1_percent": 100 * model.mean}
            for name, model in zip(source.names, (two.a, two.b), strict=True)
        ],
        "correlation": two.correlation,
        "correlation_from": source.correlation_from,
        "notes": list(source.notes),
        "simulations": plan.simulations,
        "pilot": None if checked is None else formatting.json_rows(checked, points=["measured", "simulated"]),
        "power": formatting.json_rows(table, **_UNITS),
    }


# ----- the terminal -----


def _shown(source: Source, plan: Plan, table: pd.DataFrame, checked: pd.DataFrame | None) -> Iterator[str | Table]:
    """What is assumed, the table, and what the pilot says of the assumptions."""
    first, second = source.names
    yield (
        f"Differences of Pass@k, {first} minus {second}, in points, in {plan.simulations} simulated pairs of runs"
        + ("" if source.runs is None else formatting.counted(source.runs))
    )
    yield formatting.table(
        ["problems", "samples", "", "true difference", "half-width of interval", "of band", "power, %"],
        list(_rows(table)),
        right=["problems", "samples", "true difference", "half-width of interval", "of band", "power, %"],
    )
    for name, model in zip(source.names, (source.two.a, source.two.b), strict=True):
        yield (
            f"{name}: Pass@1 {100 * model.mean:.1f} %, chances of problems Beta({model.alpha:.3g}, {model.beta:.3g})"
        )
    yield f"Correlation of the chances: {source.two.correlation:.2f}, {source.correlation_from}"
    yield from source.notes
    if checked is not None:
        for row in checked.to_dict("records"):
            yield (
                f"The pilot's own half-width at pass@{row['k']}: {100 * row['measured']:.1f} points, "
                f"simulated {100 * row['simulated']:.1f}"
            )
    if source.runs is not None:
        yield from stored_runs.introduction(source.runs)


def _rows(table: pd.DataFrame) -> Iterator[Sequence[str] | None]:
    """The cells of each row, with a line between numbers of problems."""
    before = None
    for row in table.to_dict("records"):
        if before is not None and row["problems"] != before:
            yield None
        before = row["problems"]
        yield [
            str(row["problems"]),
            str(row["n"]),
            f"pass@{row['k']}",
            f"{100 * row['difference']:+.1f}",
            f"{100 * row['half_width']:.1f}",
            f"{100 * row['band_half_width']:.1f}",
            "-" if math.isnan(row["power"]) else f"{100 * row['power']:.0f}",
        ]
