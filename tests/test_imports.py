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


@pytest.mark.parametrize("package", ["stats", "orders", "records", "registry", "tasks", "models", "runs.store"])
def test_no_torch_where_none_is_needed(package):
    run(f"import flexeval.{package}, sys; assert 'torch' not in sys.modules")


def test_sampling_works_without_what_a_gpu_machine_may_lack():
    """None in sys.modules makes an import fail."""
    run(
        f"import sys; sys.modules.update(dict.fromkeys({OPTIONAL}))\n"
        "sys.path.insert(0, 'tests')\n"
        "import flexeval, flexeval.stats, flexeval.runs.runner, flexeval.cli.main\n"
        "from oracles import RandomOracle\n"
        "config = flexeval.SamplingConfig(gen_length=4)\n"
        "[[sample]] = flexeval.sample(RandomOracle(words=5), ['x'], order='top_prob', config=config)\n"
        "assert sample.trajectory.nfe >= 1\n"
        "assert flexeval.stats.pass_at_k(4, 2, 2) > 0.8\n"
        "flexeval.get_task('word-problems').problems()\n"
    )
