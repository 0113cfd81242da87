"""Rows in parts say what all rows in one frame say, and words that are kept are those of the rows."""

from __future__ import annotations

import dataclasses
import os
import runpy
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from flexeval.errors import InputError
from flexeval.runs import parts, words
from flexeval.runs.blocks import BLOCK_COLUMNS
from flexeval.runs.parts import in_parts
from flexeval.runs.store import Run, RunSet, pooled, read_run
from flexeval.runs.tokens import SCHEMA, Listed, StoredRows, sample_numbers
from flexeval.stats.bootstrap import Bootstrap
from flexeval.stats.bypass import bypass_table, enrichment, most_bypassed
from flexeval.stats.diversity import collapse_table
from flexeval.stats.entropy import (
    connector_entropy,
    entropy_difference,
    entropy_table,
    highest_entropy_words,
    pooled_entropy,
)
from flexeval.stats.nfe import tokens_per_step
from flexeval.stats.order import commit_step_map
from flexeval.stats.parts import parts_of
from flexeval.stats.ranks import non_top_rate, rank_by_step
from flexeval.stats.traces import block_entropy, trace_table
from flexeval.stats.words import find_words

SCRIPT = runpy.run_path(str(Path(__file__).parents[2] / "analyses" / "many_rows.py"))
LENGTH = SCRIPT["LENGTH"]
WORD = [
    "position", "in_block", "commit_step", "frontier_step", "passes", "entropy", "frontier_entropy", "eligible_entropy",
]  # fmt: skip
KEYS = ["problem_id", "sample_index", "position"]
EVERY = [*SCHEMA.names, *BLOCK_COLUMNS]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of 5 problems x 12 samples in shards of 17 samples, so that problems go over the ends of shards."""
    path: Path = tmp_path_factory.mktemp("rows") / "confidence"
    SCRIPT["write_run"](path, "confidence", 5 * 12 * LENGTH, num_samples=12, at_once=17)
    return path


@pytest.fixture
def run(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """In parts of one problem or two."""
    monkeypatch.setattr(parts, "PART_ROWS", 12 * LENGTH)
    return read_run(folder)


@pytest.fixture
def shuffled(run: Run) -> Run:
    """The same, read in another order of shards, so that problems end in another order."""
    order = np.random.default_rng(3).permutation(len(run.shards))
    return dataclasses.replace(run, shards=[run.shards[i] for i in order])


def same(found: pd.DataFrame, expected: pd.DataFrame) -> None:
    pd.testing.assert_frame_equal(found, expected, check_exact=True, check_categorical=False)


def test_parts_have_whole_problems_and_together_all_rows(run: Run, shuffled: Run) -> None:
    rows = run.tokens()
    for one in (run, shuffled):
        found = list(one.token_parts([*KEYS, "piece", "entropy"]))
        assert len(found) > 1
        problems = [set(part["problem_id"]) for part in found]
        assert sum(map(len, problems)) == len(set.union(*problems)) == 5
        together = pd.concat(found, ignore_index=True).sort_values(KEYS, ignore_index=True)
        same(together.astype({"piece": object}), rows[list(together.columns)].astype({"piece": object}))
        same(one.tokens(), rows)


def test_a_problem_can_be_all_that_is_asked_of_rows(run: Run, shuffled: Run) -> None:
    """Also of a view, whose shards hold rows of other samples, and where problems end in another order."""
    for one in (run, shuffled, run.part(num_samples=5, limit=3), shuffled.part(num_samples=5, limit=3)):
        expected = one.tokens(KEYS)["problem_id"].value_counts()
        for column in (["problem_id"], ["sample_index"]):
            found = pd.concat(list(one.token_parts(column)), ignore_index=True)
            assert list(found) == column and len(found) == expected.sum()
        assert one.tokens(["problem_id"])["problem_id"].value_counts().to_dict() == expected.to_dict()
        assert sum(len(part) for part in one.word_parts()) == sum(len(part) for part in one.word_parts(["entropy"]))


FEW = Bootstrap(replicates=50)
STATISTICS = {
    "entropy": lambda tokens, words, samples: entropy_table(tokens, bootstrap=FEW),
    "entropy by connector": lambda tokens, words, samples: entropy_table(words, by="connector", bootstrap=FEW),
    "connectors": lambda tokens, words, samples: connector_entropy(tokens, words, bootstrap=FEW),
    "highest": lambda tokens, words, samples: highest_entropy_words(words, tokens, min_count=2, bootstrap=FEW),
    "bypass": lambda tokens, words, samples: bypass_table(words),
    "bypass by connector": lambda tokens, words, samples: bypass_table(words, by="connector"),
    "most bypassed": lambda tokens, words, samples: most_bypassed(words, min_count=2),
    "traces": lambda tokens, words, samples: trace_table(tokens, samples),
    "blocks": lambda tokens, words, samples: block_entropy(tokens, samples, bootstrap=FEW),
    "collapse": lambda tokens, words, samples: collapse_table(tokens, samples),
    "ranks": lambda tokens, words, samples: rank_by_step(tokens, bins=16),
    "steps": lambda tokens, words, samples: commit_step_map(tokens, bins=16),
}


@pytest.mark.parametrize("name", STATISTICS)
def test_a_statistic_of_parts_is_that_of_one_frame(run: Run, shuffled: Run, name: str) -> None:
    rows = run.tokens(EVERY)
    expected = STATISTICS[name](rows, find_words(rows), run.samples)
    for one in (run, shuffled):
        found = STATISTICS[name](one.token_parts(list(rows.columns)), one.word_parts(WORD), one.samples)
        same(found, expected)


def test_numbers_of_parts_are_those_of_one_frame(run: Run) -> None:
    rows = run.tokens(EVERY)
    in_parts = run.token_parts(list(rows.columns))
    shuffles = {"permutations": 50, "bootstrap": FEW}
    found, expected = (enrichment(each, **shuffles) for each in (run.word_parts(WORD), find_words(rows)))
    assert (found.rate, found.matched_rate, found.p_value) == (expected.rate, expected.matched_rate, expected.p_value)
    assert non_top_rate(in_parts).estimate == non_top_rate(rows).estimate
    assert tokens_per_step(in_parts, run.samples).estimate == tokens_per_step(rows, run.samples).estimate
    difference = entropy_difference(in_parts, rows, quantities=["entropy"])["entropy"]
    assert difference.estimate == 0
    assert pooled_entropy(in_parts, pd.Index(run.problems["problem_id"])).counts_PK.sum() == len(rows)


def test_an_iterator_is_refused_because_it_ends(run: Run) -> None:
    with pytest.raises(TypeError, match="gone through once only"):
        parts_of(iter(run.token_parts(["entropy"])))


def test_a_view_has_the_words_of_its_samples(run: Run) -> None:
    view = run.part(num_samples=3, limit=2)
    expected = find_words(view.tokens())
    found = pd.concat(list(view.word_parts(KEYS[1:])), ignore_index=True)
    columns = [*KEYS, "word", "connector"]
    same(found[columns].astype({"word": object}), expected[columns].astype({"word": object}))


def test_pooled_runs_have_the_words_of_all_their_samples_and_keep_them(run: Run, folder: Path, tmp_path: Path) -> None:
    # Such a folder's name has a colon, as addresses have.
    other = tmp_path / "confidence:seed=1"
    shutil.copytree(folder, other, ignore=shutil.ignore_patterns("words-*"))
    config = dataclasses.replace(run.config, sampling=dataclasses.replace(run.config.sampling, seed=1))
    (together,) = pooled(RunSet((run, dataclasses.replace(read_run(other), config=config))))
    assert len(together.samples) == 2 * len(run.samples)
    rows = together.tokens()
    found = list(together.word_parts(WORD))
    assert len(found) > 1
    same(bypass_table(found), bypass_table(find_words(rows)))
    assert len(rows) == 2 * len(run.tokens(["rank"]))
    assert len(kept(folder)) == len(kept(other)) == 1
    # Pooled with one more, it counts by its parts.
    config = dataclasses.replace(run.config, sampling=dataclasses.replace(run.config.sampling, seed=2))
    (three,) = pooled(RunSet((together, dataclasses.replace(run, config=config), run)))
    assert three.seed == "0+1+2" and len(three.samples) == 3 * len(run.samples)
    assert len(three.tokens(["rank"])) == 3 * len(run.tokens(["rank"]))


@pytest.mark.parametrize("name", ["eb:gamma=1", os.fsdecode(b"r\xff")])
def test_any_path_is_read_again(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    try:
        shutil.copytree(folder, tmp_path / name)
    except OSError:
        pytest.skip("a file system whose names are text")
    for path in (tmp_path / name).rglob("*.parquet"):
        os.utime(path, (1, 1))  # what was changed just now is checked again
    monkeypatch.chdir(tmp_path)
    rows = read_run(folder).tokens()
    for _ in range(2):
        same(read_run(Path(name)).tokens(), rows)


def test_a_sample_that_is_there_twice_is_refused_also_where_another_of_its_problem_is_lost(tmp_path: Path) -> None:
    numbers = sample_numbers(np.zeros(2, int), np.arange(2))
    listed = Listed(problem_ids=["p"], number_S=numbers, length_S=np.ones(2, int))
    table = pa.table({"entropy": pa.array([0.5])})
    one = StoredRows(table=table, number_R=numbers[:1], seen_S=numbers[:1])
    with pytest.raises(InputError, match="twice"):
        list(in_parts([one, one], listed, ["entropy"], empty=table.schema, where=tmp_path))


# Words on disk


def kept(folder: Path) -> list[Path]:
    return sorted(folder.glob("words-*"))


@pytest.fixture
def found_in(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The sizes of the shards in which words were looked for."""
    sizes, find = [], words.word_places

    def counted(tokens: pd.DataFrame) -> object:
        sizes.append(len(tokens))
        return find(tokens)

    monkeypatch.setattr(words, "word_places", counted)
    return sizes


