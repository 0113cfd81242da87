"""A model whose files do not say how it attends: what the command line asks, runs and records."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from checkpoints import write_qwen

from flexeval.cli.main import main
from flexeval.models.files import find_checkpoint
from flexeval.runs.store import read_run

pytestmark = pytest.mark.usefixtures("in_tmp")
SMALL = ("--task", "word-problems", "--order", "ar", "--limit", "1", "--num-samples", "1", "--gen-length", "8")


def test_a_block_diffusion_folder_runs_with_the_rule_that_is_said(
    tmp_path: Path, refused: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    model = str(write_qwen(tmp_path / "Qwen3-bd3lm", "a2d-qwen3", head_dim=16, attention_rule=None))
    passk = ("passk", "--model", model, *SMALL)
    assert "does not say which attention it was trained with" in refused(*passk)
    assert "Did you mean 'block-causal'" in refused(*passk, "--attention", "block-causl:4")
    said = (*passk, "--attention", "block-causal:4")
    assert "longer than the blocks of 4" in refused(*said, "--block-length", "8")

    folders = []
    for attention in ("block-causal:4", "full"):
        assert main([*passk, "--attention", attention, "--json", "-"]) == 0
        folders.append(Path(json.loads(capsys.readouterr().out)["runs"][0]["folder"]))
    blocks, full = map(read_run, folders)
    assert (blocks.config.attention, blocks.config.sampling.block_length) == ("block-causal:4", 4)
    assert (full.config.attention, full.config.sampling.block_length) == ("full", 8)
    # The counterfactual of a run needs no more than the run.
    assert main(["entropy", str(folders[0]), "--counterfactual"]) == 0


def test_what_the_folder_says_anyway_makes_no_other_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = str(write_qwen(tmp_path / "sdar", "sdar", block_size=4))
    folders = set()
    for said in ((), ("--attention", "block-causal:4")):
        assert main(["passk", "--model", model, *SMALL, *said, "--json", "-"]) == 0
        folders.add(json.loads(capsys.readouterr().out)["runs"][0]["folder"])
    (folder,) = folders
    assert read_run(Path(folder)).config.sampling.block_length == 4


def test_a_model_that_attends_by_blocks_is_trained(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = str(write_qwen(tmp_path / "sdar", "sdar", block_size=4))
    size = ["--limit", "2", "--problems-per-step", "2", "--group-size", "2", "--gen-length", "8", "--steps", "1"]
    assert main(["grpo", "--cpu", "--model", model, *size, "--out", "training"]) == 0
    checkpoint = capsys.readouterr().out.split("checkpoint: ")[1].splitlines()[0]
    assert find_checkpoint(checkpoint).attention().spec == "block-causal:4"


def test_a_model_whose_first_tokens_are_decided_apart_is_not_trained(
    tmp_path: Path, refused: Callable[..., str]
) -> None:
    model = str(write_qwen(tmp_path / "fast", "Fast_dLLM_Qwen", bd_size=4))
    assert "cannot be trained here" in refused("grpo", "--model", model, "--out", "training")


def test_an_exact_cache_may_be_turned_off_and_an_approximate_one_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], refused: Callable[..., str]
) -> None:
    blocks = str(write_qwen(tmp_path / "sdar", "sdar", block_size=4))
    full = str(write_qwen(tmp_path / "full", "a2d-qwen2", attention_rule="full"))
    folders = []
    for said in ((), ("--cache", "none")):
        assert main(["passk", "--model", blocks, *SMALL, *said, "--json", "-"]) == 0
        folders.append(json.loads(capsys.readouterr().out)["runs"][0]["folder"])
    assert folders[0] == folders[1], "the same run, continued with or without it"
    assert "is approximate, and" in refused("passk", "--model", blocks, *SMALL, "--cache", "dual")
    assert "cache" in refused("passk", "--model", full, *SMALL, "--cache", "both")

    assert main(["passk", "--model", full, *SMALL, "--block-length", "4", "--cache", "dual"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert ", dual cache" in shown
    (folder,) = Path("runs").glob("full/*/ar-*")
    assert read_run(folder).model.endswith(", dual cache")
    assert "cache 'dual' is approximate" in refused("entropy", str(folder), "--counterfactual")
