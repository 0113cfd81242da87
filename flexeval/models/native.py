"""A checkpoint of a known family, computed by transformers' own layers.

One field of the layers' configuration (`is_causal`) makes them bidirectional; a model with another attention rule gets
its mask from the rule. The weights are renamed when they are loaded. In float32 the results equal those of the
checkpoints' own code, up to the rounding of kernels. Knows no orders, steps or randomness, and no family.
"""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import transformers
from torch import Tensor

from flexeval.errors import InputError, one_line
from flexeval.models import last_mlp
from flexeval.models.attention import FULL, Attention
from flexeval.models.checkpoint_predictor import CheckpointPredictor, Findings, self_test
from flexeval.models.conversion import join
from flexeval.models.families import Blueprint, Family, blueprint_of
from flexeval.models.files import Checkpoint, read_source, weight_files
from flexeval.models.head import float32_logits
from flexeval.models.lineage import read_lineage
from flexeval.models.lora import merge_adapter
from flexeval.models.past import Kept, Past
from flexeval.models.vocabulary import (
    TextCodec,
    find_special_ids,
    load_tokenizer,
    warn_of_other_tokenizer,
    warn_of_plain_text,
)
from flexeval.models.weights import check_tensors, fill, list_tensors, stored_dtype


class NativePredictor(CheckpointPredictor):
    """A mask predictor on transformers' layers.

    `hidden` and `logits` let gradients through, so that the same object serves sampling (under
    `torch.inference_mode`) and training.
    """

    def __init__(self, module: Any, *, shifted: bool, slot_positions: bool, logit_scale: float, **common: Any) -> None:
        """
        Args:
            module: a causal language model of transformers, such as `LlamaForCausalLM`.
            shifted: its output at i predicts position i + 1.
            slot_positions: count positions from the left edge of the canvas rather than from a row's first token.
            logit_scale: what the head's output is multiplied by.
            common: see `CheckpointPredictor`.
        """
        super().__init__(module, **common)
        self._trunk = module.base_model
        self.shifted = shifted
        """What is read at i comes from the output at i - 1."""
        self._slot_positions = slot_positions
        self._logit_scale = logit_scale
        # Names that changed in version 5.
        named = inspect.signature(self._trunk.forward).parameters
        self._past_argument = "cache" if "cache" in named else "past_key_values"
        renamed = hasattr(type(module), "is_activation_checkpointing")
        self._repeats = "is_activation_checkpointing" if renamed else "is_gradient_checkpointing"
        last = getattr(getattr(self._trunk, "layers", [None])[-1], "mlp", None)
        # A mixture of experts wants whole canvases.
        if last is not None and hasattr(last, "gate_proj"):
            last_mlp.watch(last)

    def hidden(
        self,
        tokens_BL: Tensor,
        attention_BL: Tensor | None = None,
        asked_BL: Tensor | None = None,
        level_BL: Tensor | None = None,
        twin_BL: Tensor | None = None,
    ) -> Tensor:
        """Final hidden states [B, L, D]; see `MaskPredictor.hidden`.

        `level_BL` has the levels of the model's attention rule. None takes the whole canvas for finished blocks, the
        last of which ends with it. `twin_BL` says of each column which one it stands for, -1 of ordinary columns: a
        twin takes the position of that column, sees all ordinary columns but it, and all twins; nothing else sees a
        twin. One that stands for itself is out of use. Full attention only.
        """
        if twin_BL is None and level_BL is None and not self.attention.is_full:
            level_BL = self._levels_of_text(tokens_BL, attention_BL)
        position_BL = None
        if attention_BL is not None and not self._slot_positions:
            position_BL = (attention_BL.cumsum(-1) - 1).clamp_(min=0)
        mask = attention_BL
        if level_BL is not None:
            mask = mask_of_levels(level_BL, attention_BL, dtype=self.dtype)
            if position_BL is None:
                # Given along: otherwise transformers looks for packed texts in what it counts itself.
                position_BL = torch.arange(tokens_BL.shape[1], device=tokens_BL.device).expand(tokens_BL.shape)
        if twin_BL is not None:
            if position_BL is None:
                position_BL = torch.arange(tokens_BL.shape[1], device=tokens_BL.device).expand(tokens_BL.shape)
            mask = mask_of_twins(twin_BL, attention_BL, dtype=self.dtype)
            position_BL = torch.where(twin_BL < 0, position_BL, position_BL.gather(1, twin_BL.clamp(min=0)))
        return self._forward(tokens_BL, attention_BL, asked_BL, mask, position_BL)

    def hidden_after(
        self,
        after: Sequence[Kept | None],
        tokens_BL: Tensor,
        attention_BL: Tensor | None,
        asked_BL: Tensor,
        level_BL: Tensor,
        position_BL: Tensor,
        kept_BL: Tensor | None = None,
    ) -> tuple[Tensor, list[Kept]]:
        """Hidden states of some columns of canvases, given keys and values of others, all of which they see.

        Args:
            after: for each canvas, the keys and values of the others; None for none.
            tokens_BL: the tokens of the columns, left-padded.
            attention_BL: False at padding; None when no row is padded.
            asked_BL: the columns that will be read. Where predictions are shifted, the column before each of them must
                be among the columns, too.
            level_BL: the levels of the columns, see `Attention`.
            position_BL: their places on the canvas, from 0 at its first token.
            kept_BL: the columns whose keys and values are to be kept; None for none.

        Returns:
            Hidden states [B, L, D] as of `hidden`, and what is kept of each canvas, with what it came after.
        """
        past = Past(after, layers=len(self._trunk.layers))
        seen_BP = past.seen(tokens_BL.device)
        mask = mask_of_levels(level_BL, attention_BL, dtype=self.dtype, seen_BP=seen_BP)
        hidden_BLD = self._forward(tokens_BL, attention_BL, asked_BL, mask, position_BL, **{self._past_argument: past})
        return hidden_BLD, [] if kept_BL is None else list(past.added(kept_BL))

    @property
    def bytes_per_column(self) -> int:
        """What keys and values of one column of a canvas take."""
        config: Any = self.module.config
        size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
        return int(2 * config.num_hidden_layers * config.num_key_value_heads * size * self.dtype.itemsize)

    def _forward(
        self,
        tokens_BL: Tensor,
        attention_BL: Tensor | None,
        asked_BL: Tensor | None,
        mask: Tensor | None,
        position_BL: Tensor | None,
        **past: Past,
    ) -> Tensor:
        if torch.is_grad_enabled() and getattr(self.module, self._repeats):
            # The backward pass repeats the layers, and by then what was asked is forgotten.
            asked_BL = None
        if asked_BL is not None and self.shifted:
            # What is read at i comes from i - 1, except at a row's first token.
            asked_BL = asked_BL.clone()
            asked_BL[:, :-1] |= asked_BL[:, 1:].clone()
        with last_mlp.only_at(asked_BL):
            output = self._trunk(tokens_BL, attention_mask=mask, position_ids=position_BL, use_cache=False, **past)
        hidden_BLD: Tensor = output.last_hidden_state
        return _align(hidden_BLD, attention_BL) if self.shifted else hidden_BLD

    @property
    def takes_twins(self) -> bool:
        """Whether `hidden` can be given twins."""
        return self.attention.is_full and not self.shifted

    def _levels_of_text(self, tokens_BL: Tensor, attention_BL: Tensor | None) -> Tensor:
        tokens = tokens_BL.cpu().numpy()
        length = tokens.shape[1]
        attended = np.ones(tokens.shape, dtype=bool) if attention_BL is None else attention_BL.bool().cpu().numpy()
        # An answer of whole blocks that ends with the canvas.
        whole = self.attention.whole_length(0, length)
        levels = self.attention.levels(
            tokens, attended, answer=length - whole, window_end_B=np.full(len(tokens), whole), mask_id=self.mask_id
        )
        return torch.from_numpy(levels).to(tokens_BL.device)

    def logits(self, hidden_ND: Tensor) -> Tensor:
        """Logits [N, V] of gathered rows, computed in float32; V includes the spare rows of the embedding."""
        head: Any = self.module.get_output_embeddings()  # type: ignore[operator] # a method of transformers
        logits_NV = float32_logits(head, hidden_ND)
        return logits_NV if self._logit_scale == 1.0 else logits_NV * self._logit_scale


