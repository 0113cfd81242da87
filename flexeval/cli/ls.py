"""`flexeval ls`: the names of orders, models, tasks and figures."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from flexeval.errors import PluginError, did_you_mean, one_line

if TYPE_CHECKING:
    from flexeval.registry import Registry

KINDS = ("orders", "models", "tasks", "figures")

EPILOG = """\
examples:
  flexeval ls             everything
  flexeval ls orders      decoding orders, their aliases, parameters and defaults
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("kind", nargs="?", metavar="|".join(KINDS), help="What to list. [default: all]")


def run(args: argparse.Namespace) -> int:
    """Print one line for each name: summary and aliases, the parameters of orders and, where only tasks are asked for,
    their parameters and prompts.
    """
    if args.kind is None:
        sections = [_section(kind, with_parameters=kind == "orders") for kind in KINDS]
    elif args.kind in KINDS:
        sections = [_section(args.kind, with_parameters=args.kind in ("orders", "tasks"))]
    else:
        raise did_you_mean("kind of name", args.kind, KINDS)
    print("\n\n".join(sections))
    return 0


def _section(kind: str, *, with_parameters: bool) -> str:
    """The heading and a line for each registered name, without parameters where reading them takes long."""
    registry = _registry(kind)
    width = max(len(name) for name in registry)
    lines = [kind]
    for name in registry:
        notes = [registry.summary(name)]
        if aliases := registry.aliases(name):
            notes.append(f"also: {', '.join(aliases)}")
        if with_parameters:
            notes += _notes(registry, name)
        lines.append(f"  {name:<{width}}  {'; '.join(notes)}")
    return "\n".join(lines)


def _notes(registry: Registry[Any], name: str) -> list[str]:
    """Parameters and prompts, if any; for a plug-in that cannot be used, the reason."""
    try:
        target = registry.get(name)
        parameters, templates = list(_parameters(target)), list(getattr(target, "templates", ()))
    except PluginError as error:
        return [one_line(error)]
    listed = {"parameters": parameters, "prompts": templates}
    return [f"{what}: {', '.join(names)}" for what, names in listed.items() if names]


def _registry(kind: str) -> Registry[Any]:
    if kind == "orders":
        from flexeval.orders import ORDERS

        return ORDERS
    if kind == "models":
        from flexeval.models import MODELS

        return MODELS
    if kind == "figures":
        from flexeval.figures import FIGURES

        return FIGURES
    from flexeval.tasks import TASKS

    return TASKS


def _parameters(cls: Any) -> Iterator[str]:
    """`name=default` of each field that a spec may set; a bare name has no default."""
    for field in dataclasses.fields(cls):
        if field.metadata.get("spec", True):
            has_default = field.default is not dataclasses.MISSING
            yield f"{field.name}={str(field.default).lower()}" if has_default else field.name
