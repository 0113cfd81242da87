"""Train the bundled model from scratch: `python -m flexeval.models.tiny.recipe.train --out DIR`.

Writes `checkpoint.pt` (all that is needed to continue, replaced as a whole), `log.jsonl` and the tokenizer
into DIR. Started again, it continues from the checkpoint. Data and masks depend only on seed and step, so an
interrupted run ends with the same weights as an undisturbed one on the same machine.
`python -m flexeval.models.tiny.recipe.export` turns a checkpoint into a model folder.

On glibc, MALLOC_MMAP_THRESHOLD_=4000000000 MALLOC_TRIM_THRESHOLD_=8000000000 in the environment makes a step a
tenth faster: freed tensors are used again instead of being returned to the kernel.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import nn
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from flexeval.errors import InputError
from flexeval.models.tiny.recipe.data import Batch, Examples, held_out
from flexeval.models.tiny.recipe.muon import Muon
from flexeval.models.tiny.recipe.objective import Validation, draw_masking, masked_loss
from flexeval.models.tiny.recipe.tokenizer import train_tokenizer

WIDTH, LAYERS, HEADS, MLP_WIDTH, CONTEXT = 128, 4, 4, 384, 2048
ROPE_THETA, NORM_EPS = 10_000.0, 1e-5
STEPS = 6600
MUON_LEARNING_RATE, ADAMW_LEARNING_RATE, WEIGHT_DECAY = 0.01, 3e-3, 0.01
WARMUP_STEPS, CLIP_NORM, AVERAGE_DECAY = 100, 1.0, 0.999
LOG_EVERY, VALIDATE_EVERY, CHECKPOINT_EVERY = 25, 500, 100


@dataclass(kw_only=True)
class State:
    """Everything that a run changes as it goes."""

    network: LlamaForCausalLM
    average: LlamaForCausalLM
    """The moving average of the weights: the model that is exported."""
    optimizers: list[torch.optim.Optimizer]
    block: int | None = None
    """Positions of a block; None is full attention."""
    step: int = 0
    tokens: int = 0
    """Tokens that went through the network, with prompts and both mask patterns, without the padding of prompts."""
    seconds: float = 0.0
    recent: list[float] = field(default_factory=list)
    """Training losses since the last line of the log."""


class Stream(Protocol):
    """Where the batches of a step come from."""

    def batches(self, step: int) -> list[Batch]:
        """The batches of one training step, the same every time."""
        ...


@dataclass(frozen=True)
class Material:
    """What a training sees."""

    tokenizer: PreTrainedTokenizerFast
    examples: Stream
    held_out: dict[str, Batch]
    """For validation, by task."""


def tiny_material(seed: int) -> Material:
    """Word problems, Sudokus and sums."""
    tokenizer = train_tokenizer()
    return Material(tokenizer, Examples(tokenizer, seed=seed), held_out(tokenizer))


def train(
    out: Path,
    *,
    material: Callable[[int], Material] = tiny_material,
    steps: int = STEPS,
    seed: int = 0,
    block: int | None = None,
    device: str = "cpu",
) -> None:
    """Train until `steps` steps are done in all, from the checkpoint in `out` where there is one.

    Args:
        out: folder for checkpoint, log and tokenizer.
        material: seed -> what the training sees.
        steps: length of the whole schedule; the learning rate reaches zero there.
        seed: of weights, data and masks.
        block: positions of a block, for block-causal attention; None is full attention.
        device: where the network is; data and masks are drawn on the CPU and are the same everywhere.
    """
    if steps <= WARMUP_STEPS:
        raise InputError(f"steps must be more than the {WARMUP_STEPS} of the warm-up, not {steps}")
    out.mkdir(parents=True, exist_ok=True)
    seen = material(seed)
    tokenizer = seen.tokenizer
    tokenizer.save_pretrained(out)
    validation = Validation(seen.held_out, tokenizer.mask_token_id, block=block)
    state = _start(tokenizer, seed, block, device)
    if (out / "checkpoint.pt").exists():
        _restore(state, torch.load(out / "checkpoint.pt", map_location="cpu"))
    _rewind_log(out / "log.jsonl", state.step)
    begun = time.perf_counter() - state.seconds

    while state.step < steps:
        state.recent.append(_update(state, seen.examples, tokenizer.mask_token_id, steps=steps, seed=seed))
        state.step += 1
        state.seconds = time.perf_counter() - begun
        last = state.step == steps
        if last or state.step % LOG_EVERY == 0:
            bounds = validation.bounds(state.average) if last or state.step % VALIDATE_EVERY == 0 else {}
            _log(out / "log.jsonl", state, bounds)
            state.recent.clear()
        if last or state.step % CHECKPOINT_EVERY == 0:
            _save(state, out / "checkpoint.pt")


def build_network(tokenizer: PreTrainedTokenizerFast) -> LlamaForCausalLM:
    """The network with freshly drawn weights (from torch's global generator)."""
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=WIDTH,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        num_key_value_heads=HEADS,
        intermediate_size=MLP_WIDTH,
        max_position_embeddings=CONTEXT,
        rms_norm_eps=NORM_EPS,
        rope_theta=ROPE_THETA,
        tie_word_embeddings=False,
        is_causal=False,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.eos_token_id,
    )
    return LlamaForCausalLM(config)


