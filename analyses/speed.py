"""Samples per second of flexeval's sampler against the published loop, on the same weights, in one run.

    python analyses/speed.py [--rounds 3] [--samples 16] [--out results/speed.md]

The reference is the algorithm of LLaDA's `generate`, written here from its description: logits of the whole canvas
at every step, float64 Gumbel noise over the vocabulary at every position, a top-k per row, all steps to the end.
Both draw the same number of samples of the same problems; they take turns, so that whatever else the machine does
falls on both, and what is timed is the process's CPU seconds, with one thread. Two models: the bundled one, and the
same trunk with the 126,464-token head of LLaDA-8B (random).

The floor is the time that the matrix products of the forward (projections and attention) on the canvases that
flexeval really evaluated would take at the matrix-product rate measured in the same run.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from flexeval import SamplingConfig, get_order, get_task, load_model
from flexeval.models.native import NativePredictor
from flexeval.sampling import Sampler, SampleRequest

LLADA_VOCABULARY = 126_464


@dataclass(frozen=True, kw_only=True)
class Case:
    """One comparison."""

    title: str
    model: NativePredictor
    gen_length: int
    samples: int


@dataclass(frozen=True, kw_only=True)
class Timing:
    """What one side took for one round."""

    seconds: float
    """CPU seconds; with one thread on a quiet machine that is the time on the clock."""
    canvases: int


def reference(model: NativePredictor, prompt: list[int], config: SamplingConfig, samples: int) -> int:
    """The published loop on `samples` copies of a prompt; returns the canvases evaluated."""
    length = len(prompt)
    x = torch.full((samples, length + config.gen_length), model.mask_id)
    x[:, :length] = torch.tensor(prompt)
    evaluated = 0
    for start in range(length, x.shape[1], config.block):
        for _ in range(min(config.block, x.shape[1] - start)):
            logits = model.logits(model.hidden(x))
            evaluated += samples
            noise = torch.rand(logits.shape, dtype=torch.float64).log_().neg_().pow_(config.temperature)
            proposal = (logits.double().exp_() / noise).argmax(dim=-1)
            confidence = logits.softmax(dim=-1).gather(-1, proposal[..., None])[..., 0]
            confidence[:, start + config.block :] = -torch.inf
            confidence[x != model.mask_id] = -torch.inf
            for row in range(samples):
                place = confidence[row].topk(1).indices
                x[row, place] = proposal[row, place]
    return evaluated


def ours(model: NativePredictor, prompt: list[int], config: SamplingConfig, order: str, samples: int) -> int:
    """The same number of samples by flexeval's sampler; returns the distinct canvases evaluated."""
    sampler = Sampler(model, get_order(order), config)
    requests = [SampleRequest(problem_id="speed", sample_index=i, prompt_ids=prompt) for i in range(samples)]
    for _ in sampler.run(requests):
        pass
    return sampler.counters.distinct


def timed(work: Callable[[], int]) -> Timing:
    with torch.inference_mode():
        start = time.process_time()
        canvases = work()
        return Timing(seconds=time.process_time() - start, canvases=canvases)


def matmul_rate() -> float:
    """Floating-point operations per second of float32 matrix products: the best of many."""
    a, b = torch.randn(1024, 1024), torch.randn(1024, 1024)
    best = min(timed(lambda: int((a @ b).numel())).seconds for _ in range(20))
    return 2 * 1024**3 / best


def forward_products(model: NativePredictor, length: int) -> float:
    """Floating-point operations of the matrix products of one canvas's forward, without the head."""
    config = model.module.config
    weights = sum(p.numel() for name, p in model.module.named_parameters() if p.dim() == 2 and "layers" in name)
    attention = config.num_hidden_layers * 2 * length * config.hidden_size
    return 2.0 * length * (weights + attention)


def wide_headed(folder: Path) -> NativePredictor:
    """The bundled model with a random embedding and head of LLaDA-8B's vocabulary, written to a folder and loaded."""
    bundled = Path(str(resources.files("flexeval.models.tiny")))
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "generation_config.json"):
        shutil.copy(bundled / name, folder)
    config = json.loads((bundled / "config.json").read_text())
    config |= {"vocab_size": LLADA_VOCABULARY, "embedding_size": LLADA_VOCABULARY}
    (folder / "config.json").write_text(json.dumps(config))
    weights = load_file(bundled / "model.safetensors")
    torch.manual_seed(0)
    for name in ("model.transformer.wte.weight", "model.transformer.ff_out.weight"):
        weights[name] = (0.1 * torch.randn(LLADA_VOCABULARY, weights[name].shape[1])).half()
    save_file(weights, folder / "model.safetensors")
    return load_model(folder, device="cpu", dtype="float32")


def compare(case: Case, prompt: list[int], order: str, rounds: int, rate: float) -> str:
    """One row of the table."""
    block = 1 if order == "ar" else min(32, case.gen_length)
    config = SamplingConfig(gen_length=case.gen_length, block_length=block)
    theirs, mine = [], []
    for _ in range(rounds):
        theirs.append(timed(lambda: reference(case.model, prompt, config, case.samples)))
        mine.append(timed(lambda: ours(case.model, prompt, config, order, case.samples)))
    reference_seconds = statistics.median(t.seconds for t in theirs)
    seconds = statistics.median(t.seconds for t in mine)
    floor = mine[0].canvases * forward_products(case.model, len(prompt) + case.gen_length) / rate
    ratios = sorted(t.seconds / m.seconds for t, m in zip(theirs, mine, strict=True))
    return (
        f"| {case.title} | `{order}` | {case.samples / reference_seconds:.3g} | {case.samples / seconds:.3g} "
        f"| {statistics.median(ratios):.1f} ({ratios[0]:.1f} to {ratios[-1]:.1f}) "
        f"| {theirs[0].canvases} / {mine[0].canvases} | {seconds / floor:.2f} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3, help="how often the two take turns")
    parser.add_argument("--samples", type=int, default=16, help="samples of the problem, both sides")
    parser.add_argument("--out", type=Path, help="also write the table here")
    arguments = parser.parse_args()
    torch.set_num_threads(1)

    task = get_task("word-problems")
    bundled = load_model("tiny", device="cpu")
    with tempfile.TemporaryDirectory() as folder:
        wide = wide_headed(Path(folder))
    prompt = bundled.encode(task.prompt(task.problems()[0]))
    rate = matmul_rate()
    cases = [
        Case(title=f"bundled, {bundled.vocab_size:,} tokens",
             model=bundled, gen_length=task.gen_length, samples=arguments.samples),
        Case(title=f"same trunk, {LLADA_VOCABULARY:,} tokens", model=wide,
             gen_length=32, samples=max(1, arguments.samples // 8)),
    ]  # fmt: skip
    lines = [
        f"`python analyses/speed.py --rounds {arguments.rounds} --samples {arguments.samples}`, "
        f"torch {torch.__version__}, one problem of word-problems, T = 0.6, one token per step, `ar` with block 1 "
        f"and `confidence` with block 32; matrix products at {rate / 1e9:.0f} GFLOP/s.",
        "",
        "| model | order | reference, samples per CPU second | flexeval | ratio: median (range) "
        "| canvases, reference / flexeval | time / floor |",
        "|---|---|---|---|---|---|---|",
    ]
    print("\n".join(lines))
    for case in cases:
        for order in ("ar", "confidence"):
            lines.append(compare(case, prompt, order, arguments.rounds, rate))
            print(lines[-1], flush=True)
    if arguments.out is not None:
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        arguments.out.write_text("# Speed of the sampler\n\n" + "\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
