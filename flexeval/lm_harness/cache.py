"""Samples in lm-eval's answer cache (`--use_cache`).

lm-eval looks an answer up by the text of its request before the model is asked. The samples of one problem have the
same request, so it would hand out one of them n times. Here every sample is stored under what decides it, and what
lm-eval stored by itself for such requests is forgotten when the cache is opened again. A cache may therefore also be
kept when the order, the seed or the model changes, and a stopped run continues where it was.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, MutableMapping, Sequence
from dataclasses import asdict
from typing import Any

from lm_eval.api.instance import Instance
from lm_eval.api.model import hash_args

from flexeval.lm_harness.arguments import Generation
from flexeval.models.predictor import MaskPredictor
from flexeval.sampling import SampleRequest

WRITTEN = "flexeval: requests whose answers are samples"
"""Key of the list of lm-eval's own keys for them."""


class SampleCache:
    """Texts of samples in a mapping that outlives the process; nothing without one."""

    def __init__(self, stored: MutableMapping[str, Any] | None) -> None:
        """
        Args:
            stored: lm-eval's open cache; None when it keeps none.
        """
        self._stored = stored
        if stored is None:
            return
        for key in stored.get(WRITTEN, ()):
            stored.pop(key, None)
        stored.pop(WRITTEN, None)

    def expect(self, requests: Iterable[Instance]) -> None:
        """Note requests whose answers lm-eval is going to store as well."""
        if self._stored is not None:
            keys = {hash_args("generate_until", request.args) for request in requests}
            self._stored[WRITTEN] = sorted(keys.union(self._stored.get(WRITTEN, ())))

    def get(self, key: str) -> str | None:
        """The text of a sample; None when it is not stored."""
        return None if self._stored is None else self._stored.get(key)

    def put(self, key: str, text: str) -> None:
        """Store the text of a sample."""
        if self._stored is not None:
            self._stored[key] = text


def sample_cache_key(predictor: MaskPredictor, generation: Generation, request: SampleRequest) -> str:
    """A hash of everything that decides a sample's text."""
    what: Sequence[Any] = (
        predictor.name,
        str(predictor.dtype),
        generation.order,
        asdict(generation.sampling),
        request.problem_id,
        request.sample_index,
        request.prompt_ids,
    )
    return "flexeval: " + hashlib.sha256(json.dumps(what).encode()).hexdigest()
