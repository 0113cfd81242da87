r"""Whether a model shows what the task `forks` was made to ask: one table a temperature, by sound solutions.

    flexeval passk --model forks --task forks --order ar --order confidence --order top_prob --temperature 1 \
        --num-samples 128 --limit 200 --out runs/demonstration
    flexeval passk ... --temperature 0.6 --out runs/demonstration
    python analyses/demonstration.py runs/demonstration -o results/forks/demonstration.md

Beside Pass@k: what the choices (the words that open a sentence) and all other words have in entropy and bypass rate;
how much of the variance of soundness within a problem the first choice explains, against shuffled labels; results that
were committed before one of their operands, and how often these are true; and whether the model can calculate at all:
the likeliest result given a true text before it.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd

import flexeval
from flexeval.errors import InputError, one_line
from flexeval.grading.equations import find_equations
from flexeval.models import MaskPredictor
from flexeval.records import Prompt, SamplingConfig
from flexeval.runs.store import Run, RunSet, alike, read_runs
from flexeval.runs.target import check_target, write_target
from flexeval.stats.coverage import coverage
from flexeval.stats.curves import comparison
from flexeval.stats.pass_at_k import pass_at_k_table
from flexeval.stats.words import find_words
from flexeval.tasks.forks import Forks

KS = (1, 4, 16, 64)
SHUFFLES = 20
READ = 10
"""Solutions of each order that are shown."""
TASK = "forks"
DRAWN = 150
"""Solutions on which arithmetic is tried."""
CONDUCT = (
    "order",
    "nats, all words",
    "choices",
    "choices bypassed",
    "others bypassed",
    "first word explains (shuffled, highest)",
    "first sentence",
    "results before an operand",
    "true then, else",
)
LEAD = re.compile(r"We pass \d+\.\s*")


# ----- what the runs say -----


def explained(labels: pd.Series, solved: pd.Series, problem: pd.Series) -> float:
    """The share of the variance of `solved` within problems that lies between the labels of a problem (R squared)."""
    frame = pd.DataFrame({"label": labels, "solved": solved.astype(float), "problem": problem})
    centred = frame["solved"] - frame.groupby("problem")["solved"].transform("mean")
    between = centred.groupby([frame["problem"], frame["label"]]).transform("mean")
    total = float((centred**2).sum())
    return float((between**2).sum()) / total if total else float("nan")


def against_shuffles(labels: pd.Series, solved: pd.Series, problem: pd.Series) -> tuple[float, float, float]:
    """(explained by the labels, mean and highest of `SHUFFLES` shuffles of the labels within each problem)."""
    rng = np.random.default_rng(0)
    shuffled = [
        explained(labels.groupby(problem).transform(lambda own: rng.permutation(own.to_numpy())), solved, problem)
        for _ in range(SHUFFLES)
    ]
    return explained(labels, solved, problem), float(np.mean(shuffled)), max(shuffled)


def first_choices(texts: pd.Series) -> pd.DataFrame:
    """The first word after the lead, and the first sentence with its lead, of each text."""
    told = texts.fillna("")
    body = told.str.replace(LEAD, "", n=1, regex=True)
    lead = told.str.extract(f"^({LEAD.pattern})", expand=False).fillna("")
    return pd.DataFrame(
        {"word": lead.ne("").astype(str) + body.str.split(" ").str[0], "sentence": lead + body.str.split(".").str[0]}
    )


def results_and_operands(tokens: pd.DataFrame) -> pd.DataFrame:
    """Equations that stand in five tokens (6 * 5 = 30), one row each: early (whether the result was committed before
    one of the operands) and true.
    """
    piece = tokens["piece"].astype(str).str.strip()
    # The row of the result; those of the operands are two and four rows above it.
    number = piece.str.fullmatch(r"\d+")
    whole = number & number.shift(2, fill_value=False) & number.shift(4, fill_value=False)
    whole &= piece.shift(1).eq("=") & piece.shift(3).isin(["+", "-", "*"]) & tokens["position"].ge(4)
    commit = tokens["commit_step"]
    early = commit < np.maximum(commit.shift(2), commit.shift(4))
    text = piece.shift(4) + piece.shift(3) + piece.shift(2) + "=" + piece
    true = [find_equations(one)[0].true for one in text[whole]]
    return pd.DataFrame({"early": early[whole].to_numpy(), "true": np.array(true, dtype=bool)})


def word_table(run: Run) -> pd.DataFrame:
    """Words by falling entropy at commit: word, kind, count, entropy (nats) and bypassed (fraction), both means.

    kind: `choice` for the words that open a sentence, `number`, or `other`.
    """
    keys = ["problem_id", "sample_index", "position"]
    words = find_words(run.tokens([*keys, "piece", "in_text", "entropy", "passes", "frontier_step"]))
    words["kind"] = np.where(words["connector"] | words["word"].eq("We"), "choice", "other")
    words.loc[words["word"].astype(str).str.fullmatch(r"\d+"), "kind"] = "number"
    words["bypassed"] = words["passes"] > 0
    table = words.groupby(["word", "kind"], observed=True).agg(
        count=("entropy", "size"), entropy=("entropy", "mean"), bypassed=("bypassed", "mean")
    )
    return table.reset_index().sort_values("entropy", ascending=False, ignore_index=True)


# ----- what the model says -----


def arithmetic(model: MaskPredictor, task: Forks) -> tuple[int, int]:
    """(right, all): whether the likeliest result is the right one, given the true text before it; held-out puzzles."""
    prompts, results, lengths = [], [], []
    for index in range(DRAWN):
        problem, solution = task.draw(f"arithmetic/{index}")
        for found in re.finditer(r"= (\d+)", solution):
            prompts.append(Prompt(user=problem.question, prefill=solution[: found.start() + 1]))
            results.append(found[1])
            lengths.append(len(model.encode(prompts[-1])) - len(model.encode(Prompt(user=problem.question))))
    right = 0
    for length in sorted(set(lengths)):
        chosen = [i for i, each in enumerate(lengths) if each == length]
        config = SamplingConfig(gen_length=task.gen_length - length, temperature=0.0)
        answers = flexeval.sample(model, [prompts[i] for i in chosen], order="ar", config=config)
        right += sum(
            (said := re.match(r"\s*(\d+)", sample.text)) is not None and said[1] == results[i]
            for i, [sample] in zip(chosen, answers, strict=True)
        )
    return right, len(results)


# ----- the tables -----


def section(runs: RunSet, temperature: float) -> Iterator[str]:
    """The tables of one model at one temperature."""
    at = runs.where(temperature=temperature)
    sound = dict(zip((run.config.order for run in at), alike(*at.counting("sound")), strict=True))
    if "ar" not in sound or "confidence" not in sound:
        raise InputError(f"needs runs of ar and confidence at T = {temperature:g}")
    ar, others = sound["ar"], [run for order, run in sound.items() if order != "ar"]
    ks = [k for k in KS if k <= ar.config.num_samples]
    name, samples = Path(ar.model).name, ar.config.num_samples
    yield f"\n## {name}, T = {temperature:g}: {len(ar.problems)} puzzles x {samples} samples\n"
    yield "| order | counted |" + "".join(f" @{k} |" for k in ks) + "\n|---|---|" + "---|" * len(ks)
    for order, run in sound.items():
        for verdict in ("sound", "correct"):
            means = pass_at_k_table(run.counting(verdict).counts(), ks).mean()
            yield f"| `{order}` | {verdict} |" + "".join(f" {100 * means[k]:.1f} |" for k in ks)
    for run in others:
        yield from _difference(run, ar, ks)

    yield f"\n| {' | '.join(CONDUCT)} |\n" + "|---" * len(CONDUCT) + "|"
    tables = {order: word_table(run) for order, run in sound.items()}
    for order, run in sound.items():
        yield _conduct(order, run, tables[order])
    yield "\nWords of highest entropy under `ar`, in nats, and the same under the others (bypassed, percent):\n"
    yield "| word | opens a sentence | `ar` |" + "".join(f" `{run.config.order}` |" for run in others)
    yield "|---|---|---|" + "---|" * len(others)
    highest = tables["ar"][tables["ar"]["count"] >= len(ar.problems)].head(8)
    for row in highest.itertuples():
        cells = []
        for run in others:
            same = tables[run.config.order].query("word == @row.word and kind == @row.kind")
            cells.append(f"{same['entropy'].iloc[0]:.2f} ({100 * same['bypassed'].iloc[0]:.0f})" if len(same) else "–")
        yield f"| {row.word} | {'yes' if row.kind == 'choice' else 'no'} | {row.entropy:.2f} | {' | '.join(cells)} |"
    for order, run in sound.items():
        yield f"\n{READ} random samples under `{order}`:\n\n```text"
        yield from solutions(run)
        yield "```"


def _difference(run: Run, ar: Run, ks: list[int]) -> Iterator[str]:
    order = run.config.order
    for k in (ks[0], ks[-1]):
        # At the largest k the first k samples, so that the exact test is of the problems solved.
        pair = (run, ar) if k == 1 else tuple(one.part(num_samples=k, limit=None) for one in (run, ar))
        table = comparison(*(pass_at_k_table(one.counts(), [k]) for one in pair), largest=1.0).iloc[0]
        line = f"\n`{order}` - `ar` at {k}: {100 * table['difference']:+.1f} points "
        line += f"[{100 * table['low']:.1f}, {100 * table['high']:.1f}], p {table['p_value']:.2g}"
        if k > 1:
            found = coverage(*(one.counts() for one in pair))
            line += f"; only `{order}` {found.a_only}, only `ar` {found.b_only} (McNemar p {found.p_value:.2g})"
        yield line


def _conduct(order: str, run: Run, table: pd.DataFrame) -> str:
    outcomes = run.outcomes()
    choice = first_choices(outcomes["text"])
    by_word, by_sentence = (
        against_shuffles(choice[name], outcomes["correct"], outcomes["problem_id"]) for name in ("word", "sentence")
    )
    order_of = results_and_operands(run.tokens(["piece", "position", "commit_step", "in_text"]).query("in_text"))
    early, late = order_of[order_of["early"]], order_of[~order_of["early"]]
    choices = table["kind"] == "choice"
    cells = [
        f"`{order}`",
        f"{_mean(table, 'entropy'):.2f}",
        f"{_mean(table[choices], 'entropy'):.2f}",
        f"{100 * _mean(table[choices], 'bypassed'):.0f} %",
        f"{100 * _mean(table[~choices], 'bypassed'):.0f} %",
        "{:.0%} ({:.0%}, {:.0%})".format(*by_word),
        "{:.0%} ({:.0%}, {:.0%})".format(*by_sentence),
        f"{order_of['early'].mean():.1%}",
        f"{_share(early['true'])}, {_share(late['true'])}",
    ]
    return f"| {' | '.join(cells)} |"


def _mean(table: pd.DataFrame, column: str) -> float:
    """Over occurrences."""
    return float((table[column] * table["count"]).sum() / table["count"].sum())


def _share(values: pd.Series) -> str:
    return f"{values.mean():.0%}" if len(values) else "–"


def solutions(run: Run) -> Iterator[str]:
    """Random samples of a run, a line each: the problem, the text, and whether it is sound."""
    question = run.problems.set_index("problem_id")["question"]
    for row in run.outcomes().sample(READ, random_state=0).itertuples():
        verdict = "sound" if row.correct else "not sound"
        yield f"{verdict:9} | {question[row.problem_id]} | {one_line(row.text or '')}"


def report(runs: RunSet) -> Iterable[str]:
    """All tables, in Markdown.

    Raises:
        InputError: runs of another task, or none of `ar` and `confidence` at one temperature.
    """
    if strange := sorted({run.config.task for run in runs} - {TASK}):
        raise InputError(f"needs runs of the task {TASK}, with its default settings, not of {', '.join(strange)}")
    if not runs:
        raise InputError(f"needs runs of the task {TASK}")
    yield (
        "# The demonstration: `forks`, by sound solutions\n\nMade by `python analyses/demonstration.py RUNS -o FILE` "
        "from runs of `flexeval passk --task forks --verdict sound`, with the settings in the titles and seed 0. "
        "Pass@k in percent, differences with 95 % intervals over puzzles; entropies in nats at commit."
    )
    for model in dict.fromkeys(run.model for run in runs):
        own = runs.where(model=model)
        for temperature in sorted({run.config.sampling.temperature for run in own}, reverse=True):
            yield from section(own, temperature)
        loaded = flexeval.load_model(own[0].config.model)
        right, drawn = arithmetic(loaded, Forks())
        yield (
            f"\nArithmetic of `{Path(model).name}`, the likeliest result given the true text before it: {right} of "
            f"{drawn} right ({100 * right / drawn:.1f} %)."
        )


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="+", help="run folders of the task forks, or folders of these")
    parser.add_argument("-o", "--out", type=Path, help="the file to write; standard output where it is left out")
    arguments = parser.parse_args()
    try:
        if arguments.out is not None:
            check_target(str(arguments.out))
        text = "\n".join(report(read_runs(arguments.runs))) + "\n"
    except InputError as error:
        parser.error(str(error))
    print(text) if arguments.out is None else write_target(arguments.out, text.encode())


if __name__ == "__main__":
    main()