def mask_of_levels(
    level_BL: Tensor, attention_BL: Tensor | None, *, dtype: torch.dtype, seen_BP: Tensor | None = None
) -> Tensor:
    """The mask [B or 1, 1, L, P + L] that every attention kernel adds to its scores: 0 where a query sees a key.

    A boolean mask would do for sdpa, but eager attention adds it as numbers, and so hides nothing. Padding sees itself,
    since a softmax needs something to see.

    Args:
        level_BL: a column sees those of no higher level.
        attention_BL: False at padding; None when no row is padded.
        dtype: of the scores.
        seen_BP: which columns in front all columns see.
    """
    batch, length = level_BL.shape
    if seen_BP is None:
        seen_BP = level_BL.new_ones(batch, 0, dtype=torch.bool)
    if attention_BL is None and bool((level_BL == level_BL[:1]).all()) and bool((seen_BP == seen_BP[:1]).all()):
        batch, level_BL, seen_BP = 1, level_BL[:1], seen_BP[:1]
    sees_BLL = level_BL[:, :, None] >= level_BL[:, None, :]
    if attention_BL is not None:
        sees_BLL &= attention_BL.bool()[:, None, :]
        sees_BLL |= torch.eye(length, dtype=torch.bool, device=level_BL.device)
    sees_BLL = torch.cat([seen_BP[:, None].expand(batch, length, -1), sees_BLL], dim=-1)
    zero = torch.zeros((), dtype=dtype, device=level_BL.device)
    return torch.where(sees_BLL, zero, torch.finfo(dtype).min)[:, None]


