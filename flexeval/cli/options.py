"""Records -> command-line options, and back.

The fields of `RunConfig` and `SamplingConfig` are the declaration: each becomes an option with the field's name,
type, default and docstring. An option that is not given leaves no trace in the parsed arguments, so that defaults
have one source. Values stay text until `given` converts them, since argparse would hide why a value was refused.
"""

from __future__ import annotations

import argparse
import ast
import dataclasses
import inspect
import os
import re
import textwrap
import typing
from collections.abc import Container, Mapping
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from flexeval.errors import InputError, did_you_mean

if TYPE_CHECKING:
    from flexeval.models import MaskPredictor
    from flexeval.records import SamplingConfig
    from flexeval.tasks import Task


class Declares(Protocol):
    """A parser or a group of one."""

    def add_argument(self, *names: str, **options: Any) -> argparse.Action:
        """As `argparse.ArgumentParser.add_argument`."""
        ...


# ----- fields of a record -----


def add_fields(
    options: Declares,
    record: type,
    *,
    skip: Container[str] = (),
    repeatable: Container[str] = (),
    defaults: Mapping[str, str] | None = None,
) -> None:
    """One option for each field of a record.

    Args:
        options: the parser or group to add to.
        record: a dataclass with a docstring under each field.
        skip: fields that the verb takes in another way.
        repeatable: fields whose option may be given several times; its values are then a list of texts.
        defaults: field -> what the help text is to say of its default, where the verb has its own.
    """
    hints, docs = typing.get_type_hints(record), field_docs(record)
    for field in dataclasses.fields(record):
        if field.name in skip:
            continue
        shown = (defaults or {}).get(field.name, str(field.default).lower())
        text = f"{docs[field.name]} [default: {shown}]".replace("%", "%%")
        if hints[field.name] is bool:
            options.add_argument(
                _flag(field.name), action=argparse.BooleanOptionalAction, default=argparse.SUPPRESS, help=text
            )
        else:
            several = field.name in repeatable
            options.add_argument(
                _flag(field.name),
                metavar=_metavar(hints[field.name]),
                action="append" if several else "store",
                default=argparse.SUPPRESS,
                help=f"{text} May be given several times." if several else text,
            )


def given(args: argparse.Namespace, record: type, *, skip: Container[str] = ()) -> dict[str, Any]:
    """The fields of a record that the user gave, each converted to the field's type; `skip` leaves some out.

    Raises:
        InputError: a value of the wrong type.
    """
    from flexeval.registry import convert

    hints = typing.get_type_hints(record)
    values = {
        field.name: getattr(args, field.name)
        for field in dataclasses.fields(record)
        if field.name in args and field.name not in skip
    }
    return {
        name: convert(value, hints[name], what=_flag(name)) if isinstance(value, str) else value
        for name, value in values.items()
    }


def field_docs(record: type) -> dict[str, str]:
    """Field -> the docstring under it, on one line."""
    (definition,) = ast.parse(textwrap.dedent(inspect.getsource(record))).body
    body = definition.body if isinstance(definition, ast.ClassDef) else []
    docs = {}
    for field, below in pairwise(body):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and isinstance(below, ast.Expr):
            docs[field.target.id] = " ".join(ast.literal_eval(below.value).split())
    return docs


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _metavar(hint: Any) -> str:
    if typing.get_origin(hint) is typing.Literal:
        return "|".join(typing.get_args(hint))
    kinds = [kind for kind in typing.get_args(hint) or (hint,) if kind is not type(None)]
    return {int: "N", float: "X"}.get(kinds[0], "NAME")


# ----- options that several verbs share -----


def add_sampling(parser: argparse.ArgumentParser) -> None:
    """Every field of `SamplingConfig`."""
    from flexeval.records import SamplingConfig

    add_fields(parser.add_argument_group("sampling"), SamplingConfig, defaults={"gen_length": "the task's"})


def add_machine(parser: argparse.ArgumentParser, *, batch: bool = False) -> None:
    """Where the model runs, where the data lies and, for verbs that draw many samples, how many at a time."""
    machine = parser.add_argument_group("machine")
    machine.add_argument("--device", default="auto", help="As torch names it: cpu, cuda, cuda:1. [default: auto]")
    machine.add_argument("--dtype", default="auto", help="Of the weights: float32, bfloat16. [default: auto]")
    if batch:
        machine.add_argument(
            "--batch-size",
            metavar="N",
            default="auto",
            help="Samples in flight. Changes no sample in float32, but for rounding; in half precision it does unless "
            "--batch-invariant is given. [default: auto]",
        )
    machine.add_argument(
        "--trust-remote-code",
        action="store_true",
        help="Run the code that a checkpoint brings along, for models that flexeval has no layers for.",
    )
    add_data_dir(machine)


