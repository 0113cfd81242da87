"""The only denoising loop; schedule, randomness, recorder."""

from __future__ import annotations

from flexeval.sampling.api import Sample, sample
from flexeval.sampling.evaluate import Counters
from flexeval.sampling.sampler import Sampler
from flexeval.sampling.slots import SampleRequest

__all__ = ["Counters", "Sample", "SampleRequest", "Sampler", "sample"]
