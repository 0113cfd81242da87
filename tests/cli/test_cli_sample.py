"""`flexeval sample` shows one decode, and obeys nothing that a model says."""

from __future__ import annotations

import re
from collections.abc import Callable
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from flexeval.cli import decode_view
from flexeval.cli.decode_view import Decode, printable
from flexeval.cli.main import main
from flexeval.records import Grade, Trajectory
from flexeval.runs.store import read_run

pytestmark = pytest.mark.usefixtures("in_tmp")


def made(pieces: list[str], *, commit_step: list[int] | None = None) -> Decode:
    size = len(pieces)
    floats = np.linspace(0.25, 2.0, size, dtype=np.float32)
    integers = np.arange(size, dtype=np.int32)
    return Decode(
        question="How many?",
        text="".join(pieces),
        pieces=pieces,
        order="ar",
        target="7",
        grade=Grade(correct=True, extracted="7"),
        trajectory=Trajectory(
            problem_id="p",
            sample_index=0,
            prompt_length=3,
            token_ids_G=integers,
            length=size,
            commit_step_G=integers[::-1] if commit_step is None else np.array(commit_step, dtype=np.int32),
            nfe=size,
            entropy_G=floats,
            prob_G=floats / 4,
            rank_G=integers,
            top_prob_G=floats / 2,
            eligible_entropy_G=floats,
            frontier_step_G=integers,
            frontier_entropy_G=floats,
            passes_G=integers,
        ),
    )


def shown(decode: Decode, *, colour: bool, as_table: bool = False) -> str:
    file = StringIO()
    console = Console(file=file, force_terminal=colour, color_system="truecolor" if colour else None, width=100)
    decode_view.show(console, decode, as_table=as_table)
    return file.getvalue()


def test_without_colour_every_token_has_a_line() -> None:
    lines = [line.split() for line in shown(made([" 3", "\n", " x"]), colour=False).splitlines()]
    assert ["0", "'", "3'", "2", "0.250", "0.062", "0"] in lines
    assert ["1", r"'\n'", "1", "1.125", "0.281", "1"] in lines
    assert ["2", "'", "x'", "0", "2.000", "0.500", "2"] in lines


def test_colour_shows_step_and_entropy_of_every_token() -> None:
    output = shown(made([" one", " two", " three"]), colour=True)
    by_step, by_entropy = (re.findall(r"48;2;([\d;]+)m (?:one|two|three)", part) for part in output.split("entropy"))
    lightest, darkest = "253;231;37", "68;1;84"
    assert (by_step[0], by_step[2]) == (lightest, darkest)
    assert by_entropy[2] == lightest
    assert len({*by_step}) == len({*by_entropy}) == 3


@pytest.mark.parametrize("colour", [True, False])
def test_a_mask_that_stayed_is_shown_as_such(colour: bool) -> None:
    output = shown(made([" 3", "", " x"], commit_step=[0, -1, 1]), colour=colour)
    assert colour or "(mask)" in output


@pytest.mark.parametrize("colour", [True, False])
def test_generated_text_cannot_drive_the_terminal(colour: bool) -> None:
    evil = ["\x1b[2J", "\x1b]0;title\x07", "\r", "\x9b31m", "\u202eabc", "[bold]", ":smile:", "\x00"]
    plain = shown(made(["a"] * len(evil)), colour=colour)
    output = shown(made(evil), colour=colour)
    for char in ("\r", "\x07", "\x9b", "\u202e", "\x00"):
        assert char not in output
    # The only escape sequences are those that colour harmless text, too.
    kinds = re.compile(r"\x1b(?!\[[\d;]*m)")
    assert not kinds.search(output)
    assert output.count("\x1b[") <= plain.count("\x1b[")
    assert r"\x1b[2J" in output
    assert "[bold]" in output
    assert ":smile:" in output


def test_printable_keeps_what_is_harmless() -> None:
    text = "naïve 日本 1 ≤ 2 🙂\nnext"
    assert printable(text) == text
    assert printable("a\tb\x7f") == r"a\tb\x7f"


def test_it_is_the_sample_of_the_run(bigram: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    settings = ("--order", "confidence", "--gen-length", "8", "--temperature", "1")
    assert main(["passk", *settings, "--limit", "3", "--num-samples", "4", "--json", "-"]) == 0
    (config,) = Path("runs").rglob("config.json")
    capsys.readouterr()
    samples = read_run(config.parent).samples.set_index(["problem_id", "sample_index"])
    for problem_id, sample_index in samples.index[[5, 10]]:
        assert main(["sample", *settings, "--problem", problem_id, "--sample-index", str(sample_index)]) == 0
        printed = capsys.readouterr().out
        stored = samples.loc[(problem_id, sample_index)]
        assert stored["text"] in printed.splitlines()
        assert f"NFE {stored['nfe']}" in printed
        assert ("correct: " if stored["correct"] else "wrong: ") in printed


def test_a_problem_by_its_place_and_a_question(bigram: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sample", "--gen-length", "8", "--problem", "3"]) == 0
    third = capsys.readouterr().out
    assert "target" in third
    question = third.splitlines()[0]
    assert main(["sample", "--gen-length", "8", "--question", question]) == 0
    asked = capsys.readouterr().out
    assert asked.splitlines()[0] == question
    assert "target" not in asked


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--problem", "200"], "has 200 problems; give 0 to 199"),
        (["--problem", "nonesuch"], "unknown problem: 'nonesuch'"),
        (["--problem", "0", "--question", "x"], "not allowed with"),
        (["--sample-index", "first"], "--sample-index must be a whole number"),
        (["--sample-index", "-1"], "--sample-index"),
    ],
)
def test_refused(refused: Callable[..., str], bigram: list[str], argv: list[str], message: str) -> None:
    assert message in refused("sample", "--gen-length", "8", *argv)
