"""Addresses within the page: what the viewer opens for a decode, for a run, or for a row behind a figure.

An address is `#decode?` and the parameters task, a, b (the labels of the runs side by side), then problem, sample and
step for one decode, `word` for decodes with a word, or `list` for the list of all problems, with `k` (whose Pass@k) or
`part` (which of the two runs solves them). `viewer.js` reads them.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

from flexeval.report.task_runs import TaskRuns
from flexeval.runs.run_set import setting_values
from flexeval.runs.store import EXTENT, TEMPERATURE, Run, paper_block

START = "#decode?"
_SETTINGS = ("order", "temperature", "gen_length", "block_length")
_PARTS = {"ar_only": "a", "confidence_only": "b", "both": "both", "neither": "neither"}
_NO_WORDS = ("other words", "all tokens")
"""Groups of tokens that most decodes have."""


def decode_address(task: str, labels: Sequence[str], **more: object) -> str:
    """The address of one run or two of a task; `more`: as the module says."""
    sides = dict(zip(("a", "b"), labels, strict=False))
    return START + urlencode({"task": task, **sides, **more})


def main_pair(group: TaskRuns) -> tuple[int, int] | None:
    """The places of the two runs that a page is about first, alike but for their order; None where there are none.

    Pairs with AR order come first, then those with the paper's arbitrary order, its temperature and its block length,
    then those with most samples. AR order is the first of its pair.
    """
    pairs = [
        (i, j)
        for i, one in enumerate(group.runs)
        for j, other in enumerate(group.runs)
        if one.config.order != other.config.order and _alike(one, other) and len(one.samples) and len(other.samples)
    ]

    def rank(pair: tuple[int, int]) -> tuple[bool, bool, bool, bool, int]:
        one, other = (group.runs[place] for place in pair)
        sampling = other.config.sampling
        return (
            one.config.order != "ar",
            other.config.order != "confidence",
            sampling.temperature != TEMPERATURE,
            sampling.block != paper_block(other),
            -min(len(one.samples), len(other.samples)),
        )

    return min((pair for pair in pairs if pair[0] < pair[1] or not rank(pair)[0]), key=rank, default=None)


class Links:
    """Row behind a mark of a figure -> the address of the decodes behind it."""

    def __init__(self, groups: Sequence[TaskRuns]) -> None:
        self._groups = {group.task: group for group in groups}

    def of(self, row: Mapping[str, Any]) -> str | None:
        """None where the row is of no run of the page, or may be of several, which differ in what rows do not say."""
        group = self._groups.get(str(row.get("task")))
        if group is None:
            return None
        orders = str(row.get("order")).split(", ")
        found = [self._matching(group, {**row, "order": order}) for order in orders]
        if any(len(own) > 1 for own in found):
            return None
        places = [place for own in found for place in own]
        if len(places) == 1:
            places = _with_partner(group, places[0])
        if not places:
            return None
        return decode_address(group.task, [group.labels[place] for place in places], **_behind(row))

    def _matching(self, group: TaskRuns, row: Mapping[str, Any]) -> list[int]:
        wanted = {"model": row.get("model"), **{name: row[name] for name in _SETTINGS if name in row}}
        return [
            place
            for place, run in enumerate(group.runs)
            if all(_setting(run, name) == value for name, value in wanted.items())
        ]


def _behind(row: Mapping[str, Any]) -> dict[str, Hashable]:
    """Which decodes of its runs a row is about."""
    if isinstance(row.get("problem_id"), str):
        return {"problem": row["problem_id"]}
    for name in ("word", "group"):
        if isinstance(word := row.get(name), str) and word not in _NO_WORDS:
            return {"word": word}
    if row.get("part") in _PARTS:
        return {"list": 1, "part": _PARTS[row["part"]]}
    k = row.get("k")
    return {"list": 1, "k": int(k)} if k is not None and k == k else {"list": 1}


def _with_partner(group: TaskRuns, place: int) -> list[int]:
    """The run in AR order and another that is alike, one of which is given; the given one alone where there is none."""
    own = group.runs[place]
    others = [i for i, run in enumerate(group.runs) if i != place and _alike(run, own)]
    if own.config.order == "ar":
        others.sort(key=lambda i: group.runs[i].config.order != "confidence")
        return [place, *others[:1]]
    return [*[i for i in others if group.runs[i].config.order == "ar"][:1], place]


def _alike(one: Run, other: Run) -> bool:
    """Whether two runs agree in every setting but the order and what is sampled how often, and the block length, which
    is nothing to AR order.
    """
    free = {"order", *EXTENT}
    if "ar" in (one.config.order, other.config.order):
        free.add("block_length")
    ours, theirs = setting_values(one), setting_values(other)
    return all(ours[name] == theirs[name] for name in ours if name not in free)


def _setting(run: Run, name: str) -> object:
    return setting_values(run)[name]
