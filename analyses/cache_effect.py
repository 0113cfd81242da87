r"""What the approximate caches change of a full-attention model: Pass@k, entropy at commit, bypass rate; paired.

    for CACHE in exact prefix dual; do
        flexeval passk --model forks --task forks --order ar --order confidence --temperature 1 --block-length 8 \
            --limit 100 --num-samples 16 --cache $CACHE --out runs/cache-effect
    done
    python analyses/cache_effect.py runs/cache-effect --out results/cache_effect.md

Runs of one model, task and setting that differ in their order and cache. Each approximate run is compared with the
exact one of its order, on the same problems and random numbers; differences are approximate minus exact, with 95 %
intervals over problems (docs/design.md, section 8). The block must be shorter than the canvas, or nothing is kept but
the prompt.
"""

from __future__ import annotations

import argparse
import dataclasses
import inspect
from collections.abc import Iterator, Sequence
from pathlib import Path

from flexeval.errors import InputError
from flexeval.records import APPROXIMATE
from flexeval.runs.store import Run, alike, read_runs
from flexeval.runs.target import write_target
from flexeval.stats.curves import pass_at_k_differences
from flexeval.stats.entropy import entropy_difference
from flexeval.stats.intervals import Difference, interval_text, p_value_text
from flexeval.stats.pass_at_k import pass_at_k_table
from flexeval.stats.pooled import pool, pooled_difference, same_problems

COLUMNS = ("order", "cache", "", "exact", "with the cache", "difference", "p", "verdict")


def pairs(runs: Sequence[Run]) -> Iterator[tuple[Run, Run]]:
    """(exact, approximate) runs of one order, cut to the problems and samples that both have.

    Raises:
        InputError: an approximate run without its exact one.
    """
    by_setting = {(run.config.order, run.config.sampling): run for run in runs}
    for (order, sampling), run in by_setting.items():
        if sampling.cache in APPROXIMATE:
            exact = by_setting.get((order, dataclasses.replace(sampling, cache="exact")))
            if exact is None:
                raise InputError(f"there is no exact run of {order} beside that with cache {sampling.cache!r}")
            first, second = alike(exact, run)
            yield first, second


def rows(exact: Run, changed: Run) -> Iterator[list[str]]:
    """The table's rows of one pair of runs."""
    n = exact.config.num_samples
    ks = sorted({1, min(4, n), n})
    tables = [pass_at_k_table(run.counts(), ks).mean() for run in (exact, changed)]
    for k, found in pass_at_k_differences(changed.counts(), exact.counts(), ks=ks).items():
        yield _row(exact, changed, f"Pass@{k}, %", [table[k] for table in tables], found, scale=100, form=".1f")

    texts = [run.tokens(["problem_id", "in_text", "entropy", "passes"]).query("in_text") for run in (exact, changed)]
    found = entropy_difference(texts[1], texts[0], quantities=["entropy"])["entropy"]
    means = [float(text["entropy"].mean()) for text in texts]
    yield _row(exact, changed, "entropy at commit, nats", means, found, scale=1, form=".3f")

    problems = same_problems(*(text["problem_id"] for text in texts))
    bypassed = [pool(text["passes"] > 0, text["problem_id"], problems=problems) for text in texts]
    found = pooled_difference(bypassed[1], bypassed[0], largest=1.0)
    means = [float(each.estimates_K[0]) for each in bypassed]
    yield _row(exact, changed, "tokens bypassed, %", means, found, scale=100, form=".2f")

    keys = ["problem_id", "sample_index"]
    pair = exact.samples.merge(changed.samples, on=keys, suffixes=("_exact", "_changed"))
    same = float((pair["text_exact"] == pair["text_changed"]).mean())
    yield [*_named(exact, changed), "samples with the same text, %", "", f"{100 * same:.1f}", "", "", ""]


def _named(exact: Run, changed: Run) -> list[str]:
    return [f"`{exact.config.order}`", changed.config.sampling.cache]


def _row(
    exact: Run, changed: Run, quantity: str, means: Sequence[float], found: Difference, *, scale: float, form: str
) -> list[str]:
    shown = [f"{scale * mean:{form}}" for mean in means]
    difference = interval_text(found.estimate, found.low, found.high, f"+{form}", scale=scale)
    return [*_named(exact, changed), quantity, *shown, difference, p_value_text(found.exact_p), found.verdict]


def report(runs: Sequence[Run]) -> str:
    """Settings and table."""
    config = runs[0].config
    sampling = config.sampling
    lines = [
        f"{runs[0].model} on {config.task}: {len(runs[0].problems)} problems x {config.num_samples} samples, "
        f"T = {sampling.temperature:g}, gen_length {sampling.gen_length}, block {sampling.block}, one token a step.",
        "",
        f"| {' | '.join(COLUMNS)} |",
        "|---" * len(COLUMNS) + "|",
        *(f"| {' | '.join(row)} |" for pair in pairs(runs) for row in rows(*pair)),
        "",
        "Every row is judged by itself: of twenty rows without any difference one may be called above or below.",
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path, help="run folders of one model and task, or folders of these")
    parser.add_argument("--out", help="also write the table here")
    arguments = parser.parse_args()
    try:
        text = report([run for run in read_runs(arguments.runs) if run.complete])
    except InputError as error:
        parser.error(str(error))
    print(text)
    if arguments.out is not None:
        command = inspect.cleandoc(__doc__ or "").split("\n\n")[1]
        write_target(arguments.out, f"# What approximate caches change\n\n```sh\n{command}\n```\n\n{text}".encode())


if __name__ == "__main__":
    main()
