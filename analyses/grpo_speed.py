"""What a training step costs: the exact gradient against the loop of one position at a time, and Fast against exact.

    python analyses/grpo_speed.py [--problems 2] [--group-size 4] [--rounds 3] [--out results/grpo_speed.md]

All sides compute the gradient of the same rollout of the bundled model. The loop is what the released code of
arXiv:2601.15165 does: for each of the `gen_length` positions one forward and backward pass over the whole group, the
head on every position of the canvas, one of which is read. flexeval evaluates distinct canvases only, those of
positions that carry loss, in batches whatever group they are from, and runs the head where it reads. The sides take
turns, so that whatever else the machine does falls on all of them; what is timed is the process's CPU seconds, with
one thread. Advantages are set to +1 and -1 in turn, so that no group is skipped whatever the verdicts.
"""

from __future__ import annotations

import argparse
import dataclasses
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator

from flexeval import get_task, load_model
from flexeval.grpo.config import GRPOConfig
from flexeval.grpo.rollout import Rollout
from flexeval.grpo.scoring import canvas_at
from flexeval.grpo.trainer import Trainer, Update


def one_position_at_a_time(trainer: Trainer, rollout: Rollout, advantage_PG: np.ndarray) -> int:
    """The gradient by the released loop, positions after the end weighted zero; returns the canvases evaluated."""
    model, mask_id = trainer.sampler.predictor, trainer.sampler.predictor.mask_id
    gen_length, size = trainer.sampling.gen_length, rollout.group_size
    evaluated = 0
    for problem, advantage_G in enumerate(advantage_PG):
        group = rollout.samples[problem * size : (problem + 1) * size]
        # A position that was never committed holds the mask, whose logarithm would poison a sum even at weight zero.
        answers = np.stack([sample.trajectory.token_ids_G for sample in group])
        answers[answers == mask_id] = model.eos_id
        lengths = np.array([min(sample.trajectory.length + 1, gen_length) for sample in group])
        for position in range(gen_length):
            canvases = torch.from_numpy(np.stack([canvas_at(sample, position, mask_id=mask_id) for sample in group]))
            logits = model.logits(model.hidden(canvases))
            logits[..., mask_id] = -torch.inf
            log_prob = logits.log_softmax(dim=-1)[:, canvases.shape[1] - gen_length + position]
            log_prob = log_prob.gather(1, torch.from_numpy(answers[:, position : position + 1]).long())[:, 0]
            weight = torch.from_numpy(advantage_G * (position < lengths) / lengths / len(rollout.samples)).float()
            # The ratio is 1 in value; what is left of it is its gradient.
            (-(weight * (log_prob - log_prob.detach()).exp()).sum()).backward()
            evaluated += len(group)
    return evaluated


def ours(trainer: Trainer, update: Update) -> int:
    """The gradient by flexeval; returns the canvases evaluated."""
    return int(trainer.accumulate(update)["canvases"])


@dataclasses.dataclass(frozen=True, kw_only=True)
class Side:
    """One way to compute the gradient."""

    name: str
    work: Callable[[], int]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Measured:
    """What one turn of a side took."""

    seconds: float
    canvases: int
    gradient: torch.Tensor


def measure(side: Side, trainer: Trainer) -> Measured:
    trainer.policy.zero_grad()
    began = time.process_time()
    canvases = side.work()
    seconds = time.process_time() - began
    gradient = torch.cat([weight.grad.flatten() for weight in trainer.policy.parameters()])
    return Measured(seconds=seconds, canvases=canvases, gradient=gradient.clone())


def row(name: str, turns: list[Measured], base: list[Measured]) -> str:
    ratios = sorted(theirs.seconds / mine.seconds for theirs, mine in zip(base, turns, strict=True))
    exact = base[0].gradient
    difference = (turns[0].gradient - exact).norm() / exact.norm()
    cosine = torch.nn.functional.cosine_similarity(turns[0].gradient.double(), exact.double(), dim=0)
    return (
        f"| {name} | {turns[0].canvases} | {statistics.median(turn.seconds for turn in turns):.2f} "
        f"| {statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f}) "
        f"| {float(difference):.1e} | {float(cosine):.4f} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--problems", type=int, default=2)
    parser.add_argument("--group-size", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=3, help="how often the sides take turns")
    parser.add_argument("--tokens-per-forward", type=int, default=GRPOConfig.tokens_per_forward)
    parser.add_argument("--out", type=Path, help="also write the table here")
    arguments = parser.parse_args()
    torch.set_num_threads(1)

    config = GRPOConfig(
        group_size=arguments.group_size,
        problems_per_step=arguments.problems,
        tokens_per_forward=arguments.tokens_per_forward,
    )
    model = load_model("tiny", device="cpu", dtype="float32")
    trainer = Trainer(model, get_task("word-problems:split=train"), config, accelerator=Accelerator(cpu=True))
    rollout = trainer.roll_out(0)
    advantage_PG = np.tile(np.resize([1.0, -1.0], config.group_size), (config.problems_per_step, 1))
    exact = trainer.prepare(rollout, advantage_PG)
    trainer.config = dataclasses.replace(config, fast=True)
    fast = trainer.prepare(rollout, advantage_PG)
    trainer.config = config
    if exact is None or fast is None:
        raise RuntimeError("every group has advantages, so there is something to compute")

    sides = [
        Side(name="one position at a time", work=lambda: one_position_at_a_time(trainer, rollout, advantage_PG)),
        Side(name="exact", work=lambda: ours(trainer, exact)),
        Side(name="Fast, the quarter of highest entropy", work=lambda: ours(trainer, fast)),
    ]
    turns: dict[str, list[Measured]] = {side.name: [] for side in sides}
    for _ in range(arguments.rounds):
        for side in sides:
            turns[side.name].append(measure(side, trainer))
    base = turns[sides[0].name]
    lengths = [sample.trajectory.length for sample in rollout.samples]
    lines = [
        f"`python analyses/grpo_speed.py --problems {arguments.problems} --group-size {arguments.group_size} "
        f"--rounds {arguments.rounds} --tokens-per-forward {arguments.tokens_per_forward}`, torch {torch.__version__}; "
        f"the gradient of {len(lengths)} samples of word-problems, {np.mean(lengths):.1f} tokens long on average, "
        f"gen_length {trainer.sampling.gen_length}.",
        "",
        "| gradient | canvases | CPU seconds, median | times as fast as the loop: median (range) "
        "| difference to the loop's, relative norm | cosine to it |",
        "|---|---|---|---|---|---|",
        *(row(side.name, turns[side.name], base) for side in sides),
        "",
        f"Fast against exact: {ratio(turns[sides[1].name], turns[sides[2].name])} times as fast. "
        f"The rollout took {rollout.rollout_seconds:.1f} s on the clock, its verdicts {rollout.reward_seconds:.2f} s.",
    ]
    print("\n".join(lines))
    if arguments.out is not None:
        arguments.out.write_text("# Speed of a training step\n\n" + "\n".join(lines) + "\n")


def ratio(slower: list[Measured], faster: list[Measured]) -> str:
    ratios = sorted(a.seconds / b.seconds for a, b in zip(slower, faster, strict=True))
    return f"{statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})"


if __name__ == "__main__":
    main()
