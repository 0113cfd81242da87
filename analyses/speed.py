"""Samples per second of flexeval against the published loop, on the same weights, in one run.

    python analyses/speed.py [--rounds 3] [--out results/speed.md]
    python analyses/speed.py --quick        # seconds: shows that it works
    python analyses/speed.py --before CHECKOUT --rounds 3 --samples 1,8,64,128 --out results/speed_before.md

The reference is the algorithm of LLaDA's `generate`, written here from its description: logits of the whole canvas
at every step, float64 Gumbel noise over the vocabulary at every position, a top-k per row, all steps to the end. It
draws the samples of a problem in one batch. flexeval draws as many of the same problems, both from Python
(`flexeval.sample`) and from the command line (`flexeval passk`, called in this process; it also grades, stores and
counts, and the seconds of loading the model are taken off).

All take turns, so that whatever else the machine does falls on all, and what is timed is the process's CPU seconds,
with one thread. Two models: the bundled one, and the same trunk with the 126,464-token head of LLaDA-8B (random).

With --before, `flexeval.sample` of an earlier version and of this one take turns instead, each in a process of its
own that loads the bundled model, draws one sample, and is then timed. The table says whether the texts are equal.

The floor is the time that the matrix products of the forward (projections and attention) on the canvases that
the command line really evaluated would take at the matrix-product rate measured in the same run.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import io
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

import flexeval
from flexeval import SamplingConfig, get_task, load_model
from flexeval.cli.main import main as command_line
from flexeval.models.native import NativePredictor
from flexeval.runs.store import read_run
from flexeval.tasks.task import prompt_of

LLADA_VOCABULARY = 126_464
TASK = "word-problems"
AIMS = {"ar": 4.5, "confidence": 5.0}
"""Times the reference, on the bundled model with 64 samples a problem."""
FLOOR_AIM = 1.6


@dataclass(frozen=True, kw_only=True)
class Case:
    """One comparison."""

    title: str
    name: str
    """Of the model, as the command line takes it."""
    model: NativePredictor
    order: str
    gen_length: int
    problems: int
    samples: int
    """Of each problem."""

    @property
    def block(self) -> int:
        """AR order has one position a block; its result does not depend on it."""
        return 1 if self.order == "ar" else min(32, self.gen_length)


@dataclass(frozen=True, kw_only=True)
class Timing:
    """What one side took for one round."""

    seconds: float
    """CPU seconds; with one thread on a quiet machine that is the time on the clock."""
    canvases: int = 0


@torch.inference_mode()
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


def published(case: Case) -> int:
    """All samples of a case by the published loop, a problem after the other; returns the canvases evaluated."""
    task = get_task(TASK)
    config = SamplingConfig(gen_length=case.gen_length, block_length=case.block)
    prompts = [case.model.encode(prompt_of(task, problem)) for problem in task.problems()[: case.problems]]
    return sum(reference(case.model, prompt, config, case.samples) for prompt in prompts)


def from_python(case: Case) -> int:
    """The same number of samples by `flexeval.sample`."""
    task = get_task(TASK)
    config = SamplingConfig(gen_length=case.gen_length, block_length=case.block)
    prompts = [prompt_of(task, problem) for problem in task.problems()[: case.problems]]
    flexeval.sample(case.model, prompts, order=case.order, config=config, num_samples=case.samples)
    return 0


def from_command_line(case: Case) -> int:
    """The same number of samples by `flexeval passk`; returns the distinct canvases evaluated."""
    said = io.StringIO()
    with (
        tempfile.TemporaryDirectory() as folder,
        contextlib.redirect_stdout(said),
        contextlib.redirect_stderr(said),
    ):
        options = {
            "model": case.name, "task": TASK, "order": case.order, "num-samples": case.samples,
            "limit": case.problems, "gen-length": case.gen_length, "block-length": case.block,
            "device": "cpu", "dtype": "float32", "out": folder,
        }  # fmt: skip
        status = command_line(["passk", *(f"--{name}={value}" for name, value in options.items())])
        if status:
            raise RuntimeError(f"flexeval passk ended with status {status}: {said.getvalue()}")
        (config,) = Path(folder).rglob("config.json")
        return read_run(config.parent).effort.distinct


def timed(work: Callable[[], int]) -> Timing:
    start = time.process_time()
    canvases = work()
    return Timing(seconds=time.process_time() - start, canvases=canvases)


def load(name: str) -> NativePredictor:
    """A model as the command line loads it here."""
    model = load_model(name, device="cpu", dtype="float32")
    assert isinstance(model, NativePredictor)
    return model


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


def write_wide_headed(folder: Path) -> None:
    """The bundled model with a random embedding and head of LLaDA-8B's vocabulary, as a model folder."""
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