def test_words_are_found_once(run: Run, folder: Path, found_in: list[int]) -> None:
    for path in kept(folder):
        path.unlink()
    first = bypass_table(run.word_parts(WORD))
    assert len(found_in) == len(run.shards) and len(kept(folder)) == 1
    same(bypass_table(read_run(folder).word_parts(WORD)), first)
    assert len(found_in) == len(run.shards)


def test_words_of_other_rows_or_damaged_ones_are_found_anew(run: Run, folder: Path, found_in: list[int]) -> None:
    expected = bypass_table(run.word_parts(WORD))
    (path,) = kept(folder)
    # A run of other shards, as it is once it has grown.
    fewer = dataclasses.replace(run, shards=run.shards[:1], samples=run.samples.iloc[:17])
    found_in.clear()
    assert len(bypass_table(fewer.word_parts(WORD))) < len(expected)
    assert len(found_in) == 1 and path not in kept(folder) and len(kept(folder)) == 1
    bypass_table(run.word_parts(WORD))
    (path,) = kept(folder)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    found_in.clear()
    same(bypass_table(run.word_parts(WORD)), expected)
    assert len(found_in) == len(run.shards)


def test_words_that_were_not_all_read_leave_nothing(run: Run, folder: Path) -> None:
    for path in kept(folder):
        path.unlink()
    reading = iter(run.word_parts())
    next(reading)
    reading.close()  # type: ignore[attr-defined]
    assert kept(folder) == []


@pytest.mark.parametrize("problem", ["read-only", "full"])
def test_a_folder_that_cannot_be_written_is_read(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch, problem: str
) -> None:
    expected = bypass_table(run.word_parts(WORD))
    for path in kept(folder):
        path.unlink()

    def refuse(*_: object, **__: object) -> None:
        raise OSError(problem)

    target = (words, "replace_file") if problem == "read-only" else (os, "replace")
    monkeypatch.setattr(*target, refuse)
    same(bypass_table(run.word_parts(WORD)), expected)
    assert kept(folder) == []


def test_costs_are_those_of_a_process() -> None:
    cost = SCRIPT["cost_of"](["ls", "orders"])
    assert cost.cpu > 0 and 0.01 < cost.memory < 2
    with pytest.raises(RuntimeError, match="there is no run"):
        SCRIPT["cost_of"](["bypass", "nowhere"])
