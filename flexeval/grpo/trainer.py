"""One step of GRPO: roll out, grade, score what was committed, update.

Knows nothing of folders, checkpoints and terminals. With several processes each rolls out and scores whole groups of
its own; gradients, and the counts that they are divided by, are those of all processes together. Axis suffixes: `P`
problems, `G` samples of a group, `M` readings.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator, DistributedType
from torch import Tensor

from flexeval.errors import InputError, did_you_mean
from flexeval.grpo.adapters import add_adapters, without_adapters
from flexeval.grpo.config import GRPOConfig
from flexeval.grpo.metrics import StepMetrics, Tally
from flexeval.grpo.objective import clipped_surrogate, group_advantages, is_clipped, kl_estimate
from flexeval.grpo.policy import Policy, Trainable, checkpoint_activations, shares_prefixes
from flexeval.grpo.problems import problems_seen, problems_to_train, step_problems
from flexeval.grpo.rollout import Rollout, roll_out
from flexeval.grpo.scoring import Batch, batches, collect, idle_batch
from flexeval.grpo.sharding import sum_in_float32, whole_weights
from flexeval.models.predictor import attention_of, encode_prompt
from flexeval.records import FloatArray, Problem
from flexeval.sampling import Sampler
from flexeval.sampling.logits import NoDistributionError
from flexeval.tasks import Task
from flexeval.tasks.task import prompt_of, verdicts_of

_DIVERGED = "train into another folder with a lower learning rate, or without bf16"


@dataclass(frozen=True, kw_only=True)
class Update:
    """What the gradient of one rollout is computed from, in this process."""

    batches: list[Batch]
    """As many as in the process that has most."""
    advantage_M: FloatArray
    weight_M: FloatArray
    """Of each reading in the loss: one over the samples of all processes, times its share of its own sample."""
    old_log_prob_M: Tensor
    reference_log_prob_M: Tensor | None


class Trainer:
    """Holds the model that is trained and its optimiser."""

    def __init__(
        self,
        predictor: Trainable,
        task: Task,
        config: GRPOConfig,
        *,
        accelerator: Accelerator,
        workers: int | None = None,
    ) -> None:
        """
        Args:
            predictor: its weights are trained in place; on `accelerator.device`.
            task: problems and grades.
            config: the settings.
            accelerator: how many processes there are and what they compute in.
            workers: forwards of a rollout that run side by side (see `Sampler`); with bf16 always one.

        Raises:
            InputError: an order that cannot be trained, a verdict that the task does not give, settings that exclude
                each other, fewer problems than a step needs, a number of them that the processes cannot share
                evenly, or a prompt that does not fit the model's context.
        """
        self.config = config
        self.task = task
        self.accelerator = accelerator
        self.order = config.order
        self.sampling = config.sampling(task)
        if config.reward not in (known := verdicts_of(task)):
            raise did_you_mean(f"verdict of task {task.name!r}", config.reward, known)
        self.problems = problems_to_train(config, task)
        if config.problems_per_step % accelerator.num_processes:
            raise InputError(
                f"problems_per_step {config.problems_per_step} is not a multiple of {accelerator.num_processes} "
                "processes; change one of them"
            )
        # Autocast holds for one thread.
        workers = 1 if config.bf16 else workers
        self.sampler = Sampler(predictor, self.order, self.sampling, batch_size=config.rollout_batch, workers=workers)
        self.sampling = self.sampler.config
        # A prompt that does not fit must not end a training halfway.
        for problem in problems_seen(self.problems, config):
            encode_prompt(predictor, prompt_of(task, problem), self.sampling.gen_length, of=problem.id)
        self._attention = attention_of(predictor)
        self._shared = shares_prefixes(
            predictor,
            gradient_checkpointing=config.gradient_checkpointing,
            sharded=accelerator.distributed_type == DistributedType.FSDP,
        )

        # The reference is the model as it was given; under adapters that is the network without them.
        self._reference: Policy | None = None
        if config.kl > 0 and not config.lora_rank:
            self._reference = Policy(copy.deepcopy(predictor), shared=self._shared).eval().requires_grad_(False)
        if config.lora_rank:
            add_adapters(predictor.module, config.lora_rank, seed=config.seed)
        else:
            predictor.module.requires_grad_(True)
        if config.gradient_checkpointing:
            checkpoint_activations(predictor.module)
        policy = Policy(predictor, shared=self._shared)
        optimizer = torch.optim.AdamW(
            [weight for weight in policy.parameters() if weight.requires_grad],
            lr=config.learning_rate,
            betas=(0.9, 0.999),
            weight_decay=config.weight_decay,
        )
        sum_in_float32(accelerator)
        self.policy, self.optimizer = accelerator.prepare(policy, optimizer)
        if accelerator.num_processes > 1:
            # Sharded weights want their first forward to be one of the whole policy; a rollout goes past it.
            with torch.no_grad():
                self.policy(idle_batch(mask_id=predictor.mask_id))

    # ----- one step -----

    def step(self, number: int) -> StepMetrics:
        """Make one step. What it does is a function of the weights, the optimiser's state and `number`.

        Args:
            number: 0-based.
        """
        rollout = self.roll_out(number)
        rewards_PG = rollout.rewards(wrong=self.config.wrong_reward, verdict=self.config.reward)
        advantage_PG = group_advantages(rewards_PG, degrees=1 if self.config.deviation == "sample" else 0)
        skipped = int((advantage_PG == 0).all(axis=1).sum())
        tally = Tally()
        tally.add_rollout(rollout, rewards_PG, skipped=skipped)

        # A step whose groups are all of equal rewards has nothing to learn from: not even the optimiser moves.
        began = time.perf_counter()
        update = self.prepare(rollout, advantage_PG)
        if update is not None:
            self.policy.train()
            for _ in range(self.config.updates_per_rollout):
                sums = self.accumulate(update)
                tally.add_update(sums, grad_norm=self._descend(number))
        seconds = {
            "rollout_seconds": rollout.rollout_seconds,
            "reward_seconds": rollout.reward_seconds,
            "update_seconds": time.perf_counter() - began,
        }
        return tally.combined(self.accelerator, step=number, with_kl=self.config.kl > 0, seconds=seconds)

    def roll_out(self, number: int) -> Rollout:
        """The groups of this process, drawn with the present weights.

        Raises:
            InputError: weights that give no distribution any more: the settings drove them out of bounds.
        """
        problems: Sequence[Problem] = step_problems(
            self.problems, step=number, count=self.config.problems_per_step, seed=self.config.seed
        )
        mine = problems[self.accelerator.process_index :: self.accelerator.num_processes]
        self.policy.eval()
        try:
            with whole_weights(self.policy), self.accelerator.autocast():
                return roll_out(
                    self.sampler,
                    self.task,
                    mine,
                    group_size=self.config.group_size,
                    first_index=number * self.config.group_size,
                )
        except NoDistributionError as error:
            if not number:
                raise
            raise InputError(
                f"after {number} steps the model's logits are no distribution any more; {_DIVERGED}"
            ) from error

    def prepare(self, rollout: Rollout, advantage_PG: FloatArray) -> Update | None:
        """What the gradient is computed from; None when no group of any process has advantages."""
        config, mask_id = self.config, self.sampler.predictor.mask_id
        chosen = np.flatnonzero(np.repeat((advantage_PG != 0).any(axis=1), config.group_size))
        samples = [rollout.samples[index] for index in chosen]
        samples_everywhere = self._sum(len(samples))
        if samples_everywhere == 0:
            return None

        # Samples -> readings -> batches; every process makes as many turns as the busiest.
        made: list[Batch] = []
        advantage_M: FloatArray = np.zeros(0)
        weight_M, recorded_M = advantage_M, advantage_M
        if samples:
            readings = collect(
                samples,
                order=self.order,
                sampling=self.sampling,
                positions=config.loss_positions,
                entropy_share=config.fast_share if config.fast else 1.0,
                attention=self._attention,
            )
            made = batches(
                samples,
                readings,
                mask_id=mask_id,
                tokens_per_forward=config.tokens_per_forward,
                attention=self._attention,
                shared=self._shared,
            )
            advantage_M = advantage_PG.reshape(-1)[chosen][readings.sample_M]
            weight_M = readings.share_M / samples_everywhere
            recorded_M = readings.recorded_M
        turns = int(self._max(len(made)))
        made += [idle_batch(mask_id=mask_id)] * (turns - len(made))

        # The record has untempered probabilities; other temperatures are computed.
        tempered = self._max(max((np.abs(batch.temperature_N - 1).max() for batch in made), default=0.0)) > 0
        old_log_prob_M = torch.from_numpy(recorded_M).to(self.accelerator.device, self._float)
        if config.recompute_old or tempered:
            old_log_prob_M = self._log_probs(self.policy, made, len(recorded_M))
        reference_log_prob_M = None
        if self._reference is not None:
            reference_log_prob_M = self._log_probs(self._reference, made, len(recorded_M))
        elif config.kl > 0:
            with without_adapters(self.policy):
                reference_log_prob_M = self._log_probs(self.policy, made, len(recorded_M))
        return Update(
            batches=made,
            advantage_M=advantage_M,
            weight_M=weight_M,
            old_log_prob_M=old_log_prob_M,
            reference_log_prob_M=reference_log_prob_M,
        )

    def accumulate(self, update: Update) -> dict[str, float]:
        """Add the gradient of the loss to the parameters' `.grad`, batch by batch; sums for the metrics.

        The loss is minus the mean over samples of the mean over positions of the objective.
        """
        totals = {"loss": 0.0, "clipped": 0.0, "drift": 0.0, "kl": 0.0, "readings": 0.0, "canvases": 0.0}
        advantage_M, weight_M = (
            torch.from_numpy(array).to(self.accelerator.device, self._float)
            for array in (update.advantage_M, update.weight_M)
        )
        for turn, batch in enumerate(update.batches):
            last = turn == len(update.batches) - 1
            with nullcontext() if last else self.accelerator.no_sync(self.policy):
                log_prob_M = self.policy(batch)
                at = torch.from_numpy(batch.reading_M).to(log_prob_M.device)
                old_M, advantages_M = update.old_log_prob_M[at], advantage_M[at]
                objective_M = clipped_surrogate(log_prob_M, old_M, advantages_M, clip=self.config.clip)
                if update.reference_log_prob_M is not None:
                    kl_M = kl_estimate(log_prob_M, update.reference_log_prob_M[at])
                    objective_M = objective_M - self.config.kl * kl_M
                    totals["kl"] += float(kl_M.detach().sum())
                loss = -(weight_M[at] * objective_M).sum()
                # Gradients are averaged over the processes; the weights already divide by all samples.
                self.accelerator.backward(loss * self.accelerator.num_processes)
            with torch.no_grad():
                totals["loss"] += float(loss)
                totals["clipped"] += float(is_clipped(log_prob_M, old_M, advantages_M, clip=self.config.clip).sum())
                totals["drift"] += float(((log_prob_M - old_M).exp() - 1).abs().sum())
            totals["readings"] += len(batch.reading_M)
            totals["canvases"] += len(batch.tokens_UL) if len(batch.reading_M) else 0
        return totals

    def _descend(self, number: int) -> float:
        """One step of the optimiser with clipped gradients; the norm before clipping.

        Raises:
            InputError: a gradient that is not finite: the settings drove the weights out of bounds.
        """
        norm = float(self.accelerator.clip_grad_norm_(self.policy.parameters(), self.config.max_grad_norm))
        if not math.isfinite(norm):
            raise InputError(f"the gradient of step {number} is not finite; {_DIVERGED}")
        self.optimizer.step()
        self.optimizer.zero_grad()
        return norm

    # ----- helpers -----

    @torch.no_grad()
    def _log_probs(self, policy: Any, made: Sequence[Batch], count: int) -> Tensor:
        """Log-probabilities of all readings [M], without autograd."""
        log_prob_M = torch.empty(count, dtype=self._float, device=self.accelerator.device)
        with self.accelerator.autocast():
            for batch in made:
                log_prob_M[torch.from_numpy(batch.reading_M)] = policy(batch).to(self._float)
        return log_prob_M

    @property
    def _float(self) -> torch.dtype:
        """Of log-probabilities and what they are combined with: float32, or float64 for a float64 model."""
        return torch.float64 if self.sampler.predictor.dtype == torch.float64 else torch.float32

    def _sum(self, value: float) -> float:
        return float(self.accelerator.reduce(torch.tensor(float(value), device=self.accelerator.device), "sum"))

    def _max(self, value: float) -> float:
        return float(self.accelerator.gather(torch.tensor([float(value)], device=self.accelerator.device)).max())
