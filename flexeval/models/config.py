"""config.json, field by field: what a layout reads is checked, and what it does not represent is refused by name.

A field that nobody reads would be dropped, and some of these change every number. So a translation reads through
`Fields`, and what it leaves unread must be known to change nothing. No tensors, no torch.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from flexeval.errors import InputError, shortened

Config = Mapping[str, Any]

LARGEST = 2**31 - 1
"""Of any size in a configuration."""
MOST_LAYERS = 1024
"""More than any model has; building far more takes for ever before it turns out that their weights are missing."""


class Fields(Mapping[str, Any]):
    """A configuration that keeps which of its fields were asked for."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self.read: set[str] = set()

    def __getitem__(self, name: str) -> Any:
        self.read.add(name)
        return self._config[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._config)

    def __len__(self) -> int:
        return len(self._config)

    def unread(self) -> dict[str, Any]:
        """The fields that nobody asked for and that may change what is computed, with their values."""
        return {
            name: value
            for name, value in self._config.items()
            if name not in self.read and not _CHANGES_NOTHING.fullmatch(name) and not _is_neutral(name, value)
        }


def refuse_unread(fields: Fields, *, where: str, what: str) -> None:
    """Raise InputError where a field is left that may change the numbers.

    Args:
        fields: after a translation read them.
        where: the file, for the message.
        what: what would not compute them.
    """
    left = [f"{name} {shortened(repr(value), 60)}" for name, value in fields.unread().items()]
    if left:
        more = f" and {len(left) - 3} more" if len(left) > 3 else ""
        raise InputError(
            f"{where} says {', '.join(left[:3])}{more}, which {what} do not represent; "
            "use another checkpoint, or remove the field if it changes nothing that is computed"
        )


def _is_neutral(name: str, value: Any) -> bool:
    """Whether a field says that what it is about is switched off."""
    if value is None or value in ("", 0) or (isinstance(value, list | Mapping) and not value):
        return True
    return value == 1 and not isinstance(value, bool) and re.search("multiplier|scal|factor|rotary_p", name) is not None


_CHANGES_NOTHING = re.compile(
    "|".join(
        (
            # special tokens, which are read elsewhere, and texts
            ".*token_ids?|.*_token|bad_words_ids|.*suppress_tokens|prefix|chat_template",
            # who made it, with what
            "_.*|unsloth.*|.*version|.*name_or_path|name|architectures|auto_map|model_type|library_name|license|tokenizer_class",
            "torch_dtype|dtype|precision|use_bfloat16|torchscript|remove_invalid_values|keys_to_ignore_at_inference",
            # of training, and of its first weights
            "init_.*|initializer_.*|.*dropout|.*pdrop|.*loss.*|.*cross_entropy|.*aux.*coef|.*probability|training.*",
            "gradient_checkpointing|debug|micro_forward|skip_checkpoint|ep_size|use_deepep|pretraining_tp",
            "mask_block_sizes|sampling_eps|conplemenrary_mask|complementary_mask",
            # kernels and caches, which compute the same
            "attn_implementation|.*flash_att.*|use_cache|cache_implementation|chunk_size_feed_forward",
            ".*kernel|rope_full_precision|router_dtype",
            # what is returned
            "return_dict.*|output_(attentions|hidden_states|router_logits|scores)",
            # decoding, which flexeval's own settings decide
            "max_length|min_length|max_new_tokens|do_sample|early_stopping|num_beams|num_beam_groups|temperature|top_k",
            "top_p|typical_p|.*_penalty|.*no_repeat_ngram_size|num_return_sequences",
            # other uses of transformers
            "is_decoder|is_encoder_decoder|add_cross_attention|cross_attention_hidden_size|tie_encoder_decoder",
            "task_specific_params|problem_type|finetuning_task|id2label|label2id",
            # of parts that LLaDA's layers do not have; sizes that the shapes of the weights show
            "alibi_bias_max|attention_layer_norm_with_affine|.*intermediate_size",
            # the context, which `max_position_embeddings` says
            "seq_length|max_seq_len.*|model_max_length|n_ctx|n_positions",
        )
    )
)
"""Names of fields that change no number, or that something else checks. Published configurations have all of them."""


