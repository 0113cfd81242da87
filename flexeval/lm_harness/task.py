"""flexeval's tasks as lm-eval's: problems, prompts and graders of `flexeval.tasks`, Pass@k from n samples.

A task file names the task in `dataset_name`, as `name` or `name:param=value,...`, and n in `repeats`. Every sample is a
request of its own, so that lm-eval neither repeats an answer nor drops all but the first.
"""

from __future__ import annotations

import difflib
import logging
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import datasets
from lm_eval.api.instance import Instance
from lm_eval.api.metrics import mean
from lm_eval.api.task import ConfigurableTask

from flexeval.errors import InputError, did_you_mean
from flexeval.grading.processors import processors
from flexeval.lm_harness.arguments import read_value
from flexeval.records import Prompt
from flexeval.stats.pass_at_k import default_ks, pass_at_k
from flexeval.tasks import get_task, with_template
from flexeval.tasks.task import RunsPrograms, grade_of, problems_of, prompt_of

SPLIT = "test"

METADATA = ("repeats", "data_dir", "prompt")
"""What the tasks read of `--metadata`."""

logger = logging.getLogger(__name__)


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


@dataclass(frozen=True, kw_only=True)
class Context:
    """What one problem's requests begin with."""

    prompt: Prompt
    text: str
    """The same as lm-eval's plain or chat text, for models other than flexeval's."""


class FlexevalTask(ConfigurableTask):  # type: ignore[misc]
    """One benchmark of flexeval in lm-eval."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        """
        Args:
            config: the task file. `metadata`, to which lm-eval adds what `--metadata` says, may hold `repeats` (samples
                per problem), `data_dir` (folder of local benchmark files) and `prompt` (a template of the task, or the
                path of a YAML file, as `flexeval passk --prompt`).

        Raises:
            InputError: an unknown task, template or name in `metadata`, no sample to draw, data that cannot be read, or
                programs that nothing would confine.
        """
        settings = {name: value for name, value in config.items() if name != "class"}
        metadata = settings.get("metadata") or {}
        _refuse_misspelt(metadata)
        if "repeats" in metadata:
            settings["repeats"] = metadata["repeats"]
        if "repeats" in settings:
            settings["repeats"] = _at_least_one(settings["repeats"])
        spec, folder = settings["dataset_name"], metadata.get("data_dir")
        if "prompt" in metadata:
            spec = with_template(spec, str(metadata["prompt"]))
        self._task = get_task(spec, data_dir=None if folder is None else Path(folder))
        self._problems = {problem.id: problem for problem in problems_of(self._task)}
        if isinstance(self._task, RunsPrograms):
            logger.info("generated programs run as %s", self._task.isolation().summary())
        super().__init__(config={**settings, "test_split": SPLIT})

    def download(self, dataset_kwargs: dict[str, Any] | None = None, **_: Any) -> None:
        """The documents: id, question and target of every problem."""
        rows = [{"problem_id": p.id, "question": p.question, "target": p.target} for p in self._problems.values()]
        self.dataset = datasets.DatasetDict({SPLIT: datasets.Dataset.from_list(rows)})

    def build_all_requests(self, **options: Any) -> None:
        """The requests of this process. Never from `--cache_requests`, whose keys lack `repeats` and the data."""
        super().build_all_requests(**{**options, "cache_requests": False})

    def fewshot_context(
        self,
        doc: Mapping[str, str],
        num_fewshot: int = 0,
        system_instruction: str | None = None,
        chat_template: Callable[..., str] | None = None,
        **_: Any,
    ) -> Context:
        """The prompt of flexeval's task; `--system_instruction` comes before its system text."""
        prompt = prompt_of(self._task, self._problems[doc["problem_id"]])
        system = "\n\n".join(filter(None, (system_instruction, prompt.system)))
        prompt = Prompt(user=prompt.user, system=system, prefill=prompt.prefill)
        turns = [("system", prompt.system), ("user", prompt.user), ("assistant", prompt.prefill)]
        if chat_template is None:
            text = "\n\n".join(filter(None, (prompt.system, prompt.user))) + prompt.prefill
        else:
            messages = [{"role": role, "content": content} for role, content in turns if content]
            text = chat_template(messages, add_generation_prompt=not prompt.prefill)
        return Context(prompt=prompt, text=text)

    def construct_requests(
        self, doc: Mapping[str, str], ctx: Context, metadata: tuple[str, int, int], **_: Any
    ) -> list[SampleInstance]:
        """One request a sample."""
        task_name, doc_id, num_samples = metadata
        return [
            SampleInstance(
                request_type="generate_until",
                doc=doc,
                arguments=(ctx.text, dict(self.config.generation_kwargs)),
                idx=sample_index,
                metadata=(task_name, doc_id, 1),
                problem_id=doc["problem_id"],
                sample_index=sample_index,
                prompt=ctx.prompt,
                gen_length=self._task.gen_length,
            )
            for sample_index in range(num_samples)
        ]

    def process_results(self, doc: Mapping[str, str], results: list[str]) -> dict[str, float]:
        """Pass@k of one problem from the texts of its samples, between 0 and 1."""
        if "bypass" in self._metric_fn_list:  # --predict_only
            metrics: dict[str, float] = super().process_results(doc, results)
            return metrics
        problem = self._problems[doc["problem_id"]]
        # By threads: what takes long in a grader happens in processes of its own.
        with ThreadPoolExecutor(processors()) as pool:
            correct = sum(
                grade.correct for grade in pool.map(lambda text: grade_of(self._task, problem, text), results)
            )
        return {f"pass@{k}": pass_at_k(len(results), correct, k) for k in default_ks(len(results))}

    def aggregation(self) -> dict[str, Callable[..., float]]:
        """The mean over problems."""
        return {**super().aggregation(), **dict.fromkeys(self._metrics(), mean)}

    def higher_is_better(self) -> dict[str, bool]:
        """Always."""
        return {**super().higher_is_better(), **dict.fromkeys(self._metrics(), True)}

    def _metrics(self) -> list[str]:
        return [f"pass@{k}" for k in default_ks(self.config.repeats)]


def _refuse_misspelt(metadata: Mapping[str, Any]) -> None:
    """Refuse names that are nearly ours. Any other may be one of the model's arguments, which lm-eval adds."""
    for name in metadata:
        if name not in METADATA and difflib.get_close_matches(name.lower(), METADATA, cutoff=0.75):
            raise did_you_mean("metadata", name, METADATA)


def _at_least_one(repeats: Any) -> int:
    number: int = read_value(repeats, int, what="'repeats'")
    if number < 1:
        raise InputError(f"'repeats' must be at least 1, the samples of a problem, not {number}")
    return number
