"""Records -> command-line options, and back.

The fields of `RunConfig` and `SamplingConfig` are the declaration: each becomes an option with the field's name,
type, default and docstring. An option that is not given is absent from the parsed arguments, so that defaults have one
source. Values stay text until `given` converts them, since argparse would hide why a value was refused.
"""

from __future__ import annotations

import argparse
import ast
import dataclasses
import inspect
import os
import re
import sys
import textwrap
import typing
from collections.abc import Container, Iterable, Mapping
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from flexeval.errors import InputError, did_you_mean
from flexeval.records import CORRECT

if TYPE_CHECKING:
    from flexeval.models import MaskPredictor
    from flexeval.records import SamplingConfig
    from flexeval.reproduce.estimate import Machine
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
        skip: fields without an option.
        repeatable: fields whose option may be given several times; its value is a list of texts.
        defaults: field -> its default in the help text, where the verb has its own.
    """
    hints, docs = typing.get_type_hints(record), field_docs(record)
    for field in dataclasses.fields(record):
        if field.name in skip:
            continue
        shown = (defaults or {}).get(field.name, str(field.default).lower())
        text = (docs[field.name] + (f" [default: {shown}]" if shown else "")).replace("%", "%%")
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
    """The fields of a record that the user gave, each converted to its type, without those in `skip`.

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

DEFAULT_LIMIT = 50
"""Problems of a run of `passk` and `sweep`."""
MOST_WORKERS = 10_000


def add_run(options: Declares) -> None:
    """The fields of `RunConfig`, with --order as often as one likes."""
    from flexeval.records import RunConfig

    add_fields(options, RunConfig, skip=("sampling",), repeatable=("order",), defaults={"limit": str(DEFAULT_LIMIT)})


def add_sampling(parser: argparse.ArgumentParser) -> None:
    """Every field of `SamplingConfig`."""
    from flexeval.records import SamplingConfig

    defaults = {"gen_length": "the task's; without a task, the model's"}
    add_fields(parser.add_argument_group("sampling"), SamplingConfig, defaults=defaults)


def add_machine(parser: argparse.ArgumentParser, *, batch: bool = False) -> None:
    """--device, --dtype, --trust-remote-code and --data-dir, and --batch-size for verbs that draw many samples."""
    machine = parser.add_argument_group("machine")
    machine.add_argument(
        "--device",
        default="auto",
        help="As in torch: cpu, cuda, cuda:1. One device holds the whole model. [default: auto]",
    )
    machine.add_argument("--dtype", default="auto", help="Of the weights: float32, bfloat16, float16. [default: auto]")
    if batch:
        machine.add_argument(
            "--batch-size",
            metavar="N",
            default="auto",
            help="Samples in flight. In float32 it changes no sample, up to rounding; in half precision it does unless "
            "--batch-invariant is given. [default: auto]",
        )
    machine.add_argument(
        "--trust-remote-code",
        action="store_true",
        help="Run the code that comes with a checkpoint, for models that flexeval has no layers for.",
    )
    add_data_dir(machine)


def add_workers(options: Declares) -> None:
    """--workers and --ray-address."""
    options.add_argument(
        "--workers",
        metavar="N",
        default="1",
        help="Processes that share the work, through Ray: each has a GPU of its own where there are GPUs, else its "
        "share of the processors. Samples do not depend on how many. [default: 1, without Ray]",
    )
    options.add_argument(
        "--ray-address",
        metavar="auto|HOST:PORT",
        help="Use a Ray cluster that runs already. [default: Ray is started on this machine for this command]",
    )


def add_division(parser: argparse.ArgumentParser) -> None:
    """--workers, --ray-address and --shard; docs/cluster.md has examples."""
    options = parser.add_argument_group("several processes and machines")
    add_workers(options)
    options.add_argument(
        "--shard",
        metavar="I/N",
        help="Draw only the problems whose place is I modulo N, into a folder of their own; `flexeval merge` makes one "
        "run of the shards. [default: in a Slurm job array its place in the array, else none]",
    )


def add_estimate(parser: argparse.ArgumentParser, *, of_plan: bool = False) -> None:
    """--dry-run, and what it goes by: the fields of `Machine`, and --parameters, which a plan says itself."""
    from flexeval.reproduce.estimate import Machine

    estimate = parser.add_argument_group("estimate")
    estimate.add_argument(
        "--dry-run",
        action="store_true",
        help="Print what would be drawn and what it takes (forwards, operations, disk, hours), then stop.",
    )
    add_fields(estimate, Machine)
    if not of_plan:
        estimate.add_argument(
            "--parameters",
            metavar="X",
            help="The size of the model, as in 8e9. [default: that of our plans for models that they name; otherwise "
            "counted, where the weights are on this machine]",
        )


