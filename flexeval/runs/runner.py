"""RunConfig -> a run folder: sample what is missing, grade it, store it. Continues wherever an earlier run stopped.

One sample's way: `Sampler.run` draws it, `_decoded` makes text of it, a thread of `Here` grades it, `Storage` collects
it, and `RunWriter.append` puts it on the disk. `flexeval.workers` has other processes do all but the last two.
"""

from __future__ import annotations

import dataclasses
import functools
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from flexeval.display import notebook_bar
from flexeval.errors import InputError, PluginError, one_line
from flexeval.fields import require_instance, require_path
from flexeval.grading.processors import processors
from flexeval.models.lineage import Lineage
from flexeval.models.names import model_name
from flexeval.models.places import canonical_name
from flexeval.models.predictor import MaskPredictor, attention_of, encode_prompt, fingerprint_of, pieces_of
from flexeval.orders import get_order
from flexeval.records import Grade, Prompt, RunConfig, SamplingEffort, Trajectory
from flexeval.runs.environment import environment
from flexeval.runs.files import to_json
from flexeval.runs.filling import fill
from flexeval.runs.identity import canonical_config, codes, made_by, run_prompt
from flexeval.runs.layout import GradedSample, SampleKey, StoredProblem, stored_problem
from flexeval.runs.run import Run
from flexeval.runs.shards import WHOLE, Shard
from flexeval.runs.storage import Finished, Progress
from flexeval.runs.timing import forecast
from flexeval.sampling import Sampler, SampleRequest, decoded
from flexeval.sampling.engine import running
from flexeval.tasks import Task, task_spec
from flexeval.tasks.task import HasTemplate, RunsPrograms, check_task, grade_of, problems_of


@runtime_checkable
class HasSource(Protocol):
    """A task that can say where its problems come from."""

    def source(self) -> Mapping[str, Any]:
        """For the record, JSON values: file and checksum, or hub id and revision."""
        ...


def run(
    config: RunConfig,
    *,
    out: str | Path,
    predictor: MaskPredictor,
    task: Task,
    batch_size: int | None = None,
    progress: Callable[[Progress], None] | None = None,
    make_sampler: Callable[..., Sampler] = Sampler,
    shard: Shard = WHOLE,
) -> Run:
    """Sample, grade and store what a run folder lacks.

    Whatever ends it (a kill, Ctrl-C, a full disk), calling it again continues. Ctrl-C and errors store what
    is finished first.

    Args:
        config: which run, and how much of it. Aliases are resolved.
        out: the run folder: new, empty, or of the same run with any `num_samples` and `limit`.
        predictor: the model of `config.model`; another checkpoint is refused.
        task: the task of `config.task`, with its data.
        batch_size: samples in flight; None lets the sampler choose. Changes no sample in float32; see `Sampler`.
        progress: called once at the start, and after every sample by another thread, one call at a time. None shows a
            bar in a notebook, and nothing elsewhere.
        make_sampler: called as `Sampler`.
        shard: which part of the run; it goes into a folder of its own below `out`.

    Returns:
        The part of the folder that `config` asks for, complete.

    Raises:
        InputError: bad settings or data, a folder of another run or in use, a prompt that is too long, an argument of
            the wrong type (then a TypeError as well).
        OSError: the folder cannot be written.
    """
    require_instance(config, RunConfig, what="config")
    require_instance(shard, Shard, what="shard")
    require_instance(make_sampler, Callable, what="make_sampler")
    if progress is not None:
        require_instance(progress, Callable, what="progress")
    folder = require_path(out, what="out")
    config = canonical_config(config)
    here = Here(config, predictor=predictor, task=task, batch_size=batch_size, make_sampler=make_sampler)
    shard.require_problems(len(here.problems))
    bar = notebook_bar(config.order)
    return fill(
        config,
        out=folder,
        source=here,
        shard=shard,
        progress=progress or (lambda now: bar(now.done, now.total)),
    )


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """A sample that was drawn and not graded yet."""

    trajectory: Trajectory
    text: str
    pieces: Sequence[str]
    old_pieces: Sequence[str]
    """As of `GradedSample`."""
    effort: SamplingEffort
    """What it took, beyond the one before."""

    def graded(self, grade: Grade) -> GradedSample:
        """The same with its verdict."""
        return GradedSample(
            trajectory=self.trajectory, text=self.text, pieces=self.pieces, grade=grade, old_pieces=self.old_pieces
        )


