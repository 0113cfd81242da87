"""`GRPOConfig`: every setting of a training run, with the paper's defaults; from a YAML file and back to JSON values.

Knows no torch and no models, so that the command line can list the settings at no cost.
"""

from __future__ import annotations

import dataclasses
import re
import typing
from collections.abc import Collection, Mapping
from importlib import resources
from pathlib import Path
from typing import Any, Literal

from flexeval.errors import InputError, did_you_mean
from flexeval.fields import require, require_float32, require_types
from flexeval.grpo.temperature import opening_temperatures
from flexeval.hashing import json_hash
from flexeval.models.names import model_name
from flexeval.orders import Order, get_order
from flexeval.reading import parse_yaml, read_text
from flexeval.records import CORRECT, MOST, SamplingConfig
from flexeval.registry import convert, parse_spec
from flexeval.tasks import Task

EXTENT = ("steps", "save_every", "rollout_batch")
"""The settings that may change when a run continues: they say how far it goes, not what it computes."""
_OF_ROLLOUTS = ("rollout_order", "block_length", "tokens_per_step", "loss_positions", "fast", "fast_share")
"""How rollouts are ordered and scored."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class GRPOConfig:
    """One training run. Defaults are those of arXiv:2601.15165, Table 3, or of its code where that is silent."""

    model: str = "tiny"
    """Bundled name, short name, folder or hub id."""
    adapter: str | None = None
    """A LoRA adapter to merge into the model's weights before training: a folder that peft saved, or a hub id."""
    task: str = "word-problems"
    """`name` or `name:param=value,...`; its training split is used."""
    limit: int | None = None
    """Only the first so many training problems; None takes all."""

    rollout_order: str = "ar"
    """Decoding order of the rollouts: `ar`, or any order that selects a position before it draws the token."""
    gen_length: int | None = None
    """Generated positions of a canvas; None takes what the task's answers need (the paper: 256)."""
    block_length: int | None = None
    """Semi-autoregressive block of the rollouts; None stands for min(32, gen_length), or for the model's own where that
    is shorter. Without effect on `ar`."""
    tokens_per_step: int | None = None
    """Commits per step of the rollouts; None stands for 1. Refused for an order that decides itself."""
    temperature: float = 1.0
    """At which rollouts are drawn, and of the policy that is trained."""

    group_size: int = 16
    """Samples of each problem, among which advantages are standardised."""
    problems_per_step: int = 64
    """Problems between two updates. The paper's global batch size is 64; it does not say of what."""
    steps: int = 125
    """Rollouts, each followed by its updates."""
    updates_per_rollout: int = 1
    """Optimiser steps on the same rollout; with more than one, the clipped ratio acts."""
    deviation: Literal["population", "sample"] = "population"
    """What advantages are divided by: the group's standard deviation over its size, or over its size minus one, as in
    the released code (3 percent larger in a group of 16)."""
    reward: str = CORRECT
    """The verdict that is rewarded: `correct`, or one that the task gives beside it, such as `sound`."""
    wrong_reward: float = 0.0
    """Reward of a sample without that verdict; one with it has 1. The released code uses -1."""

    learning_rate: float = 5e-6
    """AdamW, constant."""
    weight_decay: float = 0.0
    """AdamW."""
    max_grad_norm: float = 1.0
    """Gradients are clipped at this norm."""
    clip: float = 0.2
    """The ratio counts within 1 - clip and 1 + clip."""
    kl: float = 0.0
    """Weight of the KL divergence to the model before training, where samples have advantages; 0 computes none."""
    loss_positions: Literal["answer", "all"] = "answer"
    """`answer`: up to and including the first end of the text. `all`: every generated position, as in the released
    code. Under orders other than `ar`, tokens beyond the end may have conditioned the text; there `all` alone is the
    exact gradient, and `answer` that of the text's own tokens."""

    fast: bool = False
    """Score only the positions of highest entropy at rollout (the paper's JustGRPO-Fast). Approximate."""
    fast_share: float = 0.25
    """The share of each sample's positions that `fast` scores; each counts as much as it does among all of them."""
    recompute_old: bool = False
    """Compute the log-probabilities before the update anew, without autograd, instead of taking the recorded ones;
    always so for tokens that were drawn at a temperature other than 1."""

    lora_rank: int = 0
    """Train adapters of this rank on all matrices of the blocks (scale 2); 0 trains every weight."""
    gradient_checkpointing: bool = False
    """Keep only the layers' inputs for the backward pass and compute the rest again."""
    bf16: bool = False
    """Compute in bfloat16; weights and optimiser stay float32."""
    tokens_per_forward: int = 4096
    """Canvas positions of one forward and backward pass at most; bounds the memory, changes no gradient."""
    rollout_batch: int | None = None
    """Samples in flight; None chooses for the device. In float32 it changes no sample, but for
    rounding; with `bf16` it may."""

    save_every: int = 25
    """Steps between checkpoints; there is one after the last step, too."""
    seed: int = 0
    """Of the order of problems, the samples and the adapters' first weights."""

    def __post_init__(self) -> None:
        require_types(self)
        for name in ("group_size", "problems_per_step", "steps", "updates_per_rollout", "tokens_per_forward",
                     "save_every", "lora_rank", "limit", "rollout_batch"):  # fmt: skip
            value = getattr(self, name)
            least = 0 if name == "lora_rank" else 1
            require(value is None or value >= least, f"{name} must be at least {least}, not {value}")
            require(value is None or value <= MOST, f"{name} must be at most {MOST}, not {value}")
        require(self.seed >= 0, f"seed must be at least 0, not {self.seed}")
        for name in ("learning_rate", "max_grad_norm", "clip"):
            require_float32(name, getattr(self, name), positive=True)
        _require_trainable_temperature("temperature", self.temperature)
        for name in ("weight_decay", "kl"):
            require_float32(name, getattr(self, name))
        require(self.group_size >= 2, "group_size must be at least 2: advantages compare the samples of a group")
        require(0 < self.fast_share <= 1, f"fast_share must lie in (0, 1], not {self.fast_share}")
        require(self.wrong_reward < 1, f"wrong_reward must be below the right answer's 1, not {self.wrong_reward}")
        require_float32("the size of wrong_reward", abs(self.wrong_reward))

    @property
    def order(self) -> Order:
        """The rollout order.

        Raises:
            InputError: an unknown order, one that takes tokens back, one of the kind *propose, then select*, or one
                that draws at temperature 0 or
                at one that float32 has no gradients for.
        """
        order = get_order(self.rollout_order)
        if order.revises:
            raise InputError(
                f"order {order.name!r} cannot be trained: it takes tokens back, so the probabilities of the tokens "
                "that stand are not the likelihood of the decode; use ar, top_prob, egi or random"
            )
        if order.draw == "propose":
            raise InputError(
                f"order {order.name!r} cannot be trained: it draws a token at every eligible position and keeps the "
                "most confident, so the probability of what it commits is not the model's at that position; use an "
                "order that selects before it draws, such as ar, top_prob, egi or random"
            )
        drawn_at = opening_temperatures(order, self.temperature)
        if (drawn_at == 0).any():
            raise InputError(
                f"order {order.spec!r} cannot be trained: it draws at temperature 0, which leaves nothing to chance "
                "and so has no likelihood with a gradient; give it a temperature above 0"
            )
        for temperature in drawn_at.tolist():
            _require_trainable_temperature(f"a temperature of order {order.spec!r}", temperature)
        return order

    @property
    def recipe(self) -> str:
        """A hash of all but `EXTENT` and the seed: equal for replicates."""
        return _changes_hash(self, without={*EXTENT, "seed"})

    @property
    def basis(self) -> str:
        """A hash that leaves out how rollouts are ordered and scored, too: equal for trainings that differ in these."""
        return _changes_hash(self, without={*EXTENT, "seed", *_OF_ROLLOUTS})

    @property
    def checkpoint_steps(self) -> list[int]:
        """The numbers of steps after which a checkpoint is written, ascending."""
        return sorted({*range(self.save_every, self.steps, self.save_every), self.steps})

    def sampling(self, task: Task) -> SamplingConfig:
        """How rollouts are drawn. Raises InputError for lengths that exclude each other."""
        return SamplingConfig(
            gen_length=task.gen_length if self.gen_length is None else self.gen_length,
            block_length=self.block_length,
            tokens_per_step=self.tokens_per_step,
            temperature=self.temperature,
            seed=self.seed,
            stop_at_eos=self.loss_positions == "answer",
        )


