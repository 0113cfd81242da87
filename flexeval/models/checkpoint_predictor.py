"""What every mask predictor that was loaded from a checkpoint has in common: ids, limits, text, identity."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from flexeval.errors import InputError
from flexeval.hashing import json_hash
from flexeval.models.files import Source
from flexeval.models.fingerprint import Fingerprint, weights_fingerprint
from flexeval.models.lineage import Lineage
from flexeval.models.special import SpecialIds
from flexeval.models.text import TextCodec
from flexeval.records import Prompt


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
        lineage: Lineage | None = None,
    ) -> None:
        """
        Args:
            module: the network, on its device; training code may change its parameters in place.
            name: how the model was asked for.
            special: mask, end-of-sequence and stop ids.
            codec: None for a checkpoint without tokenizer, which then takes and gives token ids only.
            vocab_size: width of the logits.
            max_length: longest canvas.
            device: of the parameters.
            dtype: of the parameters.
            network: what is computed with the weights, as JSON values.
            source: where the weights came from, read before they were.
            lineage: of the checkpoint, when flexeval trained it.
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
        self.lineage = lineage
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
