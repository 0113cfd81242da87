"""`flexeval sample`: one decode, shown in the terminal."""

from __future__ import annotations

import argparse
import dataclasses
from typing import TYPE_CHECKING

from flexeval.cli import options
from flexeval.errors import InputError, did_you_mean

if TYPE_CHECKING:
    from flexeval.records import Problem
    from flexeval.tasks import Task

DEFAULT_PROBLEM = "0"

EPILOG = """\
examples:
  flexeval sample
  flexeval sample --order confidence --problem 3 --temperature 0
  flexeval sample --order entropy --question "Tom has 3 pens. He buys 4 more. How many pens does Tom have now?"
  flexeval sample --task gsm8k --data-dir data --model llada-8b-instruct --prompt bare
  flexeval sample --order top_prob --table | less

`flexeval passk` draws the same sample for the same problem, sample index and settings.
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
    options.add_prompt(what)
    what.add_argument("--sample-index", metavar="N", default="0", help="Which sample of the problem. [default: 0]")
    options.add_sampling(parser)
    options.add_machine(parser)
    output = parser.add_argument_group("output")
    output.add_argument("--table", action="store_true", help="Print a line for each token, as without colour.")


def run(args: argparse.Namespace) -> int:
    """Draw one sample and show it."""
    from flexeval.cli import decode_view, output
    from flexeval.orders import get_order
    from flexeval.records import Prompt, RunConfig
    from flexeval.tasks.task import grade_of, prompt_of

    wanted = RunConfig(**options.given(args, RunConfig))
    order = get_order(wanted.order)
    task = options.load_task(args, wanted.task)
    sampling = options.sampling_config(args, task)
    options.check_machine(args)
    sample_index = options.whole_number(args.sample_index, least=0, what="--sample-index")
    if args.question is None:
        problem = _find(task, args.problem or DEFAULT_PROBLEM)
        prompt = prompt_of(task, problem)
        output.announce_isolation(task)
    elif args.prompt is None:
        problem, prompt = None, Prompt(user=args.question)
    else:
        raise InputError("--question is asked word for word; leave out --prompt")
    model = options.load_model(args, wanted.model)

    from flexeval.models.predictor import encode_prompt
    from flexeval.sampling import Sampler, SampleRequest

    name = args.question if problem is None else problem.id
    request = SampleRequest(
        problem_id=name,
        sample_index=sample_index,
        prompt_ids=encode_prompt(
            model, dataclasses.replace(prompt, date=wanted.prompt_date), sampling.gen_length, of=name
        ),
    )
    (trajectory,) = Sampler(model, order, sampling, batch_size=1).run([request])

    text_ids = trajectory.token_ids_G[: trajectory.length].tolist()
    text = model.decode(text_ids)
    decode = decode_view.Decode(
        question=prompt.user,
        text=text,
        pieces=model.pieces(text_ids),
        trajectory=trajectory,
        order=order.spec,
        target=None if problem is None else problem.target,
        grade=None if problem is None else grade_of(task, problem, text),
    )
    decode_view.show(output.console(), decode, as_table=args.table)
    return 0


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
