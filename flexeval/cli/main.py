"""The command `flexeval`: which verb, and what an error looks like.

Bad input is one line on stderr and exit status 2. An exception that is not listed here is a bug and keeps its
traceback. Importing this module and listing the verbs imports nothing of weight.
"""

from __future__ import annotations

import argparse
import errno
import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NoReturn

import flexeval
from flexeval.cli import (
    bypass,
    compare,
    coverage,
    endings,
    entropy,
    figures,
    grade,
    grpo,
    lm_eval,
    ls,
    passk,
    report,
    reproduce,
    sample,
    sweep,
)
from flexeval.errors import InputError, did_you_mean, one_line

if TYPE_CHECKING:
    from _typeshed import SupportsWrite

VERBS = {
    "passk": passk,
    "sample": sample,
    "sweep": sweep,
    "reproduce": reproduce,
    "compare": compare,
    "coverage": coverage,
    "entropy": entropy,
    "bypass": bypass,
    "figures": figures,
    "report": report,
    "grade": grade,
    "grpo": grpo,
    "ls": ls,
    "lm-eval": lm_eval,
}

_EPILOG = """\
examples:
  flexeval passk --order ar                              Pass@k of the bundled model, left to right
  flexeval passk --order ar --order confidence           two orders, and their paired differences
  flexeval sample --order confidence --problem 3         one decode, coloured by entropy and commit step
  flexeval ls orders                                     what can be written after --order
"""

_FULL = {errno.ENOSPC, errno.EDQUOT}
_PATH = {
    errno.EACCES: "give one that you may use, or change its permissions",
    errno.EPERM: "give one that you may use, or change its permissions",
    errno.EROFS: "give one that can be written",
    errno.ENAMETOOLONG: "give a shorter one",
    errno.EISDIR: "give a file",
    errno.ENOTDIR: "a part of it that should be a folder is a file; give another",
    errno.EEXIST: "it is there already, and not what is needed; give another",
    errno.ENOENT: "it is not there",
    errno.ELOOP: "its symbolic links lead in a circle; give another",
    errno.EINVAL: "no file can be called so; give another",
    errno.ENXIO: "it is no file that can be read or written; give another",
    errno.ETXTBSY: "it is being run; give another",
}
"""What is wrong with a path that the user gave -> what to do about it."""


class Parser(argparse.ArgumentParser):
    """Answers bad input with an InputError, and declares its options only when it is used."""

    def __init__(self, *, declare: Callable[[argparse.ArgumentParser], None] | None = None, **options: Any) -> None:
        """
        Args:
            declare: adds the parser's options; called before the first parse, so that the verbs that are not asked
                for cost nothing.
            options: as `argparse.ArgumentParser`.
        """
        super().__init__(allow_abbrev=False, formatter_class=argparse.RawDescriptionHelpFormatter, **options)
        self._declare = declare

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> tuple[Any, list[str]]:
        """As `argparse.ArgumentParser`, but nothing may be left over."""
        if self._declare is not None:
            self._declare(self)
            self._declare = None
        parsed, rest = super().parse_known_args(args, namespace)
        if rest:
            option, _, _ = rest[0].partition("=")
            if not option.startswith("-"):
                raise InputError(f"unexpected argument {option!r}; see `{self.prog} --help`")
            listed = f"what `{self.prog} --help` lists"
            raise did_you_mean("option", option, self._option_string_actions, listed=listed)
        return parsed, rest

    def print_help(self, file: SupportsWrite[str] | None = None) -> None:
        """As `argparse.ArgumentParser`, which keeps to itself that nobody reads it."""
        (sys.stdout if file is None else file).write(self.format_help())

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
    for module in VERBS.values():
        module.add_parser(verbs)
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run one command; the exit status.

    0; 1 when some of many runs failed; 2 for bad input; 130 for Ctrl-C, 143 for SIGTERM, 129 for SIGHUP; 141 for a
    reader that went away.
    """
    arguments = sys.argv[1:] if argv is None else argv
    try:
        _require_text(arguments)
        if arguments and not arguments[0].startswith("-") and arguments[0] not in VERBS:
            raise did_you_mean("command", arguments[0], VERBS)
        args = make_parser().parse_args(arguments)
        status: int = args.run(args)
        sys.stdout.flush()
    except InputError as error:
        return _fail(str(error))
    except BrokenPipeError:
        # Whoever read our output has enough (`| head`).
        return endings.GONE
    except OSError as error:
        if error.errno in _FULL:
            place = f" ({error.filename})" if error.filename else ""
            return _fail(
                f"no space left on the device{place}; make room and give the same command again: "
                f"it continues {_stored(arguments)}"
            )
        if error.errno in _PATH and error.filename is not None:
            return _fail(f"cannot use {os.fsdecode(error.filename)!r}: {error.strerror}; {_PATH[error.errno]}")
        raise
    except KeyboardInterrupt as stop:
        by = f" by {stop}" if isinstance(stop, endings.Stopped) else ""
        endings.last_words(f"flexeval: stopped{by}; the same command continues {_stored(arguments)}")
        return endings.status_of(stop)
    return status


def _stored(arguments: list[str]) -> str:
    """From where a command that was stopped goes on."""
    if arguments[:1] == ["grpo"]:
        return "from the last checkpoint, less than --save-every steps back"
    if arguments[:1] == ["lm-eval"]:
        return "with the answers in --use_cache, and from the beginning without it"
    return "with the samples that are stored"


def _require_text(arguments: list[str]) -> None:
    """Refuse what no file in UTF-8 can hold, which run folders, tables and pages are, and no path in any system."""
    for argument in arguments:
        try:
            argument.encode()
        except UnicodeEncodeError:
            raise InputError(f"the argument {argument!r} is not UTF-8; write it in UTF-8, or rename the file") from None
        if "\0" in argument:
            raise InputError(f"the argument {argument!r} holds a zero byte; leave it out")


def _fail(message: str) -> int:
    print(f"flexeval: error: {one_line(message)}", file=sys.stderr)
    return 2