def _start(tokenizer: PreTrainedTokenizerFast, seed: int, block: int | None, device: str) -> State:
    torch.manual_seed(seed)
    network, average = build_network(tokenizer).to(device), build_network(tokenizer).to(device)
    average.load_state_dict(network.state_dict())
    average.requires_grad_(False)
    return State(network=network, average=average, block=block, optimizers=_optimizers(network))


def _optimizers(network: LlamaForCausalLM) -> list[torch.optim.Optimizer]:
    """Muon for the matrices of the blocks, AdamW for embedding, head and norms."""
    matrices: list[nn.Parameter] = []
    others: list[nn.Parameter] = []
    for name, parameter in network.named_parameters():
        (matrices if ".layers." in name and parameter.ndim == 2 else others).append(parameter)
    return [
        Muon(matrices, lr=MUON_LEARNING_RATE),
        torch.optim.AdamW(others, lr=ADAMW_LEARNING_RATE, betas=(0.9, 0.99), weight_decay=WEIGHT_DECAY),
    ]


def _update(state: State, examples: Stream, mask_id: int, *, steps: int, seed: int) -> float:
    """One step. Returns the loss: nats per weighted answer token."""
    # Gradients of all kinds of problems, added up.
    batches = examples.batches(state.step)
    weight = 2 * sum(float(batch.weight_BG.sum()) for batch in batches)
    generator = torch.Generator().manual_seed(seed * 1_000_003 + state.step)
    loss = 0.0
    for batch in batches:
        rows, gen_length = batch.weight_BG.shape
        masking = draw_masking(rows, gen_length, generator, block=state.block)
        part = masked_loss(state.network, batch, masking, mask_id, block=state.block) / weight
        part.backward()  # type: ignore[no-untyped-call]
        loss += part.item()
        state.tokens += 2 * int(batch.attention_BL.sum())
    nn.utils.clip_grad_norm_(state.network.parameters(), CLIP_NORM)

    # A short warm-up, then linearly to zero.
    scale = min((state.step + 1) / WARMUP_STEPS, (steps - state.step) / (steps - WARMUP_STEPS))
    for optimizer in state.optimizers:
        for group in optimizer.param_groups:
            group["lr"] = scale * group.setdefault("peak_lr", group["lr"])
        optimizer.step()
        optimizer.zero_grad()

    # The average forgets its random start quickly.
    decay = min(AVERAGE_DECAY, (1 + state.step) / (10 + state.step))
    with torch.no_grad():
        for mean, current in zip(state.average.parameters(), state.network.parameters(), strict=True):
            mean.lerp_(current, 1 - decay)
    return loss


def _save(state: State, path: Path) -> None:
    content: dict[str, Any] = {
        "model": state.network.state_dict(),
        "average": state.average.state_dict(),
        "optimizers": [optimizer.state_dict() for optimizer in state.optimizers],
        "block": state.block,
        "step": state.step,
        "tokens": state.tokens,
        "seconds": state.seconds,
        "recent": state.recent,
    }
    partial = path.with_suffix(".partial")
    torch.save(content, partial)
    os.replace(partial, path)


def _restore(state: State, content: dict[str, Any]) -> None:
    if content.get("block") != state.block:
        raise InputError(f"the checkpoint was trained with block={content.get('block')}, not {state.block}")
    state.network.load_state_dict(content["model"])
    state.average.load_state_dict(content["average"])
    for optimizer, saved in zip(state.optimizers, content["optimizers"], strict=True):
        optimizer.load_state_dict(saved)
    state.step, state.tokens, state.seconds = content["step"], content["tokens"], content["seconds"]
    state.recent = content["recent"]


def _log(path: Path, state: State, bounds: dict[str, float]) -> None:
    """One line: losses in nats per answer token."""
    line: dict[str, float] = {"step": state.step, "tokens": state.tokens, "seconds": round(state.seconds, 1)}
    line["train_loss"] = round(sum(state.recent) / len(state.recent), 4)
    line |= {f"{task}_bound": round(bound, 4) for task, bound in bounds.items()}
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")
    print(json.dumps(line), flush=True)


def _rewind_log(path: Path, step: int) -> None:
    """Drop the lines of steps that will be done again."""
    if path.exists():
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
        partial = path.with_suffix(".partial")
        # A line that a crash cut short has no end.
        kept = [line for line in lines if line.endswith("\n") and json.loads(line)["step"] <= step]
        partial.write_text("".join(kept), encoding="utf-8")
        os.replace(partial, path)


def command(material: Callable[[int], Material], *, steps: int) -> None:
    """The command line of a training with this material and this many steps unless the user says otherwise."""
    parser = argparse.ArgumentParser(description="Train a bundled model from scratch, or continue a run.")
    parser.add_argument("--out", type=Path, required=True, help="folder for checkpoint, log and tokenizer")
    parser.add_argument("--steps", type=int, default=steps, help="length of the whole schedule")
    parser.add_argument("--seed", type=int, default=0, help="of weights, data and masks")
    parser.add_argument("--block", type=int, help="positions of a block, for block-causal attention (else full)")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads")
    parser.add_argument("--device", default="cpu", help="cpu, or cuda")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    train(
        arguments.out,
        material=material,
        steps=arguments.steps,
        seed=arguments.seed,
        block=arguments.block,
        device=arguments.device,
    )


if __name__ == "__main__":
    command(tiny_material, steps=STEPS)
