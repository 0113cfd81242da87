"""The only denoising loop. A step reads from top to bottom:

api.py         prompts in, texts out
sampler.py     the loop, and its two lanes
engine.py      how they use a CPU
step.py        one step: score, choose, draw, commit
canvas.py      the samples in flight: tokens, place in the schedule, record
forward.py     canvases -> hidden states, equal canvases once
prefixes.py    which columns need no computing, since their keys and values are known
logits.py      hidden states -> logits -> softmax, chunk by chunk
softmax.py     what is measured of a softmax; tempering; draws
schedule.py    how many positions a step commits
randomness.py  the uniform numbers

For orders that take tokens back, revising.py adds to canvas.py and step.py; for those that wait until distributions
come to rest, drift.py. Beside the loop, circulation.py scores pairs of masks in both orders and draws nothing.
"""

from __future__ import annotations

from flexeval.records import Sample
from flexeval.sampling.api import decoded, sample
from flexeval.sampling.canvas import SampleRequest
from flexeval.sampling.forward import Counters
from flexeval.sampling.sampler import Sampler

__all__ = ["Counters", "Sample", "SampleRequest", "Sampler", "decoded", "sample"]
