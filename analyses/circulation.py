"""Circulation against bypassing: is the frontier passed over where the model's conditionals disagree about order?

    python analyses/circulation.py --limit 24 --num-samples 6
    python analyses/circulation.py --model CHECKPOINT --task gsm8k --data-dir DIR --limit 20 --num-samples 2

Samples one order, one token a step, and looks at every step at which the frontier and another position of its block
were both masks and in the text. The pair is the frontier and what was committed instead where it was *bypassed*, and
the frontier and what was committed at the next step where it was *taken*. Local circulation of the pair
(`flexeval.sampling.circulation`, arXiv:2605.09303; nats, three forwards) is 0 where the conditionals are those of one
joint distribution. Its size is at most twice the pair's surprisal, so pairs are also compared within thirds of that.
Means are over pairs, with 95 % bootstrap intervals over problems. Samples are stored as they finish.
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from flexeval import RunConfig, SamplingConfig, get_task, load_model
from flexeval.errors import InputError
from flexeval.models.predictor import MaskPredictor
from flexeval.runs.identity import run_prompt
from flexeval.runs.runner import run
from flexeval.runs.store import Run, default_folder_name
from flexeval.sampling.circulation import Pair, pair_scores
from flexeval.sampling.forward import Forward, limits_of
from flexeval.stats.intervals import interval_text
from flexeval.stats.pooled import pool, pooled_difference
from flexeval.stats.words import find_words
from flexeval.tasks import Task, task_spec
from flexeval.tasks.task import problems_of

THIRDS = 3
COLUMNS = [
    "problem_id", "sample_index", "position", "block", "token_id", "piece", "in_text", "commit_step", "frontier_step",
]  # fmt: skip


@dataclasses.dataclass(frozen=True, kw_only=True)
class Event:
    """A step of a decode at which the frontier was bypassed or taken."""

    step: int
    frontier: int
    """Position."""
    other: int
    """Position: what was committed instead, or next."""
    bypassed: bool


def events(position_R: np.ndarray, step_R: np.ndarray, block_R: np.ndarray, length: int) -> Iterator[Event]:
    """The events of one sample.

    Args:
        position_R: its committed positions.
        step_R: when each was committed; one a step.
        block_R: the block that each is in.
        length: of its text, tokens.
    """
    step_of = dict(zip(position_R.tolist(), step_R.tolist(), strict=True))
    block_of = dict(zip(position_R.tolist(), block_R.tolist(), strict=True))
    by_step = {step: position for position, step in step_of.items()}
    for step, committed in sorted(by_step.items()):
        open_positions = [position for position, when in step_of.items() if when >= step]
        frontier = min(open_positions)
        other = by_step.get(step + 1) if committed == frontier else committed
        if other is not None and block_of[other] == block_of[frontier] and max(frontier, other) < length:
            yield Event(step=step, frontier=frontier, other=other, bypassed=committed != frontier)


def pair_table(sampled: Run, predictor: MaskPredictor, task: Task) -> pd.DataFrame:
    """One row an event: problem_id, sample_index, position (of the frontier), bypassed, circulation and surprisal."""
    config = sampled.config
    limits = limits_of(predictor)
    forward = Forward(predictor, config.sampling, batch_size=limits.canvases)
    prompts = {problem.id: predictor.encode(run_prompt(config, task, problem)) for problem in problems_of(task)}
    lengths = sampled.samples.set_index(["problem_id", "sample_index"])["length"]
    tables = []
    for problem_id, rows in sampled.tokens(COLUMNS).groupby("problem_id", observed=True):
        found, pairs = [], []
        for sample_index, own in rows.groupby("sample_index"):
            position_R, step_R, token_R, block_R = (
                own[name].to_numpy() for name in ("position", "commit_step", "token_id", "block")
            )
            token_of = dict(zip(position_R.tolist(), token_R.tolist(), strict=True))
            length = int(lengths[problem_id, sample_index])
            for event in events(position_R, step_R, block_R, length):
                canvas_G = np.full(config.sampling.gen_length, predictor.mask_id, dtype=np.int64)
                canvas_G[position_R[step_R < event.step]] = token_R[step_R < event.step]
                places = (event.frontier, event.other)
                pairs.append(
                    Pair(
                        canvas_L=np.concatenate([prompts[str(problem_id)], canvas_G]),
                        positions=places,
                        tokens=(token_of[event.frontier], token_of[event.other]),
                    )
                )
                found.append((problem_id, sample_index, event.frontier, event.bypassed))
        scores = pair_scores(forward, pairs, gen_length=config.sampling.gen_length, batch_size=limits.canvases)
        table = pd.DataFrame(found, columns=["problem_id", "sample_index", "position", "bypassed"])
        tables.append(table.assign(circulation=scores.circulation_R, surprisal=scores.surprisal_R))
    return pd.concat(tables, ignore_index=True)


def contrasts(pairs: pd.DataFrame) -> list[list[str]]:
    """Rows of a table: how many pairs, the mean size of circulation where bypassed and where taken, and the difference;
    of all pairs and of each third by surprisal.
    """
    third_R = pd.qcut(pairs["surprisal"].rank(method="first"), THIRDS, labels=False)
    parts = {"all pairs": pairs}
    parts |= {
        f"{name} third by surprisal": pairs[third_R == i] for i, name in enumerate(("lowest", "middle", "highest"))
    }
    problems = pd.Index(pairs["problem_id"].unique())
    rows = []
    for name, part in parts.items():
        sides = [
            pool(own["circulation"].abs(), own["problem_id"], problems=problems)
            for own in (part[part["bypassed"]], part[~part["bypassed"]])
        ]
        counts = [str(int(side.counts_PK.sum())) for side in sides]
        means = [f"{side.estimates_K[0]:.3f}" for side in sides]
        gap = pooled_difference(*sides)
        rows.append([name, *counts, *means, interval_text(gap.estimate, gap.low, gap.high, "+.3f"), gap.verdict])
    return rows


def word_rows(pairs: pd.DataFrame, words: pd.DataFrame, least: int) -> list[list[str]]:
    """Words by the mean size of circulation while they were the frontier, with how often they were bypassed."""
    keys = ["problem_id", "sample_index", "position"]
    at_words = pairs.astype({"problem_id": object}).merge(words.astype({"problem_id": object, "word": object}), on=keys)
    by_word = at_words.assign(size=at_words["circulation"].abs()).groupby(["word", "connector"])
    table = by_word.agg(events=("size", "size"), size=("size", "mean"), rate=("bypassed", "mean")).reset_index()
    table = table[table["events"] >= least].sort_values("size", ascending=False, kind="stable")
    correlation = table["size"].corr(table["rate"], method="spearman")
    listed = [
        [
            row["word"],
            "yes" if row["connector"] else "",
            str(row["events"]),
            f"{row['size']:.3f}",
            f"{100 * row['rate']:.0f}",
        ]
        for row in table.head(10).to_dict("records")
    ]
    return [*listed, [f"Spearman over {len(table)} words", "", "", f"{correlation:+.2f}", ""]]


def markdown(columns: list[str], rows: list[list[str]]) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def report(sampled: Run, pairs: pd.DataFrame, least: int) -> str:
    """The tables in words."""
    signed = pairs["circulation"]
    columns = ["", "bypassed", "taken", "size, bypassed", "size, taken", "difference", "verdict"]
    words = find_words(sampled.tokens(COLUMNS))[["problem_id", "sample_index", "position", "word", "connector"]]
    by_word = ["word", "connector", "steps as frontier", "size", "bypassed, %"]
    sampling = sampled.config.sampling
    return (
        f"{sampled.model}, {sampled.config.task}, {sampled.config.order}, T = {sampling.temperature:g}, block "
        f"{sampling.block} of {sampling.gen_length}, {len(sampled.problems)} problems x {sampled.config.num_samples} "
        f"samples: {len(pairs)} pairs. Circulation in nats: mean {signed.mean():+.3f} (positive: filling the frontier "
        f"first gives the pair more probability), mean size {signed.abs().mean():.3f}, median size "
        f"{signed.abs().median():.3f}, 95th percentile {signed.abs().quantile(0.95):.3f}.\n\n"
        f"{markdown(columns, contrasts(pairs))}\n"
        f"Words that were the frontier at {least} steps or more, by mean size of circulation; below, the rank "
        f"correlation of the last two columns over all such words.\n\n"
        f"{markdown(by_word, word_rows(pairs, words, least))}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="tiny", help="bundled name, short name, folder or hub id")
    parser.add_argument("--task", default="word-problems", help="name or name:param=value,...")
    parser.add_argument("--order", default="confidence", help="one that commits one position a step")
    parser.add_argument("--temperature", type=float, default=0.6)
    parser.add_argument("--gen-length", type=int, help="[default: the task's]")
    parser.add_argument("--limit", type=int, default=24, help="problems [default: 24]")
    parser.add_argument("--num-samples", type=int, default=6, help="samples of each [default: 6]")
    parser.add_argument("--min-count", type=int, default=20, help="least steps of a listed word [default: 20]")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="folder of run folders")
    parser.add_argument("--out", type=Path, help="also write the tables here")
    arguments = parser.parse_args()
    try:
        task = get_task(arguments.task, data_dir=arguments.data_dir)
        gen_length = arguments.gen_length or getattr(task, "gen_length", SamplingConfig.gen_length)
        config = RunConfig(
            model=arguments.model,
            task=task_spec(task),
            order=arguments.order,
            sampling=SamplingConfig(gen_length=gen_length, temperature=arguments.temperature),
            num_samples=arguments.num_samples,
            limit=arguments.limit,
        )
        predictor = load_model(arguments.model, device=arguments.device, dtype=arguments.dtype)
        sampled = run(config, out=arguments.runs / default_folder_name(config), predictor=predictor, task=task)
    except InputError as error:
        parser.error(str(error))
    pairs = pair_table(sampled, predictor, task)
    text = report(sampled, pairs, arguments.min_count)
    print(text)
    if arguments.out is not None:
        command = f"--model {arguments.model} --task {config.task} --order {config.order} "
        command += (
            f"--temperature {arguments.temperature:g} --limit {arguments.limit} --num-samples {arguments.num_samples}"
        )
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        arguments.out.write_text(
            f"# Circulation against bypassing\n\n`python analyses/circulation.py {command}`\n\n{text}"
        )


if __name__ == "__main__":
    main()
