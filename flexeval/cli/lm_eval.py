"""`flexeval lm-eval`: lm-eval's own command line, which knows flexeval's model and tasks."""

from __future__ import annotations

import argparse
import sys
from typing import Any


def add_parser(verbs: Any) -> None:
    """Register the verb."""
    verbs.add_parser(
        "lm-eval",
        help="lm-eval's command line with the model `flexeval` and the tasks `flexeval_*`",
        declare=_declare,
        # Nothing begins an option here, so that everything, --help included, is handed over as it stands.
        prefix_chars="\0",
        add_help=False,
    )


def _declare(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("arguments", nargs=argparse.REMAINDER)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Hand over to lm-eval, with flexeval's tasks and its choice of device and batch size where none is made."""
    from lm_eval._cli import HarnessCLI
    from lm_eval.config.evaluate_config import EvaluatorConfig
    from lm_eval.utils import setup_logging

    from flexeval.lm_harness import TASKS_FOLDER

    setup_logging()
    sys.argv = ["lm-eval", *args.arguments]
    harness = HarnessCLI()
    asked = harness.parse_args()
    config = getattr(asked, "config", None)
    in_file = {} if config is None else EvaluatorConfig.load_yaml_config(config)
    if "include_path" in asked:
        theirs = asked.include_path or in_file.get("include_path")
        asked.include_path = [str(TASKS_FOLDER), *([theirs] if isinstance(theirs, str) else theirs or [])]
    if asked.command == "run":
        # lm-eval would ask every model for batches of 1 on cuda:0.
        for option in ("batch_size", "device"):
            if getattr(asked, option, None) is None and option not in in_file:
                setattr(asked, option, "auto")
    harness.execute(asked)
    return 0
