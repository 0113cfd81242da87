"""Two processes on a CPU compute what one does."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml
from grpo_toys import ToyPredictor, ToyTask, gradients, make_trainer, odd_sum_of_the_first

from flexeval.grpo.fsdp import config_path

TESTS = Path(__file__).resolve().parents[1]


def launch(*command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    # accelerate starts several processes for GPUs only; what they compute on is the program's choice.
    launcher = [sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2",
                "--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no",
                "--main_process_port", str(port)]  # fmt: skip
    # Without settings that a user may have stored with `accelerate config`.
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HOME": str(folder),
                   "PYTHONPATH": f"{TESTS}{os.pathsep}{TESTS / 'grpo'}"}  # fmt: skip
    return subprocess.run(
        [*launcher, *command], capture_output=True, text=True, timeout=280, check=False, cwd=folder, env=environment
    )


@pytest.mark.slow
def test_two_processes_have_the_gradient_of_one(tmp_path):
    done = launch(str(TESTS / "grpo/two_processes.py"), "out.pt", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    together = torch.load(tmp_path / "out.pt")

    task = ToyTask()
    alone = gradients(make_trainer(ToyPredictor(), task, problems_per_step=4, group_size=4))
    metrics = make_trainer(ToyPredictor(), task, problems_per_step=4, group_size=4).step(0)
    of_one = gradients(
        make_trainer(ToyPredictor(), ToyTask(right=odd_sum_of_the_first), problems_per_step=6, group_size=4)
    )
    for found, expected in ((together["gradients"], alone), (together["of_one"], of_one)):
        theirs = {name.replace("module.module.", "module."): value for name, value in found.items()}
        assert theirs.keys() == expected.keys()
        assert max(gradient.abs().max() for gradient in expected.values()) > 1e-3
        for name, gradient in expected.items():
            torch.testing.assert_close(theirs[name], gradient, rtol=1e-9, atol=1e-12)
    # One process had fewer batches, and in the second case none.
    assert [sorted(of_case)[0] for of_case in zip(*together["idle"], strict=True)] == [0, 0]
    assert all(max(of_case) > 0 for of_case in zip(*together["idle"], strict=True))
    assert (together["solved"], together["skipped"]) == (metrics.solved, metrics.skipped_groups)


@pytest.mark.slow
def test_sharded_weights_sample_and_train_as_whole_ones(tmp_path, llada_folder):
    done = launch(str(TESTS / "grpo/sharded_processes.py"), str(llada_folder), folder=tmp_path)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_sharded_training_in_half_precision_is_saved_and_continued(tmp_path, llada_folder):
    done = launch(str(TESTS / "grpo/sharded_training.py"), str(llada_folder), folder=tmp_path)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_the_command_runs_in_two_processes(tmp_path, llada_folder):
    settings = ["--model", str(llada_folder), "--task", "countdown", "--gen-length", "3", "--problems-per-step", "2",
                "--group-size", "2", "--steps", "1", "--out", "run", "--cpu"]  # fmt: skip
    done = launch("-m", "flexeval", "grpo", *settings, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "run/checkpoints/step-000001/model.safetensors").is_file()
    assert len((tmp_path / "run/metrics.jsonl").read_text().splitlines()) == 1
    assert done.stdout.count("checkpoint: ") == 1
    assert "2 processes" in done.stderr


def test_the_shipped_fsdp_settings_are_ones_that_accelerate_reads():
    from accelerate.commands.config.config_args import ClusterConfig

    config = ClusterConfig.from_yaml_file(config_path())
    assert config.distributed_type == "FSDP"
    assert yaml.safe_load(Path(config_path()).read_text())["fsdp_config"]["fsdp_version"] == 2