def _require_trainable_temperature(what: str, temperature: float) -> None:
    """Gradients are divided by it, and squared for their norm."""
    require_float32(what, temperature, positive=True, least=1e-6, most=1e6)


def default_folder_name(config: GRPOConfig) -> str:
    """Where a training goes unless the user says otherwise: model, task, order, and a hash of what it computes."""
    digest = _changes_hash(config, without=EXTENT)
    model = model_name(re.split(r"[/\\]", config.model.rstrip("/\\"))[-1], config.adapter)
    names = (model, parse_spec(config.task)[0], config.rollout_order)
    readable = "-".join(re.sub(r"[^A-Za-z0-9._]+", "-", name)[:60] for name in names)
    return f"{readable}{'-fast' if config.fast else ''}-{digest}"


def _changes_hash(config: GRPOConfig, *, without: Collection[str]) -> str:
    """Of what is not at its default, so that a setting that is new changes none."""
    settings = {name: value for name, value in dataclasses.asdict(config).items() if name not in without}
    return json_hash({name: value for name, value in settings.items() if value != getattr(GRPOConfig, name)})[:8]


# ----- files -----


def shipped_configs() -> list[str]:
    """Names of the settings files that come with the package."""
    folder = resources.files("flexeval.grpo") / "configs"
    return sorted(file.name.removesuffix(".yaml") for file in folder.iterdir() if file.name.endswith(".yaml"))


