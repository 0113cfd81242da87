"""What an import may cost, and what flexeval runs without."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = ("torch", "transformers", "pandas", "scipy", "matplotlib", "pyarrow", "datasets", "lm_eval")
OPTIONAL = ("datasets", "lm_eval", "math_verify", "latex2sympy2_extended", "sympy", "hypothesis")
"""What a bare GPU machine may lack."""


def run(code: str) -> None:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr


def test_flexeval_itself_imports_nothing_heavy():
    run(f"import flexeval, sys; assert not sys.modules.keys() & set({HEAVY}), sys.modules.keys() & set({HEAVY})")


@pytest.mark.parametrize(
    "package",
    [
        "stats.summary",
        "stats.bypass",
        "stats.diversity",
        "orders",
        "records",
        "registry",
        "tasks",
        "models",
        "runs.store",
    ],
)
def test_no_torch_where_none_is_needed(package):
    run(f"import flexeval.{package}, sys; assert 'torch' not in sys.modules")


ELSEWHERE = """
import ctypes, os, sys
import math_verify, pandas, psutil, pyarrow.parquet, scipy.stats, torch, transformers.models.llama.modeling_llama
for name in {lacking}:
    delattr(os, name)
ctypes.CDLL = lambda *path, **options: object()
sys.platform = "darwin"
torch.backends.mps.is_available = lambda: True
import flexeval
from flexeval.cli.main import main
from flexeval.grading.processors import processors
assert processors() == os.cpu_count()
model = flexeval.load_model("tiny")
assert model.device.type == "cpu"
assert main(["passk", "--order", "ar", "--num-samples", "2", "--limit", "1", "--gen-length", "8"]) == 0
assert flexeval.get_task("math500", data_dir=".").grade
from flexeval.grading.algebra_workers import shared_workers
assert shared_workers().same("x + 1", "1 + x")
for refused in (lambda: flexeval.load_model("tiny", device="mps"), flexeval.get_task("humaneval").isolation):
    try:
        refused()
    except flexeval.errors.InputError as error:
        print(error)
"""
LACKING = ("sched_getaffinity", "sched_setaffinity", "setresuid", "setresgid", "pipe2", "memfd_create", "pidfd_open")
"""Of `os` on macOS."""


def test_it_works_without_what_linux_alone_has(tmp_path):
    code = ELSEWHERE.format(lacking=LACKING)
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=280, check=False, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    *_, device, programs = done.stdout.splitlines()
    assert device == "MPS has no float64, in which tokens are drawn; use device 'cpu'"
    assert programs == "generated programs can be run on Linux only, not on darwin"


def test_sampling_works_without_what_a_gpu_machine_may_lack():
    """None in sys.modules makes an import fail."""
    run(
        f"import sys; sys.modules.update(dict.fromkeys({OPTIONAL}))\n"
        "sys.path.insert(0, 'tests')\n"
        "import flexeval, flexeval.stats.pass_at_k, flexeval.runs.runner, flexeval.cli.main\n"
        "from oracles import RandomOracle\n"
        "config = flexeval.SamplingConfig(gen_length=4)\n"
        "[[sample]] = flexeval.sample(RandomOracle(words=5), ['x'], order='top_prob', config=config)\n"
        "assert sample.trajectory.nfe >= 1\n"
        "assert flexeval.stats.pass_at_k.pass_at_k(4, 2, 2) > 0.8\n"
        "flexeval.get_task('word-problems').problems()\n"
    )
