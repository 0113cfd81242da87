"""What a run says it was made with."""

from __future__ import annotations

import subprocess

import pytest

import flexeval
from flexeval.runs.environment import environment, git_revision


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