def compare(case: Case, rounds: int, rate: float) -> tuple[str, list[str]]:
    """One row of the table, and what it says of the aims."""
    loading = timed(lambda: load(case.name).vocab_size).seconds
    theirs, python, command = [], [], []
    for _ in range(rounds):
        theirs.append(timed(lambda: published(case)))
        python.append(timed(lambda: from_python(case)))
        whole = timed(lambda: from_command_line(case))
        command.append(Timing(seconds=whole.seconds - loading, canvases=whole.canvases))

    count = case.problems * case.samples
    lengths = [
        len(case.model.encode(prompt_of(get_task(TASK), problem))) + case.gen_length
        for problem in get_task(TASK).problems()[: case.problems]
    ]
    products = statistics.fmean(forward_products(case.model, length) for length in lengths)
    over_floor = median(command) / (command[0].canvases * products / rate)
    cells = [
        case.title,
        f"`{case.order}`",
        str(case.samples),
        f"{count / median(theirs):.3g}",
        f"{count / median(python):.3g}",
        f"{count / median(command):.3g}",
        ratio(theirs, python),
        ratio(theirs, command),
        f"{theirs[0].canvases} / {command[0].canvases}",
        f"{over_floor:.2f}",
    ]
    times = median(theirs) / median(python)
    said = [
        f"- {case.title}, `{case.order}`, {case.samples} samples a problem: {times:.1f} times the loop from Python "
        f"(aim {AIMS[case.order]:g}, {'reached' if times >= AIMS[case.order] else 'missed'}), "
        f"the command line in {over_floor:.2f} times the floor "
        f"(aim {FLOOR_AIM:g}, {'reached' if over_floor <= FLOOR_AIM else 'missed'})."
    ]
    return f"| {' | '.join(cells)} |", said if case.samples == 64 else []


def median(timings: Sequence[Timing]) -> float:
    """Seconds."""
    return statistics.median(timing.seconds for timing in timings)


def ratio(slower: Sequence[Timing], faster: Sequence[Timing]) -> str:
    """How many times as fast, round by round: median and range."""
    ratios = sorted(a.seconds / b.seconds for a, b in zip(slower, faster, strict=True))
    return f"{statistics.median(ratios):.1f} ({ratios[0]:.1f} to {ratios[-1]:.1f})"


COLUMNS = (
    "model", "order", "samples a problem", "loop, samples per CPU second", "from Python", "command line",
    "times the loop, Python: median (range)", "command line", "canvases, loop / flexeval", "time / floor",
)  # fmt: skip


# Also run by earlier versions, so it calls what all of them have.
_DRAW = """
import hashlib, json, sys, time
import torch, flexeval
torch.set_num_threads(1)
given = json.loads(sys.argv[1])
model = flexeval.load_model("tiny", device="cpu", dtype="float32")
config = flexeval.SamplingConfig(gen_length=given["gen_length"], block_length=given["block_length"])
def draw(samples):
    return flexeval.sample(model, given["prompts"], order=given["order"], config=config, num_samples=samples)
draw(1)
began = time.process_time()
drawn = draw(given["samples"])
seconds = time.process_time() - began
texts = json.dumps([[sample.text for sample in samples] for samples in drawn])
print(json.dumps([seconds, hashlib.sha256(texts.encode()).hexdigest()]))
"""


