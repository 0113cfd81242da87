"""RunConfig -> a run folder: sample what is missing, grade it, store it. Continues wherever an earlier run stopped.

One sample's way: `Sampler.run` draws it, `_decoded` makes text of it, `Storage` has it graded and collects it, and
`RunWriter.append` puts it on the disk.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from flexeval.errors import InputError, encodable
from flexeval.models.lineage import Lineage
from flexeval.models.predictor import MaskPredictor, encode_prompt
from flexeval.orders import get_order
from flexeval.records import Prompt, RunConfig, Trajectory
from flexeval.runs.environment import environment
from flexeval.runs.identity import canonical_config, run_prompt
from flexeval.runs.layout import stored_problem
from flexeval.runs.run import Run, run_of
from flexeval.runs.storage import Progress, Storage
from flexeval.runs.writer import open_run
from flexeval.sampling import Sampler, SampleRequest
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
    out: Path,
    predictor: MaskPredictor,
    task: Task,
    batch_size: int | None = None,
    progress: Callable[[Progress], None] | None = None,
    make_sampler: Callable[..., Sampler] = Sampler,
) -> Run:
    """Sample, grade and store what a run folder lacks.

    Whatever ends it (a kill, Ctrl-C, a full disk), calling it again continues. Ctrl-C and errors store what
    is finished first.

    Args:
        config: which run, and how much of it. Aliases are resolved.
        out: the run folder: new, empty, or of the same run with any `num_samples` and `limit`.
        predictor: the model of `config.model`.
        task: the task of `config.task`, with its data.
        batch_size: samples in flight; None lets the sampler choose. Changes no sample in float32; see `Sampler`.
        progress: called once at the start, and after every sample by another thread, one call at a time.
        make_sampler: called as `Sampler`.

    Returns:
        The part of the folder that `config` asks for, complete.

    Raises:
        InputError: bad settings or data, a folder of another run or in use, a prompt that is too long.
        OSError: the folder cannot be written.
    """
    config = canonical_config(config)
    if task_spec(task) != config.task:
        raise InputError(f"the configuration names task {config.task!r}, but {task_spec(task)!r} was given")
    problems = list(problems_of(check_task(task))[: config.limit])
    # What the sampler would refuse, all of it, before there is a folder.
    prompts = {
        problem.id: encode_prompt(
            predictor, run_prompt(config, task, problem), config.sampling.gen_length, of=problem.id
        )
        for problem in problems
    }
    sampler = make_sampler(predictor, get_order(config.order), config.sampling, batch_size=batch_size)

    stored = [stored_problem(problem, prompts[problem.id]) for problem in problems]
    record = _record(predictor, sampler, task, run_prompt(config, task, problems[0]))
    with open_run(out, config, stored, record) as writer:
        missing = writer.count_missing(num_samples=config.num_samples, limit=config.limit)
        total = len(problems) * config.num_samples
        at_first = Progress(done=total - missing, total=total, correct=0)
        report = progress or (lambda _: None)
        report(at_first)
        by_id = {problem.id: problem for problem in problems}
        storage = Storage(
            writer,
            sampler,
            grade=lambda problem_id, text: grade_of(task, by_id[problem_id], text),
            progress=at_first,
            report=report,
        )
        # All samples of a problem stand side by side: their first canvases are equal and merge.
        requests = (
            SampleRequest(problem_id=id_, sample_index=i, prompt_ids=prompts[id_])
            for id_, i in storage.paced(writer.missing(num_samples=config.num_samples, limit=config.limit))
        )
        try:
            storage.start()
            for trajectory in storage.timed(sampler.run(requests) if missing else iter(())):
                storage.take(trajectory, *_decoded(trajectory, predictor))
        finally:
            storage.close()
        writer.finish()
        return run_of(out, writer.contents).part(num_samples=config.num_samples, limit=config.limit)


def _decoded(trajectory: Trajectory, predictor: MaskPredictor) -> tuple[str, list[str], list[str]]:
    """The text of a sample, what each token adds to it, and what each one that was taken back would have added."""
    token_ids = trajectory.token_ids_G.tolist()
    text_ids, rest_ids = token_ids[: trajectory.length], token_ids[trajectory.length :]
    # Apart, so that the pieces of the text join to it even where a character spans several tokens.
    pieces = [*predictor.pieces(text_ids), *predictor.pieces(rest_ids)]
    # After the token that stands before it in the end: some tokenizers leave out the space of a first token.
    taken_back = zip(trajectory.revisions.position_N.tolist(), trajectory.revisions.old_token_N.tolist(), strict=True)
    old_pieces = [predictor.pieces([*token_ids[max(at - 1, 0) : at], token])[-1] for at, token in taken_back]
    return encodable(predictor.decode(text_ids)), pieces, old_pieces


def _record(predictor: MaskPredictor, sampler: Sampler, task: Task, first_prompt: Prompt) -> dict[str, Any]:
    """What config.json says beside the configuration."""
    lineage: Lineage | None = getattr(predictor, "lineage", None)
    return {
        "model": predictor.fingerprint.as_dict(),
        "environment": environment(
            device=str(predictor.device),
            dtype=str(predictor.dtype).removeprefix("torch."),
            attention=_attention(predictor),
            batch_size=sampler.batch_size,
            workers=sampler.workers,
        ),
        "task_source": dict(task.source()) if isinstance(task, HasSource) else None,
        "isolation": task.isolation().as_dict() if isinstance(task, RunsPrograms) else None,
        "prompt_template": dataclasses.asdict(task.prompt_template) if isinstance(task, HasTemplate) else None,
        "first_prompt": dataclasses.asdict(first_prompt),
        "lineage": lineage and lineage.as_dict(),
    }


def _attention(predictor: MaskPredictor) -> str | None:
    """What transformers calls the implementation, where the model is one of its own."""
    told = getattr(getattr(getattr(predictor, "module", None), "config", None), "_attn_implementation", None)
    return told if isinstance(told, str) else None
