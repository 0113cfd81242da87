"""Stored weights that become other parameters: experts that are stacked, a fused projection that is split.

The operations are transformers' own, which knows how its classes hold the experts of a layer. Reads no files.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from flexeval.errors import InputError, one_line


@dataclass(frozen=True, kw_only=True, eq=False)
class Joined:
    """Stored weights that are converted together."""

    sources: Mapping[str, tuple[str, ...]]
    """Pattern of the conversion -> the names that it matches, experts in the order of their numbers."""
    missing: tuple[str, ...]
    """Names that are needed as well."""
    prefix: str
    """What all names begin with, such as `model.layers.3.`."""
    conversion: Any
    """A `WeightConverter` of transformers."""
    module: nn.Module

    @property
    def names(self) -> list[str]:
        """All stored names, as the family calls them."""
        return [name for names in self.sources.values() for name in names]

    def convert(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Name of a parameter -> its value.

        Raises:
            InputError: shapes that do not fit together.
        """
        targets = self.conversion.target_patterns
        collected: Any = {pattern: [tensors[name] for name in names] for pattern, names in self.sources.items()}
        try:
            for operation in self.conversion.operations:
                collected = operation.convert(
                    collected,
                    source_patterns=self.conversion.source_patterns,
                    target_patterns=targets,
                    full_layer_name=self.prefix + targets[0],
                    model=self.module,
                    config=getattr(self.module, "config", None),
                )
        except RuntimeError as error:
            raise InputError(
                f"the checkpoint does not match its config.json: weights such as {self.names[0]} have wrong shapes: "
                f"{one_line(error)}"
            ) from error
        return {self.prefix + pattern: value for pattern, value in collected.items()}

    def shapes(self, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, tuple[int, ...]]:
        """Name of a parameter -> its shape, from the shapes of the stored weights."""
        values = self.convert({name: torch.empty(shapes[name], device="meta") for name in self.names})
        return {name: tuple(value.shape) for name, value in values.items()}


def join(module: Any, stored: Collection[str], conversions: Sequence[Any]) -> list[Joined]:
    """What of a checkpoint has to be converted for a network.

    Args:
        module: may be on the meta device.
        stored: the names of the checkpoint's weights, as the family calls them.
        conversions: of the family, beside those that transformers has for the network.
    """
    expected = {name: tuple(weight.shape) for name, weight in module.state_dict().items()}
    strangers = [name for name in stored if name not in expected]
    if not strangers:
        return []
    return [
        _joined(module, conversion, prefix, found, expected)
        for conversion in (*conversions, *_conversions_of(module))
        for prefix, found in _matches(conversion, strangers).items()
    ]


def _conversions_of(module: Any) -> list[Any]:
    """Those of transformers that do more than rename."""
    from transformers.conversion_mapping import get_checkpoint_conversion_mapping

    found = get_checkpoint_conversion_mapping(module.config.model_type) or []
    return [each for each in found if getattr(each, "operations", None)]


def _matches(conversion: Any, names: Sequence[str]) -> dict[str, dict[str, dict[int, str]]]:
    """Prefix -> pattern -> number of the expert (0 where a pattern has no number) -> name."""
    found: dict[str, dict[str, dict[int, str]]] = {}
    for pattern in conversion.source_patterns:
        regex = re.compile(r"((?:.*\.)?)" + re.escape(pattern).replace(r"\*", r"(\d+)"))
        for name in names:
            if match := regex.fullmatch(name):
                number = int(match[2]) if "*" in pattern else 0
                found.setdefault(match[1], {}).setdefault(pattern, {})[number] = name
    return found


def _joined(
    module: nn.Module,
    conversion: Any,
    prefix: str,
    found: Mapping[str, Mapping[int, str]],
    expected: Mapping[str, tuple[int, ...]],
) -> Joined:
    """The names that a conversion needs, and which of them are there."""
    sources: dict[str, tuple[str, ...]] = {}
    missing: list[str] = []
    for pattern in conversion.source_patterns:
        there = found.get(pattern, {})
        shape = expected.get(prefix + conversion.target_patterns[0])
        count = shape[0] if shape and "*" in pattern else 1
        # An expert beyond them stays as it is stored, where the network has no place for it.
        sources[pattern] = tuple(there[number] for number in range(count) if number in there)
        missing += [prefix + pattern.replace("*", str(number)) for number in range(count) if number not in there]
    return Joined(sources=sources, missing=tuple(missing), prefix=prefix, conversion=conversion, module=module)