def read_settings(name: str) -> dict[str, Any]:
    """The settings in a YAML file, each of its field's type.

    Args:
        name: of a file that comes with the package, without ".yaml", or the path of one.

    Raises:
        InputError: no such file, no mapping, an unknown setting, or a value of the wrong type.
    """
    if name in shipped_configs():
        text = (resources.files("flexeval.grpo") / "configs" / f"{name}.yaml").read_text(encoding="utf-8")
    elif Path(name).exists():
        text = read_text(Path(name), what="a YAML file of settings")
    else:
        raise did_you_mean("config", name, shipped_configs(), listed=f"{', '.join(shipped_configs())}, or a YAML file")
    content = parse_yaml(text, where=repr(name))
    if not isinstance(content, Mapping):
        raise InputError(f"cannot read {name!r}: it holds no settings; write lines such as 'steps: 100'")
    for key in content:
        if not isinstance(key, str):
            raise InputError(f"cannot read {name!r}: a setting has a name, not a {type(key).__name__}")
    return {key: typed_setting(key, value, where=name) for key, value in content.items()}


def typed_setting(key: str, value: Any, *, where: str) -> Any:
    """A value, as YAML reads it, of its field's type. Raises InputError, which says `where` it stands."""
    hints = typing.get_type_hints(GRPOConfig)
    if key not in hints:
        raise did_you_mean(f"setting in {where}", key, hints)
    if value is not None and not isinstance(value, str | int | float):
        raise InputError(f"{key} in {where} has one value, not a {type(value).__name__}")
    # YAML reads 1e-4 as a text, and 1 where a field is a float; both go through the command line's conversion.
    return convert(str(value), hints[key], what=f"{key} in {where}")


def require_same_training(stored: Mapping[str, Any], wanted: GRPOConfig, *, folder: Path) -> None:
    """Check that a folder holds the run that is asked for, however far it went.

    Raises:
        InputError: names the first setting that differs, with both values, or one that is not known.
    """
    settings = dataclasses.asdict(wanted)
    if unknown := sorted(stored.keys() - settings.keys()):
        raise InputError(
            f"{folder} was trained with a setting that this version does not know, {unknown[0]!r}; continue it with "
            "the version that made it, or use another folder"
        )
    for name, value in settings.items():
        # A setting that came later was at its default.
        theirs = stored.get(name, getattr(GRPOConfig, name))
        if name not in EXTENT and theirs != value:
            raise InputError(
                f"{folder} was trained with {name} {theirs!r}, not {value!r}; use another folder, or this one's setting"
            )
