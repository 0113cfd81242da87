"""What all mask predictors loaded from a checkpoint share: ids, limits, text, identity, and the self-test.

The self-test is two short forwards at every load. Several versions of transformers compute causal attention for a model
that asked for bidirectional attention, some of them only when no padding mask is given; eager attention takes a boolean
mask for numbers to add, and hides nothing; and a model's own code may ignore the mask. All give plausible, wrong
numbers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from flexeval import display
from flexeval.errors import InputError
from flexeval.hashing import json_hash
from flexeval.models.attention import FULL, Attention
from flexeval.models.files import Source
from flexeval.models.fingerprint import Fingerprint, weights_fingerprint
from flexeval.models.lineage import Lineage
from flexeval.models.predictor import MaskPredictor, attention_of
from flexeval.models.recommended import NOTHING_SAID, Recommended
from flexeval.models.vocabulary import SpecialIds, TextCodec
from flexeval.records import Prompt

LENGTH, PADDING = 8, 3
"""Tokens of the self-test's canvas, and padding before them."""
BLOCK, ANSWER, WINDOW_END = 3, 4, 2
"""Of the self-test of a model with an attention rule: short blocks, since the layers do not know how long blocks are;
where the generated positions begin; and how many of them are being filled."""
CHANGED = (LENGTH - 1, LENGTH // 2 - 1, 0)
"""The tokens that the self-test changes, one at a time."""


class CheckpointPredictor:
    """The part of `MaskPredictor` that needs no forward pass."""

    def __init__(
        self,
        module: torch.nn.Module,
        *,
        name: str,
        special: SpecialIds,
        codec: TextCodec | None,
        vocab_size: int,
        max_length: int,
        device: torch.device,
        dtype: torch.dtype,
        network: Mapping[str, Any],
        source: Source,
        attention: Attention = FULL,
        lineage: Lineage | None = None,
        recommended: Recommended = NOTHING_SAID,
    ) -> None:
        """
        Args:
            module: the network, on its device; training code may change its parameters in place.
            name: how the model was asked for.
            special: mask, end-of-sequence and stop ids.
            codec: None for a checkpoint without tokenizer, which is then used with token ids only.
            vocab_size: width of the logits.
            max_length: longest canvas.
            device: of the parameters.
            dtype: of the parameters.
            network: what is computed with the weights, as JSON values.
            source: where the weights came from, read before they were.
            attention: who sees whom.
            lineage: of the checkpoint, when flexeval trained it.
            recommended: the canvas to decode it with.
        """
        self.module = module
        self.name = name
        self.mask_id = special.mask
        self.eos_id = special.eos
        self.stop_ids = special.stop
        self.vocab_size = vocab_size
        self.max_length = max_length
        self.device = device
        self.dtype = dtype
        self.attention = attention
        self.lineage = lineage
        self.recommended = recommended
        self._codec = codec
        self._network = json_hash(network)
        self._source = source
        self._loaded_weights = weights_fingerprint(module)

    @property
    def fingerprint(self) -> Fingerprint:
        """See `MaskPredictor.fingerprint`."""
        weights = weights_fingerprint(self.module)
        ids = {"mask": self.mask_id, "eos": self.eos_id, "stop": sorted(self.stop_ids)}
        return Fingerprint(
            weights=weights,
            network=self._network,
            vocabulary=json_hash({"text": self._codec and self._codec.fingerprint, "ids": ids}),
            source=self._source if weights == self._loaded_weights else None,
        )

    def encode(self, prompt: Prompt) -> list[int]:
        """See `MaskPredictor.encode`. Raises InputError for an empty prompt or a checkpoint without tokenizer."""
        return self.codec.encode(prompt)

    def decode(self, token_ids: Sequence[int]) -> str:
        """See `MaskPredictor.decode`. Raises InputError for a checkpoint without tokenizer."""
        return self.codec.decode(token_ids)

    def pieces(self, token_ids: Sequence[int]) -> list[str]:
        """See `MaskPredictor.pieces`. Raises InputError for a checkpoint without tokenizer."""
        return self.codec.pieces(token_ids)

    @property
    def codec(self) -> TextCodec:
        """Tokenizer and chat template. Raises InputError for a checkpoint without tokenizer."""
        if self._codec is None:
            raise InputError(
                f"{self.name!r} has no tokenizer, so it takes and gives token ids only; "
                "put tokenizer.json and tokenizer_config.json into its folder"
            )
        return self._codec

    def __repr__(self) -> str:
        return f"Model({self.name!r}: {', '.join(f'{name} {value}' for name, value in self._facts().items())})"

    def _repr_html_(self) -> str:
        return display.block(display.heading(f"model {self.name}"), display.facts(self._facts()))

    def _facts(self) -> dict[str, object]:
        """What a user may want to know of it."""
        weights = sum(weight.numel() for weight in self.module.parameters())
        known: dict[str, object] = {
            "network": type(self.module).__name__,
            "weights": f"{weights:,}",
            "type": f"{str(self.dtype).removeprefix('torch.')} on {self.device}",
            "vocabulary": f"{self.vocab_size:,}",
            "canvas": f"up to {self.max_length:,}",
            "attention": str(self.attention),
        }
        return known | ({} if self.lineage is None else {"trained": self.lineage.label})


# ----- self-test -----


@dataclass(frozen=True, kw_only=True)
class Findings:
    """What the forwards showed."""

    finite: bool
    """No hidden state and no logit was NaN or infinite; without that the others say nothing."""
    sees_what_it_may: bool
    """Changing a token changed every other position that may see it."""
    sees_no_more: bool
    """It left alone the positions that may not."""
    padding_ignored: bool
    """A left-padded row gave the hidden states of the unpadded row."""


def self_test(model: MaskPredictor, *, shifted: bool = False) -> Findings:
    """Run the test on random tokens: change one of them, and exactly the positions that may see it move.

    Relative errors are of hidden states (Frobenius norm). Measured on random and trained networks of 2 to 32
    layers: rounding gives up to 1e-6 in float32 and 0.02 in bfloat16; a mask that is ignored gives 0.4 to 0.9.

    Args:
        model: what to test.
        shifted: what it sees at i shows at i + 1.
    """
    attention = attention_of(model)
    if attention.block is not None:
        attention = replace(attention, block=BLOCK, forgets=None)
    generator = torch.Generator().manual_seed(0)
    row_L = torch.randint(model.vocab_size, (LENGTH,), generator=generator)
    rows = [row_L]
    for place in CHANGED:
        rows.append(row_L.clone())
        rows[-1][place] = (row_L[place] + 1) % model.vocab_size
    tokens_BL = torch.stack(rows)
    if not attention.is_full:
        # Some rules tell tokens and masks apart: one mask, in the answer.
        tokens_BL[tokens_BL == model.mask_id] = model.eos_id
        tokens_BL[:, ANSWER + 1] = model.mask_id
    padded_BL = torch.cat([tokens_BL[:1, -1:].expand(1, PADDING), tokens_BL[:1]], dim=1)
    attended_BL = torch.arange(PADDING + LENGTH)[None] >= PADDING

    with torch.no_grad():
        plain_LD, *changed = _hidden(model, attention, tokens_BL, None)
        padded_LD = _hidden(model, attention, padded_BL, attended_BL)[0, PADDING:]
        values = (plain_LD, *changed, padded_LD, model.logits(plain_LD.to(model.dtype)))
        rounded = 0.01 if model.dtype == torch.float32 else 0.2
        seen, unseen = True, True
        for place, changed_LD in zip(CHANGED, changed, strict=True):
            sees_L = _sees(model, attention, tokens_BL[:1], place, shifted=shifted)
            others_L = sees_L & (torch.arange(LENGTH) != place + shifted)
            seen &= not others_L.any() or _relative(changed_LD[others_L], plain_LD[others_L]) > 1e-6
            # In half precision, rounding may hide what a single position sees.
            each_L = (changed_LD != plain_LD).any(dim=-1).cpu()
            seen &= model.dtype != torch.float32 or bool(each_L[others_L].all())
            unseen &= bool(sees_L.all()) or _relative(changed_LD[~sees_L], plain_LD[~sees_L]) < rounded / 4
        return Findings(
            finite=all(bool(value.isfinite().all()) for value in values),
            sees_what_it_may=bool(seen),
            sees_no_more=bool(unseen),
            padding_ignored=_relative(padded_LD, plain_LD) < rounded,
        )


def _hidden(model: MaskPredictor, attention: Attention, tokens_BL: Tensor, attended_BL: Tensor | None) -> Tensor:
    """Hidden states, in float32, of canvases that end with the answer."""
    on_device = [None if each is None else each.to(model.device) for each in (tokens_BL, attended_BL)]
    if attention.is_full:
        return model.hidden(*on_device).float()  # type: ignore[arg-type] # the first is a tensor
    level_BL = torch.from_numpy(_levels(model, attention, tokens_BL, attended_BL)).to(model.device)
    return model.hidden(*on_device, None, level_BL).float()  # type: ignore[arg-type, call-arg]


def _levels(
    model: MaskPredictor, attention: Attention, tokens_BL: Tensor, attended_BL: Tensor | None
) -> NDArray[np.int64]:
    attended = torch.ones_like(tokens_BL, dtype=torch.bool) if attended_BL is None else attended_BL
    return attention.levels(
        tokens_BL.numpy(),
        attended.expand(tokens_BL.shape).numpy(),
        answer=tokens_BL.shape[1] - (LENGTH - ANSWER),
        window_end_B=np.full(len(tokens_BL), WINDOW_END),
        mask_id=model.mask_id,
    )


def _sees(model: MaskPredictor, attention: Attention, tokens_BL: Tensor, place: int, *, shifted: bool) -> Tensor:
    """Which positions [L] may depend on the token at a place."""
    level_L = torch.from_numpy(_levels(model, attention, tokens_BL, None)[0])
    sees_L = level_L >= level_L[place]
    return torch.cat([sees_L[:1], sees_L[:-1]]) if shifted else sees_L


def _relative(left: Tensor, right: Tensor) -> float:
    return float((left - right).norm() / right.norm())
