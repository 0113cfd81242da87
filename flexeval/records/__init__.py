"""Every record that crosses a module boundary. Imports numpy and nothing else of weight.

problem.py      a question, its prompt, the verdict on a completion
config.py       the settings of a run and of its sampler
state.py        what an order sees at a step, and what it answers
trajectory.py   how a finished sample was decided, its text, and what it took
arrays.py       the kinds of arrays in them
"""

from __future__ import annotations

from flexeval.records.arrays import BoolArray, FloatArray, IntArray
from flexeval.records.config import (
    APPROXIMATE,
    LARGEST_BATCH,
    MOST,
    MOST_POSITIONS,
    PACE,
    RunConfig,
    SamplingConfig,
)
from flexeval.records.problem import CORRECT, PROMPT_DATE, Grade, Problem, Prompt
from flexeval.records.state import DecodingState, Revision
from flexeval.records.trajectory import NO_REVISIONS, REVISION_COLUMNS, Revisions, Sample, SamplingEffort, Trajectory

__all__ = [
    "APPROXIMATE", "CORRECT", "LARGEST_BATCH", "MOST", "MOST_POSITIONS", "NO_REVISIONS", "PACE", "PROMPT_DATE",
    "REVISION_COLUMNS", "BoolArray", "DecodingState", "FloatArray", "Grade", "IntArray", "Problem", "Prompt",
    "Revision", "Revisions", "RunConfig", "Sample", "SamplingConfig", "SamplingEffort", "Trajectory",
]  # fmt: skip
