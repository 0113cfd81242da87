"""The model families: how each is recognised, attends, predicts, and calls its mask; its layout is in `layouts.py`.

One `Family` for each published kind of checkpoint; none needs code from its checkpoints. docs/families.md describes
what they do. No tensors, no torch.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from flexeval.errors import InputError, PluginError, shortened
from flexeval.models import layouts
from flexeval.models.attention import BLOCK_FIELDS, FULL, RULE_FIELD, WITH_BLOCKS, Attention
from flexeval.models.config import Config, Fields, refuse_unread
from flexeval.models.layouts import Blueprint as Blueprint
from flexeval.registry import Registry


@dataclass(frozen=True, kw_only=True)
class Family:
    """One published layout of checkpoints."""

    translate: Callable[[Config], Blueprint]
    """config.json -> blueprint. Raises InputError for a model that transformers' layers cannot represent."""
    rename: Callable[[str], str]
    """Name of a weight in the checkpoint -> its name in transformers' classes. Unknown names pass through."""
    shifted: bool
    """The output at i predicts position i + 1 (a habit kept from autoregressive training)."""
    mask_tokens: tuple[str, ...]
    """How the mask may be called in the vocabulary, when neither config nor tokenizer says which token it is."""
    end_of_turn: str
    """How the end of a chat turn is called in the vocabulary."""
    slot_positions: bool = False
    """The published code counts positions from the left edge of the canvas, padding included."""
    fills_with_pad: bool = False
    """The canvas after the text is filled with the padding token, which differs from the end-of-sequence token."""
    attention: tuple[Attention, ...] = (FULL,)
    """The rules that its checkpoints may have. The first is theirs unless something else is said; where it lacks a
    block length, a checkpoint's configuration or the user must say one."""
    mask_id: int | None = None
    """The mask token that the published code writes down, for checkpoints whose files name none."""
    recognises: Callable[[Config, Collection[str]], bool] | None = None
    """Whether a config.json and the names of the stored weights are of this family. None goes by the model_type, which
    is then the name under which the family is registered."""
    conversions: Callable[[], Sequence[Any]] = tuple
    """Transformers' `WeightConverter`s for weights that are stored in another form than transformers' classes have
    them, beside those that transformers knows for the classes (experts one by one)."""


def family_of(config: Config, weights: Collection[str] = ()) -> Family | None:
    """The family of a checkpoint; None for a model that flexeval has no layers for.

    Args:
        config: its config.json.
        weights: the names of its stored weights. Some families are told apart by these.
    """
    for _, family in FAMILIES.usable():
        if family.recognises is not None and family.recognises(config, weights):
            return family
    kind = str(config.get("model_type"))
    if kind not in FAMILIES or FAMILIES.get(kind).recognises is not None:
        return None
    return FAMILIES.get(kind)


UNSUPPORTED = {
    "nemotron_labs_diffusion": "Nemotron-Labs-Diffusion: flexeval lacks a translation to its Ministral layers",
    "diffusion_gemma": "DiffusionGemma: it has no mask token, and its tokens are revised until the end",
    "rnd1": "RND1: flexeval lacks its translation to Qwen3 layers with experts",
    "idlm": "I-DLM: flexeval lacks its causal, strided decoding",
    "lfm2_bidirectional": "LFM2.5-Encoder-Diffusion: flexeval lacks its layers with short convolutions",
}
"""model_type -> name of the family, and what is missing."""


def why_unknown(config: Config) -> str:
    """What to say of a checkpoint without family, after its name."""
    kind = str(config.get("model_type"))
    if kind in UNSUPPORTED:
        return f"is {UNSUPPORTED[kind]}"
    text = f"is of type {config.get('model_type')!r}, for which flexeval has no layers (it has {', '.join(FAMILIES)})"
    if any(config.get(field) is not None for field in BLOCK_FIELDS):
        # Its own code would be run with full attention.
        return f"{text}; it attends by blocks, which flexeval does on its own layers only"
    return f"{text}; trust_remote_code=True runs the code in the checkpoint"


def blueprint_of(family: Family, config: Config) -> Blueprint:
    """What to build for a checkpoint.

    Raises:
        InputError: transformers' layers cannot represent the model, or a field that may change its numbers would be
            left out.
        PluginError: `translate` answers something else than a blueprint.
    """
    for name in QUANTISED_FIELDS:
        if config.get(name):
            raise InputError(
                f"config.json has {name} ({_method(config[name])}), and flexeval computes with weights that are not "
                "quantised; use the checkpoint before quantisation, or remove the field if its weights are not"
            )
    fields = Fields(config)
    # Which `choose_attention` reads.
    fields.read |= {RULE_FIELD, *QUANTISED_FIELDS}
    if any(rule.kind in WITH_BLOCKS for rule in family.attention):
        fields.read |= {*BLOCK_FIELDS}
    blueprint: object = family.translate(fields)
    if not isinstance(blueprint, Blueprint):
        raise PluginError(
            f"translate() of model family {config.get('model_type')!r} must return a Blueprint, not a "
            f"{type(blueprint).__name__}"
        )
    refuse_unread(fields, where="config.json", what=f"flexeval's layers of family {config.get('model_type')!r}")
    return blueprint


