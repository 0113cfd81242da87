"""Bad input on the command line: exit status 2, and one line that says what was wrong and what to write instead."""

from __future__ import annotations

import dataclasses
import fcntl
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from checkpoints import MASK, write_llada

from flexeval.cli.main import main
from flexeval.runs.reader import read_header
from flexeval.runs.writer import header_bytes

pytestmark = pytest.mark.usefixtures("in_tmp")
Refused = Callable[..., str]
SMALL = ("--task", "word-problems", "--limit", "2", "--num-samples", "2", "--gen-length", "8")
ROW = {"question": "Two and two?", "answer": "Add them. #### 4"}


def write_gsm8k(*rows: object) -> Path:
    folder = Path("data")
    folder.mkdir(exist_ok=True)
    lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
    (folder / "gsm8k_test.jsonl").write_text("".join(f"{line}\n" for line in lines))
    return folder


@pytest.mark.parametrize(
    ("argv", "parts"),
    [
        (["--order", "confidense"], ["unknown order: 'confidense'", "Did you mean 'confidence'"]),
        (["--order", "eb:gama=0.1"], ["unknown parameter of order 'eb': 'gama'", "Did you mean 'gamma'"]),
        (["--order", "eb:gamma"], ["cannot read 'gamma'", "param=value"]),
        (["--order", "eb:gamma=high"], ["parameter 'gamma' of order 'eb' must be a number, not 'high'"]),
        (["--order", "ar:k=2"], ["takes no parameters"]),
        (["--order", "ar", "--order", "left_to_right"], ["'left_to_right' is given twice"]),
        (["--order", "parallel-4", "--steps", "8"], ["leave out steps"]),
        (["--task", "word-problem"], ["unknown task: 'word-problem'", "Did you mean 'word-problems'"]),
        (["--task", "word-problems:fact=2"], ["unknown parameter", "Did you mean 'facts'"]),
        (["--k", "1,3"], ["pass@3 needs 3 samples", "--num-samples is 2", "k <= 2"]),
        (["--k", "0"], ["every k of --k must be at least 1, not 0"]),
        (["--k", "1,,2"], ["every k of --k must be a whole number, not ''"]),
        (["--num-samples", "0"], ["num_samples must be at least 1"]),
        (["--num-samples", "1e3"], ["--num-samples must be a whole number, not '1e3'"]),
        (["--limit", "0"], ["limit must be at least 1"]),
        (["--gen-length", "12", "--block-length", "8", "--steps", "6"], ["12 is not a multiple of block_length 8"]),
        (["--steps", "9"], ["steps 9 is more than gen_length 8", "use at most 8"]),
        (["--block-length", "9"], ["block_length 9 is longer than gen_length 8"]),
        (["--steps", "4", "--tokens-per-step", "2"], ["give one of them"]),
        (["--temperature", "-0.5"], ["temperature must be a number >= 0, not -0.5"]),
        (["--temperature", "nan"], ["--temperature must be a number, not 'nan'"]),
        (["--temperature", "inf"], ["temperature must be a number >= 0, not inf"]),
        (["--schedule", "evn"], ["Did you mean 'even'"]),
        (["--batch-size", "0"], ["--batch-size must be at least 1, not 0"]),
        (["--batch-size", "big"], ["--batch-size must be a whole number, not 'big'"]),
        (["--json", "missing/a.json"], ["there is no folder 'missing'"]),
        (["--csv", "."], ["it is a folder"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_settings(refused: Refused, bigram: list[str], argv: list[str], parts: list[str]) -> None:
    line = refused("passk", *SMALL, *argv)
    for part in parts:
        assert part in line
    # The line comes before the model; only whether an order has a schedule is asked of the sampler.
    assert not bigram or "leave out steps" in line


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ((), "empty"),
        ((ROW, ROW, '{"question": "Half a'), "line 3"),
        ((ROW, "[1, 2]"), "line 2"),
        ((ROW, {"question": "?"}), "answer"),
        ((ROW, {"question": "?", "answer": "none"}), "####"),
    ],
    ids=["empty", "malformed", "no object", "missing field", "no answer"],
)
def test_data_file(refused: Refused, bigram: list[str], rows: tuple[object, ...], message: str) -> None:
    folder = write_gsm8k(*rows)
    line = refused("passk", *SMALL, "--task", "gsm8k", "--data-dir", str(folder))
    assert message in line
    assert "gsm8k_test.jsonl" in line


@pytest.mark.parametrize("folder", ["missing", "."])
def test_missing_data_file(refused: Refused, bigram: list[str], folder: str) -> None:
    assert repr(folder) in refused("passk", *SMALL, "--task", "gsm8k", "--data-dir", folder)


def test_data_that_changed_under_a_finished_run(
    refused: Refused, bigram: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ("passk", *SMALL, "--task", "gsm8k", "--data-dir", str(write_gsm8k(ROW, ROW)))
    assert main([*argv]) == 0
    capsys.readouterr()
    write_gsm8k(ROW, ROW | {"answer": "Multiply them. #### 5"})
    assert "was made from other data" in refused(*argv)


@pytest.fixture
def run_folder(bigram: list[str], capsys: pytest.CaptureFixture[str]) -> Path:
    """A finished run of the bigram model."""
    assert main(["passk", *SMALL]) == 0
    capsys.readouterr()
    (config,) = Path("runs").rglob("config.json")
    return config.parent


def test_run_folder_of_another_configuration(refused: Refused, run_folder: Path) -> None:
    header = read_header(run_folder)
    sampling = dataclasses.replace(header.config.sampling, temperature=0.7)
    changed = dataclasses.replace(header, config=dataclasses.replace(header.config, sampling=sampling))
    (run_folder / "config.json").write_bytes(header_bytes(changed))
    line = refused("passk", *SMALL)
    assert "was made with temperature 0.7, not 0.6" in line
    assert str(run_folder) in line


@contextmanager
def in_use(folder: Path) -> Iterator[None]:
    # A lock that another open file holds is the same to the kernel as one that another process holds.
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        lock.write("4321")
        lock.flush()
        yield


def test_run_folder_in_use(refused: Refused, run_folder: Path) -> None:
    with in_use(run_folder):
        for argv in (["passk", *SMALL, "--num-samples", "3"], ["grade", str(run_folder)]):
            line = refused(*argv)
            assert "in use by process 4321" in line
            assert str(run_folder) in line


def test_no_run_folder(refused: Refused) -> None:
    assert "no run in missing" in refused("grade", "missing")


def test_prompt_that_is_too_long(refused: Refused, bigram: list[str]) -> None:
    line = refused("passk", *SMALL, "--gen-length", "100")
    assert "more than the 120 of model 'tiny'" in line
    assert "use a gen_length of at most 79" in line


# ----- the model -----


def test_unknown_model(refused: Refused) -> None:
    line = refused("passk", *SMALL, "--model", "llada-8b-instuct")
    assert "unknown model: 'llada-8b-instuct'" in line
    assert "Did you mean 'llada-8b-instruct'" in line


@pytest.mark.parametrize(
    ("argv", "message"), [(["--device", "gpu"], "device: 'gpu'"), (["--dtype", "fp32"], "dtype: 'fp32'")]
)
def test_unknown_device_and_type(refused: Refused, llada_folder: Path, argv: list[str], message: str) -> None:
    assert message in refused("sample", "--model", str(llada_folder), *argv)


def test_unreadable_checkpoint(refused: Refused) -> None:
    folder = write_llada(Path("checkpoint"))
    (folder / "model.safetensors").write_bytes(b"not a checkpoint")
    assert "cannot read" in refused("passk", *SMALL, "--model", "./checkpoint")


def test_checkpoint_without_mask_token(refused: Refused) -> None:
    folder = write_llada(Path("checkpoint"), mask_token_id=None)
    tokenizer = folder / "tokenizer.json"
    tokenizer.write_text(tokenizer.read_text().replace(MASK, "<|unused|>"))
    assert "no mask token" in refused("passk", *SMALL, "--model", "./checkpoint")


def test_checkpoint_that_needs_its_own_code(refused: Refused) -> None:
    write_llada(Path("checkpoint"), model_type="exotic")
    assert "exotic" in refused("passk", *SMALL, "--model", "./checkpoint")


def test_published_layout_runs_to_its_end(llada_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = write_gsm8k(ROW, ROW)
    argv = ["--task", "gsm8k", "--data-dir", str(data), "--gen-length", "8", "--num-samples", "2", "--json", "-"]
    assert main(["passk", "--model", str(llada_folder), *argv, "--order", "ar", "--order", "confidence"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert [row["problems"] for row in result["pass_at_k"]] == [2, 2, 2, 2]
