"""The script that makes the paper's Table 1: whose numbers stand beside ours, and what the caption says."""

from __future__ import annotations

import argparse
import runpy
from pathlib import Path

import pytest
from published_runs import SIZES, paper_run

from flexeval import get_task
from flexeval.stats.intervals import Interval

SCRIPT = runpy.run_path(str(Path(__file__).resolve().parents[2] / "analyses" / "greedy_accuracy.py"))


def share(estimate: float) -> Interval:
    return Interval(estimate=estimate, level=0.95, problems=12, at=lambda score: (estimate - 0.1, estimate + 0.1))


def greedy(task="gsm8k:template=justgrpo", *, lengths=(128, 256, 512), **settings):
    """A run of any model in the setting of the paper's Table 1, by length."""
    alike = {"model": "mine", "order": "confidence", "temperature": 0.0, "task": task, **settings}
    return {length: paper_run(gen_length=length, **alike) for length in lengths}


@pytest.mark.parametrize("benchmark", SIZES)
def test_the_papers_numbers_stand_beside_its_setting(benchmark):
    published = SCRIPT["published_for"](greedy(f"{benchmark}:template=justgrpo"))
    assert set(published["benchmark"]) == {benchmark}
    assert list(published["gen_length"]) == [128, 256, 512]
    assert set(published["method"]) == {"JustGRPO"}


@pytest.mark.parametrize(
    "other",
    [{"task": "gsm8k"}, {"task": "gsm8k:template=d1"}, {"task": "gsm8k:split=train,template=justgrpo"},
     {"problems": 10}, {"temperature": 0.6}, {"order": "top_prob"}, {"block_length": 64}, {"tokens_per_step": 2},
     {"top_p": 0.9}, {"task": "countdown", "problems": 10}, {"lengths": (64,)}],
    ids=str,
)  # fmt: skip
def test_no_published_number_stands_beside_another_setting(other):
    assert SCRIPT["published_for"](greedy(**other)).empty


def test_a_table_has_a_column_for_each_length_of_either_side():
    published = SCRIPT["published_for"](greedy(lengths=(128, 512)))
    lines = SCRIPT["table"]("mine", {128: share(0.5), 64: share(0.25)}, published)
    assert lines[0] == "| | 64 | 128 | 512 |"
    assert {line.count("|") for line in lines} == {5}
    assert lines[-1] == "| **mine** | 25.0 [15.0, 35.0] | 50.0 [40.0, 60.0] | - |"
    of_paper = published.set_index("gen_length")["accuracy_percent"]
    assert f"| JustGRPO | - | {of_paper[128]} | {of_paper[512]} |" in lines


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
    runs = SCRIPT["measured"](arguments, get_task("countdown:size=5"))
    assert list(runs) == [2, 4]
    assert {SCRIPT["accuracy_of"](of_length).problems for of_length in runs.values()} == {3}
    assert len(list(tmp_path.rglob("config.json"))) == 2