def mask_of_twins(twin_BL: Tensor, attention_BL: Tensor | None, *, dtype: torch.dtype) -> Tensor:
    """The mask [B, 1, L, L], as `mask_of_levels`, of canvases with twins."""
    own_L = torch.arange(twin_BL.shape[1], device=twin_BL.device)
    ordinary_BL, used_BL = twin_BL < 0, (twin_BL >= 0) & (twin_BL != own_L)
    others_BLL = twin_BL[:, :, None] != own_L
    sees_BLL = ordinary_BL[:, None, :] & (ordinary_BL | used_BL)[:, :, None] & others_BLL
    sees_BLL |= used_BL[:, :, None] & used_BL[:, None, :]
    if attention_BL is not None:
        sees_BLL &= attention_BL.bool()[:, None, :]
    sees_BLL |= (own_L[:, None] == own_L) & ~used_BL[:, :, None]
    zero = torch.zeros((), dtype=dtype, device=twin_BL.device)
    return torch.where(sees_BLL, zero, torch.finfo(dtype).min)[:, None]


def _align(hidden_BLD: Tensor, attention_BL: Tensor | None) -> Tensor:
    """Move what predicts position i + 1 from i to i + 1; the first token of a row keeps its own output, as in Dream."""
    moved_BLD = torch.cat([hidden_BLD[:, :1], hidden_BLD[:, :-1]], dim=1)
    if attention_BL is None:
        return moved_BLD
    first_BL = attention_BL.bool() & (attention_BL.cumsum(-1) == 1)
    return torch.where(first_BL[..., None], hidden_BLD, moved_BLD)


