"""The paper's Table 1: greedy accuracy of a checkpoint at several lengths, beside the published methods.

    python analyses/greedy_accuracy.py --model tiny --task word-problems --gen-length 48
    python analyses/greedy_accuracy.py --model CHECKPOINT --task gsm8k --data-dir DIR --device cuda

One sample a problem at T = 0, LLaDA's low-confidence order, blocks of 32, one token per step, at gen_length 128, 256
and 512 (arXiv:2601.15165, Table 1). Samples are stored as they finish, and the same command continues. Intervals are
95 % bootstrap intervals over problems; the published numbers have none. A method's number is printed where every
setting but the model is the same (results/paper/paper_rl_accuracy.csv): the paper states its own, with the prompt of
its released evaluation (`--task gsm8k:template=justgrpo`), and not that of the methods that it quotes.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import pandas as pd

from flexeval import RunConfig, SamplingConfig, get_task, load_model
from flexeval.errors import InputError
from flexeval.published import differing
from flexeval.runs.runner import run
from flexeval.runs.store import Run, default_folder_name
from flexeval.stats.intervals import Interval
from flexeval.stats.summary import summarize
from flexeval.tasks import Task, task_spec

PUBLISHED = Path(__file__).resolve().parents[1] / "results" / "paper" / "paper_rl_accuracy.csv"
LENGTHS = (128, 256, 512)


def measured(arguments: argparse.Namespace, task: Task) -> dict[int, Run]:
    """The run of each gen_length."""
    model = load_model(arguments.model, device=arguments.device, dtype=arguments.dtype)
    runs = {}
    for gen_length in arguments.gen_length:
        sampling = SamplingConfig(gen_length=gen_length, block_length=min(32, gen_length), temperature=0.0)
        config = RunConfig(
            model=arguments.model,
            task=task_spec(task),
            order=arguments.order,
            sampling=sampling,
            num_samples=1,
            limit=arguments.limit,
        )
        runs[gen_length] = run(config, out=arguments.runs / default_folder_name(config), predictor=model, task=task)
    return runs


def accuracy_of(done: Run) -> Interval:
    """A fraction."""
    return summarize(done.config.order, done.counts(), done.samples, done.effort, ks=[1]).pass_at_k[1]


def published_for(runs: dict[int, Run]) -> pd.DataFrame:
    """The published rows in whose every setting but the model one of the runs was made."""
    published = pd.read_csv(PUBLISHED)
    alike = [
        any(
            not differing(done, {str(name): value for name, value in row.items()}, free={"model"})
            for done in runs.values()
        )
        for row in published.to_dict("records")
    ]
    return published[pd.Series(alike, index=published.index)]


def table(name: str, accuracy: dict[int, Interval], published: pd.DataFrame) -> list[str]:
    """A Markdown table, percent: one column a length, the published methods first."""
    lengths = sorted({*accuracy, *published["gen_length"]})
    lines = ["| | " + " | ".join(map(str, lengths)) + " |", "|---" * (len(lengths) + 1) + "|"]
    for method, rows in published.groupby("method", sort=False):
        by_length = dict(zip(rows["gen_length"], rows["accuracy_percent"], strict=True))
        lines.append(f"| {method} | " + " | ".join(f"{by_length.get(n, '-')}" for n in lengths) + " |")
    cells = [accuracy[n].text(scale=100) if n in accuracy else "-" for n in lengths]
    return [*lines, f"| **{name}** | " + " | ".join(cells) + " |"]


def caption(arguments: argparse.Namespace, task: Task, accuracy: dict[int, Interval]) -> str:
    """What the numbers are of, and the command that makes them."""
    given = [("--model", arguments.model), ("--task", task_spec(task)), ("--order", arguments.order)]
    given += [("--limit", str(arguments.limit))] * (arguments.limit is not None)
    command = " ".join([*(word for option in given for word in option), "--gen-length", *map(str, accuracy)])
    (problems,) = {share.problems for share in accuracy.values()}
    return (
        f"`python analyses/greedy_accuracy.py {command}`: percent of {problems} problems of {task_spec(task)} that are "
        f"solved at T = 0 in {arguments.order} order, one token per step, by gen_length; 95 % intervals over problems."
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="tiny", help="bundled name, short name, folder or hub id")
    parser.add_argument("--task", default="word-problems", help="name or name:param=value,...")
    parser.add_argument("--order", default="confidence")
    parser.add_argument("--gen-length", type=int, nargs="+", default=LENGTHS)
    parser.add_argument("--limit", type=int, help="only the first so many problems")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="folder of run folders")
    parser.add_argument("--out", type=Path, help="also write the table here")
    arguments = parser.parse_args()

    try:
        task = get_task(arguments.task, data_dir=arguments.data_dir)
        runs = measured(arguments, task)
    except InputError as error:
        parser.error(str(error))
    accuracy = {gen_length: accuracy_of(done) for gen_length, done in runs.items()}
    rows = table(arguments.model, accuracy, published_for(runs))
    lines = [caption(arguments, task, accuracy), "", *rows]
    print("\n".join(lines))
    if arguments.out is not None:
        arguments.out.write_text("# Greedy accuracy, percent\n\n" + "\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
