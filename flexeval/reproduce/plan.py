"""A plan: a YAML file that names models, tasks, orders and settings -> the runs to make, each once, and the trainings
whose checkpoints they sample.

    title: ...                    one line
    description: ...              what it is for and how long it takes
    verdict: sound                what counts as solved; left out: correct
    ks: [1, 8, 64]                where Pass@k is tabulated; left out: powers of two up to n, and n
    parameters: {MODEL: 8.0e+9}   sizes of models that are not on this machine, for the estimate of GPU-hours
    defaults: {temperature: 0.6}  settings of every group that does not say otherwise
    trainings:                    trainings to make first, each under a name
      ar: {config: tiny, steps: 30, save_every: 10}
    runs:                         groups of runs
      - about: ...                what the group is for
        order: [ar, confidence]   a setting with one value, or with a list of them: all combinations are run
        block_length: [1, 8, whole]
      - model: [tiny, ar@10]      a model before and after ten steps of the training `ar`

Settings have the names of `RunConfig` and `SamplingConfig`; `order.gamma` or `task.facts` sets a parameter of an order
or a task; block_length `whole` is the canvas. Those of trainings have the names of `GRPOConfig`, and `config` names a
settings file that they override, as in `flexeval grpo --config`; `ar@10` is a checkpoint that `ar` writes.

Models come one after the other; within one, runs come in the order of the file, orders changing fastest. A run that is
named twice has the larger num_samples and limit of the two.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from importlib import resources
from pathlib import Path
from typing import Any

import yaml

from flexeval.errors import InputError, did_you_mean, one_line
from flexeval.grpo.config import GRPOConfig, read_settings, typed_setting
from flexeval.grpo.problems import canonical_training
from flexeval.reading import parse_yaml, read_text, require_text
from flexeval.records import CORRECT, MOST, RunConfig
from flexeval.reproduce.estimate import MOST_NUMBERS
from flexeval.reproduce.grid import expand, without_duplicates
from flexeval.reproduce.trainings import NAME, Training, find_training
from flexeval.tasks import get_task

PRESETS = ("tiny", "forks-grpo", "llada", "replication")
QUICK = "-quick"
_KEYS = ("title", "description", "verdict", "ks", "parameters", "defaults", "trainings", "runs")


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Runs to make, and how to report them."""

    name: str
    """The file's, without its ending; the folder of the results is called so."""
    title: str
    description: str
    configs: tuple[RunConfig, ...]
    """Canonical, each run once, in the order in which to make them. A model may be `NAME@STEP` of a training."""
    trainings: tuple[Training, ...]
    """In the order in which to make them, which is before the runs."""
    verdict: str
    """By which a sample counts as solving its problem; every task of the plan gives it."""
    ks: tuple[int, ...]
    """Where Pass@k is tabulated, ascending; empty for the powers of two up to n, and n."""
    parameters: Mapping[str, float]
    """Model -> its size, for models that are not on this machine."""


def read_preset(name: str, *, quick: bool) -> Plan:
    """A plan that comes with the package. Raises InputError for a name that none has."""
    if name not in PRESETS:
        raise did_you_mean("preset", name, PRESETS)
    file = resources.files("flexeval.reproduce") / "plans" / f"{name}{QUICK if quick else ''}.yaml"
    with resources.as_file(file) as path:
        return read_plan(path)


def read_plan(path: str | Path) -> Plan:
    """A plan from a file.

    Raises:
        InputError: no such file, not YAML, or a setting or value that is refused; says in which line.
    """
    path = Path(path)
    if not path.exists():
        raise InputError(f"there is no plan {str(path)!r}; give a YAML file, or a preset: {', '.join(PRESETS)}")
    try:
        root = yaml.compose(read_text(path, what="a YAML file, as --plan"), Loader=yaml.SafeLoader)
    except (yaml.YAMLError, RecursionError) as error:
        raise InputError(f"{path}: not YAML ({one_line(error)})") from None
    top = _mapping(root, f"{path}", known=_KEYS)
    if "runs" not in top:
        raise InputError(f"{path}: a plan needs runs; see `flexeval reproduce --help`")
    defaults = _settings(top["defaults"], f"{path}") if "defaults" in top else {}
    trainings = _trainings(top["trainings"], f"{path}") if "trainings" in top else ()
    groups = _items(top["runs"], f"{path}")
    by_model: dict[str, list[RunConfig]] = {}
    for group in groups:
        for config in _group(group, defaults, trainings, f"{path}"):
            by_model.setdefault(config.model, []).append(config)
    configs = without_duplicates(list(itertools.chain.from_iterable(by_model.values())))
    ks = _ks(top.get("ks"), f"{path}")
    if ks and ks[-1] > (most := max(config.num_samples for config in configs)):
        raise InputError(
            f"{_place(top['ks'], str(path))}: pass@{ks[-1]} needs {ks[-1]} samples of every problem, but no run has "
            f"more than {most}; use k <= {most}"
        )
    return Plan(
        name=path.stem,
        title=_line(top.get("title"), path.stem, f"{path}"),
        description=_line(top.get("description"), "", f"{path}"),
        configs=tuple(configs),
        trainings=trainings,
        verdict=_line(top.get("verdict"), CORRECT, f"{path}"),
        ks=ks,
        parameters=_sizes(top.get("parameters"), f"{path}"),
    )


