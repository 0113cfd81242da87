"""How flexeval trained a checkpoint: a small file beside its weights.

Other checkpoints have none, and nothing is guessed from their names. Imports no torch.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path, PurePath
from typing import Any, Self

from flexeval.errors import InputError
from flexeval.fields import require_types
from flexeval.reading import parse_object, read_bytes

LINEAGE = "lineage.json"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Lineage:
    """A training, and how far it had come."""

    base: str
    """The model before it: a short name, a hub id or the path of a folder."""
    training: str
    """The name of the training's folder."""
    rollout_order: str
    fast: bool
    """Whether only the positions of highest entropy were scored."""
    step: int
    """Steps made."""
    samples: int
    """Rollouts drawn in these steps."""
    seconds: float
    """Wall-clock time of these steps: rollouts, rewards and updates; checkpoints are not counted."""
    recipe: str = ""
    """Equal for trainings that differ in their seed and their length alone; empty where it was not recorded."""
    basis: str = ""
    """Equal for trainings that may differ in how rollouts are ordered and scored, too; empty where it was not
    recorded."""
    seed: int | None = None
    """Of the training; None where it was not recorded."""

    def __post_init__(self) -> None:
        require_types(self)

    @property
    def exact_ar(self) -> bool:
        """Whether it is the paper's training: rollouts in AR order, every position scored."""
        return self.rollout_order == "ar" and not self.fast

    def differs_in_rollouts(self, other: Lineage) -> bool:
        """Whether two trainings differ in how rollouts are ordered and scored, and in nothing else but their length;
        False where that was not recorded.
        """
        recorded = bool(self.basis) and self.seed is not None
        alike = (self.base, self.basis, self.seed) == (other.base, other.basis, other.seed)
        return recorded and alike and (self.rollout_order, self.fast) != (other.rollout_order, other.fast)

    @property
    def of_training(self) -> Lineage:
        """What all checkpoints of a training have in common: the same without how far it had come."""
        return dataclasses.replace(self, step=0, samples=0, seconds=0.0)

    @property
    def label(self) -> str:
        """A short name: base, training and step."""
        base = PurePath(self.base)
        return f"{base.name if base.is_absolute() else self.base}+{self.training}@{self.step}"

    def as_dict(self) -> dict[str, Any]:
        """JSON values."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], *, where: str) -> Self:
        """The inverse of `as_dict`. Raises InputError for other fields than a lineage has."""
        fields = dataclasses.fields(cls)
        known = {field.name for field in fields}
        # Those with a default came later.
        needed = {field.name for field in fields if field.default is dataclasses.MISSING}
        if not needed <= values.keys() <= known:
            raise InputError(f"{where}: a lineage has the fields {', '.join(sorted(known))}; restore the file")
        try:
            return cls(**values)
        except InputError as error:
            raise InputError(f"{where}: {error}; restore the file") from None


def read_lineage(folder: Path) -> Lineage | None:
    """The lineage of a model folder; None for one that flexeval did not train. Raises InputError for a broken file."""
    path = folder / LINEAGE
    if not path.exists():
        return None
    try:
        values = parse_object(read_bytes(path, what="the file that flexeval wrote"), where=str(path))
    except InputError as error:
        raise InputError(f"{error}; restore the file") from None
    return Lineage.from_dict(values, where=str(path))
