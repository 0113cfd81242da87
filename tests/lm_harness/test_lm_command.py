"""The command line as a user gives it: offline, with the bundled model, in one process and in two."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from flexeval.cli import main as cli

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

ROWS = [
    {"question": "Tom has 3 pens. He buys 4. How many pens are there?", "choices": ["7", "5", "12"], "gold": 0},
    {"question": "Ann starts with 9 eggs. She eats 2. How many are there?", "choices": ["11", "7", "2"], "gold": 1},
    {"question": "A bus has 10 children. It takes on 2. How many are there?", "choices": ["8", "20", "12"], "gold": 2},
]

ACCELERATE = ["-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2", "--num_machines", "1",
              "--mixed_precision", "no", "--dynamo_backend", "no"]  # fmt: skip
"""What starts several processes; with --cpu it starts one. ACCELERATE_USE_CPU keeps them off a GPU."""


def local_tasks(folder: Path) -> None:
    """A multiple-choice and a generation task of lm-eval's own kind."""
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    data = {"dataset_path": "json", "dataset_kwargs": {"data_files": {"test": str(folder / "rows.jsonl")}}}
    common = {**data, "test_split": "test", "doc_to_text": "question", "doc_to_target": "gold"}
    choice = {"task": "local_choice", "output_type": "multiple_choice", "doc_to_choice": "choices"}
    until = {"do_sample": False, "max_gen_toks": 8, "until": ["\n"]}
    open_ = {"task": "local_open", "output_type": "generate_until", "generation_kwargs": until, "repeats": 2}
    for own in (choice, open_):
        (folder / f"{own['task']}.yaml").write_text(yaml.safe_dump({**common, **own}))


def run(folder: Path, *launcher: str, out: str) -> dict[str, dict[str, object]]:
    """The results of one evaluation, and its table."""
    argv = [
        *(sys.executable, *launcher, "-m", "flexeval", "lm-eval", "run", "--model", "flexeval"),
        *("--model_args", "pretrained=tiny,order=eb:gamma=0.1;proxy=entropy,seed=5", "--apply_chat_template"),
        *("--tasks", "local_choice", "local_open", "flexeval_word_problems", "--include_path", str(folder)),
        *("--limit", "3", "--metadata", "repeats=2", "--use_cache", str(folder / f"cache-{out}")),
        *("--output_path", out, "--log_samples"),
    ]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "HF_HOME": str(folder / "hf")}
    environment["ACCELERATE_USE_CPU"] = "true"
    done = subprocess.run(argv, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.count("flexeval_word_problems|") == 1
    (written,) = (folder / out).rglob("results_*.json")
    results: dict[str, dict[str, object]] = json.loads(written.read_text())["results"]
    assert {"acc,none"} < results["local_choice"].keys()
    assert {"exact_match,none"} < results["local_open"].keys()
    (logged,) = (folder / out).rglob("samples_local_open_*.jsonl")
    answers = [json.loads(row)["resps"] for row in logged.read_text().splitlines()]
    assert [[len(repeats) for repeats in answer] for answer in answers] == [[2]] * 3, "no copies to even out the lists"
    assert {"pass@1,none", "pass@2,none"} < results["flexeval_word_problems"].keys()
    return results


def test_two_processes_give_the_numbers_of_one(tmp_path: Path) -> None:
    local_tasks(tmp_path)
    one = {task: pytest.approx(numbers) for task, numbers in run(tmp_path, out="one").items()}
    assert run(tmp_path, *ACCELERATE, out="two") == one
    assert {path.name for path in tmp_path.glob("cache-*")} == {
        *("cache-one_rank0.db", "cache-two_rank0.db", "cache-two_rank1.db")
    }
    # Again, from the cache.
    for path in [path for path in (tmp_path / "one").rglob("*") if path.is_file()]:
        path.unlink()
    assert run(tmp_path, out="one") == one


def test_bad_model_arguments_are_one_line(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", sys.argv)
    words = ["lm-eval", "run", "--model", "flexeval", "--model_args", "order=arr", "--tasks", "flexeval_word_problems"]
    assert cli.main(words) == 2
    assert capsys.readouterr().err.splitlines()[-1].startswith("flexeval: error: unknown order: 'arr'")
