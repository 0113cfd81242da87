"""`flexeval ls`: the names of orders, tasks, figures, claims, models and families of models."""

from __future__ import annotations

import argparse
import dataclasses
import importlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from flexeval.errors import PluginError, did_you_mean, one_line

if TYPE_CHECKING:
    from flexeval.registry import Registry

KINDS = {
    "orders": "flexeval.orders:ORDERS",
    "models": "flexeval.models:MODELS",
    "families": "flexeval.models.families:FAMILIES",
    "tasks": "flexeval.tasks:TASKS",
    "figures": "flexeval.figures:FIGURES",
    "claims": "flexeval.claims:CLAIMS",
}
"""What can be listed -> where its names are."""

EPILOG = """\
examples:
  flexeval ls             everything
  flexeval ls orders      decoding orders, their aliases, parameters and defaults
  flexeval ls models      short names, attention rules, hub ids, mask and stop tokens, published settings
  flexeval ls --json -    the same for programs
  flexeval ls families    the layouts of checkpoints that can be loaded, most by the model_type of their config.json

Orders, models, families, tasks, figures and claims of other installed packages are listed, too: they declare them
under the entry-point groups flexeval.orders, flexeval.models and so on.
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--json", metavar="FILE", help="Also write the list as JSON; - for stdout, in its place.")
    parser.add_argument("kind", nargs="?", metavar="|".join(KINDS), help="What to list. [default: all]")


def run(args: argparse.Namespace) -> int:
    """Print one line a name: name, summary and aliases. Orders and tasks that are asked for come with their parameters
    and prompts, and what another package registers with the reason why it cannot be used.
    """
    if args.kind is not None and args.kind not in KINDS:
        raise did_you_mean("kind of name", args.kind, KINDS)
    kinds = KINDS if args.kind is None else [args.kind]
    if args.json is not None:
        from flexeval.cli import output

        output.check_targets({"--json": args.json})
        output.write_json(args.json, {kind: [_entry(kind, name) for name in _registry(kind)] for kind in kinds})
        if args.json == "-":
            return 0
    # Reading the parameters of tasks takes long.
    print("\n\n".join(_section(kind, with_notes=kind in ("orders", args.kind)) for kind in kinds))
    return 0


def _registry(kind: str) -> Registry[Any]:
    module, _, attribute = KINDS[kind].partition(":")
    registry: Registry[Any] = getattr(importlib.import_module(module), attribute)
    return registry


def _entry(kind: str, name: str) -> dict[str, Any]:
    """What there is to say of a name, as JSON values; of a plug-in that cannot be used, the reason."""
    registry = _registry(kind)
    entry: dict[str, Any] = {
        "name": name,
        "summary": registry.summary(name),
        "aliases": list(registry.aliases(name)),
        "plugin": registry.is_plugin(name),
    }
    try:
        target = registry.get(name)
        if kind == "models":
            return entry | {"hub_id": target.repo, "attention": target.attention, "settings": target.settings}
        if dataclasses.is_dataclass(target) and isinstance(target, type) and kind in ("orders", "tasks"):
            entry["parameters"] = dict(_defaults(target))
        entry |= {"prompts": list(target.templates)} if getattr(target, "templates", ()) else {}
    except PluginError as error:
        entry["unusable"] = one_line(error)
    return entry


def _section(kind: str, *, with_notes: bool) -> str:
    """The heading and a line for each registered name."""
    registry = _registry(kind)
    width = max(len(name) for name in registry)
    lines = [kind]
    columns = _model_columns(registry) if kind == "models" else {}
    for name in registry:
        notes = [registry.summary(name)]
        if aliases := registry.aliases(name):
            notes.append(f"also: {', '.join(aliases)}")
        if with_notes and (kind in ("orders", "tasks") or registry.is_plugin(name)):
            notes += _notes(registry, name)
        if with_notes and kind == "models":
            notes += _tokens_and_settings(registry, name)
        lines.append(f"  {name:<{width}}  {columns.get(name, '')}{'; '.join(notes)}")
    return "\n".join(lines)


def _model_columns(registry: Registry[Any]) -> dict[str, str]:
    """Name -> attention rule and hub id, padded to columns."""
    usable = dict(registry.usable())
    rules = {name: model.attention or "by its files" for name, model in usable.items()}
    repos = {name: model.repo or "" for name, model in usable.items()}
    rule_width, repo_width = (max(map(len, texts.values())) for texts in (rules, repos))
    return {name: f"{rules[name]:<{rule_width}}  {repos[name]:<{repo_width}}  " for name in usable}


def _tokens_and_settings(registry: Registry[Any], name: str) -> list[str]:
    """How the mask and the end of a turn are called, and what its authors decode with."""
    from flexeval.models.families import FAMILIES

    model = dict(registry.usable()).get(name)
    if model is None or model.family not in FAMILIES:
        return []
    # The tokenizers of bundled models are LLaDA's in this, whatever their layout.
    family = FAMILIES.get(model.family if model.repo else "llada")
    notes = [f"mask {family.mask_tokens[0]}, stops at EOS and {family.end_of_turn}"]
    canvas = {"--gen-length": model.recommended.gen_length, "--block-length": model.recommended.block_length}
    settings = " ".join([model.settings, *(f"{name} {value}" for name, value in canvas.items() if value is not None)])
    return [*notes, f"published with {settings.strip()}"] if settings else notes


def _notes(registry: Registry[Any], name: str) -> list[str]:
    """Parameters and prompts, if any; for a plug-in that cannot be used, the reason."""
    try:
        target = registry.get(name)
        parameters = list(_parameters(target)) if dataclasses.is_dataclass(target) and isinstance(target, type) else []
        templates = list(getattr(target, "templates", ()))
    except PluginError as error:
        return [one_line(error)]
    listed = {"parameters": parameters, "prompts": templates}
    return [f"{what}: {', '.join(names)}" for what, names in listed.items() if names]


def _parameters(cls: Any) -> Iterator[str]:
    """`name=default` of each field that a spec may set; a bare name has no default."""
    for name, default in _defaults(cls):
        yield name if default is None else f"{name}={default}"


def _defaults(cls: Any) -> Iterator[tuple[str, str | None]]:
    """Each field that a spec may set, and its default as a spec writes it; None where it has none."""
    for field in dataclasses.fields(cls):
        if field.metadata.get("spec", True):
            has_default = field.default is not dataclasses.MISSING
            yield field.name, str(field.default).lower() if has_default else None
