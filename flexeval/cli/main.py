"""The command `flexeval`: which verb, and what an error looks like.

Bad input is one line on stderr and exit status 2. An exception that is not listed here is a bug and keeps its
traceback. A verb is the module of its name (`import_` for `import`), with an `EPILOG`, `add_options` and `run`. It is
imported when it is called, and none of them imports anything of weight before `run`.
"""

from __future__ import annotations

import argparse
import errno
import functools
import importlib
import keyword
import os
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import flexeval
from flexeval.cli import endings, every_minute
from flexeval.errors import InputError, Note, did_you_mean, one_line, out_of_memory

if TYPE_CHECKING:
    from collections.abc import Callable

    from _typeshed import SupportsWrite

VERBS = {
    "passk": "sample a model under decoding orders, grade the answers, and print Pass@k with intervals",
    "sample": "show one decode: its text, the order in which tokens were committed, and their entropy",
    "sweep": "sample every combination of settings, and print Pass@k of each",
    "reproduce": "make every run of a plan, its figures and report, and the table of claims",
    "compare": "compare two runs: Pass@k, where they cross, CoverageAUC, Potential@k, pass@NFE, diversity",
    "coverage": "count the problems that one of two runs solves and the other does not",
    "power": "say how wide the intervals of a comparison will be for n problems x n samples, before sampling",
    "entropy": "show the entropy of connectors and of all tokens when they were committed, by order",
    "bypass": "list the words that were passed over, and compare connectors with other words",
    "figures": "draw the paper's figures from stored runs, as PNG, PDF and CSV",
    "claims": "say what stored runs show of each claim of the literature: a table of verdicts",
    "report": "write one HTML page: settings, claims, Pass@k, coverage, entropy, bypass, decodes to play",
    "export": "write stored runs as logs of inspect_ai, or as a data set for the hub",
    "grade": "grade stored runs again and replace their verdicts, or grade completions of another program",
    "merge": "make one run folder of the shards of a run",
    "import": "make a run of a file of completions that another program drew",
    "grpo": "train a model with GRPO in AR order or another: sample groups of answers and reinforce the better ones",
    "ls": "list decoding orders, models and their families, tasks, figures and claims",
    "lm-eval": "run lm-eval with the model `flexeval` and the tasks `flexeval_*` (group `flexeval`)",
}
"""Verb -> what it does."""

_PARSERS: dict[str, dict[str, Any]] = {
    # Nothing begins an option here, so that lm-eval gets every word as it stands.
    "lm-eval": {"prefix_chars": "\0", "add_help": False},
}
"""What a verb's parser has beyond the others."""

_EPILOG = """\
examples:
  flexeval passk --order ar                              Pass@k of the bundled model, left to right
  flexeval passk --order ar --order confidence           two orders, and their paired differences
  flexeval sample --order confidence --problem 3         one decode, coloured by entropy and commit step
  flexeval ls orders                                     what can be written after --order
"""

_DRAW = {"passk", "sweep", "reproduce", "sample"}
"""Verbs that store the samples that they draw."""
_FULL = {errno.ENOSPC, errno.EDQUOT}
_PATH = {
    errno.EACCES: "give one that you may use, or change its permissions",
    errno.EPERM: "give one that you may use, or change its permissions",
    errno.EROFS: "give one that can be written",
    errno.ENAMETOOLONG: "give a shorter one",
    errno.EISDIR: "give a file",
    errno.ENOTDIR: "a part of the path that should be a folder is a file; give another",
    errno.EEXIST: "something else already has this name; give another",
    errno.ENOENT: "it does not exist",
    errno.ELOOP: "its symbolic links form a circle; give another",
    errno.EINVAL: "no file can have this name; give another",
    errno.ENXIO: "it cannot be read or written as a file; give another",
    errno.EFBIG: "raise the limit of file sizes (ulimit -f), or give a place on another file system",
    errno.ESTALE: "its server has lost it; run the same command again, or give another",
    errno.ETXTBSY: "it is a program that is running; give another",
}
"""Error number -> what the user can do about the path."""


class Parser(argparse.ArgumentParser):
    """Raises InputError for bad input. The module of its verb is imported, and declares its options, on first use."""

    def __init__(self, *, verb: str | None = None, **options: Any) -> None:
        """
        Args:
            verb: whose options to parse; None for the command itself.
            options: as `argparse.ArgumentParser`.
        """
        super().__init__(allow_abbrev=False, formatter_class=argparse.RawDescriptionHelpFormatter, **options)
        self._verb = verb

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> tuple[Any, list[str]]:
        """As `argparse.ArgumentParser`, but nothing may be left over."""
        if self._verb is not None:
            name = self._verb.replace("-", "_")
            module = importlib.import_module(f"flexeval.cli.{name}{'_' if keyword.iskeyword(name) else ''}")
            self.epilog = module.EPILOG
            self.set_defaults(run=module.run, verb=self._verb)
            module.add_options(self)
            self._verb = None
        parsed, rest = super().parse_known_args(args, namespace)
        if rest:
            option, _, _ = rest[0].partition("=")
            if not option.startswith("-"):
                raise InputError(f"unexpected argument {option!r}; see `{self.prog} --help`")
            listed = f"what `{self.prog} --help` lists"
            raise did_you_mean("option", option, self._option_string_actions, listed=listed)
        return parsed, rest

    def print_help(self, file: SupportsWrite[str] | None = None) -> None:
        """As `argparse.ArgumentParser`, which would ignore that nobody reads the output."""
        (sys.stdout if file is None else file).write(self.format_help())

    def _get_value(self, action: argparse.Action, arg_string: str) -> Any:
        """As `argparse.ArgumentParser`, but what is empty is refused: as a path it would be the current folder.

        The home folder is put in for `~`, which shells leave alone in `--out=~/runs`.
        """
        if not arg_string.strip() and (action.option_strings or action.type is Path):
            name = action.option_strings[-1] if action.option_strings else action.metavar
            raise InputError(f"{name} is empty; give a value, or leave it out")
        if action.type is Path or action.metavar in ("FILE", "DIR", "NAME|FILE"):
            arg_string = os.path.expanduser(arg_string)
        return super()._get_value(action, arg_string)

    def error(self, message: str) -> NoReturn:
        """Raise an InputError instead of printing the usage."""
        raise InputError(f"{message}; see `{self.prog} --help`")


