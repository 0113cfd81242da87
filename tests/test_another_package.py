"""Somebody else's package on disk, installed beside flexeval: its order and task are listed, run and read again."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

SOURCE = Path(__file__).parent / "another_package"

SESSION = """
import sys
from flexeval.cli.main import main
for kind in ("orders", "tasks"):
    assert main(["ls", kind]) == 0
asked = ["passk", "--order", "outside-in:right_first=true", "--order", "ar", "--task", "parity:size=2",
         "--num-samples", "2"]
assert main([*asked, "--json", "first.json"]) == 0
assert main([*asked, "--json", "second.json"]) == 0
assert main(["passk", "--order", "outside-in:left_first=true", "--task", "parity"]) == 2
"""


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A folder of installed packages as an installer leaves it: the modules, and what the project says about them."""
    project = tomllib.loads((SOURCE / "pyproject.toml").read_text())["project"]
    site = tmp_path / "site"
    shutil.copytree(SOURCE / "src", site)
    about = site / f"{project['name']}-{project['version']}.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n")
    groups = project["entry-points"].items()
    lines = [line for group, names in groups for line in (f"[{group}]", *(f"{n} = {v}" for n, v in names.items()))]
    (about / "entry_points.txt").write_text("\n".join(lines) + "\n")
    return site


@pytest.mark.slow
def test_its_order_and_task_are_used_by_name(site: Path, tmp_path: Path) -> None:
    path = os.pathsep.join([str(site), *sys.path])
    done = subprocess.run(
        [sys.executable, "-c", SESSION],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    for name, parameter in (("outside-in", "right_first=false"), ("parity", "size=10")):
        (line,) = (line for line in done.stdout.splitlines() if line.split()[:1] == [name])
        assert "from elsewhere" in line and parameter in line
    assert "unknown parameter of order 'outside-in': 'left_first'. Did you mean 'right_first'" in done.stderr

    first, second = (json.loads((tmp_path / f"{which}.json").read_text()) for which in ("first", "second"))
    # The second time, all samples are there: the stored run is read by the same names.
    assert first == second
    assert done.stderr.count("4 samples to draw") == 2
    assert [run["order"] for run in first["runs"]] == ["outside-in:right_first=true", "ar"]
    config = json.loads((tmp_path / first["runs"][0]["folder"] / "config.json").read_text())
    assert config["config"]["task"] == "parity:size=2"
    assert {row["k"] for row in first["pass_at_k"]} == {1, 2}
