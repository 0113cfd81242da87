"""A request that knows which sample of which problem it is."""

from __future__ import annotations

from dataclasses import dataclass

from lm_eval.api.instance import Instance

from flexeval.records import Prompt


@dataclass(kw_only=True)
class SampleInstance(Instance):  # type: ignore[misc]
    """One sample of a problem of flexeval's own tasks.

    For any other model it is a request like every other. flexeval's model takes the prompt from here, with its own chat
    template around it, and keys its random numbers by problem and sample, as `flexeval passk` does.
    """

    problem_id: str
    sample_index: int
    prompt: Prompt
    gen_length: int
    """Generated positions that the task's answers need."""
