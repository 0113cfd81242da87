"""The token table holds what the trajectories say, and nothing of other samples."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from runs_fakes import FakePredictor, trajectory

from flexeval.errors import InputError
from flexeval.runs.tokens import SCHEMA, drop_orphans, read_tokens, shards, write_shard

IDS = ["b", "a"]
PAIRS = [("b", 0), ("b", 1), ("a", 0), ("a", 2)]


def pieces(sample):
    return FakePredictor().pieces(sample.token_ids_G.tolist())


@pytest.fixture
def folder(tmp_path):
    for part in (PAIRS[2:], PAIRS[:2]):
        samples = [trajectory(*pair) for pair in part]
        write_shard(tmp_path, samples, [pieces(sample) for sample in samples])
    return tmp_path


def frame(pairs):
    return pd.DataFrame(pairs, columns=["problem_id", "sample_index"])


def test_one_row_per_committed_position_in_order(folder):
    table = read_tokens(folder, frame(PAIRS), IDS)
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


def test_pieces_of_a_sample_join_to_its_text(folder):
    table = read_tokens(folder, frame(PAIRS), IDS, ["problem_id", "sample_index", "piece"])
    texts = table.groupby(["problem_id", "sample_index"], observed=True)["piece"].agg("".join)
    assert texts.to_dict() == {pair: "".join(pieces(trajectory(*pair))) for pair in PAIRS}


def test_only_the_samples_that_are_asked_for(folder):
    table = read_tokens(folder, frame([("a", 2)]), IDS)
    assert set(zip(table["problem_id"], table["sample_index"], strict=True)) == {("a", 2)}
    assert read_tokens(folder, frame([]), IDS).empty


def test_only_the_columns_that_are_asked_for(folder):
    assert list(read_tokens(folder, frame(PAIRS), IDS, ["entropy", "rank"]).columns) == ["entropy", "rank"]
    with pytest.raises(InputError, match=r"unknown column of the token table: 'entropi'\. Did you mean 'entropy'"):
        read_tokens(folder, frame(PAIRS), IDS, ["entropi"])


def test_a_table_without_shards_has_its_columns(tmp_path):
    table = read_tokens(tmp_path, frame([]), IDS)
    assert table.empty and list(table.columns) == SCHEMA.names


def test_rows_of_samples_that_do_not_count_are_dropped(folder):
    counted = {("a", 0), ("b", 1), ("b", 7)}
    assert drop_orphans(folder, counted) == {("a", 0), ("b", 1)}
    assert len(shards(folder)) == 2
    table = read_tokens(folder, frame(PAIRS), IDS)
    assert set(zip(table["problem_id"], table["sample_index"], strict=True)) == {("a", 0), ("b", 1)}
    assert drop_orphans(folder, set()) == set()
    assert shards(folder) == []


def test_a_damaged_shard_is_named(folder):
    shards(folder)[1].write_bytes(b"PAR1 nothing PAR1")
    with pytest.raises(InputError, match=r"cannot read the token table in .*part-00001"):
        read_tokens(folder, frame(PAIRS), IDS)


def test_a_copied_shard_is_refused(folder):
    (folder / "part-00007.parquet").write_bytes(shards(folder)[0].read_bytes())
    with pytest.raises(InputError, match="holds rows of a sample twice"):
        read_tokens(folder, frame(PAIRS), IDS)
