"""The section that plays decodes, and its data: some samples of some problems, column by column, in whole numbers.

`viewer.js` reads the data:

    {nat, certain, opens, tasks: [{name, pair, problems: [{id, question, target}], others: [id],
                                   runs: [{label, gen_length, block_length, starts, starts_of, tally, words,
                                           pieces, samples: [...]}]}]}

`opens` is the address (`flexeval.report.links`) of the decodes that the page begins with, `pair` the places of the two
runs that a task begins with. `others` are the problems of which no sample is carried. Blocks of a problem, also of
`others`, begin at `starts[starts_of[problem]]`. `tally` has n samples and c that count of each problem, of `problems`,
then of `others`: [n, c, n, c, ...]. `words` says which words of carried samples figures lead to: word -> [place in
samples, position of its first token, ...], connectors at each clause that they begin, other words where they were
bypassed.

A sample has `problem` (a place in problems), `sample`, length, nfe, extracted, error, `verdicts` (name -> whether it is
true of the sample; `correct` and those of the task's own), `counts` (whether it solves its problem), and its positions
from 0 to the last one that was committed: `piece` (a place in pieces), `step`, `entropy` and `eligible_entropy` (in
1/`nat` nats), `prob` (in 1/`certain`), with step -1 where a position was left a mask. `rank`, `passes`,
`frontier_step` and `frontier_entropy` are mostly empty and are written as [position, value, position, value, ...],
without the ranks and passes that are 0. A sample that took tokens back has `lives`, six numbers for each: position,
commit step, the step at which it was taken back, piece, entropy and probability at that commit.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from markupsafe import Markup
from numpy.typing import NDArray

from flexeval.records import CORRECT
from flexeval.report.links import decode_address, main_pair
from flexeval.report.page import Section, asset, island
from flexeval.report.task_runs import TaskRuns, by_task, drawn_here
from flexeval.runs.blocks import block_starts
from flexeval.runs.store import Run, RunSet
from flexeval.stats.words import find_words

NAT = 1000
CERTAIN = 10_000

_PLANS = ((96, 4), (48, 4), (48, 2), (24, 2), (12, 2), (12, 1), (6, 1), (3, 1), (1, 1))
"""Problems per task and first samples per problem, from the most to the least."""
_ONE_SIDED = 4
"""One problem in so many is one that only the first run solves, and as many are those that only the second solves."""
_BYPASSED_WORDS = 40
_READ = ["problem_id", "sample_index", "position", "piece", "in_text", "commit_step", "entropy", "eligible_entropy"]
_READ += ["prob", "rank", "passes", "frontier_step", "frontier_entropy"]


@dataclass(frozen=True, kw_only=True)
class Decodes:
    """What the viewer carries."""

    island: Markup
    """The data, as an element of the page with the id "decode-data"."""
    scope: tuple[str, ...]
    """For each task, a sentence that says what is carried and what was left out."""
    opens: tuple[str, str] | None
    """The address of the decodes that the page begins with, and what they show; None where no two runs differ."""
    one_seed: bool
    """Whether the runs of each task have one seed, so that equal sample numbers drew from equal random numbers."""


def decodes(runs: RunSet, *, budget: int) -> Decodes | None:
    """As much of the runs as fits, with the same problems and samples of every run of a task.

    Problems are evenly spaced in the task's order, among those that every run has a sample of, but some places are for
    problems that only one of the two main runs solves. Samples are the first ones, and for each problem the first that
    only the one, and only the other of these runs has right. The token tables are read once, for the largest part that
    could fit.

    Args:
        runs: of any tasks.
        budget: bytes that the data may take.

    Returns:
        None when nothing fits, or there is no sample.
    """
    wanted = [_Task.read(group) for group in by_task(drawn_here(runs))]
    for problems, samples in _PLANS if wanted else ():
        begins = [one for task in wanted if (one := task.begins(problems, samples)) is not None]
        opens = min(begins, key=lambda one: one.rank).link if begins else None
        value = {
            "nat": NAT,
            "certain": CERTAIN,
            "opens": opens and opens[0],
            "tasks": [task.data(problems, samples) for task in wanted],
        }
        element = island("decode-data", value)
        if len(element) <= budget:
            scope = tuple(task.scope(problems, samples) for task in wanted)
            one_seed = all(len({run.seed for run in task.group.runs}) == 1 for task in wanted)
            return Decodes(island=element, scope=scope, opens=opens, one_seed=one_seed)
    return None


_ABOUT = (
    "Each token where it was committed, step by step. {numbers} Under an order that revises, a token that was taken "
    "back shows as long as it stood, and its place is outlined at the step that took it back."
)
_ONE_SEED = "Equal sample numbers drew from the same random numbers under every order."
_SEEDS = "Runs of another seed drew from other random numbers: which of their samples stands beside which is arbitrary."


def decodes_section(played: Decodes | None, *, imported: bool = False) -> Section:
    """The viewer, and what part of the runs it carries; `imported`: another program drew all samples."""
    if played is None:
        why = (
            "how other programs drew their texts is not known"
            if imported
            else "no run has a sample that fits on the page"
        )
        nothing = f"There is no decode to show: {why}."
        return Section(name="decodes", title="Decode viewer", parts=[nothing])
    about = _ABOUT.format(numbers=_ONE_SEED if played.one_seed else _SEEDS)
    return Section(name="decodes", title="Decode viewer", about=about, parts=[asset("viewer.html"), *played.scope])


_Key = tuple[str, int]
"""A problem and the number of a sample."""


@dataclass(frozen=True, kw_only=True)
class _Beginning:
    """Decodes that a page could begin with."""

    rank: tuple[int, int]
    """The smallest is taken."""
    link: tuple[str, str]
    """Address, and what it shows."""


@dataclass(frozen=True, kw_only=True)
class _Task:
    """The part of a task that the first plan carries."""

    group: TaskRuns
    samples: Sequence[dict[_Key, dict[str, Any]]]
    """Of each run: what the viewer is given of its samples, without the place of their problem."""
    pieces: Sequence[Sequence[str]]
    """Of each run."""
    words: Sequence[pd.DataFrame]
    """Of each run: problem_id, sample_index, position, word of what `words` of the data lists."""
    problems: pd.DataFrame
    """All of the task: question and target, by problem_id."""
    one_sided: tuple[Sequence[str], Sequence[str]]
    """The problems that only the first, and only the second of the main pair solves."""
    chosen: Sequence[str]
    """The problems of that plan."""
    telling: Mapping[str, Sequence[int]]
    """Problem -> the first samples that only one of the main pair has right."""

    @classmethod
    def read(cls, group: TaskRuns) -> _Task:
        problems, samples = _PLANS[0]
        solved, telling = _main_pair_apart(group)
        able = _sampled_problems(group.runs)
        chosen = _chosen(able, solved, problems)
        tables = [_tokens(run, _carried(run.samples, chosen, samples, telling)) for run in group.runs]
        return cls(
            group=group,
            samples=[sampled for sampled, _, _ in tables],
            pieces=[pieces for _, pieces, _ in tables],
            words=[words for _, _, words in tables],
            problems=pd.concat([run.problems for run in group.runs])
            .drop_duplicates("problem_id")
            .set_index("problem_id"),
            one_sided=solved,
            chosen=chosen,
            telling=telling,
        )

    def keys(self, problems: int, samples: int) -> list[_Key]:
        """What a plan carries, in the task's order."""
        return [
            (problem, index)
            for problem in _chosen(self.chosen, self.one_sided, problems)
            for index in sorted({*range(samples), *self.telling.get(problem, ())})
        ]

    def data(self, problems: int, samples: int) -> dict[str, Any]:
        """What the viewer is given under a plan."""
        keys = self.keys(problems, samples)
        chosen = list(dict.fromkeys(problem for problem, _ in keys))
        others = [one for one in self.problems.index if one not in set(chosen)]
        asked = self.problems
        return {
            "name": self.group.task,
            "problems": [
                {"id": one, "question": asked["question"][one], "target": asked["target"][one]} for one in chosen
            ],
            "others": others,
            "pair": main_pair(self.group),
            "runs": [
                self._run(place, keys, {one: i for i, one in enumerate([*chosen, *others])})
                for place in range(len(self.group.runs))
            ],
        }

    def _run(self, place: int, keys: Sequence[_Key], place_of: Mapping[str, int]) -> dict[str, Any]:
        run, known = self.group.runs[place], self.samples[place]
        kept = [key for key in keys if key in known]
        counts = run.counts().set_index("problem_id").reindex(list(place_of), fill_value=0)
        prompts = run.problems.set_index("problem_id")["prompt_length"].reindex(list(place_of), fill_value=0)
        starts, canvas_P = block_starts(prompts.tolist(), run.config.sampling, run.attention)
        return {
            "label": self.group.labels[place],
            "gen_length": run.config.sampling.gen_length,
            "block_length": run.config.sampling.block,
            "starts": starts,
            "starts_of": canvas_P.tolist(),
            "tally": counts[["n", "c"]].to_numpy().ravel().tolist(),
            "words": _placed(self.words[place], kept),
            "pieces": self.pieces[place],
            "samples": [{"problem": place_of[one], "sample": index, **known[one, index]} for one, index in kept],
        }

    def begins(self, problems: int, samples: int) -> _Beginning | None:
        """A sample that the first of the main pair has right and the second wrong, or else the other way round.

        Of several it is the one whose tokens the second run bypassed most often.
        """
        pair = main_pair(self.group)
        if pair is None:
            return None
        first, second = (self.samples[place] for place in pair)
        labels = [self.group.labels[place] for place in pair]
        found = []
        for key in self.keys(problems, samples):
            if key in first and key in second and first[key][_COUNTS] != second[key][_COUNTS]:
                # A lost answer is told by the tokens that were passed over; those of the text alone count.
                passes = second[key]["passes"]
                bypassed = sum(n for at, n in zip(passes[::2], passes[1::2], strict=True) if at < second[key]["length"])
                found.append(((int(not first[key][_COUNTS]), -bypassed), key))
        if not found:
            return None
        rank, (problem, index) = min(found, key=lambda one: one[0])
        orders = [self.group.runs[place].config.order for place in pair]
        right, wrong = orders if first[problem, index][_COUNTS] else orders[::-1]
        address = decode_address(self.group.task, labels, problem=problem, sample=index)
        return _Beginning(rank=rank, link=(address, f"Watch {right} solve {problem} and {wrong} fail"))

    def scope(self, problems: int, samples: int) -> str:
        """What a plan carries and leaves out."""
        carried = len({problem for problem, _ in self.keys(problems, samples)})
        most = max(run.config.num_samples for run in self.group.runs)
        pair = main_pair(self.group)
        telling = (
            " and where there are such, the first that only "
            + " or only ".join(self.group.labels[place] for place in pair)
            + " has right"
            if pair and samples < most
            else ""
        )
        spaced = "evenly spaced" + (
            ", with some that only one of these runs solves" if pair and carried < len(self.problems) else ""
        )
        return (
            f"{self.group.task}: {carried} of {len(self.problems)} problems, {spaced}, and "
            f"the first {min(samples, most)} of {most} samples of each{telling}; the others are in the run folders."
        )