def _group(
    node: yaml.Node, defaults: Mapping[str, list[str]], trainings: Sequence[Training], where: str
) -> list[RunConfig]:
    settings = {name: values for name, values in _settings(node, where).items() if name != "about"}
    with _at(node, where):
        configs = expand({**defaults, **settings})
        for config in configs:
            find_training(config.model, trainings)
        return configs


def _trainings(node: yaml.Node, where: str) -> tuple[Training, ...]:
    trainings = []
    for name, settings in _mapping(node, where).items():
        with _at(settings, where):
            if not NAME.fullmatch(name):
                raise InputError(f"a training's name has letters, digits and . _ - only, not {name!r}")
        trainings.append(_training(name, settings, where))
    if len({training.config.bf16 for training in trainings}) > 1:
        raise InputError(f"{_place(node, where)}: the trainings of a plan are all in bf16, or none is")
    return tuple(trainings)


def _training(name: str, node: yaml.Node, where: str) -> Training:
    settings: dict[str, Any] = {}
    nodes = _mapping(node, where)
    if "config" in nodes:
        file = nodes.pop("config")
        with _at(file, where):
            settings.update(read_settings(_line(file, "", where)))
    for key, value in nodes.items():
        with _at(value, where):
            settings[key] = typed_setting(key, _value(value, None, where), where=f"training {name!r}")
    with _at(node, where):
        config = GRPOConfig(**settings)
        config, _ = canonical_training(config, get_task(config.task))
        return Training(name=name, config=config)


# ----- YAML nodes, which know their lines -----


@contextmanager
def _at(node: yaml.Node, where: str) -> Iterator[None]:
    """Says in which line stands what is refused."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{_place(node, where)}: {error}") from None


def _settings(node: yaml.Node, where: str) -> dict[str, list[str]]:
    """Name -> values as text; a single value is a list of one."""
    return {name: _texts(value, where) for name, value in _mapping(node, where).items()}


def _texts(node: yaml.Node, where: str) -> list[str]:
    nodes = node.value if isinstance(node, yaml.SequenceNode) else [node]
    for item in nodes:
        if not isinstance(item, yaml.ScalarNode):
            raise InputError(f"{_place(item, where)}: a setting has one value or a flat list of values")
    for item in nodes:
        require_text(item.value, what=_place(item, where))
    texts = ["none" if item.value in ("null", "~", "") else item.value for item in nodes]
    if twice := next((item for place, item in enumerate(nodes) if texts[place] in texts[:place]), None):
        raise InputError(f"{_place(twice, where)}: {twice.value!r} is given twice; keep one")
    return texts


def _mapping(node: yaml.Node | None, where: str, known: Sequence[str] | None = None) -> dict[str, yaml.Node]:
    if not isinstance(node, yaml.MappingNode):
        raise InputError(f"{_place(node, where)}: expected names with values, as in `temperature: 0.6`")
    found: dict[str, yaml.Node] = {}
    for key, value in node.value:
        place = _place(key, where)
        if not isinstance(key, yaml.ScalarNode):
            raise InputError(f"{place}: a name is one word, as in `temperature: 0.6`")
        if key.value in found:
            raise InputError(f"{place}: {key.value!r} is given twice; keep one")
        if known is not None and key.value not in known:
            raise InputError(f"{place}: {did_you_mean('entry', key.value, known)}")
        found[key.value] = value
    return found


def _items(node: yaml.Node, where: str) -> list[yaml.Node]:
    if not isinstance(node, yaml.SequenceNode) or not node.value:
        raise InputError(f"{_place(node, where)}: expected a list, one `- ` an item")
    items: list[yaml.Node] = node.value
    return items


def _value(node: yaml.Node | None, default: Any, where: str = "") -> Any:
    if node is None:
        return default
    try:
        text = yaml.serialize(node)
    except RecursionError:
        raise InputError(f"{_place(node, where)}: nested too deeply") from None
    return parse_yaml(text, where=_place(node, where))


def _line(node: yaml.Node | None, default: str, where: str) -> str:
    """A text in one piece: what is not one is refused, since a few aliases can stand for gigabytes."""
    value = _value(node, default, where)
    if not isinstance(value, str | int | float | date):
        raise InputError(f"{_place(node, where)}: expected a text")
    return " ".join(require_text(str(value), what=_place(node, where)).split())


def _ks(node: yaml.Node | None, where: str) -> tuple[int, ...]:
    ks = _value(node, [], where)
    if not isinstance(ks, list) or not all(type(k) is int and 1 <= k <= MOST for k in ks):
        raise InputError(f"{_place(node, where)}: ks are whole numbers from 1, as in [1, 8, 64]")
    return tuple(sorted(set(ks)))


def _sizes(node: yaml.Node | None, where: str) -> dict[str, float]:
    sizes = _value(node, {}, where)
    if not isinstance(sizes, dict) or not all(
        type(model) is str and type(size) in (int, float) and 0 < size <= MOST_NUMBERS for model, size in sizes.items()
    ):
        raise InputError(f"{_place(node, where)}: parameters are sizes of models, as in `llada-8b-instruct: 8.0e+9`")
    return {str(model): float(size) for model, size in sizes.items()}


def _place(node: yaml.Node | None, where: str) -> str:
    return where if node is None else f"{where}, line {node.start_mark.line + 1}"