def check_estimate(args: argparse.Namespace) -> None:
    """Raise InputError for an option of `add_estimate` that has no effect without --dry-run."""
    from flexeval.reproduce.estimate import Machine

    names = [*(field.name for field in dataclasses.fields(Machine)), "parameters"]
    found = next((_flag(name) for name in names if getattr(args, name, None) is not None), None)
    if found and not args.dry_run:
        raise InputError(f"{found} is for the estimate; add --dry-run, or leave out {found}")


def estimated_machine(args: argparse.Namespace) -> Machine:
    """What `add_estimate` says of the machine. Raises InputError for one that cannot be."""
    from flexeval.reproduce.estimate import Machine

    return Machine(**given(args, Machine))


def sizes(args: argparse.Namespace, models: Iterable[str]) -> dict[str, float]:
    """Model -> its size: the value of --parameters, or what our plans say. Raises InputError for what is no size."""
    from flexeval.fields import require
    from flexeval.registry import convert
    from flexeval.reproduce.estimate import MOST_NUMBERS
    from flexeval.reproduce.plan import PRESETS, read_preset

    if args.parameters is None:
        plans = [read_preset(name, quick=False).parameters for name in PRESETS]
        return {model: size for sizes in plans for model, size in sizes.items()}
    size = convert(args.parameters, float, what="--parameters")
    require(1 <= size <= MOST_NUMBERS, f"--parameters is the size of the model, as in 8e9, not {args.parameters}")
    return dict.fromkeys(models, size)


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
        help="The wording around each question: a template of the task (see `flexeval ls tasks`), or a YAML file with "
        "`user` and optionally `system` and `prefill`. [default: default]",
    )


def add_stored_runs(options: Declares) -> None:
    """RUN..."""
    options.add_argument(
        "runs", metavar="RUN", nargs="+", type=Path, help="A run folder, or a folder that holds run folders."
    )


def add_runs_folder(options: Declares, *names: str) -> None:
    """Where run folders are made and looked for."""
    options.add_argument(
        *names, metavar="DIR", type=Path, default=Path("runs"), help="Folder of run folders. [default: runs]"
    )


def add_out(
    options: Declares, *, metavar: str, help: str, kind: type = Path, default: Any = None, required: bool = False
) -> None:
    """-o and --out: where what the command makes goes. They mean this on every verb, and nothing else."""
    options.add_argument("-o", "--out", metavar=metavar, type=kind, default=default, required=required, help=help)


def add_verdict(options: Declares, *, of_plan: bool = False) -> None:
    """--verdict; None stands for that of the plan where there is one."""
    options.add_argument(
        "--verdict",
        metavar="NAME",
        default=None if of_plan else CORRECT,
        help="The verdict by which a sample counts as solving its problem: correct, or one that its task gives beside "
        f"it, such as sound. [default: {'the plan says it' if of_plan else 'correct'}]",
    )


def add_ks(options: Declares) -> None:
    """--k, which `ks` reads."""
    options.add_argument("--k", metavar="K,K,...", help="The k of Pass@k. [default: powers of two up to n, and n]")


def add_votes(options: Declares) -> None:
    """--votes."""
    options.add_argument(
        "--votes",
        action="store_true",
        help="Also maj@k, whether the most frequent answer of k samples is right, and all@k, whether all k are.",
    )


def add_words(options: Declares, *, top: str, listed: str) -> None:
    """--top and --min-count of a list of words."""
    options.add_argument("--top", metavar="N", default=top, help=f"How many {listed} to list. [default: {top}]")
    options.add_argument(
        "--min-count", metavar="N", default="20", help="Least number of occurrences of a listed word. [default: 20]"
    )


def add_files(options: Declares, *, rows: str) -> None:
    """--json and --csv; `rows` says what a line of the CSV file is."""
    options.add_argument("--json", metavar="FILE", help="Also write settings and numbers as JSON; - for stdout.")
    options.add_argument("--csv", metavar="FILE", help=f"Also write a CSV file: {rows}.")


# ----- what they mean -----


def load_task(args: argparse.Namespace, spec: str) -> Task:
    """The task, with the data folder and the wording that the user gave.

    Raises:
        InputError: an unknown task or parameter, or a wording that cannot be read or that the task does not allow.
    """
    from flexeval.tasks import get_task, with_template
    from flexeval.tasks.task import HasTemplate

    task = get_task(spec if args.prompt is None else with_template(spec, args.prompt), data_dir=args.data_dir)
    if isinstance(task, HasTemplate):
        # Read here, so that an error in it is found before the model is loaded.
        _ = task.prompt_template
    return task


def check_verdict(args: argparse.Namespace, task: Task) -> None:
    """Raise InputError, which lists those that there are, unless the task gives the verdict that is to count."""
    from flexeval.tasks.task import verdicts_of

    if args.verdict not in (known := verdicts_of(task)):
        raise did_you_mean(f"verdict of task {task.name!r}", args.verdict, known)


