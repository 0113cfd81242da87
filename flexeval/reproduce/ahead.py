"""What is impossible about a run, as far as it can be told before any model is loaded.

So a grid or a plan with a cell that cannot be drawn is refused at once, and not when hours later its turn comes.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

from flexeval.models.outline import Outline, outline
from flexeval.models.places import check_name
from flexeval.models.predictor import check_fits
from flexeval.models.vocabulary import TextCodec
from flexeval.orders import get_order
from flexeval.records import RunConfig
from flexeval.runs.identity import run_prompt
from flexeval.sampling.sampler import check_pace, fitting_settings
from flexeval.tasks import Task
from flexeval.tasks.data import is_on_hub
from flexeval.tasks.task import problems_of


def checker(load_task: Callable[[str], Task]) -> Callable[[RunConfig], None]:
    """A function that raises InputError for a run, canonical, whose model is not there, or whose settings, prompts and
    model exclude each other.

    Args:
        load_task: task spec -> task with its data, each time the same. What would have to be fetched from the hub is
            not looked at.
    """

    @cache
    def known(model: str, attention: str | None, adapter: str | None) -> Outline | None:
        return outline(model, attention=attention, adapter=adapter)

    @cache
    def longest_prompt(codec: TextCodec, task: str, date: str, limit: int | None) -> tuple[int, str]:
        """Its tokens, and whose it is."""
        config, problems = RunConfig(task=task, prompt_date=date), problems_of(load_task(task))[:limit]
        return max((len(codec.encode(run_prompt(config, load_task(task), one))), one.id) for one in problems)

    def check(config: RunConfig) -> None:
        check_name(config.model, config.adapter)
        order, sampling = get_order(config.order), config.sampling
        check_pace(order, sampling)
        model = known(config.model, config.attention, config.adapter)
        if model is None:
            return
        fitting_settings(
            order,
            sampling,
            name=model.name,
            attention=model.attention,
            takes_twins=model.takes_twins,
            goes_on=True,
        )
        if model.codec is not None and not is_on_hub(load_task(config.task)):
            tokens, problem = longest_prompt(model.codec, config.task, config.prompt_date, config.limit)
            check_fits(model, tokens, sampling.gen_length, of=problem)

    return check
