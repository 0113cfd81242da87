"""What a run says it was made with."""

from __future__ import annotations

import platform
import subprocess

import pytest
import torch

import flexeval
from flexeval.runs import environment as module
from flexeval.runs.environment import environment, git_revision, machine_differences


def git(folder, *arguments):
    identity = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false"]
    command = ["git", "-C", str(folder), *identity, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def checkout(tmp_path):
    package = tmp_path / "checkout" / "flexeval"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    git(package.parent, "init", "-q")
    git(package.parent, "add", ".")
    git(package.parent, "commit", "-q", "-m", "first")
    return package


def test_a_checkout_has_its_revision(checkout):
    head = git(checkout.parent, "rev-parse", "HEAD")
    git(checkout.parent, "tag", "-a", "v1", "-m", "a tag")
    assert git_revision(checkout) == head
    (checkout / "__init__.py").write_text("changed")
    assert git_revision(checkout) == f"{head}-dirty"


def test_an_installed_package_has_none(checkout, capfd):
    installed = checkout.parent / "venv" / "lib" / "flexeval"
    installed.mkdir(parents=True)
    assert git_revision(installed) is None
    assert capfd.readouterr() == ("", "")


def test_a_checkout_without_commits_has_none(tmp_path, capfd):
    git(tmp_path, "init", "-q")
    assert git_revision(tmp_path / "flexeval") is None
    assert capfd.readouterr() == ("", "")


def test_no_git_is_no_error(checkout, monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert git_revision(checkout) is None


def test_the_record_names_versions_device_and_dtype():
    record = environment(device="cuda:0", dtype="bfloat16")
    assert record["flexeval"] == flexeval.__version__
    assert record["device"] == "cuda:0" and record["dtype"] == "bfloat16"
    assert record["torch"] and record["transformers"] and record["numpy"]


def test_the_record_names_the_processor_and_the_pace():
    record = environment(device="cpu", dtype="float32", attention="sdpa", batch_size=64, workers=2)
    assert record["cpu"].startswith(platform.machine()) and record["gpu"] is None
    assert (record["attention"], record["batch_size"], record["workers"]) == ("sdpa", 64, 2)


def test_the_record_names_the_gpu(monkeypatch, tmp_path):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: f"name of {device}")
    monkeypatch.setattr(torch.version, "cuda", "12.8")
    monkeypatch.setattr(module, "_DRIVER", tmp_path / "version")
    (tmp_path / "version").write_text(
        "NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.15  Tue Mar  5 22:23:56\nGCC version:  gcc 12\n"
    )
    record = environment(device="cuda:1", dtype="bfloat16")
    assert (record["gpu"], record["cuda"], record["driver"]) == ("name of cuda:1", "12.8", "550.54.15")
    assert record["products"] == "float32"
    (tmp_path / "version").unlink()
    assert environment(device="cuda:1", dtype="bfloat16")["driver"] is None


A, H = (
    {
        "device": "cuda:0",
        "dtype": "bfloat16",
        "gpu": gpu,
        "cuda": "12.8",
        "torch": "2.9",
        "cpu": cpu,
        "batch_size": size,
    }
    for gpu, cpu, size in (("A100", "x86_64 AVX2", 128), ("H200", "x86_64 AVX512", 64))
)
CPU = {"device": "cpu", "dtype": "float32", "torch": "2.9", "cpu": "x86_64 AVX2", "batch_size": 64, "threads": 2}


@pytest.mark.parametrize(
    ("environments", "differing"),
    [
        ([A, H], "gpu A100 | H200, batch size 128 | 64"),
        ([A, {**H, "batch_size": 128}, A], "gpu A100 | H200"),
        ([A, {**A, "torch": "2.10"}], "torch 2.9 | 2.10"),
        ([CPU, {**CPU, "cpu": "arm64 DEFAULT"}], "cpu x86_64 AVX2 | arm64 DEFAULT"),
        ([CPU, {**CPU, "batch_size": 1, "threads": 1, "python": "3.12"}], None),
        ([CPU, {"device": "cpu", "dtype": "float32"}], None),
        ([{**A, "products": "tf32"}, {**A, "products": "float32"}, A], "products tf32 | float32"),
        ([CPU], None),
        ([], None),
    ],
)
def test_what_can_move_numbers_is_told(environments, differing):
    told = machine_differences(environments)
    assert told is None if differing is None else told.endswith(f"move numbers: {differing}")
