"""Runs -> logs of inspect_ai, written by that library, for its viewer and whatever else reads them.

A run is a log, a problem a sample id, a sample an epoch. The verdicts are scores, "C" or "I"; the one that counts comes
first. What inspect_ai has no place for (the order, NFE, the settings of sampling) is metadata. How each token was
decoded is left out; a hub folder has it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from datetime import UTC, datetime
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING

import flexeval
from flexeval.errors import InputError
from flexeval.records import CORRECT
from flexeval.runs.layout import CONFIG
from flexeval.runs.store import Run, RunSet, default_folder_name, settings_of
from flexeval.stats.bootstrap import interval
from flexeval.stats.pass_at_k import default_ks, pass_at_k_table

if TYPE_CHECKING:
    from inspect_ai.log import EvalLog, EvalResults, EvalSample, EvalSpec


def write_inspect_logs(runs: RunSet, out: str | Path) -> list[Path]:
    """Write one `.eval` file a run.

    Args:
        runs: finished or not.
        out: the folder of logs, as `inspect view --log-dir` takes it; made if it is not there.

    Returns:
        The files.

    Raises:
        InputError: inspect_ai is not installed, or a run has no sample.
        OSError: a file cannot be written.
    """
    try:
        from inspect_ai.log import write_eval_log
    except ImportError:
        raise InputError(
            "logs of inspect_ai are written by that package, which is not installed: "
            'pip install "flexeval-dllm[export]"'
        ) from None
    for run in runs:
        if run.samples.empty:
            raise InputError(f"run {run.folder} has no sample yet; let `flexeval passk` draw some, or leave it out")
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    names = [default_folder_name(run.config).replace("/", "_") for run in runs]
    written = []
    for place, (name, run) in enumerate(zip(names, runs, strict=True)):
        # Settings do not tell a model from the one that lay at its path before, nor a run from a smaller one.
        path = folder / (f"{name}.eval" if names.count(name) == 1 else f"{name}-{place}.eval")
        partial = path.with_name(f".{path.name}")
        try:
            write_eval_log(_log(run), partial, format="eval")
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)
        written.append(path)
    return written


def _log(run: Run) -> EvalLog:
    from inspect_ai.log import EvalLog, EvalStats

    began = _time(run)
    return EvalLog(
        status="success" if run.complete else "cancelled",
        eval=_spec(run, began),
        results=_results(run),
        stats=EvalStats(started_at=began, completed_at=began),
        samples=list(_samples(run)),
    )


def _spec(run: Run, began: str) -> EvalSpec:
    from inspect_ai.log import EvalConfig, EvalDataset, EvalSpec
    from inspect_ai.model import GenerateConfig

    config, sampling = run.config, run.config.sampling
    settings = {f"sampling_{name}": value for name, value in dataclasses.asdict(sampling).items()}
    return EvalSpec(
        eval_id=_identity(run, "eval"),
        run_id=_identity(run, "run"),
        task_id=_identity(run, "task"),
        created=began,
        task=f"{config.task} {config.order}",
        task_args={"task": config.task, "order": config.order},
        dataset=EvalDataset(
            name=config.task, samples=len(run.problems), sample_ids=list(run.problems["problem_id"]), shuffled=False
        ),
        model=f"flexeval/{run.model}",
        model_generate_config=GenerateConfig(
            temperature=sampling.temperature,
            max_tokens=sampling.gen_length,
            top_p=sampling.top_p,
            top_k=sampling.top_k or None,
            seed=sampling.seed,
        ),
        config=EvalConfig(epochs=config.num_samples, limit=config.limit),
        packages={"flexeval": flexeval.__version__},
        metadata={**settings_of(run), **settings, "model_fingerprint": dict(run.fingerprint)},
    )


def _results(run: Run) -> EvalResults:
    """Of each verdict the share of samples, and Pass@k with its interval."""
    from inspect_ai.log import EvalMetric, EvalResults, EvalScore

    scores = []
    for verdict in _verdicts(run):
        counts = run.counting(verdict).counts()
        n = int(counts["n"].min())
        at = interval(pass_at_k_table(counts, default_ks(n))) if n else {}
        metrics = {"accuracy": EvalMetric(name="accuracy", value=float(counts["c"].sum() / counts["n"].sum()))}
        for k, found in at.items():
            ends = {"low": found.low, "high": found.high, "level": found.level}
            metrics[f"pass_at_{k}"] = EvalMetric(name=f"pass_at_{k}", value=found.estimate, metadata=ends)
        scores.append(EvalScore(name=verdict, scorer=verdict, scored_samples=len(run.samples), metrics=metrics))
    wanted = len(run.problems) * run.config.num_samples
    return EvalResults(total_samples=wanted, completed_samples=len(run.samples), scores=scores)


def _samples(run: Run) -> Iterator[EvalSample]:
    from inspect_ai.log import EvalSample
    from inspect_ai.model import ChatCompletionChoice, ChatMessageAssistant, ChatMessageUser, ModelOutput, ModelUsage
    from inspect_ai.scorer import Score

    model, verdicts = f"flexeval/{run.model}", _verdicts(run)
    problems = run.problems.set_index("problem_id").to_dict("index")
    for row in run.samples.to_dict("records"):
        name = f"{row['problem_id']}/{row['sample_index']}"
        problem, text = problems[row["problem_id"]], row["text"] or ""
        given = {CORRECT: row["correct"], **row.get("verdicts", {})}
        answer = ChatMessageAssistant(id=_identity(run, name, "a"), content=text, model=model, source="generate")
        ended = "max_tokens" if not run.imported and row["length"] >= run.config.sampling.gen_length else "stop"
        read = problem.get("prompt_length", 0)
        usage = ModelUsage(input_tokens=read, output_tokens=row["length"], total_tokens=read + row["length"])
        output = ModelOutput(
            model=model,
            choices=[ChatCompletionChoice(message=answer, stop_reason=ended)],
            usage=None if run.imported else usage,
        )
        yield EvalSample(
            id=row["problem_id"],
            epoch=int(row["sample_index"]) + 1,
            input=problem["question"],
            target=problem["target"],
            messages=[ChatMessageUser(id=_identity(run, name, "q"), content=problem["question"]), answer],
            output=output,
            scores={
                verdict: Score(
                    value="C" if given[verdict] else "I",
                    answer=row.get("extracted"),
                    explanation=row.get("error") or row.get("rule"),
                )
                for verdict in verdicts
            },
            metadata={"order": run.config.order, "nfe": None if run.imported else int(row["nfe"])},
            uuid=_identity(run, name),
        )


def _verdicts(run: Run) -> list[str]:
    """Those on every sample, the one that counts first."""
    return sorted(run.tally(), key=lambda name: name != run.counted)


def _time(run: Run) -> str:
    """When the run was begun, as far as its folder knows; a copy may have lost it."""
    began = [path.stat().st_mtime for path in (run.folder / CONFIG, *run.shards) if path.exists()]
    return datetime.fromtimestamp(min(began, default=0), UTC).isoformat()


def _identity(run: Run, *parts: str) -> str:
    """A name that the same run always gets."""
    text = "\0".join((run.key, str(run.config), *parts))
    return blake2b(text.encode(errors="backslashreplace"), digest_size=11).hexdigest()