class Here:
    """The source of a run's samples that is this process: one thread draws them, others grade them."""

    longest_first = False

    def __init__(
        self,
        config: RunConfig,
        *,
        predictor: MaskPredictor,
        task: Task,
        batch_size: int | None = None,
        make_sampler: Callable[..., Sampler] = Sampler,
    ) -> None:
        """
        Args:
            config: canonical.
            predictor: as `run`.
            task: as `run`.
            batch_size: as `run`.
            make_sampler: as `run`.

        Raises:
            InputError: everything that the sampler would refuse, so that it is refused before there is a folder.
        """
        # First, since it refuses what is no model.
        self._make_sampler = functools.partial(make_sampler, batch_size=batch_size)
        self._sampler = self._make_sampler(predictor, get_order(config.order), config.sampling)
        if task_spec(check_task(task)) != config.task:
            raise InputError(f"the configuration names task {config.task!r}, but {task_spec(task)!r} was given")
        _require_named(config, predictor)
        problems = list(problems_of(task)[: config.limit])
        self._prompts = {
            problem.id: encode_prompt(
                predictor, run_prompt(config, task, problem), config.sampling.gen_length, of=problem.id
            )
            for problem in problems
        }
        self._predictor, self._task = predictor, task
        self._config = config
        self._by_id = {problem.id: problem for problem in problems}
        self.problems: Sequence[StoredProblem] = [stored_problem(one, self._prompts[one.id]) for one in problems]
        first_prompt = run_prompt(config, task, problems[0])
        self.record: Mapping[str, Any] = {
            **_record(predictor, self._sampler, task, first_prompt),
            **codes(config.order, task),
        }

    def forecast(self, missing: int) -> float | None:
        """As `flexeval.runs.filling.Source`."""
        prompts = list(self._prompts.items())
        return forecast(self._config, self._predictor, prompts, self._make_sampler, missing=missing)

    def draw(self, keys: Iterator[SampleKey], missing: int, take: Callable[[Finished], None]) -> None:
        """As `flexeval.runs.filling.Source`. A free row of the batch waits for the next key."""
        graders, environment = ThreadPoolExecutor(processors()), self.record["environment"]
        try:
            for drawn in self.drawn(keys):
                graded = graders.submit(lambda drawn: drawn.graded(self.grade(drawn)), drawn)
                take(Finished(sample=graded, effort=drawn.effort, environment=environment))
        finally:
            # What was begun goes on: whoever took the samples waits for it.
            graders.shutdown(wait=False)

    def drawn(self, keys: Iterable[SampleKey]) -> Iterator[Drawn]:
        """Each sample as soon as it is drawn, in any order.

        Args:
            keys: which; the time that they are long in coming does not count.
        """
        waited = 0.0

        def requests() -> Iterator[SampleRequest]:
            # All samples of a problem stand side by side: their first canvases are equal and merge.
            nonlocal waited
            left = iter(keys)
            while True:
                asked = time.monotonic()
                key = next(left, None)
                waited += time.monotonic() - asked
                if key is None:
                    return
                yield SampleRequest(problem_id=key[0], sample_index=key[1], prompt_ids=self._prompts[key[0]])

        counters = self._sampler.counters
        evaluations, distinct = counters.evaluations, counters.distinct
        trajectories = self._sampler.run(requests())
        while True:
            asked, waited = time.monotonic(), 0.0
            trajectory = next(trajectories, None)
            if trajectory is None:
                return
            counters = self._sampler.counters
            effort = SamplingEffort(
                samples=1,
                seconds=max(time.monotonic() - asked - waited, 0.0),
                evaluations=counters.evaluations - evaluations,
                distinct=counters.distinct - distinct,
            )
            evaluations, distinct = counters.evaluations, counters.distinct
            text, pieces, old_pieces = _decoded(trajectory, self._predictor)
            yield Drawn(trajectory=trajectory, text=text, pieces=pieces, old_pieces=old_pieces, effort=effort)

    def grade(self, drawn: Drawn) -> Grade:
        """The verdict on a sample; may be called from several threads."""
        return grade_of(self._task, self._by_id[drawn.trajectory.problem_id], drawn.text)