# ----- single fields -----


def field(config: Config, name: str, *, default: float | None = None, whole: bool = True) -> Any:
    """A number above 0 from config.json. Raises InputError when it is something else, or missing without default."""
    value = config.get(name)
    if value is None and default is not None:
        return default
    number = isinstance(value, int if whole else (int, float)) and not isinstance(value, bool)
    if not number or not 0 < value <= LARGEST:  # type: ignore[operator]
        said = "is missing" if name not in config else f"is {shortened(repr(value), 60)}"
        noun = "a whole number" if whole else "a number"
        raise InputError(
            f"cannot build the model: config.json's {name} {said}, but must be {noun} above 0 and at most {LARGEST}"
        )
    return value


def switch(config: Config, name: str, *, default: bool) -> bool:
    """A truth value. Raises InputError for anything else."""
    value = config.get(name)
    if value is not None and not isinstance(value, bool):
        raise InputError(
            f"cannot build the model: config.json's {name} is {shortened(repr(value), 60)}, but must be true or false"
        )
    return default if value is None else value


def layers_of(config: Config, name: str) -> int:
    """The number of layers. Raises InputError as `field`, and for more than any model has."""
    number: int = field(config, name)
    if number > MOST_LAYERS:
        raise InputError(f"cannot build the model: config.json's {name} is {number}, but must be at most {MOST_LAYERS}")
    return number


def choice_of(config: Config, name: str, among: str, *, default: int | None = None) -> int:
    """How many are chosen among others."""
    number: int = field(config, name, default=default)
    most: int = field(config, among, default=1)
    if number > most:
        raise InputError(f"cannot build the model: config.json's {name} is {number}, more than its {among}, {most}")
    return number


def require_values(title: str, config: Config, **allowed: tuple[Any, ...]) -> None:
    """Refuse a variant that transformers' layers do not compute. None among the values: the field may be absent."""
    for name, values in allowed.items():
        if config.get(name) not in values:
            raise InputError(
                f"cannot run this {title} variant: {name} is {shortened(repr(config.get(name)), 60)}, and only "
                f"{values[0]!r} is supported"
            )


# ----- attention windows -----


WINDOW_FIELDS = ("sliding_window", "use_sliding_window", "layer_types", "max_window_layers")


def require_no_window(config: Config) -> None:
    """Raise InputError for layers that attend within a sliding window, which full attention would not compute."""
    window, switched, kinds, first = (config.get(name) for name in WINDOW_FIELDS)
    layers = config.get("num_hidden_layers")
    other = [kind for kind in kinds if kind != "full_attention"] if isinstance(kinds, list) else []
    # Qwen's layers from number max_window_layers on have the window.
    behind_all = isinstance(first, int) and isinstance(layers, int) and first >= layers
    if other or (switched and window is not None and not (behind_all and kinds is None)):
        said = f"layer_types with {shortened(repr(other[0]), 60)}" if other else f"use_sliding_window {switched!r}"
        raise InputError(
            f"cannot build the model: config.json says {said}, and flexeval's layers attend to the whole canvas; use a "
            "checkpoint with full attention"
        )


# ----- rotary embeddings -----

_ROTARY: dict[str, dict[str, bool]] = {
    # rope_type: its parameters, and whether they are needed
    "default": {},
    "linear": {"factor": True},
    "dynamic": {"factor": True},
    "yarn": {
        "factor": True,
        **dict.fromkeys(("original_max_position_embeddings", "attention_factor", "beta_fast", "beta_slow"), False),
        **dict.fromkeys(("mscale", "mscale_all_dim", "truncate"), False),
    },
    "llama3": {
        **dict.fromkeys(("factor", "low_freq_factor", "high_freq_factor"), True),
        "original_max_position_embeddings": False,
    },
}
"""What transformers' layers compute and flexeval passes on. `dynamic` is `default` up to the longest canvas, which is
the model's context. `longrope` is not among them: its frequencies depend on the longest canvas of a batch."""


