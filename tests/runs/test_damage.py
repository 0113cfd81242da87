"""Whatever happens to a stored run, a reader says so in one line, or shows the same numbers."""

from __future__ import annotations

import json
import random
import shutil

import pytest
from damages import DAMAGES, FILES, find
from oracles import RandomOracle
from runs_fakes import FakeTask, extended, make

from flexeval.cli.main import main
from flexeval.errors import InputError
from flexeval.report.report import render
from flexeval.runs import runner
from flexeval.runs.counterfactual import add_counterfactual
from flexeval.runs.counterfactual_table import tokens_with_counterfactual
from flexeval.runs.grading import regrade
from flexeval.runs.store import read_run, read_runs, reopen_run, reusable_run
from flexeval.sampling import Sampler

FLIPS = 40
REMEDIES = ("restore", "remove", "use another", "give a folder", "run `flexeval", "Did you mean")
VERBS = ("compare", "coverage", "entropy", "bypass")


def write(folder, order):
    model = RandomOracle(words=5, sharpness=1.0, eos_bonus=-1.0)
    config = extended(order=order, num_samples=4)
    make(config, folder, predictor=model, make_sampler=Sampler)
    add_counterfactual(read_run(folder), predictor=model, task=FakeTask())
    return folder


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Two finished runs with their counterfactuals, never changed."""
    folder = tmp_path_factory.mktemp("whole")
    return write(folder / "run", "confidence"), write(folder / "other", "ar")


@pytest.fixture
def pair(whole, tmp_path):
    """Copies, to be damaged."""
    return tuple(shutil.copytree(folder, tmp_path / folder.name) for folder in whole)


def frames(folder):
    """What the Python API reads."""
    run = read_run(folder)
    return (run.config, run.model, run.effort, run.environments, run.lineage, *map(as_csv, (run.problems, run.samples)))


def tokens(folder):
    return as_csv(read_run(folder).tokens())


def counterfactual(folder):
    return as_csv(tokens_with_counterfactual(read_run(folder), ["entropy"]))


def reused(folder):
    run = reusable_run(folder, extended(order="confidence", num_samples=4), FakeTask())
    return None if run is None else as_csv(run.samples)


def graded(folder):
    return as_csv(regrade(folder, FakeTask())[1].samples)


def reopened(folder):
    with reopen_run(folder) as writer:
        return list(writer.missing(num_samples=4, limit=None))


def grown(folder):
    model = RandomOracle(words=5, sharpness=1.0, eos_bonus=-1.0)
    config = extended(order="confidence", num_samples=5)
    return as_csv(make(config, folder, predictor=model, make_sampler=Sampler).samples)


def as_csv(frame):
    return frame.to_csv(index=False).encode(errors="surrogatepass")


READERS = (frames, tokens, counterfactual, reused, reopened, graded, grown)
"""In an order in which those that change the folder come last."""


@pytest.fixture(scope="module")
def undamaged(whole, tmp_path_factory):
    folder = shutil.copytree(whole[0], tmp_path_factory.mktemp("undamaged") / "run")
    return {reader.__name__: reader(folder) for reader in READERS}


def answer(reader, folder):
    """What a reader gives, or None where it refuses as it should."""
    try:
        return reader(folder)
    except InputError as error:
        message = str(error)
        assert "\n" not in message and message.isprintable(), message
        assert str(folder) in message
        assert any(
            word in message
            for word in ("restore", "remove", "use another", "give a folder", "run `flexeval", "Did you mean")
        )
        return None


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damaged_run_is_refused_or_reads_as_before(pair, undamaged, name):
    folder, other = pair
    DAMAGES[name](folder, other)
    for reader in READERS:
        given = answer(reader, folder)
        assert given is None or given == undamaged[reader.__name__], (
            f"{reader.__name__} gives something else when {name}"
        )


@pytest.mark.parametrize("name", FILES)
def test_a_flipped_bit_is_refused_or_changes_nothing(pair, undamaged, name):
    folder, _ = pair
    path = find(folder, name)
    before, places = path.read_bytes(), random.Random(name)
    for _ in range(FLIPS):
        data = bytearray(before)
        place = places.randrange(8 * len(data))
        data[place // 8] ^= 1 << place % 8
        path.write_bytes(data)
        for reader in (frames, tokens, counterfactual):
            given = answer(reader, folder)
            assert given is None or given == undamaged[reader.__name__], f"{reader.__name__}, bit {place} of {name}"


@pytest.mark.parametrize("verb", VERBS)
def test_a_command_answers_damage_in_one_line(pair, capsys, verb):
    folder, other = pair
    argv = [verb, str(folder), str(other)]
    assert main([*argv, "--json", "-"]) == 0
    capsys.readouterr()
    for name in ("samples.jsonl lost its last line", "config.json is a list", "problems.jsonl is missing"):
        damaged = shutil.copytree(folder, folder.with_name("damaged"))
        DAMAGES[name](damaged, other)
        assert main([verb, str(damaged), str(other)]) == 2
        captured = capsys.readouterr()
        assert captured.err.count("\n") == 1 and "damaged" in captured.err and not captured.out
        shutil.rmtree(damaged)


def test_a_folder_of_runs_with_a_damaged_one_is_refused(pair, capsys):
    folder, _ = pair
    (folder / "problems.jsonl").unlink()
    assert main(["coverage", str(folder.parent), str(folder)]) == 2
    assert "problems.jsonl is missing" in capsys.readouterr().err


# Runs of before there were checksums


def unchecked(folder):
    """The folder as format 1 would have it."""
    for name in ("problems.jsonl", "samples.jsonl", "sampling.jsonl"):
        rows = [json.loads(line) for line in (folder / name).read_text().splitlines()]
        for row in rows:
            for field in ("crc", "shard", "environment"):
                row.pop(field, None)
        (folder / name).write_text("".join(json.dumps(row) + "\n" for row in rows))
    for name, gone in (("config.json", ("crc", "id", "problems")), ("summary.json", ("crc", "checksums"))):
        values = json.loads((folder / name).read_text())
        for field in gone:
            del values[field]
        (folder / name).write_text(json.dumps(values | ({"format": 1} if name == "config.json" else {})))
    for path in (folder / "tokens").iterdir():
        path.rename(path.with_name("part-00000.parquet"))
    find(folder, "counterfactual-*.parquet").rename(folder / "counterfactual.parquet")
    return folder


def test_a_run_without_checksums_reads_the_same_and_is_not_added_to(pair, undamaged):
    folder = unchecked(pair[0])
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    for reader in (frames, tokens, counterfactual, reused):
        assert reader(folder) == undamaged[reader.__name__]
    for reader in (reopened, graded, grown):
        with pytest.raises(
            InputError, match=r"made by an earlier version .* can be read, but not .*; use another --out"
        ):
            reader(folder)
    assert before == {path: path.read_bytes() for path in before}


@pytest.mark.parametrize("name", DAMAGES)
def test_damage_without_checksums_ends_in_no_traceback(pair, name):
    """What can be seen is refused: types, ranges and counts. A value of the right kind passes."""
    folder, other = map(unchecked, pair)
    DAMAGES[name](folder, other)
    for reader in (frames, tokens, counterfactual, reused):
        answer(reader, folder)


@pytest.mark.parametrize(
    "name",
    [
        *(
            f"samples.jsonl: {change}"
            for change in ("correct = 'false'", "correct = 1", "nfe = -5", "sample_index = 77")
        ),
        *(f"samples.jsonl: {change}" for change in ("nfe = inf", "nfe = nan", "length = 9", "length = 0", "more = 1")),
        *(f"samples.jsonl {change}" for change in ("lost a line", "lost its last line", "has a line twice")),
        *(f"problems.jsonl {change}" for change in ("lost a line", "lost its last line", "has a line twice")),
        "config.json: config.model = '\\x1b[31mred'",
        "config.json: config.sampling.schedule = 'odd'",
        "sampling.jsonl lost its last line",
        "summary.json: samples = 12",
        "tokens is missing",
    ],
)
def test_types_ranges_and_counts_are_checked_without_checksums(pair, name):
    folder, other = map(unchecked, pair)
    DAMAGES[name](folder, other)
    with pytest.raises(InputError):
        frames(folder), tokens(folder)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("samples.jsonl: sample_index = 77", "does not belong to a run of 4 samples"),
        ("samples.jsonl: length = 9", "does not belong to a run of"),
        ("samples.jsonl: problem_id = 'q'", "problem 'q' is not in problems.jsonl"),
        ("problems.jsonl has a line twice", "holds a problem twice"),
        ("config.json: config.num_samples = 1000000000", "calls the run complete, but config.json asks for more"),
    ],
)
def test_a_run_is_checked_against_its_configuration_also_without_checksums(pair, name, says):
    folder, other = map(unchecked, pair)
    if "complete" not in says:
        (folder / "summary.json").unlink()
    DAMAGES[name](folder, other)
    with pytest.raises(InputError, match=says):
        frames(folder)


@pytest.mark.parametrize("name", FILES)
def test_a_flipped_bit_without_checksums_ends_in_no_traceback(pair, name):
    folder = unchecked(pair[0])
    path = find(folder, name)
    before, places = path.read_bytes(), random.Random(name)
    for _ in range(FLIPS // 2):
        data = bytearray(before)
        place = places.randrange(8 * len(data))
        data[place // 8] ^= 1 << place % 8
        path.write_bytes(data)
        for reader in (frames, tokens, counterfactual):
            answer(reader, folder)


def test_a_run_that_was_continued_elsewhere_says_so(pair, capsys, monkeypatch):
    folder, other = pair
    assert main(["compare", str(folder), str(other)]) == 0
    assert "same machine" not in capsys.readouterr().out
    monkeypatch.setattr(runner, "environment", lambda **about: {**about, "cpu": "another", "torch": "0.1"})
    grown(folder)
    first, second = read_run(folder).environments
    assert (first["torch"] != "0.1", second["torch"]) == (True, "0.1")
    assert main(["compare", str(folder), str(other), "--num-samples", "4"]) == 0
    assert "not all drawn on the same machine, which can move numbers: torch" in capsys.readouterr().out
    assert b"not all drawn on the same machine" in render(read_runs([folder, other]))