_COUNTS = "counts"
"""Of a sample: whether it solves its problem."""


def _carried(
    rows: pd.DataFrame, problem_ids: Sequence[str], samples: int, telling: Mapping[str, Sequence[int]]
) -> pd.DataFrame:
    """The rows of the first samples of some problems, and of the telling ones."""
    wanted = {(one, index) for one in problem_ids for index in (*range(samples), *telling.get(one, ()))}
    keys = zip(rows["problem_id"], rows["sample_index"], strict=True)
    return rows[[key in wanted for key in keys]]


def _main_pair_apart(
    group: TaskRuns,
) -> tuple[tuple[Sequence[str], Sequence[str]], dict[str, list[int]]]:
    """Where the two main runs differ: (the problems that only the one solves, and only the other), telling samples."""
    pair = main_pair(group)
    if pair is None:
        return ((), ()), {}
    one, other = (
        group.runs[place].outcomes().set_index(["problem_id", "sample_index"])["correct"].astype(bool) for place in pair
    )
    solved = [set(own[own].index.get_level_values(0)) for own in (one, other)]
    listed = list(dict.fromkeys(one.index.get_level_values(0)))
    both = one.index.intersection(other.index, sort=False)
    telling: dict[str, list[int]] = {}
    for right, wrong in ((one, other), (other, one)):
        alone = both[(right.loc[both] & ~wrong.loc[both]).to_numpy()].to_frame(index=False)
        for problem, index in alone.groupby("problem_id", sort=False)["sample_index"].min().items():
            telling.setdefault(str(problem), []).append(int(index))
    apart = tuple([one for one in listed if one in solved[i] - solved[1 - i]] for i in (0, 1))
    return (apart[0], apart[1]), telling