QUANTISED_FIELDS = ("quantization_config", "compression_config")


def _method(value: Any) -> str:
    """How the weights were quantised, in a word."""
    said = value.get("quant_method") or value.get("format") if isinstance(value, Mapping) else value
    return shortened(str(said or "of an unnamed method"), 40)


def _is_llada_moe(config: Config, _: Collection[str]) -> bool:
    # They carry LLaDA's model_type, and none of its layout.
    return config.get("model_type") == "llada" and "num_experts" in config


def _is_dream_reasoner(config: Config, weights: Collection[str]) -> bool:
    # They carry Dream's model_type, and have Qwen3's layers.
    norms = any(name.endswith("self_attn.q_norm.weight") for name in weights)
    return config.get("model_type") == "Dream" and (norms or config.get("block_size") is not None)


def _is_stable_diffcoder(config: Config, _: Collection[str]) -> bool:
    # They carry the model_type of the Llamas, which predict the next token.
    return config.get("model_type") == "llama" and config.get("architectures") == ["StableDiffcoderForCausalLM"]


_A2D_MASKS = ("<|mask|>", "<|MASK|>")
_A2D_ATTENTION = (Attention(kind="block-causal"), FULL)
"""dLLM's mdlm and bd3lm checkpoints do not differ in their files."""
_FROM_PROMPT = Attention(kind="block-causal", from_prompt=True)


def check_family(family: object) -> None:
    """Raise PluginError, which says what to write, unless something is a family that can be used."""
    if not isinstance(family, Family):
        raise PluginError(f"{family!r} is no Family; write flexeval.models.families.Family(translate=..., ...)")
    for name in ("translate", "rename", "conversions"):
        if not callable(getattr(family, name)):
            raise PluginError(f"its {name} must be a function, not {getattr(family, name)!r}")
    for name in ("shifted", "slot_positions", "fills_with_pad"):
        if not isinstance(getattr(family, name), bool):
            raise PluginError(f"its {name} must be True or False, not {getattr(family, name)!r}")
    if not isinstance(family.mask_tokens, tuple) or not all(isinstance(token, str) for token in family.mask_tokens):
        raise PluginError(f'its mask_tokens must be a tuple of texts, as in ("<|mask|>",), not {family.mask_tokens!r}')
    rules = family.attention
    if not isinstance(rules, tuple) or not rules or not all(isinstance(rule, Attention) for rule in rules):
        raise PluginError(f"its attention must be a tuple of Attention, as in (Attention(),), not {rules!r}")
    if family.recognises is not None and not callable(family.recognises):
        raise PluginError(f"its recognises must be a function or None, not {family.recognises!r}")
    if not isinstance(family.end_of_turn, str):
        raise PluginError(f"its end_of_turn must be a text, not {family.end_of_turn!r}")