def load_native(
    checkpoint: Checkpoint,
    family: Family,
    *,
    attention: Attention = FULL,
    device: torch.device,
    dtype: torch.dtype | None,
) -> NativePredictor:
    """Build the network of a checkpoint, fill it and test it.

    Args:
        checkpoint: folder and configuration.
        family: which layout it has.
        attention: the rule that it was trained with.
        device: where to put it.
        dtype: of the parameters; None keeps the type in which the embedding is stored.

    Raises:
        InputError: a configuration that cannot be represented, weights that do not match it, unreadable files, no mask
            token, or a version of transformers whose attention is not bidirectional.
    """
    blueprint = blueprint_of(family, checkpoint.config)
    source = read_source(checkpoint.folder, checkpoint.adapter)
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
        mask_id=family.mask_id,
    )
    if family.fills_with_pad and attention.block is not None:
        # dLLM hides padding tokens wherever they stand, the generated ones of finished blocks included.
        attention = dataclasses.replace(attention, forgets=special.eos)
    warn_of_plain_text(checkpoint, tokenizer)
    warn_of_other_tokenizer(checkpoint, tokenizer)
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
        recommended=checkpoint.recommended,
        vocab_size=vocab_size,
        max_length=blueprint.max_length,
        device=device,
        dtype=dtype,
        network={
            **dataclasses.asdict(blueprint),
            "shifted": family.shifted,
            "attention": "bidirectional" if attention.is_full else dataclasses.asdict(attention),
        },
        source=source,
        attention=attention,
        lineage=read_lineage(checkpoint.adapter or checkpoint.folder),
    )
    findings = self_test(predictor, shifted=family.shifted)
    if not findings.finite:
        # The weights themselves were looked at when they were read.
        wider = {torch.float16: "load it in bfloat16 or float32, or ", torch.bfloat16: "load it in float32, or "}
        raise InputError(
            f"{checkpoint.name!r} computes NaN or infinite numbers in {str(dtype).removeprefix('torch.')} from finite "
            f"weights; {wider.get(dtype, '')}restore its weights"
        )
    if fault := _fault(findings, attention):
        raise InputError(
            f"transformers {transformers.__version__} computes attention that {fault} for {checkpoint.name!r}; "
            "install 'transformers>=5.2,<6'"
        )
    return predictor


def _fault(findings: Findings, attention: Attention) -> str | None:
    """What is wrong with the attention that was computed, if anything is."""
    if not findings.sees_what_it_may:
        return "is causal" if attention.is_full else f"sees less than {attention.spec} lets it"
    if not findings.sees_no_more:
        return f"sees more than {attention.spec} lets it"
    return None if findings.padding_ignored else "sees padding"


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
    joined = join(module, stored, family.conversions())
    tied = bool(config.tie_word_embeddings)
    names = {id(weight): name for name, weight in module.named_parameters(remove_duplicate=False)}
    embedding, head = (
        names[id(each.weight)] for each in (module.get_input_embeddings(), module.get_output_embeddings())
    )
    check_tensors(module, stored, joined, optional=frozenset({head}) if tied else frozenset())
    dtype = dtype or stored_dtype(stored[embedding])
    fill(module, stored, joined, device=device, dtype=dtype)
    if tied:
        if head in stored and not torch.equal(
            module.get_output_embeddings().weight, module.get_input_embeddings().weight
        ):
            raise InputError(
                f"config.json of {checkpoint.name!r} ties the head to the embedding, but the weights hold another head"
            )
        module.get_output_embeddings().weight = module.get_input_embeddings().weight
    _renew_buffers(module, config, device)
    if checkpoint.adapter is not None:
        merge_adapter(module, checkpoint.adapter, rename=family.rename)
    return module.eval(), dtype


def _renew_buffers(module: Any, config: Any, device: torch.device) -> None:
    """Make modules anew whose buffers the meta device left empty, and no file fills: the rotary frequencies."""
    for name, part in list(module.named_modules()):
        if any(buffer.is_meta for buffer in part.buffers(recurse=False)):
            module.set_submodule(name, type(part)(config).to(device))