def _sampled_problems(runs: RunSet) -> list[str]:
    """The problems that every run has a sample of, or any run if there is none, in the task's order."""
    having = [set(run.samples["problem_id"]) for run in runs if len(run.samples)]
    wanted = set.intersection(*having) or set.union(*having)
    listed = dict.fromkeys(one for run in runs for one in run.problems["problem_id"])
    return [one for one in listed if one in wanted]


def _chosen(ids: Sequence[str], one_sided: tuple[Sequence[str], Sequence[str]], count: int) -> list[str]:
    """So many of the problems, in their order: some of the one-sided ones, and evenly spaced ones."""
    if count >= len(ids):
        return list(ids)
    known = set(ids)
    kept = {
        one for alone in one_sided for one in _spread([each for each in alone if each in known], count // _ONE_SIDED)
    }
    kept |= set(_spread([one for one in ids if one not in kept], count - len(kept)))
    return [one for one in ids if one in kept]


def _spread(ids: Sequence[str], count: int) -> list[str]:
    places = np.linspace(0, len(ids) - 1, min(count, len(ids))).round().astype(int)
    return [ids[place] for place in places]


def _tokens(run: Run, samples: pd.DataFrame) -> tuple[dict[_Key, dict[str, Any]], list[str], pd.DataFrame]:
    """(the viewer's data of some samples, their pieces, the words that figures may lead to)."""
    carried = dataclasses.replace(run, samples=samples)
    rows, taken_back = carried.tokens(_READ), carried.revisions()
    rows = rows.assign(piece=rows["piece"].cat.remove_unused_categories())
    by_sample = dict(list(rows.groupby(["problem_id", "sample_index"], observed=True)))
    # A sample that committed nothing has no rows.
    nothing = rows.iloc[:0]
    counts = run.outcomes().loc[samples.index, "correct"]
    lives = dict(list(taken_back.groupby(["problem_id", "sample_index"], observed=True)))
    pieces = list(dict.fromkeys([*rows["piece"].cat.categories, *taken_back["old_piece"]]))
    place_of_piece = {piece: place for place, piece in enumerate(pieces)}
    told = {
        (sample["problem_id"], sample["sample_index"]): {
            **{name: sample[name] for name in ("length", "nfe", "extracted", "error")},
            "verdicts": {CORRECT: sample["correct"], **sample.get("verdicts", {})},
            _COUNTS: bool(count),
            **_positions(by_sample.get((sample["problem_id"], sample["sample_index"]), nothing)),
            **_lives(lives.get((sample["problem_id"], sample["sample_index"])), place_of_piece),
        }
        for sample, count in zip(samples.to_dict("records"), counts, strict=True)
    }
    return told, pieces, _listed_words(rows)


def _listed_words(tokens: pd.DataFrame) -> pd.DataFrame:
    """The connectors of some texts, and the words that were bypassed most often where they were bypassed."""
    words = find_words(tokens.drop(columns=["entropy", "eligible_entropy", "prob", "rank", "frontier_entropy"]))
    words = words.assign(word=words["word"].astype(str))
    bypassed = words[(words["passes"] > 0) & ~words["connector"]]
    most = bypassed["word"].value_counts().sort_index(kind="stable").nlargest(_BYPASSED_WORDS).index
    connectors = words[words["connector"]]
    found = [connectors, connectors.assign(word="connectors"), bypassed[bypassed["word"].isin(most)]]
    return pd.concat(found)[["problem_id", "sample_index", "position", "word"]]


def _placed(words: pd.DataFrame, keys: Sequence[_Key]) -> dict[str, list[int]]:
    """Word -> [place in the samples, position, ...] of the samples that are carried."""
    place_of = {key: place for place, key in enumerate(keys)}
    placed: dict[str, list[int]] = {}
    for problem, index, position, word in words.itertuples(index=False):
        if (place := place_of.get((problem, index))) is not None:
            placed.setdefault(word, []).extend((place, int(position)))
    return placed


def _lives(rows: pd.DataFrame | None, place_of_piece: Mapping[str, int]) -> dict[str, list[int]]:
    """What a sample took back; see the module."""
    if rows is None:
        return {}
    columns = [
        rows["position"],
        rows["commit_step"],
        rows["step"],
        rows["old_piece"].astype(object).map(place_of_piece),
        (rows["commit_entropy"] * NAT).round(),
        (rows["commit_prob"] * CERTAIN).round(),
    ]
    return {"lives": np.column_stack([column.to_numpy(dtype=np.int64) for column in columns]).ravel().tolist()}


def _positions(rows: pd.DataFrame) -> dict[str, list[int | None]]:
    """The columns of one sample; see the module."""
    at_R = rows["position"].to_numpy()
    size = int(at_R.max(initial=-1)) + 1

    def dense(values_R: NDArray[Any], missing: int) -> NDArray[np.int64]:
        values_G = np.full(size, missing, dtype=np.int64)
        values_G[at_R] = values_R
        return values_G

    def fractions(column: str, unit: int) -> list[int | None]:
        values_R = rows[column].to_numpy(dtype=np.float64)
        known_R = np.isfinite(values_R)
        whole_G = dense(np.rint(np.where(known_R, values_R, 0.0) * unit).astype(np.int64), 0)
        known_G = dense(known_R, 0)
        return [value if known else None for value, known in zip(whole_G.tolist(), known_G.tolist(), strict=True)]

    def pairs(column: str, kept: Callable[[NDArray[Any]], NDArray[np.bool_]], unit: int = 1) -> list[int | None]:
        values_R = rows[column].to_numpy()
        kept_R = kept(values_R)
        whole_N = np.rint(values_R[kept_R].astype(np.float64) * unit).astype(np.int64)
        return np.column_stack([at_R[kept_R], whole_N]).ravel().tolist()

    return {
        "piece": dense(rows["piece"].cat.codes.to_numpy(), -1).tolist(),
        "step": dense(rows["commit_step"].to_numpy(), -1).tolist(),
        "entropy": fractions("entropy", NAT),
        "eligible_entropy": fractions("eligible_entropy", NAT),
        "prob": fractions("prob", CERTAIN),
        "rank": pairs("rank", lambda values_R: values_R > 0),
        "passes": pairs("passes", lambda values_R: values_R > 0),
        "frontier_step": pairs("frontier_step", lambda values_R: values_R >= 0),
        "frontier_entropy": pairs("frontier_entropy", np.isfinite, NAT),
    }
