"""A network of a few hundred float64 weights, and tasks that grade what it writes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from oracles import Oracle
from torch import Tensor, nn

from flexeval.grpo.config import GRPOConfig
from flexeval.grpo.trainer import Trainer
from flexeval.records import Grade, Problem, Prompt


class ToyNetwork(nn.Module):
    """One layer of bidirectional attention; positions count from a row's first token."""

    def __init__(self, vocab: int, width: int = 8, longest: int = 32) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocab, width)
        self.places = nn.Embedding(longest, width)
        self.mixing = nn.Linear(width, 3 * width)
        self.inner = nn.Linear(width, width)
        self.head = nn.Linear(width, vocab)

    def forward(self, tokens_BL: Tensor, attended_BL: Tensor) -> Tensor:
        place_BL = (attended_BL.long().cumsum(-1) - 1).clamp(min=0)
        x_BLD = self.embedding(tokens_BL) + self.places(place_BL)
        query, key, value = self.mixing(x_BLD).chunk(3, dim=-1)
        scores = (query @ key.transpose(1, 2)) / x_BLD.shape[-1] ** 0.5
        scores = scores.masked_fill(~attended_BL[:, None, :], -torch.inf)
        mixed = x_BLD + scores.softmax(dim=-1) @ value
        return mixed + torch.tanh(self.inner(mixed))


class ToyPredictor(Oracle):
    """A mask predictor around it. Token w < `words` is written "w "."""

    def __init__(self, words: int = 4, *, seed: int = 0) -> None:
        super().__init__(words, name="toy")
        torch.manual_seed(seed)
        self.module = ToyNetwork(self.vocab_size).double()
        self.dtype = torch.float64

    def hidden(self, tokens_BL: Tensor, attention_BL: Tensor | None = None, asked_BL: Tensor | None = None) -> Tensor:
        everywhere = torch.ones_like(tokens_BL, dtype=torch.bool)
        return self.module(tokens_BL, everywhere if attention_BL is None else attention_BL.bool())

    def logits(self, hidden_ND: Tensor) -> Tensor:
        logits_NV = self.module.head(hidden_ND)
        # The contract is float32; training keeps float64, so that gradients can be compared to 1e-9.
        return logits_NV.float() if torch.is_inference_mode_enabled() else logits_NV


def odd_sum(problem: Problem, text: str) -> bool:
    return sum(map(int, text.split())) % 2 == 1


def odd_sum_of_the_first(problem: Problem, text: str) -> bool:
    """One problem varies; whatever is said to the others is wrong."""
    return problem.id == "toy/0" and odd_sum(problem, text)


@dataclass(frozen=True, kw_only=True)
class ToyTask:
    """Prompts of different lengths; right is what `right` says."""

    name: ClassVar[str] = "toy"
    gen_length: ClassVar[int] = 5
    right: Callable[[Problem, str], bool] = field(default=odd_sum)
    count: int = 6

    def problems(self) -> list[Problem]:
        return [Problem(id=f"toy/{n}", question="abcdefgh"[: 1 + n % 4] + str(n), target="") for n in range(self.count)]

    def prompt(self, problem: Problem) -> Prompt:
        return Prompt(user=problem.question)

    def grade(self, problem: Problem, text: str) -> Grade:
        return Grade(correct=self.right(problem, text))


def make_trainer(predictor: Any, task: Any, **settings: Any) -> Trainer:
    from accelerate import Accelerator

    config = GRPOConfig(**{"group_size": 6, "problems_per_step": 3, "learning_rate": 1e-2, **settings})
    return Trainer(predictor, task, config, accelerator=Accelerator(cpu=True))


def gradients(trainer: Trainer) -> dict[str, Tensor]:
    """The gradient of the first rollout's loss at the present weights, by parameter."""
    from flexeval.grpo.objective import group_advantages

    rollout = trainer.roll_out(0)
    update = trainer.prepare(rollout, group_advantages(rollout.rewards(wrong=trainer.config.wrong_reward)))
    assert update is not None
    trainer.accumulate(update)
    found = {name: weight.grad.clone() for name, weight in trainer.policy.named_parameters() if weight.grad is not None}
    trainer.policy.zero_grad()
    return found


def idle_turns(trainer: Trainer) -> int:
    """How many of the batches of the first rollout are there for other processes' sake."""
    from flexeval.grpo.objective import group_advantages

    rollout = trainer.roll_out(0)
    update = trainer.prepare(rollout, group_advantages(rollout.rewards(wrong=0.0)))
    assert update is not None
    return sum(not len(batch.reading_M) for batch in update.batches)