def make_parser() -> Parser:
    """The parser of the whole command line."""
    parser = Parser(
        prog="flexeval",
        description="What does the decoding order of a masked diffusion language model do to the answers it can reach?",
        epilog=_EPILOG,
    )
    parser.add_argument("--version", action="version", version=f"flexeval {flexeval.__version__}")
    verbs = parser.add_subparsers(title="commands", metavar="COMMAND", required=True, parser_class=Parser)
    for verb, text in VERBS.items():
        sentence = f"{text[0].upper()}{text[1:]}."
        verbs.add_parser(verb, verb=verb, help=text, description=sentence, **_PARSERS.get(verb, {}))
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run one command; the exit status.

    0; 1 when some of many runs failed; 2 for bad input; 130 for Ctrl-C, 143 for SIGTERM, 129 for SIGHUP; 141 when
    the reader of the output went away.
    """
    arguments = sys.argv[1:] if argv is None else argv
    try:
        _require_text(arguments)
        if arguments and not arguments[0].startswith("-") and arguments[0] not in VERBS:
            raise did_you_mean("command", arguments[0], VERBS)
        args = make_parser().parse_args(arguments)
        _require_folder()
        with warnings.catch_warnings():
            warnings.showwarning = functools.partial(_show_warning, warnings.showwarning)
            warnings.filterwarnings("default", category=Note)
            status: int = _run(args)
        sys.stdout.flush()
    except InputError as error:
        return _fail(str(error))
    except BrokenPipeError:
        # Whoever read our output has enough (`| head`).
        return endings.GONE
    except OSError as error:
        if error.errno in _FULL:
            place = f" ({error.filename})" if error.filename else ""
            stored = _stored(arguments)
            return _fail(
                f"no space left on the device{place}; make room and run the same command again"
                + (f": it continues {stored}" if stored else "")
            )
        if error.errno in _PATH and error.filename is not None:
            return _fail(f"cannot use {os.fsdecode(error.filename)!r}: {error.strerror}; {_PATH[error.errno]}")
        raise
    except RuntimeError as error:
        if (memory := out_of_memory(error)) is None:
            raise
        stored = _stored(arguments)
        return _fail(f"{memory}" + (f"; the command then continues {stored}" if stored else ""))
    except KeyboardInterrupt as stop:
        by = f" by {behind}" if (behind := endings.signal_of(stop)) else ""
        stored = _stored(arguments)
        endings.last_words(
            f"flexeval: stopped{by}; the same command {f'continues {stored}' if stored else 'begins anew'}"
        )
        return endings.status_of(stop)
    return status


def _run(args: argparse.Namespace) -> int:
    """Run the verb, with a line a minute; lm-eval has bars of its own."""
    if args.verb == "lm-eval":
        return int(args.run(args))
    with every_minute.every_minute(args.verb):
        return int(args.run(args))


def _stored(arguments: list[str]) -> str:
    """Where a command continues after a stop; empty for one that begins anew."""
    if arguments[:1] == ["grpo"]:
        return "from the last checkpoint, less than --save-every steps back"
    if arguments[:1] == ["lm-eval"]:
        return "with the answers in --use_cache, or from the beginning without it"
    return "with the samples that are stored" if arguments[:1] and arguments[0] in _DRAW else ""


def _require_text(arguments: list[str]) -> None:
    """Refuse arguments that are not UTF-8, as all files that we write are, or that no path can contain."""
    for argument in arguments:
        try:
            argument.encode()
        except UnicodeEncodeError:
            raise InputError(f"the argument {argument!r} is not UTF-8; write it in UTF-8, or rename the file") from None
        if "\0" in argument:
            raise InputError(f"the argument {argument!r} contains a zero byte; leave it out")


def _require_folder() -> None:
    """Refuse a current folder that somebody removed: no relative path means anything, and torch does not load."""
    try:
        os.getcwd()
    except FileNotFoundError:
        raise InputError("the current folder does not exist any more; change to another (cd)") from None


def _show_warning(others: Callable[..., None], message: Warning | str, category: type[Warning], *where: Any) -> None:
    """Print a `Note` as one line, and have other warnings shown as they are."""
    if issubclass(category, Note):
        print(f"flexeval: note: {one_line(message)}", file=sys.stderr)
    else:
        others(message, category, *where)


def _fail(message: str) -> int:
    print(f"flexeval: error: {one_line(message)}", file=sys.stderr)
    return 2
