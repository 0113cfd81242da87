"""How far apart results in float32 may be, on any processor and with any number of threads.

Kernels differ between processors, and sum in other orders for other shapes and threads. A test of a forward therefore
states its tolerance in one of two ways: as rounding at the size of the values (`assert_equal_but_rounding`), or as the
distance of another float32 forward from the same forward in float64 (`InFloat64`).
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

UNIT = torch.finfo(torch.float32).eps
"""One unit of float32 rounding, at size 1."""
UNITS = 256
"""Of these at the size of the largest value, what rounding may explain. Forwards of these tests' networks are up to 60
from float64, whoever computes them; what a wrong mask, position or weight does is a thousand or more."""
LOGITS = 20.0
"""As large as the logits of the bundled model get: what sets the precision of its probabilities and entropies."""


def rounding(values: Tensor | np.ndarray | float, units: float = UNITS) -> float:
    """The distance that rounding explains between float32 results of this size."""
    return units * UNIT * float(np.abs(np.asarray(values)).max())


def assert_equal_but_rounding(got: Tensor, want: Tensor, *, units: float = UNITS) -> None:
    """Two float32 results of one computation."""
    torch.testing.assert_close(got, want, rtol=0, atol=rounding(want.detach(), units) if want.numel() else 0)


def near(expected: float | list[float], *, size: float = LOGITS) -> pytest.approx:
    """For a comparison with log-probabilities or entropies (nats) that were computed from logits of this size."""
    return pytest.approx(expected, rel=0, abs=rounding(size))


class InFloat64(TorchFunctionMode):
    """Within it, code that asks for float32 computes in float64. The parameters are for the caller to convert."""

    def __torch_function__(self, function, types, args=(), kwargs=None):
        if function is Tensor.float:
            function = Tensor.double
        wider = {torch.float32: torch.float64}
        args = tuple(wider.get(a, a) if isinstance(a, torch.dtype) else a for a in args)
        kwargs = {name: wider.get(a, a) if isinstance(a, torch.dtype) else a for name, a in (kwargs or {}).items()}
        return function(*args, **kwargs)
