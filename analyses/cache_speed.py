"""Samples per second of the sampler with and without the exact cache, on a model that attends by blocks, in one run.

    python analyses/cache_speed.py [--rounds 3] [--out results/cache_speed.md]

The model has the layers of the bundled one (4 of width 128, 913 tokens) with block-causal attention, blocks of 32, and
random weights; its texts never end, so that both sides do all steps. Both draw the same samples of the same random
prompts and take turns, so that whatever else the machine does falls on both; what is timed is the process's CPU seconds
with one thread. The samples of both sides are compared.

A second table is of the AR-order likelihood of one text and of the gradient of its log-probability, as in GRPO: whole
canvases, one a token, against the same with finished prefixes computed once.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

from flexeval import SamplingConfig, get_order, load_model
from flexeval.grpo.policy import Policy
from flexeval.grpo.rollout import RolloutSample
from flexeval.grpo.scoring import batches, collect
from flexeval.models.native import NativePredictor
from flexeval.records import Grade, Trajectory
from flexeval.runs.counterfactual import ar_entropies
from flexeval.sampling import Sampler, SampleRequest
from flexeval.sampling.canvas import BLANK_RECORD
from flexeval.sampling.forward import Forward

WIDTH, LAYERS, INNER, VOCABULARY, BLOCK, GENERATED = 128, 4, 384, 913, 32, 256


@dataclass(frozen=True, kw_only=True)
class Case:
    """One comparison."""

    order: str
    problems: int
    samples: int
    """Of each problem."""
    prompt: int
    """Tokens of a prompt."""
    per_step: int = 1
    """Tokens that a step commits."""


CASES = (
    Case(order="ar", problems=4, samples=4, prompt=50),
    Case(order="confidence", problems=4, samples=4, prompt=50),
    Case(order="confidence", problems=1, samples=64, prompt=200, per_step=4),
    Case(order="ar", problems=1, samples=64, prompt=200),
)


def block_model(folder: Path) -> NativePredictor:
    """A block-causal model of the bundled one's size, written to a folder and loaded."""
    torch.manual_seed(0)
    config = {
        "model_type": "sdar", "hidden_size": WIDTH, "num_hidden_layers": LAYERS, "num_attention_heads": 4,
        "num_key_value_heads": 4, "head_dim": WIDTH // 4, "intermediate_size": INNER, "vocab_size": VOCABULARY,
        "max_position_embeddings": 2048, "rms_norm_eps": 1e-6, "rope_theta": 10000.0, "hidden_act": "silu",
        "tie_word_embeddings": False, "block_size": BLOCK, "mask_token_id": 2, "eos_token_id": 0,
    }  # fmt: skip
    shapes: dict[str, tuple[int, ...]] = {
        "model.embed_tokens.weight": (VOCABULARY, WIDTH),
        "model.norm.weight": (WIDTH,),
        "lm_head.weight": (VOCABULARY, WIDTH),
    }
    for layer in range(LAYERS):
        own = {f"self_attn.{name}_proj.weight": (WIDTH, WIDTH) for name in "qkvo"}
        own |= {"mlp.gate_proj.weight": (INNER, WIDTH), "mlp.up_proj.weight": (INNER, WIDTH)}
        own |= {"mlp.down_proj.weight": (WIDTH, INNER)}
        norms = {"input_layernorm": WIDTH, "post_attention_layernorm": WIDTH}
        norms |= {"self_attn.q_norm": WIDTH // 4, "self_attn.k_norm": WIDTH // 4}
        shapes |= {f"model.layers.{layer}.{name}": shape for name, shape in own.items()}
        shapes |= {f"model.layers.{layer}.{name}.weight": (size,) for name, size in norms.items()}
    weights = {
        name: torch.ones(shape) if len(shape) == 1 else torch.randn(shape) / shape[1] ** 0.5
        for name, shape in shapes.items()
    }
    (folder / "config.json").write_text(json.dumps(config))
    save_file(weights, folder / "model.safetensors")
    model = load_model(folder, device="cpu", dtype="float32")
    assert isinstance(model, NativePredictor)
    return model


def drawn(
    model: NativePredictor, case: Case, config: SamplingConfig
) -> tuple[float, dict[tuple[str, int], Trajectory]]:
    """CPU seconds, and the samples."""
    generator = torch.Generator().manual_seed(1)
    requests = []
    for problem in range(case.problems):
        prompt = torch.randint(3, VOCABULARY, (case.prompt,), generator=generator).tolist()
        requests += [
            SampleRequest(problem_id=str(problem), sample_index=index, prompt_ids=prompt)
            for index in range(case.samples)
        ]
    sampler = Sampler(model, get_order(case.order), config)
    began = time.process_time()
    found = {(t.problem_id, t.sample_index): t for t in sampler.run(requests)}
    return time.process_time() - began, found


def compare(model: NativePredictor, case: Case, rounds: int) -> str:
    """One row of the table."""
    whole = SamplingConfig(
        gen_length=GENERATED, temperature=1.0, tokens_per_step=case.per_step, stop_at_eos=False, cache="none"
    )
    seconds: dict[str, list[float]] = {"none": [], "exact": []}
    for _ in range(rounds):
        taken, without = drawn(model, case, whole)
        seconds["none"].append(taken)
        taken, kept = drawn(model, case, replace(whole, cache="exact"))
        seconds["exact"].append(taken)
    equal = sum(bool((kept[key].token_ids_G == sample.token_ids_G).all()) for key, sample in without.items())
    count = case.problems * case.samples
    rates = {cache: count / statistics.median(taken) for cache, taken in seconds.items()}
    ratios = sorted(slow / fast for slow, fast in zip(seconds["none"], seconds["exact"], strict=True))
    return (
        f"| `{case.order}` | {case.problems} x {case.samples} | {case.prompt} | {case.per_step} | {rates['none']:.3g} "
        f"| {rates['exact']:.3g} | {statistics.median(ratios):.1f} ({ratios[0]:.1f} to {ratios[-1]:.1f}) "
        f"| {equal} / {count} |"
    )


def likelihood(model: NativePredictor, prompt: list[int], text: np.ndarray, cache: str) -> tuple[float, np.ndarray]:
    """CPU seconds, and the entropies of the text's positions in AR order."""
    config = SamplingConfig(gen_length=GENERATED, cache=cache)  # type: ignore[arg-type] # one of its kinds
    forward = Forward(model, config, batch_size=32)
    began = time.process_time()
    (found,) = ar_entropies(forward, prompt, [text], GENERATED, batch_size=64)
    return time.process_time() - began, found


def gradient(model: NativePredictor, prompt: list[int], text: np.ndarray, *, shared: bool) -> tuple[float, np.ndarray]:
    """CPU seconds, and the gradient of the text's log-probability in AR order."""
    blank = {name: np.full(GENERATED, 0.5, dtype=np.float32) for name in BLANK_RECORD}
    blank["commit_step_G"] = np.arange(GENERATED, dtype=np.int32)
    trajectory = Trajectory(
        problem_id="p", sample_index=0, prompt_length=len(prompt), token_ids_G=text.astype(np.int32),
        length=GENERATED, nfe=GENERATED, **blank,
    )  # fmt: skip
    sample = RolloutSample(prompt_ids=prompt, trajectory=trajectory, grade=Grade(correct=True))
    rule = model.attention
    config = SamplingConfig(gen_length=GENERATED, temperature=1.0)
    readings = collect([sample], order=get_order("ar"), sampling=config, positions="answer", attention=rule)
    made = batches([sample], readings, mask_id=model.mask_id, tokens_per_forward=4096, attention=rule, shared=shared)
    policy = Policy(model, shared=shared)
    model.module.requires_grad_(True).zero_grad()
    began = time.process_time()
    for batch in made:
        policy(batch).sum().backward()
    taken = time.process_time() - began
    found = torch.cat([weight.grad.flatten() for weight in model.module.parameters() if weight.grad is not None])
    return taken, found.numpy().copy()


def of_a_text(model: NativePredictor, rounds: int) -> Iterator[str]:
    """The rows of the second table."""
    generator = np.random.default_rng(0)
    prompt, text = (generator.integers(3, VOCABULARY, size) for size in (50, GENERATED))
    sides = {
        "AR-order likelihood": [
            partial(likelihood, model, prompt.tolist(), text, cache) for cache in ("none", "exact")
        ],
        "its gradient": [partial(gradient, model, prompt.tolist(), text, shared=shared) for shared in (False, True)],
    }
    for name, (whole, kept) in sides.items():
        taken = [(whole(), kept()) for _ in range(rounds)]
        ratios = sorted(slow / fast for (slow, _), (fast, _) in taken)
        (_, one), (_, other) = taken[0]
        slow, fast = (statistics.median(pair[side][0] for pair in taken) for side in (0, 1))
        difference = float(np.abs(one - other).max() / np.abs(one).max())
        spread = f"{statistics.median(ratios):.1f} ({ratios[0]:.1f} to {ratios[-1]:.1f})"
        yield f"| {name} | {slow:.2f} | {fast:.2f} | {spread} | {difference:.0e} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3, help="how often the two take turns")
    parser.add_argument("--cases", default="1,2,3,4", help="which of the rows, as in 1,3")
    parser.add_argument("--out", type=Path, help="also write the table here")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        model = block_model(Path(folder))
    lines = [
        f"`python analyses/cache_speed.py --rounds {arguments.rounds} --cases {arguments.cases}`, torch "
        f"{torch.__version__}, one thread, gen_length 256, block 32, T = 1, samples of random weights that never end.",
        "",
        "| order | problems x samples | prompt tokens | tokens a step | without cache, samples per CPU second "
        "| with the exact cache | ratio: median (range) | equal samples |",
        "|---|---|---|---|---|---|---|---|",
    ]
    print("\n".join(lines))
    for number in map(int, filter(None, arguments.cases.split(","))):
        lines.append(compare(model, CASES[number - 1], arguments.rounds))
        print(lines[-1], flush=True)
    table = [
        "",
        f"One text of {GENERATED} tokens after a prompt of 50:",
        "",
        "| | whole canvases, CPU seconds | finished prefixes once | ratio: median (range) | relative difference |",
        "|---|---|---|---|---|",
        *of_a_text(model, arguments.rounds),
    ]
    print("\n".join(table))
    lines += table
    if arguments.out is not None:
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        arguments.out.write_text("# Speed of the exact cache\n\n" + "\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
