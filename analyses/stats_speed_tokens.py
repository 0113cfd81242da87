"""How fast token rows become statistics: a million of them through words, entropy and bypass tables.

    python analyses/stats_speed_tokens.py [RUN] [--rows 1000000] [--out results/stats/token_speed.md]

RUN is a run folder whose texts are repeated under new problem and sample names until there are enough rows. Without
one, texts are made up: 2000 words by Zipf's law, some of several pieces, a connector at every tenth token. What is
timed is the process's CPU seconds, once, after the imports; reading the rows from disk is not part of it.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from flexeval.errors import InputError
from flexeval.runs.store import read_run
from flexeval.stats.bypass import bypass_table
from flexeval.stats.entropy import connector_entropy
from flexeval.stats.words import find_words

PROBLEMS, TEXT = 250, 200


def made_up(rows: int) -> pd.DataFrame:
    """Texts of 200 tokens; measurements are noise."""
    rng = np.random.default_rng(0)
    vocabulary = np.array([*(f" word{i}" for i in range(2000)), *(f"ing{i}" for i in range(50)), ".", " 12", ". So"])
    share = np.concatenate([1 / np.arange(10, 2010), np.full(50, 0.01), [0.8, 0.8, 0]])
    row = np.arange(rows)
    sample = row // TEXT
    commit_step = rng.permuted(np.tile(np.arange(TEXT), (rows // TEXT + 1, 1)), axis=1).ravel()[:rows]
    drawn = rng.choice(len(vocabulary), size=rows, p=share / share.sum())
    piece = np.where(row % 10 == 0, len(vocabulary) - 1, drawn)
    frame = pd.DataFrame(
        {
            "sample_index": sample // PROBLEMS,
            "problem_id": pd.Categorical.from_codes(sample % PROBLEMS, [f"p{i}" for i in range(PROBLEMS)]),
            "position": row % TEXT,
            "piece": pd.Categorical.from_codes(piece, vocabulary),
            "in_text": True,
            "commit_step": commit_step,
            "frontier_step": np.where(row % 3 == 0, commit_step // 2, -1),
            "passes": np.where(row % 3 == 0, commit_step - commit_step // 2, 0),
            **{name: rng.gamma(1, size=rows) for name in ("entropy", "eligible_entropy", "frontier_entropy")},
        }
    )
    return frame.sort_values(["problem_id", "sample_index", "position"], ignore_index=True)


def repeated(folder: Path, rows: int) -> pd.DataFrame:
    """A run's rows again and again, each time as other problems."""
    tokens = read_run(folder).tokens()
    copies = -(-rows // len(tokens))
    names, code = tokens["problem_id"].cat.categories, tokens["problem_id"].cat.codes.to_numpy().astype(np.int64)
    frame = pd.concat([tokens] * copies, ignore_index=True)
    frame["problem_id"] = pd.Categorical.from_codes(
        np.concatenate([code + i * len(names) for i in range(copies)]),
        [f"{n}/{i}" for i in range(copies) for n in names],
    )
    return frame.head(rows)


def timed(work: Callable[[], pd.DataFrame]) -> tuple[pd.DataFrame, float]:
    begun = time.process_time()
    made = work()
    return made, time.process_time() - begun


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", nargs="?", type=Path)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    try:
        tokens = made_up(args.rows) if args.run is None else repeated(args.run, args.rows)
    except InputError as error:
        parser.error(str(error))

    words, of_words = timed(lambda: find_words(tokens))
    entropy, of_entropy = timed(lambda: connector_entropy(tokens, words))
    bypass, of_bypass = timed(lambda: bypass_table(words))
    lines = [
        f"{len(tokens)} token rows, {tokens['problem_id'].nunique()} problems, {len(words)} words, CPU seconds:",
        "",
        "| step | seconds |",
        "|---|---|",
        f"| words | {of_words:.2f} |",
        f"| entropy of connectors and all tokens, {len(entropy)} means with intervals | {of_entropy:.2f} |",
        f"| bypass rates of {len(bypass)} words with intervals | {of_bypass:.2f} |",
        f"| together | {of_words + of_entropy + of_bypass:.2f} |",
    ]
    print("\n".join(lines))
    if args.out is not None:
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.write_text("\n".join(["# From token rows to statistics", "", *lines, ""]))


if __name__ == "__main__":
    main()