def add_data_dir(options: Declares) -> None:
    """--data-dir."""
    options.add_argument(
        "--data-dir",
        metavar="DIR",
        type=Path,
        help="Folder of local benchmark files. [default: FLEXEVAL_DATA_DIR, else the hub]",
    )


def add_prompt(options: Declares) -> None:
    """--prompt."""
    options.add_argument(
        "--prompt",
        metavar="NAME|FILE",
        help="The wording around each question: a template of the task (`flexeval ls tasks` lists them) or a YAML file "
        "with user, and system and prefill if any. [default: default]",
    )


def load_task(args: argparse.Namespace, spec: str) -> Task:
    """The task, with the data folder and the wording that the user gave.

    Raises:
        InputError: an unknown task or parameter, or a wording that it cannot have or that cannot be read.
    """
    from flexeval.tasks import get_task, with_template
    from flexeval.tasks.task import HasTemplate

    task = get_task(spec if args.prompt is None else with_template(spec, args.prompt), data_dir=args.data_dir)
    if isinstance(task, HasTemplate):
        # Read here, so that a mistake in it is found before the model is loaded.
        _ = task.prompt_template
    return task


def batch_size(args: argparse.Namespace) -> int | None:
    """The value of --batch-size; None stands for auto. Raises InputError when it is no whole number in its range."""
    if args.batch_size == "auto":
        return None
    from flexeval.records import LARGEST_BATCH

    return whole_number(args.batch_size, least=1, most=LARGEST_BATCH, what="--batch-size")


def whole_number(text: str, *, least: int, what: str, most: int | None = None) -> int:
    """The number that a text stands for. Raises InputError, calling it `what`, when it is none or out of range."""
    from flexeval.fields import require_whole
    from flexeval.records import MOST
    from flexeval.registry import convert

    return require_whole(convert(text, int, what=what), what=what, least=least, most=most or MOST)


def check_machine(args: argparse.Namespace) -> None:
    """Raise InputError for options of the machine that no machine can have; costs nothing."""
    from flexeval.models.names import DTYPES

    if args.dtype not in ("auto", *DTYPES):
        raise did_you_mean("dtype", args.dtype, ["auto", *DTYPES])
    if not re.fullmatch(r"auto|cpu|mps|cuda(:\d{1,4})?", args.device):
        raise did_you_mean("device", args.device, ["auto", "cpu", "cuda"], listed="auto, cpu, cuda, cuda:1")
    if "batch_size" in args:
        batch_size(args)
    if args.data_dir is not None and not args.data_dir.is_dir():
        raise InputError(f"no data folder {str(args.data_dir)!r}; give the folder that holds the benchmark files")


def check_device(args: argparse.Namespace) -> None:
    """Raise InputError for a device that this machine lacks. Imports torch where one was named."""
    if args.device not in ("auto", "cpu"):
        from flexeval.models.loading import check_device

        check_device(args.device)


def check_folder(folder: Path, *, what: str) -> None:
    """Raise InputError where no folder can be made, or none can be written to; makes nothing.

    Args:
        folder: where results are to go; it need not exist.
        what: how messages call it.
    """
    there = folder
    while not os.path.lexists(there) and there != there.parent:
        there = there.parent
    if not there.is_dir():
        kind = "a file" if there.exists() else "a symbolic link to nothing"
        raise InputError(f"cannot use {str(folder)!r} as {what}: {str(there)!r} is {kind}; give a folder")
    if not os.access(there, os.W_OK | os.X_OK):
        raise InputError(f"cannot use {str(folder)!r} as {what}: {str(there)!r} cannot be written; give another folder")
    # What is not there yet must not be too long for the file system.
    longest = os.pathconf(there, "PC_NAME_MAX") if hasattr(os, "pathconf") else 255
    for part in folder.parts:
        if len(os.fsencode(part)) > longest:
            raise InputError(f"cannot use {str(folder)!r} as {what}: a name has {longest} bytes at most; shorten it")


def sampling_config(args: argparse.Namespace, task: Task) -> SamplingConfig:
    """What the user gave; a canvas as long as the task's answers need unless they said otherwise.

    Raises:
        InputError: a setting that is refused.
    """
    from flexeval.records import SamplingConfig

    return SamplingConfig(**{"gen_length": task.gen_length, **given(args, SamplingConfig)})


def load_model(args: argparse.Namespace, spec: str) -> MaskPredictor:
    """The model, on the device and in the type that the user gave. Raises InputError as `flexeval.load_model`."""
    import flexeval

    return flexeval.load_model(spec, device=args.device, dtype=args.dtype, trust_remote_code=args.trust_remote_code)


def side_by_side(model: MaskPredictor) -> int:
    """How many forwards to run side by side; see `flexeval.sampling.forward`."""
    from flexeval.sampling import forward

    return forward.side_by_side(model)
