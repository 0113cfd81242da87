"""What a checkpoint says of its canvas: the length and block to decode it with, and the longest it was trained on.

The fields `gen_length`, `block_length` and `max_gen_length` of generation_config.json, else what a short name knows.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flexeval.errors import InputError, Note, shortened
from flexeval.records import MOST_POSITIONS, SamplingConfig


@dataclass(frozen=True, kw_only=True)
class Recommended:
    """Positions; None where nothing is said."""

    gen_length: int | None = None
    """Generated positions of a canvas."""
    block_length: int | None = None
    """Semi-autoregressive block."""
    max_gen_length: int | None = None
    """The most generated positions that it was trained on."""


NOTHING_SAID = Recommended()


def read_recommended(generation: Mapping[str, Any]) -> Recommended:
    """What generation_config.json says. Raises InputError for something else than whole numbers above 0."""
    values: dict[str, int | None] = {}
    for name in ("gen_length", "block_length", "max_gen_length"):
        value = generation.get(name)
        whole = value is None or (isinstance(value, int) and not isinstance(value, bool))
        if not whole or not (value is None or 1 <= value <= MOST_POSITIONS):
            raise InputError(
                f"cannot use the checkpoint: generation_config.json's {name} is {shortened(repr(value), 60)}, but must "
                f"be a whole number from 1 to {MOST_POSITIONS}"
            )
        values[name] = value
    return Recommended(**values)


def recommended_of(model: object) -> Recommended:
    """What a mask predictor recommends; nothing where it has no `recommended`."""
    return getattr(model, "recommended", NOTHING_SAID)


def recommended_sampling(model: object, **settings: Any) -> SamplingConfig:
    """The settings that are given, on the canvas that the model recommends, unless they say another.

    Args:
        model: a mask predictor.
        settings: fields of `SamplingConfig`.

    Raises:
        InputError: settings that are refused.
    """
    says = recommended_of(model)
    if says.gen_length is not None:
        settings.setdefault("gen_length", says.gen_length)
    length = settings.get("gen_length", SamplingConfig.gen_length)
    if says.block_length is not None and isinstance(length, int) and settings.get("schedule") != "dream":
        settings.setdefault("block_length", min(says.block_length, length))
    return SamplingConfig(**settings)


def warn_beyond_training(model: object, gen_length: int) -> None:
    """Warn once of a canvas that is longer than any that the model was trained on."""
    most = recommended_of(model).max_gen_length
    if most is not None and gen_length > most:
        warnings.warn(
            f"model {getattr(model, 'name', None)!r} was trained on at most {most} generated positions; with a "
            f"gen_length of {gen_length} its texts may be empty or wrong",
            Note,
            stacklevel=2,
        )