def rope(config: Config, *, partial: bool = False) -> dict[str, Any]:
    """Rotary parameters in transformers' form, from today's field `rope_parameters` or the older ones.

    The older ones are `rope_theta` and `rope_scaling`. Parameters by type of layer are taken where there is one type.

    Args:
        config: config.json.
        partial: the layers can rotate a part of each head, the share `partial_rotary_factor`.

    Raises:
        InputError: a type or parameter that the layers do not compute, or fields that say different things.
    """
    stated = {name: _flat(name, config[name]) for name in ("rope_parameters", "rope_scaling") if config.get(name)}
    said: dict[str, Any] = {}
    for name, values in [*stated.items(), ("", _outside(config))]:
        for key, value in values.items():
            if key in said and said[key] != value:
                where = f"{name}'s {key}" if name else key
                raise InputError(
                    f"cannot build the model: config.json's {where} is {shortened(repr(value), 60)}, but elsewhere it "
                    f"says {shortened(repr(said[key]), 60)}; keep the one that the model was trained with"
                )
            said.setdefault(key, value)

    kind = said.pop("rope_type", "default")
    share = said.pop("partial_rotary_factor", None)
    found: dict[str, Any] = {"rope_type": kind, "rope_theta": float(_number("rope_theta", said.pop("rope_theta", 1e4)))}
    if not isinstance(kind, str) or kind not in _ROTARY:
        raise InputError(
            f"cannot build the model: config.json's rope_type {shortened(repr(kind), 60)} is not supported; flexeval "
            f"computes {', '.join(_ROTARY)}"
        )
    if partial:
        found["partial_rotary_factor"] = float(_number("partial_rotary_factor", 1.0 if share is None else share))
    elif share not in (None, 1):
        raise InputError(
            f"cannot build the model: config.json's partial_rotary_factor is {shortened(repr(share), 60)}, and its "
            "layers rotate whole heads; only 1 is supported"
        )
    for name, needed in _ROTARY[kind].items():
        if needed and name not in said:
            raise InputError(f"cannot build the model: config.json's rope_type {kind!r} needs {name}, which is missing")
    for name, value in said.items():
        if name not in _ROTARY[kind]:
            raise InputError(
                f"cannot build the model: config.json has {name} {shortened(repr(value), 60)} among its rotary "
                f"parameters, which rope_type {kind!r} does not have; correct the type, or remove it"
            )
        found[name] = value if name == "truncate" and isinstance(value, bool) else _number(name, value)
    return found


def _flat(name: str, value: Any) -> dict[str, Any]:
    """Rotary parameters that are not null, without the old name of the type, and of the one type of layer."""
    if not isinstance(value, Mapping):
        raise InputError(
            f"cannot build the model: config.json's {name} is {shortened(repr(value), 60)}, but must be an object"
        )
    by_layer = {key: each for key, each in value.items() if isinstance(each, Mapping)}
    if by_layer:
        if list(by_layer) != ["full_attention"]:
            raise InputError(
                f"cannot build the model: config.json's {name} are of the layer types {', '.join(by_layer)}, and "
                "flexeval's layers are all full_attention"
            )
        outside = {key: each for key, each in value.items() if key not in by_layer}
        return _flat(name, {**outside, **by_layer["full_attention"]})
    flat = {key: each for key, each in value.items() if each is not None}
    old = flat.pop("type", None)
    if old is not None and flat.setdefault("rope_type", old) != old:
        raise InputError(f"cannot build the model: config.json's {name} has type {old!r} and another rope_type")
    return flat


def _outside(config: Config) -> dict[str, Any]:
    """Rotary parameters beside the object of them."""
    names = ("rope_theta", "partial_rotary_factor", "original_max_position_embeddings")
    return {name: config[name] for name in names if config.get(name) is not None}


def _number(name: str, value: Any) -> Any:
    return field({name: value}, name, whole=False)
