"""`flexeval lm-eval`: lm-eval's own command line, which knows flexeval's model and tasks."""

from __future__ import annotations

import argparse
import contextlib
import io
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

from flexeval.cli import endings
from flexeval.errors import InputError

EPILOG = """\
examples:
  flexeval lm-eval run --model flexeval --model_args pretrained=tiny,order=ar --tasks flexeval_word_problems
  flexeval lm-eval run --model flexeval --model_args pretrained=llada-8b-instruct,order=confidence,gen_length=256 \\
      --tasks gsm8k --apply_chat_template
  flexeval lm-eval run --model flexeval --tasks flexeval --metadata repeats=64 data_dir=data
  flexeval lm-eval ls tasks
  flexeval lm-eval run --help                            lm-eval's own options

--model_args of the model `flexeval`: pretrained, order (with `;` between the parameters of an order), device, dtype,
batch_size, trust_remote_code, attention, adapter, add_bos_token, mc_num (draws of LLaDA's likelihood bound; without
it, the exact chain rule), loglikelihood_gen_length, and every setting that `flexeval passk --help` lists under
"sampling", with `_` for `-`. The arguments of a request and --gen_kwargs override them.
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.usage = "flexeval lm-eval {run,ls,validate} ..."
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help="as in lm-eval")
    parser.set_defaults(print_help=parser.print_help)


def run(args: argparse.Namespace) -> int:
    """Hand over to lm-eval with flexeval's tasks, and with "auto" as the default device and batch size.

    Raises:
        InputError: bad input, also where lm-eval itself finds it.
    """
    if args.arguments in ([], ["-h"], ["--help"]):
        args.print_help()
        return 0

    from lm_eval._cli import HarnessCLI
    from lm_eval.config.evaluate_config import EvaluatorConfig
    from lm_eval.utils import setup_logging

    from flexeval.lm_harness import TASKS_FOLDER

    setup_logging()
    sys.argv = ["lm-eval", *args.arguments]
    harness = HarnessCLI()
    with _refusing():
        asked = harness.parse_args()
    config = getattr(asked, "config", None)
    with _one_line():
        in_file = {} if config is None else EvaluatorConfig.load_yaml_config(config)
    if "include_path" in asked:
        theirs = asked.include_path or in_file.get("include_path") or []
        asked.include_path = [str(TASKS_FOLDER), *([theirs] if isinstance(theirs, str) else theirs)]
    if asked.command == "run":
        # lm-eval's own defaults are batches of 1 on cuda:0.
        for option in ("batch_size", "device"):
            if getattr(asked, option, None) is None and option not in in_file:
                setattr(asked, option, "auto")
    with _one_line():
        harness.execute(asked)
    endings.leave_together()
    return 0


_CHECKS = ("lm_eval.config.evaluate_config", "lm_eval.api.registry", "lm_eval.evaluator")
"""Modules of lm-eval that check the user's input before anything is evaluated."""


@contextmanager
def _refusing() -> Iterator[None]:
    """Turn what lm-eval's parser prints before it exits into an InputError; its help is printed as it is."""
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            yield
    except SystemExit as end:
        if not end.code:
            raise
        last = (said.getvalue().splitlines() or ["lm-eval refused the command"])[-1]
        raise InputError(f"{last}; see `flexeval lm-eval run --help`") from None


@contextmanager
def _one_line() -> Iterator[None]:
    """Turn lm-eval's own errors about its input into an InputError.

    Such an error is a `raise` in one of the modules that check the input. Any other exception is a bug and keeps its
    traceback.
    """
    try:
        yield
    except InputError:
        raise
    except (ValueError, TypeError, FileNotFoundError) as error:
        *_, (frame, line) = traceback.walk_tb(error.__traceback__)
        (raised,) = traceback.StackSummary.extract([(frame, line)])
        if frame.f_globals.get("__name__") not in _CHECKS or not (raised.line or "").startswith("raise "):
            raise
        advice = "; `flexeval lm-eval ls tasks` lists them" if "Tasks not found" in str(error) else ""
        raise InputError(f"lm-eval: {error}{advice}") from error