def batch_size(args: argparse.Namespace) -> int | None:
    """The value of --batch-size; None for auto. Raises InputError as `whole_number`."""
    if args.batch_size == "auto":
        return None
    from flexeval.records import LARGEST_BATCH

    return whole_number(args.batch_size, least=1, most=LARGEST_BATCH, what="--batch-size")


def whole_number(text: str, *, least: int, what: str, most: int | None = None) -> int:
    """A text as a whole number. Raises InputError, with `what` as its name, for anything else and outside the range."""
    from flexeval.fields import require_whole
    from flexeval.records import MOST
    from flexeval.registry import convert

    return require_whole(convert(text, int, what=what), what=what, least=least, most=most or MOST)


def ascending(text: str, *, what: str) -> list[int]:
    """The whole numbers of a list with commas, ascending, each once. Raises InputError as `whole_number`."""
    return sorted({whole_number(part.strip(), least=1, what=what) for part in text.split(",")})


def ks(text: str | None, n: int, *, limit: str) -> list[int]:
    """The values of --k, or the default grid up to n where it is not given.

    Raises:
        InputError: not a list of whole numbers from 1 to n; the message says `limit`, which is where n comes from.
    """
    from flexeval.stats.pass_at_k import default_ks

    if text is None:
        return default_ks(n)
    values = ascending(text, what="every k of --k")
    if values[-1] > n:
        raise InputError(f"pass@{values[-1]} needs {values[-1]} samples of every problem, but {limit}; use k <= {n}")
    return values


def workers(args: argparse.Namespace) -> int:
    """The value of --workers. Raises InputError as `whole_number`."""
    return whole_number(args.workers, least=1, most=MOST_WORKERS, what="--workers")


def several(args: argparse.Namespace) -> bool:
    """Whether workers do the work, and not this process. Raises InputError as `workers`."""
    return workers(args) > 1 or args.ray_address is not None


def settle_shard(args: argparse.Namespace) -> None:
    """Put the shard that is meant in the place of the text of --shard, and say so where a job array decides it.

    Raises:
        InputError: no shard, or an array whose tasks do not know their place.
    """
    from flexeval.runs.shards import WHOLE, parse_shard, shard_of_array

    if args.shard is not None:
        args.shard = WHOLE if args.shard == "none" else parse_shard(args.shard)
        return
    found = shard_of_array(os.environ)
    args.shard = found or WHOLE
    if found is not None:
        print(
            f"flexeval: shard {found} of each run, by the place in the Slurm job array; --shard none makes whole runs",
            file=sys.stderr,
        )


def check_machine(args: argparse.Namespace) -> None:
    """Raise InputError for machine options that are wrong on any machine. Imports no torch."""
    from flexeval.models.names import DTYPES

    if args.dtype not in ("auto", *DTYPES):
        raise did_you_mean("dtype", args.dtype, ["auto", *DTYPES])
    if not re.fullmatch(r"auto|cpu|mps|cuda(:\d{1,4})?", args.device):
        raise did_you_mean(
            "device",
            args.device,
            ["auto", "cpu", "cuda"],
            listed="auto, cpu, cuda, cuda:1, of which one holds the whole model",
        )
    if "batch_size" in args:
        batch_size(args)
    if "workers" in args and several(args):
        from flexeval.workers import Machine, require_address

        Machine(device=args.device)
        if args.ray_address is not None:
            require_address(args.ray_address)
    if args.data_dir is not None and not args.data_dir.is_dir():
        raise InputError(f"no data folder {str(args.data_dir)!r}; give the folder that holds the benchmark files")


def check_device(args: argparse.Namespace) -> None:
    """Raise InputError for a device that this machine lacks. Imports torch if --device names one."""
    if args.device not in ("auto", "cpu"):
        from flexeval.models.loading import check_device

        check_device(args.device)


def sampling_config(args: argparse.Namespace, task: Task) -> SamplingConfig:
    """The sampling settings that the user gave. The default of `gen_length` is the task's.

    Raises:
        InputError: a setting that is refused.
    """
    from flexeval.records import SamplingConfig

    return SamplingConfig(**{"gen_length": task.gen_length, **given(args, SamplingConfig)})


def load_model(args: argparse.Namespace, spec: str) -> MaskPredictor:
    """The model, on the user's device and in the user's type. Raises InputError as `flexeval.load_model`."""
    import flexeval

    return flexeval.load_model(
        spec,
        device=args.device,
        dtype=args.dtype,
        trust_remote_code=args.trust_remote_code,
        attention=getattr(args, "attention", None),
        adapter=getattr(args, "adapter", None),
    )
