"""CPU seconds and peak memory of the commands that read token rows, on runs as large as GSM8K x 128 samples.

    python analyses/many_rows.py [--rows 43000000] [--folder FOLDER] [--out results/many_rows.md]

Two runs are made up, one in AR order and one in `confidence` order, of that many rows each, and written by the
project's own writer: 128 samples of each problem, texts that fill a canvas of 256, stored in the order of the problems.
Texts are words by Zipf's law, numbers, endings that continue a word, and connectors at every 25th token or so;
measurements are noise, but commit steps, frontier steps and passes are those of an order within blocks of 32. With
--folder they stay there, and are not made again.

Each command is a process of its own, with one thread for linear algebra. Counted are its CPU seconds, user and system,
and the largest memory that it held. `first` is the first command on a run, which finds its words and keeps them;
`again` finds them there.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from flexeval.records import Grade, RunConfig, SamplingConfig, SamplingEffort, Trajectory
from flexeval.runs.identity import canonical_config
from flexeval.runs.store import GradedSample, StoredProblem, open_run

SAMPLES, LENGTH, BLOCK = 128, 256, 32
ORDERS = ("ar", "confidence")
AT_ONCE = 1024
"""Samples of a shard, as the runner writes them."""
CONNECTORS = (" So", " Then", " Therefore", " Now", " But", " First", " Next", " Finally")
RECORD = {
    "model": {"weights": "made-up", "network": "made-up", "vocabulary": "made-up"},
    "environment": {"device": "cpu", "dtype": "float32"},
}


# ----- the runs -----


def write_run(folder: Path, order: str, rows: int, *, num_samples: int = SAMPLES, at_once: int = AT_ONCE) -> None:
    """A finished run of about so many rows."""
    problems = max(1, round(rows / (num_samples * LENGTH)))
    sampling = SamplingConfig(gen_length=LENGTH, block_length=BLOCK)
    config = canonical_config(RunConfig(model="made-up", task="gsm8k", order=order, sampling=sampling, limit=problems,
                                        num_samples=num_samples))  # fmt: skip
    stored = [
        StoredProblem(id=f"gsm8k/test/{i}", question=f"How many are {i}?", target=str(i), prompt_length=100,
                      prompt_hash=f"{i:016x}", data_hash=f"{i:016x}")
        for i in range(problems)
    ]  # fmt: skip
    rng = np.random.default_rng(ORDERS.index(order))
    with open_run(folder, config, stored, RECORD) as writer:
        keys = [(problem.id, index) for problem in stored for index in range(num_samples)]
        for start in range(0, len(keys), at_once):
            samples = list(made_up(keys[start : start + at_once], order, rng))
            effort = SamplingEffort(samples=len(samples), seconds=1.0, evaluations=len(samples) * LENGTH,
                                    distinct=len(samples) * LENGTH)  # fmt: skip
            writer.append(samples, effort)
        writer.finish()


def made_up(keys: Sequence[tuple[str, int]], order: str, rng: np.random.Generator) -> Iterator[GradedSample]:
    """Samples with these keys."""
    shape = (len(keys), LENGTH)
    token_SG = np.searchsorted(_SHARES, rng.random(shape)).astype(np.int32)
    step_SG, frontier_SG = _steps(len(keys), order, rng)
    entropy_SG, eligible_SG, later_SG = (rng.gamma(0.3, size=shape).astype(np.float32) for _ in range(3))
    prob_SG = rng.random(shape, dtype=np.float32)
    rank_SG = (rng.geometric(0.8, size=shape) - 1).astype(np.int32)
    reached_SG = frontier_SG >= 0
    correct_S = rng.random(len(keys)) < 0.4
    for i, (problem, index) in enumerate(keys):
        trajectory = Trajectory(
            problem_id=problem, sample_index=index, prompt_length=100, token_ids_G=token_SG[i], length=LENGTH,
            nfe=LENGTH, commit_step_G=step_SG[i], entropy_G=entropy_SG[i], prob_G=prob_SG[i], rank_G=rank_SG[i],
            top_prob_G=np.maximum(prob_SG[i], 0.5), eligible_entropy_G=eligible_SG[i], frontier_step_G=frontier_SG[i],
            frontier_entropy_G=np.where(reached_SG[i], entropy_SG[i] + later_SG[i], np.float32(np.nan)),
            passes_G=np.where(reached_SG[i], step_SG[i] - frontier_SG[i], 0).astype(np.int32),
        )  # fmt: skip
        pieces = _PIECES[token_SG[i]].tolist()
        grade = Grade(correct=bool(correct_S[i]), extracted=str(int(token_SG[i, 0])), rule="made up")
        yield GradedSample(trajectory=trajectory, text="".join(pieces), pieces=pieces, grade=grade)


def _steps(samples: int, order: str, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """(commit step, frontier step or -1) of each position [S, G]."""
    within_SNB = np.tile(np.arange(BLOCK, dtype=np.int32), (samples, LENGTH // BLOCK, 1))
    if order != "ar":
        within_SNB = rng.permuted(within_SNB, axis=2)
    # A position is the frontier once all before it in its block are committed.
    free_SNB = np.zeros_like(within_SNB)
    free_SNB[..., 1:] = np.maximum.accumulate(within_SNB, axis=2)[..., :-1] + 1
    begin_N1 = (BLOCK * np.arange(LENGTH // BLOCK, dtype=np.int32))[:, None]
    frontier_SNB = np.where(free_SNB <= within_SNB, begin_N1 + free_SNB, -1).astype(np.int32)
    return (begin_N1 + within_SNB).reshape(samples, LENGTH), frontier_SNB.reshape(samples, LENGTH)


def _vocabulary() -> tuple[np.ndarray, np.ndarray]:
    """(pieces, the running sum of their shares)."""
    kinds = {
        0.60: [f" word{chr(97 + i % 26)}{chr(97 + i // 26 % 26)}{chr(97 + i // 676)}" for i in range(2000)],
        0.16: [f" {i}" for i in range(500)],
        0.06: [f"ing{chr(97 + i)}" for i in range(26)],
        0.14: [".", ",", " +", " =", "\n"],
        0.04: [f".{word}" for word in CONNECTORS],
    }
    shares = [share / np.arange(10, 10 + len(own)) for share, own in kinds.items()]
    shares = [share * of_kind / of_kind.sum() for share, of_kind in zip(kinds, shares, strict=True)]
    return np.array([piece for own in kinds.values() for piece in own], dtype=object), np.cumsum(np.concatenate(shares))


_PIECES, _SHARES = _vocabulary()
_SHARES[-1] = 1.0


# ----- the commands -----


@dataclass(frozen=True)
class Cost:
    """What a process took."""

    cpu: float
    clock: float
    memory: float
    """GB."""


_ONE_THREAD = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
"""Threads of linear algebra that wait for each other would count as work."""


def cost_of(command: Sequence[str]) -> Cost:
    """Run a flexeval command. Raises RuntimeError with what it said where it fails."""
    with tempfile.TemporaryFile() as said:
        begun = time.monotonic()
        process = subprocess.Popen(
            [sys.executable, "-m", "flexeval", *command], stdout=said, stderr=subprocess.STDOUT, env=_ONE_THREAD
        )
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        clock = time.monotonic() - begun
        if process.returncode:
            said.seek(0)
            raise RuntimeError(f"flexeval {' '.join(command)}: {said.read().decode(errors='replace')[-2000:]}")
    return Cost(cpu=usage.ru_utime + usage.ru_stime, clock=clock, memory=usage.ru_maxrss / 1e6)


def measured(folders: Sequence[Path], page: Path) -> Iterator[tuple[str, Cost]]:
    """What each command takes, in this order; the runs have no words yet."""
    confidence, both = str(folders[1]), [str(folder) for folder in folders]
    for name, command in (
        ("bypass, first", ["bypass", confidence]),
        ("bypass, again", ["bypass", confidence]),
        ("entropy, again", ["entropy", confidence]),
        ("report of two runs, one of them first", ["report", *both, "-o", str(page)]),
        ("entropy of two runs, again", ["entropy", *both]),
    ):
        yield name, cost_of(command)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=43_000_000, help="token rows of each run")
    parser.add_argument("--folder", type=Path, help="where the runs are, or are to be")
    parser.add_argument("--out", type=Path, help="also write the table here")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = args.folder or Path(scratch)
        folders = [folder / order for order in ORDERS]
        for order, path in zip(ORDERS, folders, strict=True):
            if not (path / "summary.json").exists():
                write_run(path, order, args.rows)
            for words in path.glob("words-*"):
                words.unlink()
        lines = [
            f"`python analyses/many_rows.py --rows {args.rows}`: two runs of {args.rows:,} token rows each.",
            "",
            "| command | CPU seconds | seconds on the clock | peak memory, GB |",
            "|---|---|---|---|",
        ]
        print("\n".join(lines))
        for name, cost in measured(folders, Path(scratch) / "report.html"):
            lines.append(f"| {name} | {cost.cpu:.1f} | {cost.clock:.1f} | {cost.memory:.2f} |")
            print(lines[-1], flush=True)
    if args.out is not None:
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.write_text("\n".join(["# Many million rows", "", *lines, ""]))


if __name__ == "__main__":
    main()
