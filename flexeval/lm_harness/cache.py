"""Answers in lm-eval's cache (`--use_cache`), each stored under everything that it depends on.

lm-eval looks up an answer by the text of its request, before it asks the model. All samples of one problem have the
same request, so it would return one of them n times, and it would take scores from another model or another way to
compute them. So we remove what lm-eval stored when the cache is opened again, and the model looks up its own answers.
A cache stays valid when model, order, seed or bound change, and a stopped run continues where it was.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, MutableMapping
from typing import Any

from lm_eval.api.instance import Instance
from lm_eval.api.model import hash_args

from flexeval.errors import InputError

OWN = "flexeval: "
"""How our keys begin; lm-eval's are plain hashes."""
WRITTEN = OWN + "requests that are stored under other keys"
"""Key of the list of lm-eval's own keys for them."""


class AnswerCache:
    """Answers in a mapping that outlives the process. Without one it stores nothing."""

    def __init__(self, stored: MutableMapping[str, Any] | None, *, model: str = "") -> None:
        """
        Args:
            stored: lm-eval's open cache; None when it keeps none.
            model: fingerprint of the model, on which every answer depends.

        Raises:
            InputError: the cache holds answers that flexeval did not store.
        """
        self._stored = stored
        self._model = model
        if stored is None:
            return
        written = stored.get(WRITTEN, ())
        for key in written:
            stored.pop(key, None)
        stored.pop(WRITTEN, None)
        if not all(key.startswith(OWN) for key in stored):
            raise InputError(
                "the cache of --use_cache holds answers that flexeval did not store, and lm-eval would take them for "
                "this model's; name another file"
            )

    def expect(self, kind: str, requests: Iterable[Instance]) -> None:
        """Note requests of a kind (`generate_until`, `loglikelihood`, ...) whose answers lm-eval will store, too."""
        if self._stored is not None:
            keys = {hash_args(kind, request.args) for request in requests}
            self._stored[WRITTEN] = sorted(keys.union(self._stored.get(WRITTEN, ())))

    def key(self, *what: Any) -> str:
        """The key of the answer that depends on the model and on `what` (JSON values)."""
        return OWN + hashlib.sha256(json.dumps([self._model, *what]).encode()).hexdigest()

    def get(self, key: str) -> Any:
        """The answer; None when it is not stored."""
        return None if self._stored is None else self._stored.get(key)

    def put(self, key: str, answer: Any) -> None:
        """Store an answer."""
        if self._stored is not None:
            self._stored[key] = answer
