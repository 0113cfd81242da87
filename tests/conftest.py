"""What all tests share."""

from __future__ import annotations

import os
import sys
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import hypothesis
import pytest

# The same examples every time: a red run is red for everybody. Slow shared cores make deadlines meaningless.
hypothesis.settings.register_profile("repeatable", derandomize=True, deadline=None)
hypothesis.settings.load_profile("repeatable")


def pytest_runtest_setup(item: pytest.Item) -> None:
    if sys.platform != "linux" and item.get_closest_marker("linux"):
        pytest.skip("needs Linux: runs generated programs, or looks into /proc")


@pytest.fixture(scope="session")
def shared_dir() -> Path:
    """The folder of benchmark files, beside the checkout or where FLEXEVAL_SHARED_DIR says."""
    default = Path(__file__).resolve().parents[2] / "shared"
    folder = Path(os.environ.get("FLEXEVAL_SHARED_DIR", default))
    if not (folder / "data").is_dir():
        pytest.skip(
            "needs the benchmark files: put them in a folder `shared` beside the checkout, "
            "or name it in FLEXEVAL_SHARED_DIR"
        )
    return folder


@pytest.fixture(scope="session")
def llada_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint in LLaDA's published layout: random weights, byte-level tokenizer, LLaDA's chat template."""
    from checkpoints import write_llada

    return write_llada(tmp_path_factory.mktemp("llada"))