def _decoded(trajectory: Trajectory, predictor: MaskPredictor) -> tuple[str, list[str], list[str]]:
    """The text of a sample, what each token adds to it, and what each one that was taken back would have added."""
    token_ids = trajectory.token_ids_G.tolist()
    text, pieces = decoded(trajectory, predictor)
    # After the token that stands before it in the end: some tokenizers leave out the space of a first token.
    taken_back = zip(trajectory.revisions.position_N.tolist(), trajectory.revisions.old_token_N.tolist(), strict=True)
    old_pieces = [pieces_of(predictor, [*token_ids[max(at - 1, 0) : at], token])[-1] for at, token in taken_back]
    return text, pieces, old_pieces


def _require_named(config: RunConfig, predictor: MaskPredictor) -> None:
    """Raise InputError for a checkpoint that is not the model that the configuration names: tables would call it so.

    Of a model that was not loaded from files, only its author knows whether it is.
    """
    named, given = model_name(config.model, config.adapter), fingerprint_of(predictor).as_dict()
    if given["files"] is None or canonical_name(predictor.name) == named or made_by({"model": given}, config):
        return
    raise InputError(
        f"the configuration names model {named!r}, but {predictor.name!r} was given; name that one, as in "
        "flexeval.RunConfig(model=..., adapter=...)"
    )


def _record(predictor: MaskPredictor, sampler: Sampler, task: Task, first_prompt: Prompt) -> dict[str, Any]:
    """What config.json says beside the configuration."""
    lineage: Lineage | None = getattr(predictor, "lineage", None)
    isolation = task.isolation() if isinstance(task, RunsPrograms) else None
    # With the threads that torch will have.
    with running(predictor, sampler.workers):
        machine = environment(
            device=str(predictor.device),
            dtype=str(predictor.dtype).removeprefix("torch."),
            attention=_attention(predictor),
            batch_size=sampler.batch_size,
            workers=sampler.workers,
            isolation=isolation.summary() if isolation else None,
        )
    return {
        "model": fingerprint_of(predictor).as_dict(),
        "attention_rule": dataclasses.asdict(attention_of(predictor)),
        "environment": machine,
        "task_source": _source(task) if isinstance(task, HasSource) else None,
        "isolation": isolation.as_dict() if isolation else None,
        "prompt_template": dataclasses.asdict(task.prompt_template) if isinstance(task, HasTemplate) else None,
        "first_prompt": dataclasses.asdict(first_prompt),
        "lineage": lineage and lineage.as_dict(),
    }


def _source(task: HasSource) -> dict[str, Any]:
    """Where the problems come from. Raises PluginError for what config.json cannot hold."""
    source: object = task.source()
    if source is None or not isinstance(source, Mapping):
        raise PluginError(f"source() of the task must return a mapping of JSON values, not {source!r:.60}")
    try:
        to_json(source)
    except (TypeError, ValueError) as error:
        raise PluginError(f"source() of the task must return JSON values: {one_line(error)}") from None
    return dict(source)


def _attention(predictor: MaskPredictor) -> str | None:
    """What transformers calls the implementation, where the model is one of its own."""
    told = getattr(getattr(getattr(predictor, "module", None), "config", None), "_attn_implementation", None)
    return told if isinstance(told, str) else None
