"""`--model BASE --adapter DIR`: a model of its own in run folders and comparisons; and the notes of a command."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from checkpoints import write_llada, write_lora

from flexeval.cli.main import main
from flexeval.runs.run_set import read_runs

SMALL = ("--task", "countdown", "--limit", "1", "--gen-length", "4", "--order", "ar", "--num-samples", "2")


def sampled(*options: str) -> Path:
    """The run folder that `passk` used."""
    assert main(["passk", *SMALL, *options, "--json", "out.json"]) == 0
    (run,) = json.loads(Path("out.json").read_text())["runs"]
    return Path(run["folder"])


def test_an_adapter_makes_another_model(
    in_tmp: Path, refused: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    base = write_llada(in_tmp / "base")
    for seed in range(2):
        write_lora(in_tmp / str(seed) / "lora", base, seed=seed)
    folders = [
        sampled("--model", "base"),
        sampled("--model", "base", "--adapter", "0/lora"),
        sampled("--model", "base", "--adapter", "1/lora"),
    ]
    assert len(set(folders)) == 3
    texts = [(folder / "samples.jsonl").read_text() for folder in folders]
    assert len(set(texts)) == 3

    # By itself, and by another path, it is the same; nothing is drawn again.
    for options in (("--model", "0/lora"), ("--model", str(base), "--adapter", str(in_tmp / "0" / "lora"))):
        assert sampled(*options) == folders[1]
    assert [(folder / "samples.jsonl").read_text() for folder in folders] == texts

    # Adapters of one name are told apart by their weights, and no path is in a label.
    names = [run.model for run in read_runs(folders)]
    assert len(set(names)) == 3 and names[0] == str(base)
    assert all(re.fullmatch(rf"{re.escape(str(base))}\+lora \([0-9a-f]{{8}}\)", name) for name in names[1:])
    capsys.readouterr()
    assert main(["compare", str(folders[1]), str(folders[2])]) == 0
    shown = capsys.readouterr().out
    assert names[1] in shown and names[2] in shown

    # Another adapter in its place is another model.
    shutil.rmtree(in_tmp / "0" / "lora")
    write_lora(in_tmp / "0" / "lora", base, seed=5)
    line = refused("passk", *SMALL, "--model", "base", "--adapter", "0/lora")
    assert "made by another model" in line


def test_other_verbs_take_an_adapter(in_tmp: Path) -> None:
    base = write_llada(in_tmp / "base")
    write_lora(in_tmp / "lora", base)
    asked = ["sample", "--question", "How many?", "--gen-length", "4", "--model", "base", "--temperature", "1"]
    texts = []
    for options in ((), ("--adapter", "lora")):
        assert main([*asked, *options, "--json", "one.json"]) == 0
        texts.append(json.loads(Path("one.json").read_text()))
    assert [text["adapter"] for text in texts] == [None, "lora"]
    assert texts[0]["tokens"] != texts[1]["tokens"]
    assert main(["sweep", *SMALL, "--model", "base", "--adapter", "lora", "--over", "seed=0,1", "--csv", "t.csv"]) == 0
    assert f"{base}+lora" in Path("t.csv").read_text()


def test_what_is_no_adapter_is_one_line(in_tmp: Path, refused: Callable[..., str]) -> None:
    write_llada(in_tmp / "base")
    assert "there is no adapter 'nothing'" in refused("passk", *SMALL, "--model", "base", "--adapter", "nothing")
    assert "holds no adapter" in refused("passk", *SMALL, "--model", "base", "--adapter", "base")
    assert not (in_tmp / "runs").exists()


def test_a_canvas_beyond_training_is_one_line(in_tmp: Path, capsys: pytest.CaptureFixture[str]) -> None:
    question = ["sample", "--question", "Tom has 3 pens.", "--model", "tiny", "--temperature", "0"]
    assert main([*question, "--gen-length", "97", "--json", "one.json"]) == 0
    notes = [line for line in capsys.readouterr().err.splitlines() if line.startswith("flexeval: note: ")]
    assert notes == [
        "flexeval: note: model 'tiny' was trained on at most 96 generated positions; with a gen_length of 97 its texts "
        "may be empty or wrong"
    ]

    # Without a task and a length, the model's own.
    assert main([*question, "--json", "one.json"]) == 0
    assert json.loads(Path("one.json").read_text())["sampling"]["gen_length"] == 48
    assert "note" not in capsys.readouterr().err
