"""How long the paired bootstrap takes: 10,000 replicates of 1319 problems (GSM8K's test set) at 8 values of k.

    python analyses/stats_speed.py [--rounds 5] [--out results/stats/speed.md]

Against a loop that draws the rows of one replicate after the other and averages them, which takes a tenth of the
replicates and is scaled up. The two take turns, so that whatever else the machine does falls on both. Given are the
process's CPU seconds, with one thread: on a quiet machine that is the time on the clock.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from flexeval.stats.bootstrap import Bootstrap, paired_difference
from flexeval.stats.pass_at_k import pass_at_k_table

PROBLEMS, REPLICATES, KS = 1319, 10_000, [2**i for i in range(8)]
SCALE = 10


def counts(seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    c = rng.binomial(KS[-1], rng.beta(0.6, 1.2, size=PROBLEMS))
    return pd.DataFrame({"problem_id": range(PROBLEMS), "n": KS[-1], "c": c})


def loop(values_PK: np.ndarray, replicates: int) -> np.ndarray:
    """The bootstrap as it is usually written."""
    rng = np.random.default_rng(0)
    rows = len(values_PK)
    means = np.array([values_PK[rng.integers(0, rows, rows)].mean(axis=0) for _ in range(replicates)])
    return np.quantile(means, [0.025, 0.975], axis=0)


def seconds(work: Callable[[], object]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="how often the two take turns")
    parser.add_argument("--out", type=Path, help="also write the table here")
    given = parser.parse_args()
    first, second = (pass_at_k_table(counts(seed), KS) for seed in (0, 1))
    difference_PK = (first - second).to_numpy()
    ours, theirs = [], []
    for _ in range(given.rounds):
        ours.append(seconds(lambda: paired_difference(first, second, bootstrap=Bootstrap(replicates=REPLICATES))))
        theirs.append(SCALE * seconds(lambda: loop(difference_PK, REPLICATES // SCALE)))
    ratio = statistics.median(slow / fast for slow, fast in zip(theirs, ours, strict=True))
    text = (
        f"`python analyses/stats_speed.py --rounds {given.rounds}`: {REPLICATES:,} paired replicates of "
        f"{PROBLEMS} problems x {len(KS)} k, CPU seconds, one thread.\n\n"
        "| | median | fastest | slowest |\n|---|---|---|---|\n"
        f"| `paired_difference` | {statistics.median(ours):.2f} | {min(ours):.2f} | {max(ours):.2f} |\n"
        f"| loop over replicates | {statistics.median(theirs):.2f} | {min(theirs):.2f} | {max(theirs):.2f} |\n\n"
        f"Ratio, median of the rounds: {ratio:.1f}."
    )
    print(text)
    if given.out is not None:
        given.out.parent.mkdir(parents=True, exist_ok=True)
        given.out.write_text(f"# Speed of the statistics\n\n{text}\n")


if __name__ == "__main__":
    main()
