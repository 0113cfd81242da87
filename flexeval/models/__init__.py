"""Checkpoint folder or hub id -> `MaskPredictor`.

Importing this package is cheap: torch and transformers are imported when a model is loaded.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from flexeval.models.names import MODELS, KnownModel

if TYPE_CHECKING:
    from flexeval.models.loading import load_model as load_model
    from flexeval.models.predictor import MaskPredictor as MaskPredictor
    from flexeval.models.predictor import check_fits as check_fits

_LAZY = {
    "load_model": "flexeval.models.loading",
    "MaskPredictor": "flexeval.models.predictor",
    "check_fits": "flexeval.models.predictor",
}

__all__ = ["MODELS", "KnownModel", "MaskPredictor", "check_fits", "load_model"]


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'flexeval.models' has no attribute {name!r}")
    return getattr(importlib.import_module(_LAZY[name]), name)
