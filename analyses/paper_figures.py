"""Each figure of the paper, and each of ours, from nothing: the runs that it needs, then the drawing.

    python analyses/paper_figures.py --list               which figures there are, and what each needs
    python analyses/paper_figures.py 7                    figure 7 of the paper, with the bundled model
    python analyses/paper_figures.py 2 difference         figures 2 and 4 of the paper (one drawing), and one of ours
    python analyses/paper_figures.py all --model llada-8b-instruct --task gsm8k --num-samples 128 --limit 1319

What a figure needs is a list of `flexeval` commands. They are printed as they are run, so that any of them can be
copied; runs and trainings that are stored in --runs are not made again. The default numbers of problems and samples
suffice for a drawing, not for a verdict: the paper takes whole benchmarks and up to 1024 samples.
"""

from __future__ import annotations

import argparse
import re
import shlex
from pathlib import Path

from flexeval.cli.main import main as flexeval
from flexeval.errors import InputError, did_you_mean
from flexeval.figures import FIGURES

ORDERS = "order=ar,confidence"
SAMPLERS = "order=ar,confidence,top_prob,margin,entropy,random"
PACES = "order=eb:gamma=0.1,eb:gamma=0.5,eb:gamma=1,parallel-2,parallel-4"

GRIDS = {
    # Figures 1 to 4 and 7: two orders, alike in all else.
    "pass-at-k": [ORDERS],
    "coverage": [ORDERS],
    "connector-entropy": [ORDERS],
    "bypassed-words": ["order=confidence"],
    # Block 1 is AR order.
    "block-length": ["order=confidence", "block_length=1,2,4,8,16,32"],
    "block-onset": ["order=confidence", "block_length=1,2,4,8"],
    "tokens-per-step": [PACES],
    "training-time": ["order=ar"],
    "temperature": [ORDERS, "temperature=0.2,0.4,0.6,0.8,1.0,1.2"],
    "samplers": [SAMPLERS],
    "correlation": [SAMPLERS],
    # Ours.
    "difference": [SAMPLERS],
    "trained-pass-at-k": [ORDERS],
    "order-map": [SAMPLERS],
    "collapse": [SAMPLERS],
    "entropy-closure": ["order=confidence,top_prob"],
    "non-top-rate": ["order=confidence,top_prob,ar", "temperature=0.3,0.6,1.0"],
    "rank-map": ["order=confidence,top_prob"],
    "pass-at-nfe": ["order=ar,confidence,parallel-2,parallel-4,eb:gamma=0.5"],
    "revision": ["order=ar,confidence,wino,wino:tau_back=0"],
    # A temperature on each side of the one at which an order has AR's entropy.
    "matched-entropy": ["order=ar,confidence,top_prob", "temperature=0.3,0.6,1.0,1.5"],
}
"""Figure -> the grid of runs that it needs: settings and their values, as `flexeval sweep --over` takes them. A figure
that another package adds is drawn from the runs that are there."""

TRAINED = {
    "tokens-per-step": ["ar"],
    "training-time": ["ar", "random"],
    "trained-pass-at-k": ["ar"],
}
"""Figure -> the orders of the rollouts of the trainings whose checkpoints it needs; its grid is of these, too."""


def commands(name: str, args: argparse.Namespace) -> list[list[str]]:
    """The commands that make what is missing of a figure's runs, and draw it."""
    sizes = ["--num-samples", str(args.num_samples), "--limit", str(args.limit)]
    found, models = [], [args.model]
    for order in TRAINED.get(name, ()):
        folder = args.runs / "grpo" / order
        training = ["--config", args.config, "--model", args.model, "--task", args.task, "--rollout-order", order]
        found.append(["grpo", *training, "--steps", str(args.steps), "--save-every", "10", "--out", str(folder)])
        models += [str(folder / "checkpoints" / f"step-{step:06}") for step in range(10, args.steps + 1, 10)]
    for model in models:
        if over := [part for setting in GRIDS.get(name, ()) for part in ("--over", setting)]:
            found.append(["sweep", "--model", model, "--task", args.task, *over, *sizes, "--out", str(args.runs)])
    return [*found, ["figures", str(args.runs), "--only", name, "--out", str(args.out)]]


def wanted(which: list[str]) -> list[str]:
    """The figures of these names and of these numbers in the paper, each once.

    Raises:
        InputError: no figure is called so.
    """
    numbers: dict[str, list[str]] = {}
    for name in FIGURES:
        of_paper = re.search(r"paper, Figures? (.*)\)", FIGURES.summary(name))
        for number in re.findall(r"\w*\d\w*", of_paper[1]) if of_paper else ():
            for written in {number, number.rstrip("ab")}:
                numbers.setdefault(written, []).append(name)
    found = []
    for one in which:
        if one != "all" and one not in numbers and one not in FIGURES:
            raise did_you_mean("figure", one, [*numbers, *FIGURES, "all"])
        found += list(FIGURES) if one == "all" else numbers.get(one, [one])
    return list(dict.fromkeys(found))


def main(argv: list[str] | None = None) -> int:
    """Make and draw; the exit status is that of the first command that fails."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("figure", nargs="*", help="A number of the paper, a name of `flexeval ls figures`, or all.")
    parser.add_argument("--list", action="store_true", help="Print what each figure needs, and stop.")
    parser.add_argument("--model", default="tiny", help="[default: tiny]")
    parser.add_argument("--task", default="word-problems", help="[default: word-problems]")
    parser.add_argument("--num-samples", type=int, default=16, help="Samples of each problem. [default: 16]")
    parser.add_argument("--limit", type=int, default=24, help="Problems. [default: 24]")
    parser.add_argument("--config", default="tiny", help="Settings of trainings, as in flexeval grpo. [default: tiny]")
    parser.add_argument("--steps", type=int, default=10, help="Of a training, a multiple of 10. [default: 10]")
    parser.add_argument("--runs", type=Path, default=Path("runs/figures"), help="[default: runs/figures]")
    parser.add_argument("-o", "--out", type=Path, default=Path("figures"), help="[default: figures]")
    args = parser.parse_args(argv)
    if not (args.figure or args.list):
        parser.error("which figure? give a number, a name, or all; --list prints them")
    try:
        names = wanted(args.figure or ["all"])
    except InputError as error:
        parser.error(str(error))
    if args.list:
        for name in names:
            print(f"{name}: {FIGURES.summary(name)}")
            print("".join(f"    flexeval {shlex.join(command)}\n" for command in commands(name, args)))
        return 0
    for name in names:
        for command in commands(name, args):
            print(f"$ flexeval {shlex.join(command)}", flush=True)
            if status := flexeval(command):
                return status
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
