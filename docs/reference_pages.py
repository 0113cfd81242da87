"""Writes docs/reference: a page of every command's help, one of the orders, and one for each package's public names.

Made anew whenever the documentation is built, so that none of it can be out of date.
"""

from __future__ import annotations

import contextlib
import importlib
import inspect
import io
import os
import pkgutil
from pathlib import Path

from flexeval.cli.main import VERBS, main

REFERENCE = Path(__file__).parent / "reference"
PACKAGES = {
    "flexeval": "What `import flexeval` offers.",
    "flexeval.orders": "Decoding orders: the base class of your own, and ours.",
    "flexeval.sampling": "Draw samples, and measure what a model says of a canvas.",
    "flexeval.models": "Load checkpoints; families and attention rules.",
    "flexeval.tasks": "Tasks: what one is, and ours.",
    "flexeval.runs": "Run folders: draw, read, select, pool.",
    "flexeval.stats": "Arrays and frames to numbers with intervals.",
    "flexeval.figures": "Figures: the base class of your own, and ours.",
    "flexeval.claims": "Claims: the base class of your own, and ours.",
    "flexeval.records": "The records that all of them share.",
}
"""Package or module -> what its page is about."""
_LEFT_OUT = ("flexeval.models.tiny", "flexeval.models.forks")
"""The bundled models, which are data and their recipes."""


def write_reference() -> None:
    """Write all pages."""
    REFERENCE.mkdir(exist_ok=True)
    _write("commands", _commands())
    _write("orders", "# Decoding orders\n\n" + _listed("ls", "orders"))
    for package, about in PACKAGES.items():
        _write(package, _api(package, about))
    pages = ["commands", "orders", "../families", "../figures", *PACKAGES]
    _write("index", "# Reference\n\n```{toctree}\n:maxdepth: 1\n\n" + "\n".join(pages) + "\n```\n")


def _commands() -> str:
    parts = ["# Commands\n\nEvery command prints this with `--help`.\n\n" + _listed("--help")]
    parts += [f"## {verb}\n\n{_listed(verb, '--help')}" for verb in VERBS if verb != "lm-eval"]
    parts.append("## lm-eval\n\nThe command line of lm-eval; see [its page](../lm-eval.md).\n")
    return "\n".join(parts)


def _listed(*argv: str) -> str:
    """What `flexeval ARGV` prints, as a block."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.suppress(SystemExit):
        main(list(argv))
    return f"```text\n{printed.getvalue().rstrip()}\n```\n"


def _api(package: str, about: str) -> str:
    names = [package, *_modules(package)]
    parts = [f"# {package}\n\n{about}\n"]
    for name in names:
        heading = f"## {name}\n\n" if len(names) > 1 else ""
        options = ["members:", "show-inheritance:"]
        if name == "flexeval":
            options.append("imported-members:")
        elif elsewhere := _defined_elsewhere(name):
            options.append(f"exclude-members: {', '.join(elsewhere)}")
        lines = "".join(f"   :{option}\n" for option in options)
        parts.append(f"{heading}```{{eval-rst}}\n.. automodule:: {name}\n{lines}```\n")
    return "\n".join(parts)


def _defined_elsewhere(name: str) -> list[str]:
    """What a module exports of others, which have it on their own pages."""
    module = importlib.import_module(name)
    exported = {each: getattr(module, each) for each in getattr(module, "__all__", ())}
    # Of an instance, __module__ is that of its class.
    named = {each: it.__module__ for each, it in exported.items() if inspect.isclass(it) or inspect.isfunction(it)}
    return sorted(each for each, home in named.items() if home.startswith("flexeval") and home != name)


def _modules(package: str) -> list[str]:
    """The modules of a package that have something public, in the order of their names."""
    paths = getattr(importlib.import_module(package), "__path__", None)
    if paths is None or package == "flexeval":
        return []
    found = [module.name for module in pkgutil.walk_packages(paths, f"{package}.") if not module.ispkg]
    return sorted(name for name in found if not name.startswith(_LEFT_OUT) and "._" not in name)


def _write(name: str, text: str) -> None:
    path = REFERENCE / f"{name}.md"
    if not path.exists() or path.read_text() != text:
        path.write_text(text)


os.environ["COLUMNS"] = "78"
