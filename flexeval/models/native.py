"""A checkpoint of a known family, computed by transformers' own Llama, Qwen2 or Qwen3 layers.

One field of the layers' configuration (`is_causal`) makes them bidirectional, and the weights are renamed when they are
loaded. In float32 the results equal those of the checkpoints' own code, up to the rounding of kernels. Knows no orders,
steps or randomness.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import torch
import transformers
from torch import Tensor

from flexeval.errors import InputError, one_line
from flexeval.models import last_mlp
from flexeval.models.checkpoint_predictor import CheckpointPredictor, self_test
from flexeval.models.families import Blueprint, Family, blueprint_of
from flexeval.models.files import Checkpoint, read_source, weight_files
from flexeval.models.head import float32_logits
from flexeval.models.lineage import read_lineage
from flexeval.models.vocabulary import TextCodec, find_special_ids, load_tokenizer
from flexeval.models.weights import check_tensors, fill, list_tensors, stored_dtype

EMBEDDING, HEAD = "model.embed_tokens.weight", "lm_head.weight"


class NativePredictor(CheckpointPredictor):
    """A mask predictor on transformers' layers.

    `hidden` and `logits` let gradients through, so that the same object serves sampling (under
    `torch.inference_mode`) and training.
    """

    def __init__(self, module: Any, *, shifted: bool, slot_positions: bool, logit_scale: float, **common: Any) -> None:
        """
        Args:
            module: a `LlamaForCausalLM`, `Qwen2ForCausalLM` or `Qwen3ForCausalLM`.
            shifted: its output at i predicts position i + 1.
            slot_positions: count positions from the left edge of the canvas rather than from a row's first token.
            logit_scale: what the head's output is multiplied by.
            common: see `CheckpointPredictor`.
        """
        super().__init__(module, **common)
        self._trunk = module.model
        self._shifted = shifted
        self._slot_positions = slot_positions
        self._logit_scale = logit_scale
        last_mlp.watch(module.model.layers[-1].mlp)

    def hidden(self, tokens_BL: Tensor, attention_BL: Tensor | None = None, asked_BL: Tensor | None = None) -> Tensor:
        """Final hidden states [B, L, D]; see `MaskPredictor.hidden`."""
        position_BL = None
        if attention_BL is not None and not self._slot_positions:
            position_BL = (attention_BL.cumsum(-1) - 1).clamp_(min=0)
        if asked_BL is not None and self._shifted:
            # What is read at i comes from i - 1, except at a row's first token.
            asked_BL = asked_BL.clone()
            asked_BL[:, :-1] |= asked_BL[:, 1:].clone()
        with last_mlp.only_at(asked_BL):
            output = self._trunk(tokens_BL, attention_mask=attention_BL, position_ids=position_BL, use_cache=False)
        hidden_BLD: Tensor = output.last_hidden_state
        return _align(hidden_BLD, attention_BL) if self._shifted else hidden_BLD

    def logits(self, hidden_ND: Tensor) -> Tensor:
        """Logits [N, V] of gathered rows, computed in float32; V includes the spare rows of the embedding."""
        head: Any = self.module.lm_head
        logits_NV = float32_logits(head, hidden_ND)
        return logits_NV if self._logit_scale == 1.0 else logits_NV * self._logit_scale


def _align(hidden_BLD: Tensor, attention_BL: Tensor | None) -> Tensor:
    """Move what predicts position i + 1 from i to i + 1; the first token of a row keeps its own output, as in Dream."""
    moved_BLD = torch.cat([hidden_BLD[:, :1], hidden_BLD[:, :-1]], dim=1)
    if attention_BL is None:
        return moved_BLD
    first_BL = attention_BL.bool() & (attention_BL.cumsum(-1) == 1)
    return torch.where(first_BL[..., None], hidden_BLD, moved_BLD)


def load_native(
    checkpoint: Checkpoint, family: Family, *, device: torch.device, dtype: torch.dtype | None
) -> NativePredictor:
    """Build the network of a checkpoint, fill it and test it.

    Args:
        checkpoint: folder and configuration.
        family: which layout it has.
        device: where to put it.
        dtype: of the parameters; None keeps the type in which the embedding is stored.

    Raises:
        InputError: a configuration that cannot be represented, weights that do not match it, unreadable files, no mask
            token, or a version of transformers whose attention is not bidirectional.
    """
    blueprint = blueprint_of(family, checkpoint.config)
    source = read_source(checkpoint.folder)
    tokenizer = load_tokenizer(checkpoint.folder)
    vocab_size = int(blueprint.options["vocab_size"])
    special = find_special_ids(
        checkpoint.name,
        [checkpoint.config, checkpoint.generation],
        tokenizer,
        vocab_size=vocab_size,
        mask_tokens=family.mask_tokens,
        end_of_turn=family.end_of_turn,
        fills_with_pad=family.fills_with_pad,
    )
    module, dtype = _build(checkpoint, family, blueprint, device=device, dtype=dtype)
    silent_ids = special.stop | {special.mask}
    predictor = NativePredictor(
        module,
        shifted=family.shifted,
        # Rotary embeddings are relative, so both ways of counting agree but for rounding. In float32 LLaDA's own way
        # rounds as its code does; in half precision it would let padding change the result 4 times as much.
        slot_positions=family.slot_positions and dtype == torch.float32,
        logit_scale=blueprint.logit_scale,
        name=checkpoint.name,
        special=special,
        codec=tokenizer and TextCodec(tokenizer, name=checkpoint.name, chat=checkpoint.chat, silent_ids=silent_ids),
        vocab_size=vocab_size,
        max_length=blueprint.max_length,
        device=device,
        dtype=dtype,
        network={**dataclasses.asdict(blueprint), "shifted": family.shifted, "attention": "bidirectional"},
        source=source,
        lineage=read_lineage(checkpoint.folder),
    )
    findings = self_test(predictor)
    if not findings.finite:
        # The weights themselves were looked at when they were read.
        narrow = str(dtype).removeprefix("torch.")
        raise InputError(
            f"{checkpoint.name!r} computes NaN or infinite numbers in {narrow} from finite weights; load it in "
            f"{'bfloat16 or float32' if dtype == torch.float16 else 'float32'}, or restore its weights"
        )
    if not (findings.bidirectional and findings.padding_ignored):
        fault = "sees padding" if findings.bidirectional else "is causal"
        raise InputError(
            f"transformers {transformers.__version__} computes attention that {fault} for {checkpoint.name!r}; "
            "install 'transformers>=5.2,<6'"
        )
    return predictor


def _build(
    checkpoint: Checkpoint, family: Family, blueprint: Blueprint, *, device: torch.device, dtype: torch.dtype | None
) -> tuple[Any, torch.dtype]:
    """The filled module in evaluation mode, and the type of its parameters."""
    config_class = getattr(transformers, f"{blueprint.layers}Config")
    module_class = getattr(transformers, f"{blueprint.layers}ForCausalLM")
    try:
        config = config_class(**blueprint.options, is_causal=False, use_cache=False)
        with torch.device("meta"):
            module = module_class(config)
    except Exception as error:  # whatever transformers stumbles over in the values
        raise InputError(f"config.json of {checkpoint.name!r} describes no model: {one_line(error)}") from error

    stored = list_tensors(weight_files(checkpoint.folder), family.rename)
    tied = bool(config.tie_word_embeddings)
    check_tensors(module, stored, optional=frozenset({HEAD}) if tied else frozenset())
    dtype = dtype or stored_dtype(stored[EMBEDDING])
    fill(module, stored, device=device, dtype=dtype)
    if tied:
        if HEAD in stored and not torch.equal(module.lm_head.weight, module.model.embed_tokens.weight):
            raise InputError(
                f"config.json of {checkpoint.name!r} ties the head to the embedding, but the weights hold another head"
            )
        module.lm_head.weight = module.model.embed_tokens.weight
    # The rotary frequencies are no weights: computed anew, in float32, where the meta device left nothing.
    module.model.rotary_emb = type(module.model.rotary_emb)(config).to(device)
    return module.eval(), dtype
