"""The token table holds what the trajectories say, and nothing else is taken for it."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from published_runs import paper_run
from runs_fakes import FakePredictor, trajectory

from flexeval.errors import InputError
from flexeval.records import Grade, SamplingConfig
from flexeval.runs.layout import GradedSample
from flexeval.runs.parts import in_parts
from flexeval.runs.tokens import (
    MAY_LACK,
    RANGES,
    SCHEMA,
    Listed,
    TokenShard,
    require_shards,
    sample_numbers,
    table_bytes,
    write_shard,
)

IDS = ["b", "a"]
PAIRS = [("b", 0), ("b", 1), ("a", 0), ("a", 2)]
SAMPLING = SamplingConfig(gen_length=8, block_length=4)
KEY = "0123456789abcdef"


def pieces(sample):
    return FakePredictor().pieces(sample.token_ids_G.tolist())


def graded(sample, texts=None):
    return GradedSample(trajectory=sample, text="", pieces=texts or pieces(sample), grade=Grade(correct=False))


@pytest.fixture
def shards(tmp_path):
    paths = []
    for number, part in enumerate((PAIRS[2:], PAIRS[:2])):
        paths.append(write_shard(tmp_path, number, [graded(trajectory(*pair)) for pair in part], key=KEY))
    return paths


def read(paths, pairs=PAIRS, columns=None, *, sampling=SAMPLING, key=KEY):
    samples = pd.DataFrame(
        [(*pair, trajectory(*pair).length) for pair in pairs], columns=["problem_id", "sample_index", "length"]
    )
    listed, where = Listed.of(samples, IDS), Path("here")
    wanted = list(SCHEMA.names if columns is None else columns)
    stored = [name for name in wanted if name != "problem_id"]
    shards = (TokenShard(path, listed, sampling=sampling, key=key, where=where).rows(stored) for path in paths)
    empty = pa.schema([SCHEMA.field(name) for name in stored])
    (rows,) = in_parts(shards, listed, wanted, empty=empty, where=where)
    return rows


@pytest.mark.parametrize(("first", "count"), [(0, 6), (0, 2), (2, 2), (3, 1), (4, 9)])
def test_samples_are_listed_by_number_each_with_its_length(first, count):
    rows = [(problem, index, 100 * place + index) for place, problem in enumerate(IDS) for index in range(6)]
    shuffled = [rows[i] for i in np.random.default_rng(0).permutation(len(rows))]
    listed = Listed.of(pd.DataFrame(shuffled, columns=["problem_id", "sample_index", "length"]), IDS)
    part = listed.numbered_from(first, count)
    wanted = [(place, i) for place in range(len(IDS)) for i in range(first, min(first + count, 6))]
    assert part.number_S.tolist() == [sample_numbers(place, i - first) for place, i in wanted]
    assert part.length_S.tolist() == [100 * place + i for place, i in wanted]


def test_one_row_per_committed_position_in_order(shards):
    table = read(shards)
    assert list(table.columns) == SCHEMA.names
    rows = iter(table.itertuples())
    for pair in PAIRS:
        sample = trajectory(*pair)
        for position in np.flatnonzero(sample.commit_step_G >= 0):
            row = next(rows)
            assert (row.problem_id, row.sample_index, row.position) == (*pair, position)
            assert row.in_text == (position < sample.length)
            assert row.piece == pieces(sample)[position]
            for name in SCHEMA.names[6:]:
                assert getattr(row, name) == getattr(sample, f"{name}_G")[position]
    assert next(rows, None) is None


def test_pieces_of_a_sample_join_to_its_text(shards):
    table = read(shards, columns=["problem_id", "sample_index", "piece"])
    texts = table.groupby(["problem_id", "sample_index"], observed=True)["piece"].agg("".join)
    assert texts.to_dict() == {pair: "".join(pieces(trajectory(*pair))) for pair in PAIRS}


def test_only_the_samples_that_are_asked_for(shards):
    table = read(shards, [("a", 2)])
    assert set(zip(table["problem_id"], table["sample_index"], strict=True)) == {("a", 2)}
    assert read(shards, []).empty


def test_only_the_columns_that_are_asked_for(shards):
    assert list(read(shards, columns=["entropy", "rank"]).columns) == ["entropy", "rank"]
    for rows in (paper_run(problems=1).tokens, paper_run(problems=1).token_parts, paper_run(problems=1).word_parts):
        with pytest.raises(InputError, match=r"unknown column of the token table: 'entropi'\. Did you mean 'entropy'"):
            rows(["entropi"])


def test_a_table_without_shards_has_its_columns():
    table = read([], [])
    assert table.empty and list(table.columns) == SCHEMA.names


def test_half_a_surrogate_pair_in_a_piece_is_written_as_its_escape(tmp_path):
    sample = trajectory("b", 0)
    assert sample.length > 0
    path = write_shard(tmp_path, 0, [graded(sample, ["\ud800", *pieces(sample)[1:]])], key=KEY)
    assert read([path], [("b", 0)])["piece"][0] == "\\ud800"


# Damage


@pytest.mark.parametrize("seed", range(4))
def test_any_flipped_bit_is_noticed(shards, seed):
    rng = np.random.default_rng(seed)
    before = bytearray(shards[1].read_bytes())
    for place in rng.integers(0, 8 * len(before), size=25):
        data = bytearray(before)
        data[place // 8] ^= 1 << (place % 8)
        shards[1].write_bytes(data)
        for use in (lambda: read(shards), lambda: require_shards(shards, key=KEY)):
            with pytest.raises(InputError, match=r"part-00001-.*: not as it was written"):
                use()


@pytest.mark.parametrize("aged", [True, False])
def test_a_shard_that_was_read_before_is_checked_again_where_it_may_have_changed(shards, aged):
    """It may have if its time of change is another one, or so new that another change could have the same."""
    path = shards[1]
    if aged:
        os.utime(path, ns=(1, 1))
    before = path.stat()
    read(shards)
    with path.open("r+b") as file:
        file.seek(before.st_size // 2)
        byte = file.read(1)[0]
        file.seek(before.st_size // 2)
        file.write(bytes([byte ^ 1]))
    changed_ns = 2 if aged else before.st_mtime_ns
    os.utime(path, ns=(changed_ns, changed_ns))
    with pytest.raises(InputError, match="not as it was written"):
        read(shards)


def test_a_shard_of_another_run_or_another_name_is_refused(shards):
    with pytest.raises(InputError, match="not as it was written"):
        read(shards, key="f" * 16)
    one, other = (path.read_bytes() for path in shards)
    shards[0].write_bytes(other)
    shards[1].write_bytes(one)
    with pytest.raises(InputError, match="not as it was written"):
        read(shards)


def test_a_lost_or_repeated_shard_is_noticed(shards):
    with pytest.raises(InputError, match=r"has lost token rows of [12] samples"):
        read(shards[:1])
    with pytest.raises(InputError, match="holds rows of a sample twice"):
        read([*shards, shards[0]])


def test_a_row_twice_is_noticed_also_after_the_end_of_its_text(shards):
    table = pq.read_table(shards[0])
    assert not table["in_text"][-1].as_py()
    old = shards[0].with_name("part-00007.parquet")
    old.write_bytes(table_bytes(pa.concat_tables([table, table.slice(len(table) - 1)])))
    with pytest.raises(InputError, match="holds rows of a sample twice"):
        read([old], PAIRS[2:], key="")


def test_a_position_without_a_row_is_possible_only_where_the_mask_may_be_drawn(tmp_path):
    sample = trajectory("b", 1)
    step_G = sample.commit_step_G.copy()
    step_G[0] = -1
    assert sample.length > 1
    path = write_shard(tmp_path, 0, [graded(dataclasses.replace(sample, commit_step_G=step_G))], key=KEY)
    assert len(read([path], [("b", 1)], sampling=dataclasses.replace(SAMPLING, logits_mask_inf=False)))
    with pytest.raises(InputError, match="has lost token rows of 1 samples"):
        read([path], [("b", 1)])


def changed(path, name, value, *, row=0):
    """The shard with another value in one row, as a file of before there were checksums."""
    table = pq.read_table(path)
    values = table[name].to_pylist()
    values[row] = value
    column = pa.array(values, SCHEMA.field(name).type)
    old = path.with_name("part-00007.parquet")
    old.write_bytes(table_bytes(table.set_column(table.column_names.index(name), SCHEMA.field(name), column)))
    return old


def beyond():
    for name, (low, high) in RANGES.items():
        if name != "sample_index":
            yield name, low - 1
            if SCHEMA.field(name).type == pa.float32():
                yield name, np.inf
                if high == 1:
                    yield name, 1.01
                if name not in MAY_LACK:
                    yield name, np.nan


@pytest.mark.parametrize(("name", "value"), [*beyond(), ("position", 8)])
def test_a_value_that_cannot_be_is_refused_also_without_checksums(shards, name, value):
    with pytest.raises(InputError, match=f"holds (a )?{name}"):
        read([changed(shards[1], name, value)], PAIRS[:2], key="")


@pytest.mark.parametrize("beyond", [0, 1])
def test_a_row_on_the_wrong_side_of_the_end_is_refused(shards, beyond):
    """Also the one that is next to the end, where the mask may be drawn, so that rows cannot be counted."""
    rows = pq.read_table(shards[1])["in_text"].to_pylist()
    last = next(row for row in range(len(rows)) if rows[row : row + 2] == [True, False])
    damaged = changed(shards[1], "in_text", bool(beyond), row=last + beyond)
    with pytest.raises(InputError, match="wrong side of the end"):
        read([damaged], PAIRS[:2], sampling=dataclasses.replace(SAMPLING, logits_mask_inf=False), key="")


@pytest.mark.parametrize("data", [b"", b"PAR1 nothing PAR1", b"{}"])
def test_what_is_no_table_is_named(shards, data):
    shards[1].write_bytes(data)
    with pytest.raises(InputError, match=r"part-00001-.*: no table that can be read"):
        read(shards, key="")


def test_a_table_of_something_else_is_named(shards):
    pq.write_table(pa.table({"a": [1]}), shards[1])
    with pytest.raises(InputError, match=r"part-00001-.*: another table"):
        read(shards, key="")