FAMILIES: Registry[Family] = Registry("model family", entry_point_group="flexeval.families", check=check_family)
"""By config.json's model_type."""
FAMILIES.register(
    "llada",
    Family(
        translate=layouts.llada,
        rename=layouts.rename_llada,
        shifted=False,
        mask_tokens=("<|mdm_mask|>",),
        end_of_turn="<|eot_id|>",
        slot_positions=True,
    ),
    summary="LLaDA, LLaDA 1.5",
)
FAMILIES.register(
    "Dream",
    Family(
        translate=layouts.standard("Qwen2", ignores_windows=True),
        rename=layouts.same,
        shifted=True,
        mask_tokens=("<|mask|>",),
        end_of_turn="<|im_end|>",
    ),
    summary="Dream, Dream-Coder, DiffuCoder",
)
# dLLM trains and samples its A2D models unshifted (right_shift_logits is False there), on canvases that are
# filled with the padding token.
FAMILIES.register(
    "a2d-llama",
    Family(
        translate=layouts.standard("Llama", extra=("head_dim", "attention_bias", "mlp_bias"), ignores_windows=True),
        rename=layouts.same,
        shifted=False,
        mask_tokens=_A2D_MASKS,
        end_of_turn="<|eot_id|>",
        fills_with_pad=True,
        attention=_A2D_ATTENTION,
    ),
    summary="Llama turned into a mask predictor by dLLM",
)
FAMILIES.register(
    "a2d-qwen2",
    Family(
        translate=layouts.standard("Qwen2", ignores_windows=True),
        rename=layouts.same,
        shifted=False,
        mask_tokens=_A2D_MASKS,
        end_of_turn="<|im_end|>",
        fills_with_pad=True,
        attention=_A2D_ATTENTION,
    ),
    summary="Qwen2 turned into a mask predictor by dLLM",
)
FAMILIES.register(
    "a2d-qwen3",
    Family(
        translate=layouts.standard("Qwen3", extra=("head_dim", "attention_bias"), ignores_windows=True),
        rename=layouts.same,
        shifted=False,
        mask_tokens=_A2D_MASKS,
        end_of_turn="<|im_end|>",
        fills_with_pad=True,
        attention=_A2D_ATTENTION,
    ),
    summary="Qwen3 turned into a mask predictor by dLLM",
)
FAMILIES.register(
    "sdar",
    Family(
        translate=layouts.standard("Qwen3", extra=("head_dim", "attention_bias")),
        rename=layouts.same,
        shifted=False,
        mask_tokens=("<|MASK|>",),
        end_of_turn="<|im_end|>",
        attention=(_FROM_PROMPT,),
    ),
    summary="SDAR, TraDo",
)
FAMILIES.register(
    "sdar_moe",
    Family(
        translate=layouts.sdar_moe,
        rename=layouts.same,
        shifted=False,
        mask_tokens=("<|MASK|>",),
        end_of_turn="<|im_end|>",
        attention=(_FROM_PROMPT,),
    ),
    summary="SDAR with experts",
)
FAMILIES.register(
    "stable-diffcoder",
    Family(
        translate=layouts.standard("Llama", extra=("head_dim", "attention_bias", "mlp_bias")),
        rename=layouts.same,
        shifted=False,
        mask_tokens=("<[MASK]>",),
        end_of_turn="<[end▁of▁sentence]>",
        attention=(replace(_FROM_PROMPT, block=4),),
        mask_id=5,
        recognises=_is_stable_diffcoder,
    ),
    summary="Stable-DiffCoder (model_type llama, told by its architectures)",
)
FAMILIES.register(
    "Fast_dLLM_Qwen",
    Family(
        translate=layouts.standard("Qwen2"),
        rename=layouts.same,
        shifted=True,
        mask_tokens=("|<MASK>|",),
        end_of_turn="<|im_end|>",
        attention=(replace(_FROM_PROMPT, first_token_apart=True),),
    ),
    summary="Fast-dLLM v2",
)
FAMILIES.register(
    "llada-moe",
    Family(
        translate=layouts.llada_moe,
        rename=layouts.same,
        shifted=False,
        mask_tokens=("<|mask|>",),
        end_of_turn="<|role_end|>",
        slot_positions=True,
        recognises=_is_llada_moe,
    ),
    summary="LLaDA-MoE (model_type llada, told by its experts)",
)
for _kind, _summary in (
    ("llada2_moe", "LLaDA2.0 and LLaDA2.1, whose editing is the order `edit`"),
    ("llada21_moe", "LLaDA2.1 as dLLM names it"),
):
    FAMILIES.register(
        _kind,
        Family(
            translate=layouts.llada2,
            rename=layouts.rename_llada2,
            shifted=False,
            mask_tokens=("<|mask|>",),
            end_of_turn="<|role_end|>",
            attention=(replace(_FROM_PROMPT, block=32),),
            conversions=layouts.split_queries_keys_values,
        ),
        summary=_summary,
    )
FAMILIES.register(
    "illada",
    Family(
        translate=layouts.illada,
        rename=layouts.same,
        shifted=False,
        mask_tokens=("<[MASK]>",),
        end_of_turn="<[end▁of▁sentence]>",
        attention=(Attention(kind="full-to-block", block=32), FULL),
        mask_id=5,
    ),
    summary="iLLaDA",
)
FAMILIES.register(
    "CoDA",
    Family(
        translate=layouts.standard("Qwen3", extra=("head_dim", "attention_bias")),
        rename=layouts.same,
        shifted=True,
        mask_tokens=("<|mask|>", "<|MASK|>"),
        end_of_turn="<|im_end|>",
        fills_with_pad=True,
    ),
    summary="CoDA",
)
FAMILIES.register(
    "wedlm",
    Family(
        translate=layouts.wedlm,
        rename=layouts.same,
        shifted=False,
        mask_tokens=("<|mask|>", "<|MASK|>"),
        end_of_turn="<|im_end|>",
        attention=(Attention(kind="rank"),),
    ),
    summary="WeDLM",
)
FAMILIES.register(
    "dream-reasoner",
    Family(
        translate=layouts.standard("Qwen3", extra=("head_dim", "attention_bias")),
        rename=layouts.same,
        shifted=False,
        mask_tokens=("<|mask|>", "<|MASK|>"),
        end_of_turn="<|im_end|>",
        attention=(_FROM_PROMPT,),
        recognises=_is_dream_reasoner,
    ),
    summary="DreamReasoner (model_type Dream, told by its Qwen3 layers); by its description, without reference vectors",
)
