"""Any other checkpoint, computed by the code that it brings along or by transformers' masked language models.

It runs code from the checkpoint, so it needs `trust_remote_code=True`. Such a model gives logits for a whole canvas;
here they take the place of hidden states, and `logits` returns them. Predictions are assumed to be unshifted. In half
precision logits are as coarse as the checkpoint's code leaves them: in bfloat16 the likeliest tokens may tie.
"""

from __future__ import annotations

import hashlib
import inspect
import sys
from pathlib import Path
from typing import Any

import torch
import transformers
from torch import Tensor

from flexeval.errors import InputError, one_line
from flexeval.models.checkpoint_predictor import CheckpointPredictor, self_test
from flexeval.models.files import Checkpoint, read_source, weight_files
from flexeval.models.lora import merge_adapter
from flexeval.models.places import ADAPTER_CONFIG
from flexeval.models.vocabulary import TextCodec, find_special_ids, warn_of_plain_text

AUTO_CLASSES = ("AutoModelForMaskedLM", "AutoModelForCausalLM", "AutoModel")
MASK_TOKENS = ("<|mdm_mask|>", "<|mask|>", "<|MASK|>", "<[MASK]>", "[MASK]")
LENGTH_FIELDS = ("max_position_embeddings", "max_sequence_length", "n_positions")


class AdapterPredictor(CheckpointPredictor):
    """A mask predictor around a module that returns logits for a canvas."""

    def __init__(self, module: Any, **common: Any) -> None:
        """
        Args:
            module: called with `input_ids`, and `attention_mask` and `position_ids` where its forward names them.
            common: see `CheckpointPredictor`.
        """
        super().__init__(module, **common)
        self._named = frozenset(inspect.signature(module.forward).parameters)
        self.masks_padding = "attention_mask" in self._named
        """Whether the module can mask padding; if not, rows of equal padding are run together, without it."""

    def hidden(self, tokens_BL: Tensor, attention_BL: Tensor | None = None, asked_BL: Tensor | None = None) -> Tensor:
        """The logits [B, L, V] of the whole canvas, in the module's own type; `asked_BL` is ignored."""
        if attention_BL is None:
            return self._call(tokens_BL)
        if self.masks_padding:
            position_BL = (attention_BL.cumsum(-1) - 1).clamp(min=0)
            return self._call(tokens_BL, attention_mask=attention_BL.long(), position_ids=position_BL)

        padding_B = (~attention_BL.bool()).sum(-1)
        paddings = sorted(set(padding_B.tolist()))
        parts = [self._call(tokens_BL[padding_B == padding, padding:]) for padding in paddings]
        logits_BLV = parts[0].new_zeros(*tokens_BL.shape, parts[0].shape[-1])
        for padding, part in zip(paddings, parts, strict=True):
            logits_BLV[padding_B == padding, padding:] = part
        return logits_BLV

    def logits(self, hidden_ND: Tensor) -> Tensor:
        """The gathered logits [N, V] in float32, rounded before to what the module returned."""
        return hidden_ND.float()

    def _call(self, tokens_BL: Tensor, **told: Tensor) -> Tensor:
        output = self.module(input_ids=tokens_BL, **{name: told[name] for name in told if name in self._named})
        logits_BLV = getattr(output, "logits", None)
        if not isinstance(logits_BLV, Tensor) or logits_BLV.shape[:-1] != tokens_BL.shape:
            raise InputError(f"the code of {self.name!r} returns no logits for a canvas, so it is not a mask predictor")
        return logits_BLV


def load_adapter(checkpoint: Checkpoint, *, device: torch.device, dtype: torch.dtype | None) -> AdapterPredictor:
    """Load a checkpoint with its own code and test what it does.

    Args:
        checkpoint: folder and configuration.
        device: where to put it.
        dtype: of the parameters; None keeps the checkpoint's.

    Raises:
        InputError: the code fails on this version of transformers, weights do not match it, there is no mask token, or
            the model is causal.
    """
    weight_files(checkpoint.folder)
    if (checkpoint.folder / ADAPTER_CONFIG).exists():
        raise InputError(
            f"{checkpoint.name!r} holds whole weights and an adapter, which transformers would add by itself; move the "
            "adapter into a folder of its own"
        )
    source = read_source(checkpoint.folder, checkpoint.adapter)
    offered = checkpoint.config.get("auto_map") or {}
    auto_class = next((name for name in AUTO_CLASSES if name in offered), AUTO_CLASSES[0])
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(checkpoint.folder, trust_remote_code=True)
        module, report = getattr(transformers, auto_class).from_pretrained(
            checkpoint.folder,
            trust_remote_code=True,
            use_safetensors=True,
            dtype=dtype or "auto",
            output_loading_info=True,
        )
        module = module.to(device).eval()
    except Exception as error:  # foreign code may raise anything
        raise InputError(
            f"the code of {checkpoint.name!r} does not run on transformers {transformers.__version__}: "
            f"{type(error).__name__}: {one_line(error)}"
        ) from error
    for what in ("missing_keys", "unexpected_keys", "mismatched_keys"):
        if names := sorted(map(str, report.get(what) or ())):
            raise InputError(
                f"the weights of {checkpoint.name!r} do not match its code: {what}: {', '.join(names[:3])}"
            )

    if checkpoint.adapter is not None:
        merge_adapter(module, checkpoint.adapter, rename=str)
    warn_of_plain_text(checkpoint, tokenizer)
    vocab_size = int(module.get_input_embeddings().weight.shape[0])
    special = find_special_ids(
        checkpoint.name,
        [checkpoint.config, checkpoint.generation],
        tokenizer,
        vocab_size=vocab_size,
        mask_tokens=MASK_TOKENS,
    )
    predictor = AdapterPredictor(
        module,
        name=checkpoint.name,
        special=special,
        codec=TextCodec(
            tokenizer, name=checkpoint.name, chat=checkpoint.chat, silent_ids=special.stop | {special.mask}
        ),
        vocab_size=vocab_size,
        max_length=next(
            (int(checkpoint.config[key]) for key in LENGTH_FIELDS if key in checkpoint.config), sys.maxsize
        ),
        device=device,
        dtype=next(module.parameters()).dtype,
        network={"config": checkpoint.config, "code": _code_checksums(checkpoint.folder)},
        source=source,
        recommended=checkpoint.recommended,
    )
    findings = self_test(predictor)
    if not findings.finite:
        raise InputError(
            f"{checkpoint.name!r} computes NaN or infinite numbers; restore its weights, or load it in float32"
        )
    if not findings.sees_what_it_may:
        raise InputError(
            f"{checkpoint.name!r} is causal: what it predicts does not depend on later tokens, "
            "so it is no mask predictor; give a masked diffusion model"
        )
    predictor.masks_padding &= findings.padding_ignored
    return predictor


def _code_checksums(folder: Path) -> dict[str, str]:
    """Python file -> checksum."""
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.glob("*.py"))}
