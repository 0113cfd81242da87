"""`analyses/paper_figures.py`: a figure's number or name -> commands that make what is missing, and the drawing."""

from __future__ import annotations

import functools
import itertools
import runpy
from pathlib import Path
from typing import Any

import pytest

from flexeval.cli.main import make_parser
from flexeval.figures import FIGURES
from flexeval.reproduce.grid import expand
from flexeval.runs.store import RunSet

SCRIPT = Path(__file__).resolve().parents[2] / "analyses" / "paper_figures.py"


@pytest.fixture(scope="module")
def script() -> dict[str, Any]:
    return runpy.run_path(str(SCRIPT))


def test_every_figure_of_the_paper_is_found_by_its_number(script):
    numbers = {
        "1": "pass-at-k", "2": "coverage", "3": "pass-at-k", "4": "coverage", "5": "block-length",
        "6": "bypassed-words", "7": "connector-entropy", "8": "tokens-per-step", "9": "training-time",
        "10": "temperature", "11a": "samplers", "11b": "correlation",
    }  # fmt: skip
    for number, name in numbers.items():
        assert FIGURES.get(name).source.startswith("paper")
        assert script["wanted"]([number]) == [name]
    assert script["wanted"](["11", "collapse", "11b"]) == ["samplers", "correlation", "collapse"]
    assert script["wanted"](["all"]) == list(FIGURES)
    assert {name for name in FIGURES if FIGURES.get(name).source.startswith("paper")} == set(numbers.values())


@pytest.mark.parametrize("name", list(FIGURES))
def test_its_commands_are_commands_and_its_grid_is_one(script, capsys: pytest.CaptureFixture[str], name):
    assert script["main"]([name, "--list", "--num-samples", "8"]) == 0
    title, *lines = capsys.readouterr().out.splitlines()
    assert title == f"{name}: {FIGURES.summary(name)}"
    commands = [line.split()[1:] for line in lines if line]
    for command in commands:
        make_parser().parse_args(command)
    assert commands[-1][0] == "figures" and all(command[0] in ("grpo", "sweep") for command in commands[:-1])
    for command in commands[:-1]:
        over = [value.partition("=") for option, value in itertools.pairwise(command) if option == "--over"]
        assert command[0] == "grpo" or expand({setting: values.split(",") for setting, _, values in over})


def test_its_grid_suffices_for_a_figure(script, made_up, trained, tmp_path):
    """Runs of the settings that it makes, made up. Grids share settings."""
    made_up = functools.cache(made_up)
    for name, grid in script["GRIDS"].items():
        settings = {setting: values.split(",") for setting, _, values in (part.partition("=") for part in grid)}
        runs = []
        for config in expand(settings):
            of_run = {"temperature": config.sampling.temperature, "block_length": min(config.sampling.block, 12)}
            runs.append(made_up(config.order, **of_run))
            for training in script["TRAINED"].get(name, ()):
                runs.append(made_up(config.order, lineage=trained(training, order=training), **of_run))
        data = FIGURES.get(name)().data(RunSet(tuple(runs)))
        assert len(data), name


def test_it_makes_what_is_missing_and_draws(script, tmp_path, capsys: pytest.CaptureFixture[str]):
    sizes = ["--num-samples", "1", "--limit", "1", "--runs", str(tmp_path / "runs"), "-o", str(tmp_path / "out")]
    for _ in range(2):  # the second time nothing is missing
        assert script["main"](["2", *sizes]) == 0
    assert (tmp_path / "out" / "coverage.png").read_bytes().startswith(b"\x89PNG")
    assert len(list((tmp_path / "runs").rglob("config.json"))) == 2
    assert "$ flexeval figures" in capsys.readouterr().out


def test_it_stops_at_the_first_command_that_fails(script, tmp_path):
    assert script["main"](["2", "--model", "no-such-model", "--runs", str(tmp_path)]) == 2
    assert not list(tmp_path.iterdir())


def test_an_unknown_figure_is_refused(script, capsys: pytest.CaptureFixture[str]):
    for wrong in (["covrage"], ["12"], []):
        with pytest.raises(SystemExit):
            script["main"](wrong)
    assert "Did you mean 'coverage'" in capsys.readouterr().err
