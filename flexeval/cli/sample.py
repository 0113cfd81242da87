"""`flexeval sample`: one decode, shown in the terminal; or texts for a file of prompts."""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flexeval.cli import formatting, options
from flexeval.errors import InputError, did_you_mean

if TYPE_CHECKING:
    import pandas as pd

    from flexeval.models import MaskPredictor
    from flexeval.records import Problem, RunConfig, Sample, SamplingConfig
    from flexeval.tasks import Task

DEFAULT_PROBLEM = "0"

EPILOG = """\
examples:
  flexeval sample
  flexeval sample --order confidence --problem 3 --temperature 0
  flexeval sample --order entropy --question "Tom has 3 pens. He buys 4 more. How many pens does Tom have now?"
  flexeval sample --task gsm8k --data-dir data --model llada-8b-instruct --prompt bare
  flexeval sample --order top_prob --table | less
  flexeval sample --json decode.json
  flexeval sample --prompts prompts.jsonl --out texts.jsonl --num-samples 8 --order ar --gen-length 96

`flexeval passk` draws the same sample for the same problem, sample index and settings. A file of prompts is JSONL, a
JSON array or Parquet; a row has a prompt, which is asked word for word, and possibly an id. Every line of the texts has
the fields of its prompt's row, the text, and what it took. After a stop, the same command continues.
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    from flexeval.records import RunConfig

    what = parser.add_argument_group("sample")
    options.add_fields(what, RunConfig, skip=("sampling", "num_samples", "limit"))
    question = what.add_mutually_exclusive_group()
    question.add_argument(
        "--problem",
        metavar="ID",
        help=f"A problem of the task: its id, or its index, counted from 0. [default: {DEFAULT_PROBLEM}]",
    )
    question.add_argument(
        "--question", metavar="TEXT", help="Ask this text, word for word, instead of a problem of the task. Not graded."
    )
    question.add_argument("--prompts", metavar="FILE", type=Path, help="Draw texts for the prompts of a file.")
    options.add_prompt(what)
    what.add_argument("--sample-index", metavar="N", help="Which sample of the problem. [default: 0]")
    options.add_sampling(parser)
    options.add_machine(parser, batch=True)
    output = parser.add_argument_group("output")
    output.add_argument("--table", action="store_true", help="Print a line for each token, as without colour.")
    options.add_files(output, rows="one row for each token that was committed")
    texts = parser.add_argument_group("texts for a file of prompts")
    options.add_out(texts, metavar="FILE", kind=str, help="The file of texts, one line a sample.")
    texts.add_argument("--num-samples", metavar="N", help="Samples of each prompt. [default: 1]")
    texts.add_argument("--prompt-field", metavar="NAME", help="Field of the prompt. [default: prompt, question, ...]")
    texts.add_argument("--id-field", metavar="NAME", help="Field of its id. [default: problem_id, task_id, ... if any]")
    texts.add_argument("--text-field", metavar="NAME", help="Field of the text in --out. [default: completion]")


_OF_PROMPTS = ("out", "num_samples", "prompt_field", "id_field", "text_field")
"""Options that belong to --prompts."""


def run(args: argparse.Namespace) -> int:
    """Draw one sample and show it, or all for a file of prompts."""
    if args.prompts is not None:
        return _draw_texts(args)
    for name in _OF_PROMPTS:
        if getattr(args, name) is not None:
            option = f"--{name.replace('_', '-')}"
            raise InputError(f"{option} is for texts of a file of prompts; add --prompts, or leave out {option}")
    return _show_one(args)


def _draw_texts(args: argparse.Namespace) -> int:
    """Draw the texts of a file of prompts that are not there yet."""
    from flexeval.cli import output
    from flexeval.cli.progress import sampling_bars
    from flexeval.orders import get_order
    from flexeval.records import RunConfig

    # Refuse what can be refused without the model.
    if args.out is None:
        raise InputError("--prompts needs --out, the file to write the texts to")
    for name in ("prompt", "json", "csv"):
        if getattr(args, name) is not None:
            raise InputError(
                f"prompts of a file are asked word for word, and --out holds all of it; leave out --{name}"
            )
    if args.sample_index is not None:
        raise InputError("--sample-index is for one problem; leave it out, and say how many with --num-samples")
    if args.table:
        raise InputError("--table shows one decode; leave out --table")
    wanted = RunConfig(**options.given(args, RunConfig, skip=("num_samples",)))
    order = get_order(wanted.order)
    sampling = options.sampling_config(args, options.load_task(args, wanted.task))
    num_samples = options.whole_number(args.num_samples or "1", least=1, what="--num-samples")
    options.check_machine(args)
    output.check_targets({"--out": args.out}, reads=[args.prompts])

    from flexeval.runs.prompt_file import TEXT, check_name, draw_texts, read_prompts

    check_name(args.out)
    text_field = args.text_field or TEXT
    asked = read_prompts(args.prompts, prompt_field=args.prompt_field, id_field=args.id_field, text_field=text_field)
    model = options.load_model(args, wanted.model)
    sampling = _on_its_canvas(args, model, sampling)

    from flexeval.sampling import Sampler

    sampler = Sampler(model, order, sampling, batch_size=options.batch_size(args))
    with sampling_bars(graded=False) as bar:
        draw_texts(
            asked,
            args.out,
            sampler=sampler,
            date=wanted.prompt_date,
            num_samples=num_samples,
            text_field=text_field,
            progress=bar(order.spec),
        )
    return 0


def _show_one(args: argparse.Namespace) -> int:
    """Draw one sample and show it."""
    from flexeval.cli import decode_view, output
    from flexeval.orders import get_order
    from flexeval.records import Prompt, RunConfig, Sample
    from flexeval.tasks.task import grade_of, prompt_of

    wanted = RunConfig(**options.given(args, RunConfig, skip=("num_samples",)))
    order = get_order(wanted.order)
    task = options.load_task(args, wanted.task)
    sampling = options.sampling_config(args, task)
    options.check_machine(args)
    output.check_targets({"--json": args.json, "--csv": args.csv})
    sample_index = options.whole_number(args.sample_index or "0", least=0, what="--sample-index")
    if args.question is None:
        problem = _find(task, args.problem or DEFAULT_PROBLEM)
        prompt = prompt_of(task, problem)
        output.announce_isolation(task)
    elif args.prompt is None:
        problem, prompt = None, Prompt(user=args.question)
    else:
        raise InputError("--question is asked word for word; leave out --prompt")
    model = options.load_model(args, wanted.model)
    if problem is None:
        sampling = _on_its_canvas(args, model, sampling)

    from flexeval.models.predictor import encode_prompt
    from flexeval.sampling import Sampler, SampleRequest, decoded

    name = args.question if problem is None else problem.id
    request = SampleRequest(
        problem_id=name,
        sample_index=sample_index,
        prompt_ids=encode_prompt(
            model, dataclasses.replace(prompt, date=wanted.prompt_date), sampling.gen_length, of=name
        ),
    )
    (trajectory,) = Sampler(model, order, sampling, batch_size=1).run([request])

    text, pieces = decoded(trajectory, model)
    drawn = Sample(text=text, pieces=pieces, trajectory=trajectory)
    decode = decode_view.Decode(
        question=prompt.user,
        text=text,
        pieces=pieces[: trajectory.length],
        trajectory=trajectory,
        order=order.spec,
        target=None if problem is None else problem.target,
        grade=None if problem is None else grade_of(task, problem, text),
    )
    decode_view.show(output.console(stdout_taken=args.json == "-"), decode, as_table=args.table)
    if args.json is not None:
        settings = {
            "model": wanted.model,
            "adapter": wanted.adapter,
            "task": wanted.task,
            "sampling": dataclasses.asdict(sampling),
        }
        output.write_json(args.json, {**settings, **decode_view.as_json(decode)})
    if args.csv is not None:
        output.write_csv(args.csv, _token_rows(drawn, wanted, order.spec, sampling))
    return 0


def _token_rows(sample: Sample, wanted: RunConfig, order: str, sampling: SamplingConfig) -> pd.DataFrame:
    """The tokens of a decode, with units and with the settings of the rows that other verbs write."""
    rows = formatting.with_units(sample.to_frame(), nats=["entropy", "eligible_entropy", "frontier_entropy"])
    settings: dict[str, Any] = {
        "run": order,
        "order": order,
        "model": wanted.model,
        "task": wanted.task,
        "temperature": sampling.temperature,
        "gen_length": sampling.gen_length,
        "block_length": sampling.block,
        "seed": sampling.seed,
    }
    for place, (name, value) in enumerate(settings.items()):
        rows.insert(place, name, value)
    return rows


def _on_its_canvas(args: argparse.Namespace, model: MaskPredictor, sampling: SamplingConfig) -> SamplingConfig:
    """Settings for texts of no task: the length that the model recommends, unless the user named a task or a length."""
    from flexeval.models.recommended import recommended_sampling
    from flexeval.records import SamplingConfig

    if "task" in args or "gen_length" in args:
        return sampling
    return recommended_sampling(model, **options.given(args, SamplingConfig))


def _find(task: Task, name: str) -> Problem:
    """The problem with this id or, for a number, at this index. Raises InputError when there is none."""
    from flexeval.tasks.task import problems_of

    problems = problems_of(task)
    by_id = {problem.id: problem for problem in problems}
    if name in by_id:
        return by_id[name]
    if name.isdecimal() and len(name) < 10:
        if int(name) < len(problems):
            return problems[int(name)]
        raise InputError(
            f"--problem {name}: task {task.name!r} has {len(problems)} problems; give 0 to {len(problems) - 1}"
        )
    raise did_you_mean("problem", name, by_id, listed=f"{len(by_id)} ids such as {problems[0].id!r}, or 0, 1, ...")
