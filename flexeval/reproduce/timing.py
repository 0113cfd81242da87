"""How long a run takes on this machine: a few samples of it are drawn, and the clock is read.

Only for models that are here and small, so that asking costs seconds. Samples that are alike in text length and in how
many canvases they share take alike; the estimate knows neither how a task is graded nor what else the machine does.
"""

from __future__ import annotations

import time

from flexeval.models.predictor import MaskPredictor, encode_prompt
from flexeval.orders import get_order
from flexeval.records import RunConfig
from flexeval.runs.identity import run_prompt
from flexeval.sampling import Sampler, SampleRequest
from flexeval.tasks import Task
from flexeval.tasks.task import problems_of

MOST_WEIGHTS = 1e8
"""Of a model that is timed."""
PROBLEMS, SAMPLES = 6, 8
"""How many samples of how many problems are drawn."""


def seconds_per_sample(config: RunConfig, task: Task, model: MaskPredictor) -> float:
    """Wall-clock seconds that a sample of a run takes, without grading; those of the same problem are drawn together.

    Args:
        config: the run.
        task: of `config.task`.
        model: of `config.model`, on the device that the run would use.

    Raises:
        InputError: as the run would.
    """
    sampler = Sampler(model, get_order(config.order), config.sampling)
    requests = [
        SampleRequest(
            problem_id=problem.id,
            sample_index=i,
            prompt_ids=encode_prompt(
                model, run_prompt(config, task, problem), config.sampling.gen_length, of=problem.id
            ),
        )
        for problem in problems_of(task)[:PROBLEMS]
        for i in range(SAMPLES)
    ]
    # What is only done once, as choosing kernels, is left out.
    list(sampler.run(requests[:2]))
    began = time.perf_counter()
    list(sampler.run(requests))
    return (time.perf_counter() - began) / len(requests)
