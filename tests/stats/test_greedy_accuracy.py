"""The script that makes the paper's Table 1: whose numbers stand beside ours, and what the caption says."""

from __future__ import annotations

import argparse
import runpy
from pathlib import Path

import pytest

from flexeval import get_task
from flexeval.stats import Interval

SCRIPT = runpy.run_path(str(Path(__file__).resolve().parents[2] / "analyses" / "greedy_accuracy.py"))


def share(estimate: float) -> Interval:
    return Interval(
        estimate=estimate, low=estimate - 0.1, high=estimate + 0.1, level=0.95, problems=12, at=lambda score: (0, 1)
    )


@pytest.mark.parametrize(
    ("spec", "limit", "same"),
    [("gsm8k", None, True), ("gsm8k:template=bare", None, True), ("math500", None, True),
     ("gsm8k:split=train", None, False), ("gsm8k", 10, False), ("mbpp:split=train", None, False),
     ("countdown", None, False)],
)  # fmt: skip
def test_published_numbers_stand_beside_the_same_problems_only(spec, limit, same):
    task = get_task(spec)
    published = SCRIPT["published_for"](task, limit)
    assert (len(published) > 0) == same
    assert set(published["benchmark"]) <= {task.name}


def test_a_table_has_a_column_for_each_length_of_either_side():
    published = SCRIPT["published_for"](get_task("gsm8k"), None)
    lines = SCRIPT["table"]("mine", {128: share(0.5), 64: share(0.25)}, published)
    assert lines[0] == "| | 64 | 128 | 256 | 512 |"
    assert {line.count("|") for line in lines} == {6}
    assert lines[-1] == "| **mine** | 25.0 [15.0, 35.0] | 50.0 [40.0, 60.0] | - | - |"
    of_d1 = published[published["method"] == "d1"].set_index("gen_length")["accuracy_percent"]
    assert f"| d1 | - | {of_d1[128]} | {of_d1[256]} | {of_d1[512]} |" in lines


def test_the_caption_has_the_command_the_problems_and_the_order():
    arguments = argparse.Namespace(model="tiny", task="countdown", order="ar", limit=12, gen_length=[16])
    caption = SCRIPT["caption"](arguments, get_task("countdown"), {16: share(0.5)})
    command = "`python analyses/greedy_accuracy.py --model tiny --task countdown --order ar --limit 12 --gen-length 16`"
    assert caption.startswith(command)
    assert "12 problems of countdown" in caption


def test_each_length_is_measured_on_the_task_that_is_given(tmp_path, llada_folder):
    arguments = argparse.Namespace(
        model=str(llada_folder), order="ar", limit=3, gen_length=[2, 4], device="cpu", dtype="float32", runs=tmp_path
    )
    accuracy = SCRIPT["measured"](arguments, get_task("countdown:size=5"))
    assert list(accuracy) == [2, 4]
    assert {of_length.problems for of_length in accuracy.values()} == {3}
    assert len(list(tmp_path.rglob("config.json"))) == 2
