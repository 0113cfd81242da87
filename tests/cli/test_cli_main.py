"""Which verb, and what an error looks like."""

from __future__ import annotations

import argparse
import errno
import os
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import entry_points
from pathlib import Path

import pytest
import torch

from flexeval.cli import grpo, ls
from flexeval.cli.main import VERBS, main

HEAVY = ("torch", "transformers", "pandas", "scipy", "matplotlib", "pyarrow", "datasets", "rich", "lm_eval")


@pytest.mark.parametrize(
    "argv", [["--help"], ["--version"], ["ls"], *([verb, "--help"] for verb in VERBS)], ids=" ".join
)
def test_help_and_listings_import_nothing_of_weight(argv: list[str]) -> None:
    script = (
        "import sys\nfrom flexeval.cli.main import main\n"
        f"try:\n    main({argv!r})\nexcept SystemExit as end:\n    assert not end.code\n"
        f"heavy = [name for name in {HEAVY!r} if name in sys.modules]\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


def test_module_and_command_are_the_same() -> None:
    done = subprocess.run([sys.executable, "-m", "flexeval", "frob"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr == f"flexeval: error: unknown command: 'frob'. Known: {', '.join(sorted(VERBS))}.\n"


def test_the_installed_command_is_the_module() -> None:
    (installed,) = entry_points(group="console_scripts", name="flexeval")
    assert installed.value == "flexeval.__main__:command"


def test_unknown_command_gives_the_close_one(refused: Callable[..., str]) -> None:
    assert "Did you mean 'passk'" in refused("pask")


def test_no_command(refused: Callable[..., str]) -> None:
    assert "COMMAND" in refused()


@pytest.mark.parametrize(
    ("written", "close"), [("--temprature", "--temperature"), ("--num_samples=3", "--num-samples"), ("--temp", None)]
)
def test_unknown_option_gives_the_close_one(refused: Callable[..., str], written: str, close: str | None) -> None:
    line = refused("passk", written, "0.5")
    assert f"unknown option: '{written.partition('=')[0]}'" in line
    assert close is None or f"'{close}'" in line


def test_option_without_value(refused: Callable[..., str]) -> None:
    assert "--seed: expected one argument" in refused("passk", "--seed")


def test_unexpected_argument(refused: Callable[..., str]) -> None:
    assert "unexpected argument 'ar'" in refused("passk", "ar")


def test_the_home_folder_is_put_in(
    in_tmp: Path,
    refused: Callable[..., str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("HOME", str(in_tmp))
    assert main(["ls", "orders", "--json=~/orders.json"]) == 0
    assert Path("orders.json").exists()
    capsys.readouterr()
    for argv in (
        ["passk", "--data-dir=~/nope"],
        ["coverage", "~/nope", "~/b"],
        ["grade", "--task=gsm8k", "~/nope.jsonl"],
    ):
        assert f"'{in_tmp}/nope" in refused(*argv)
    assert not Path("~").exists()


def test_a_current_folder_that_was_removed(in_tmp: Path, refused: Callable[..., str]) -> None:
    Path("gone").mkdir()
    os.chdir("gone")
    Path("../gone").rmdir()
    assert "the current folder does not exist any more" in refused("passk", "--limit", "1")


def fail_with(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    def run(args: argparse.Namespace) -> int:
        raise error

    monkeypatch.setattr(ls, "run", run)


def test_a_full_gpu_is_one_line(monkeypatch: pytest.MonkeyPatch, refused: Callable[..., str]) -> None:
    fail_with(monkeypatch, torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.50 GiB. GPU 0 has no more."))
    assert "(CUDA out of memory. Tried to allocate 2.50 GiB. GPU 0 has no more.); use smaller batches" in refused("ls")


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_full_disk_is_one_line(monkeypatch: pytest.MonkeyPatch, refused: Callable[..., str], number: int) -> None:
    fail_with(monkeypatch, OSError(number, "full", "runs/a/samples.jsonl"))
    line = refused("ls")
    assert "no space left on the device (runs/a/samples.jsonl)" in line
    assert "same command" in line


@pytest.mark.parametrize(
    ("number", "advice"),
    [(errno.EACCES, "change its permissions"), (errno.EFBIG, "ulimit -f"), (errno.ESTALE, "its server has lost it")],
)
def test_a_path_that_cannot_be_used_is_one_line(
    monkeypatch: pytest.MonkeyPatch, refused: Callable[..., str], number: int, advice: str
) -> None:
    fail_with(monkeypatch, OSError(number, os.strerror(number), "runs"))
    line = refused("ls")
    assert f"cannot use 'runs': {os.strerror(number)}" in line
    assert advice in line


def test_interrupt_says_how_to_continue(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    fail_with(monkeypatch, KeyboardInterrupt())
    assert main(["ls"]) == 130
    (line,) = capsys.readouterr().err.splitlines()
    assert "same command" in line


def test_a_training_goes_on_from_its_last_checkpoint(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for error, status in ((KeyboardInterrupt(), 130), (OSError(errno.ENOSPC, "full"), 2)):

        def run(args: argparse.Namespace, error: BaseException = error) -> int:
            raise error

        monkeypatch.setattr(grpo, "run", run)
        assert main(["grpo"]) == status
        (line,) = capsys.readouterr().err.splitlines()
        assert "same command" in line
        assert "from the last checkpoint" in line
        assert "samples" not in line


@pytest.mark.parametrize("error", [KeyError("x"), ValueError("x"), OSError(errno.EIO, "broken disk", "x")], ids=repr)
def test_a_bug_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    fail_with(monkeypatch, error)
    with pytest.raises(type(error)):
        main(["ls"])


def test_a_reader_that_goes_away_is_no_error() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "flexeval", "ls"], stdout=writer, stderr=subprocess.PIPE, check=False
        )
    finally:
        os.close(writer)
    assert (done.returncode, done.stderr) == (141, b"")