def drawn_by(checkout: Path, case: Case) -> tuple[Timing, str]:
    """CPU seconds of `from_python` by the package of a checkout, and a hash of the texts."""
    task = get_task(TASK)
    given = {
        "prompts": [problem.question for problem in task.problems()[: case.problems]],
        "order": case.order, "gen_length": case.gen_length, "block_length": case.block, "samples": case.samples,
    }  # fmt: skip
    environment = {**os.environ, "PYTHONPATH": str(checkout.resolve()), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", _DRAW, json.dumps(given)]
    found = subprocess.run(command, env=environment, cwd=checkout, check=True, capture_output=True, text=True)
    seconds, texts = json.loads(found.stdout.splitlines()[-1])
    return Timing(seconds=seconds), texts


def before_and_after(before: Path, cases: Sequence[Case], rounds: int) -> list[str]:
    """A table of this checkout against an earlier one."""
    here = Path(__file__).resolve().parents[1]
    columns = (
        "order",
        "samples a problem",
        "before, samples per CPU second",
        "after",
        "times: median (range)",
        "texts",
    )
    lines = [f"| {' | '.join(columns)} |", "|" + "---|" * len(columns)]
    for case in cases:
        pairs = [(drawn_by(before, case), drawn_by(here, case)) for _ in range(rounds)]
        earlier, later = ([timing for timing, _ in side] for side in zip(*pairs, strict=True))
        texts = {text for pair in pairs for _, text in pair}
        count = case.problems * case.samples
        rates = f"{count / median(earlier):.3g} | {count / median(later):.3g}"
        said = "equal" if len(texts) == 1 else "differ"
        lines.append(f"| `{case.order}` | {case.samples} | {rates} | {ratio(earlier, later)} | {said} |")
        print(lines[-1], flush=True)
    return lines


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3, help="how often the sides take turns")
    parser.add_argument("--problems", type=int, default=1, help="problems of which samples are drawn")
    parser.add_argument("--samples", default="1,8,64,128", help="samples of each problem, several numbers with commas")
    parser.add_argument(
        "--before", type=Path, metavar="CHECKOUT", help="of an earlier version, to compare this one with"
    )
    parser.add_argument("--quick", action="store_true", help="a short canvas and few samples of the bundled model")
    parser.add_argument("--out", type=Path, help="also write the table here")
    arguments = parser.parse_args(argv)
    torch.set_num_threads(1)

    rounds, counts = arguments.rounds, [int(number) for number in arguments.samples.split(",")]
    gen_length = 6 if arguments.quick else get_task(TASK).gen_length
    if arguments.quick:
        rounds, counts = 1, [3]
    with tempfile.TemporaryDirectory() as folder:
        bundled = load("tiny")
        cases = [
            Case(title=f"bundled, {bundled.vocab_size:,} tokens", name="tiny", model=bundled, order=order,
                 gen_length=gen_length, problems=arguments.problems, samples=samples)
            for order in AIMS for samples in counts
        ]  # fmt: skip
        if arguments.before is not None:
            asked = f"--before CHECKOUT --rounds {rounds} --problems {arguments.problems} --samples {arguments.samples}"
            lines = [
                f"`python analyses/speed.py {asked}`, torch {torch.__version__}, one thread, {arguments.problems} "
                f"{'problem' if arguments.problems == 1 else 'problems'} of {TASK}, the bundled model, T = 0.6.",
                "",
                *before_and_after(arguments.before, cases, rounds),
            ]
            write(lines, arguments.out)
            return
        if not arguments.quick:
            write_wide_headed(Path(folder))
            cases += [
                Case(title=f"same trunk, {LLADA_VOCABULARY:,} tokens", name=folder, model=load(folder), order=order,
                     gen_length=32, problems=1, samples=2)
                for order in AIMS
            ]  # fmt: skip
        # What is only done once, as imports, is left out.
        from_command_line(dataclasses.replace(cases[0], problems=1, samples=1, gen_length=2))
        rate = matmul_rate()
        asked = f"--rounds {rounds} --problems {arguments.problems} --samples {arguments.samples}"
        asked = "--quick" if arguments.quick else asked
        lines = [
            f"`python analyses/speed.py {asked}`, torch {torch.__version__}, one thread, {arguments.problems} "
            f"{'problem' if arguments.problems == 1 else 'problems'} of {TASK}, T = 0.6, one token per step, `ar` with "
            f"block 1 and `confidence` with block 32; matrix products at {rate / 1e9:.0f} GFLOP/s.",
            "",
            f"| {' | '.join(COLUMNS)} |",
            "|" + "---|" * len(COLUMNS),
        ]
        print("\n".join(lines))
        aims: list[str] = []
        for case in cases:
            row, said = compare(case, rounds, rate)
            lines.append(row)
            aims += said
            print(row, flush=True)
    if aims:
        print("\n".join(["", *aims]))
        lines += ["", *aims]
    write(lines, arguments.out)


def write(lines: Sequence[str], out: Path | None) -> None:
    """Put the table into a file, if there is one."""
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text("# Speed of the sampler\n\n" + "\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
