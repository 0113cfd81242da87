"""Rewards of programs come from the sandbox, and the process that trains never runs a text."""

from __future__ import annotations

import builtins
import json
import os

import numpy as np
import pytest
from grpo_toys import ToyPredictor, make_trainer

from flexeval.grpo.rollout import completion
from flexeval.tasks.mbpp import MBPP

pytestmark = pytest.mark.linux

ROW = {
    "task_id": 601,
    "text": "Write a function to double a number.",
    "code": "def double(x):\n    return 2 * x",
    "test_list": ["assert double(2) == 4", "assert double(-3) == -6"],
    "test_setup_code": "",
}
RIGHT = "def double(x):\n    return x + x\n"


class Programmer(ToyPredictor):
    """Writes one of some programs, by the first token that it draws."""

    def __init__(self, programs: list[str]) -> None:
        super().__init__(words=len(programs))
        self.programs = programs

    def encode(self, prompt):
        return [0, 1]

    def decode(self, token_ids):
        return self.programs[token_ids[0]] if len(token_ids) else ""


@pytest.fixture
def task(tmp_path):
    (tmp_path / "mbpp.jsonl").write_text(json.dumps(ROW) + "\n")
    return MBPP(split="train", data_dir=tmp_path)


def test_rewards_are_the_sandboxs_and_no_text_runs_here(tmp_path, task):
    """Texts that would leave a file, a mark in this process, or end it: none does, and each is graded as a program."""
    stolen = tmp_path / "stolen"
    programs = {
        RIGHT: True,
        "def double(x):\n    return x * x\n": False,
        f"open({str(stolen)!r}, 'w').write('x')\n{RIGHT}": False,
        f"import builtins\nbuiltins.stolen = True\n{RIGHT}": True,
        f"import os\nos._exit(0)\n{RIGHT}": False,
        f"{RIGHT}\nraise SystemExit(0)\n": False,
        f"def double(x):\n    import os, signal\n    os.kill({os.getpid()}, signal.SIGKILL)\n": False,
    }
    trainer = make_trainer(Programmer(list(programs)), task, group_size=40, problems_per_step=1, gen_length=1)
    rollout = trainer.roll_out(0)
    texts = [completion(trainer.sampler.predictor, sample.trajectory) for sample in rollout.samples]
    assert set(texts) >= set(programs)
    assert not stolen.exists()
    assert not hasattr(builtins, "stolen")
    rewards = rollout.rewards(wrong=-1.0)[0]
    np.testing.assert_array_equal(rewards, [1.0 if programs.get(text) else -1.0 for text in texts])


def test_a_step_learns_from_programs(task):
    """With one right program among three, its samples gain probability."""
    programs = [RIGHT, "def double(x):\n    return x\n", "def double(x):\n    return None\n"]
    trainer = make_trainer(Programmer(programs), task, group_size=12, problems_per_step=1, gen_length=1)
    solved = [trainer.step(number).solved for number in range(12)]
    assert np.mean(solved[-3:]) > np.mean(solved[:3])
