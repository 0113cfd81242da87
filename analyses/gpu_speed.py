"""How fast the sampler is on a GPU: against the published loop, and against the GPU's own matrix products.

    python analyses/gpu_speed.py [--out results/gpu_speed.md] [--compile] [--minutes 9]
    python analyses/gpu_speed.py --small        # tiny shapes on a CPU, a few seconds: shows that it works

Nothing is downloaded: the models have the shapes of LLaDA-8B, Qwen3-0.6B (as A2D uses it) and LLaDA2-mini, and random
weights in bfloat16. Each sample is of a problem of its own, with a prompt of 100 to 300 random tokens, so that no two
canvases are equal, and no stop token ends a text. A measurement lets a few steps pass, then times a few dozen; samples
per second are those of whole samples at that rate.

The loop is the algorithm of LLaDA's `generate`, written here from its description: the head in the model's type at
every position of the canvas, float64 Gumbel noise over the vocabulary, a softmax over it, a top-k per row. It runs with
the same prompts in a padded batch, and with one sample at a time, which is how JustGRPO's evaluation uses it. flexeval
and the loop take turns.

The share of the peak is that of the products in the layers (projections, experts in use, attention), padding, the head
and the last MLP left out, against the fastest matrix product that is measured in the same run. LLaDA2-mini attends by
blocks, so that flexeval computes the current block only; the loop computes the whole canvas, as on the others.

Host time is what of a step no kernel runs in, from a profile of a few steps. With --compile the layers' forward is
timed by itself, eager, compiled, and compiled into CUDA graphs.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
import transformers
from torch import Tensor

from flexeval import SamplingConfig, get_order
from flexeval.models.attention import FULL, Attention
from flexeval.models.families import FAMILIES
from flexeval.models.files import Source
from flexeval.models.native import NativePredictor
from flexeval.models.vocabulary import SpecialIds
from flexeval.orders import Order
from flexeval.records import BoolArray, DecodingState, Revision
from flexeval.sampling import Sampler, SampleRequest

# ----- shapes -----


@dataclass(frozen=True, kw_only=True)
class Shape:
    """The sizes of a model."""

    name: str
    layers: str
    """Prefix of transformers' classes."""
    options: dict[str, Any]
    """Of its configuration."""
    family: str

    def products(self, lengths: Sequence[int]) -> float:
        """Floating-point operations of the layers' matrix products for one step of canvases of these lengths.

        The last MLP is left out where it is dense, since it runs at few positions. A model that attends by blocks
        computes the current block only; the keys and values of a block that is finished are left out, too.
        """
        of = self.options.get
        width, heads = of("hidden_size"), of("num_attention_heads")
        size = of("head_dim") or width // heads
        layers, experts = of("num_hidden_layers"), of("n_routed_experts")
        projections = layers * width * size * (2 * heads + 2 * of("num_key_value_heads"))
        dense = 3 * width * of("intermediate_size")
        if experts is None:
            mlps = (layers - 1) * dense
        else:
            used = of("num_experts_per_tok") + of("n_shared_experts")
            sparse = width * experts + 3 * width * of("moe_intermediate_size") * used
            first = of("first_k_dense_replace")
            mlps = first * dense + (layers - first) * sparse
        attention = 4 * layers * heads * size
        block = self.attention.block
        columns = [length if block is None else min(block, length) for length in lengths]
        return float(
            sum(
                2 * computed * (projections + mlps) + attention * computed * length
                for computed, length in zip(columns, lengths, strict=True)
            )
        )

    @property
    def attention(self) -> Attention:
        """By blocks where there are experts."""
        return FAMILIES.get(self.family).attention[0] if "n_routed_experts" in self.options else FULL


def _dense(name: str, layers: str, family: str, **options: int | bool) -> Shape:
    return Shape(name=name, layers=layers, family=family, options={"max_position_embeddings": 4096, **options})


def _sparse(name: str, **options: Any) -> Shape:
    common = {"n_shared_experts": 1, "first_k_dense_replace": 1, "norm_topk_prob": True, "use_qk_norm": True}
    rotary = {"rope_type": "default", "rope_theta": 600_000.0, "partial_rotary_factor": 0.5}
    options = {"max_position_embeddings": 4096, "rope_parameters": rotary, **common, **options}
    return Shape(name=name, layers="Glm4Moe", family="llada2_moe", options=options)


SHAPES = (
    _dense(
        "LLaDA-8B", "Llama", "llada", hidden_size=4096, num_hidden_layers=32, num_attention_heads=32,
        num_key_value_heads=32, intermediate_size=12_288, vocab_size=126_464, tie_word_embeddings=False,
    ),
    _dense(
        "Qwen3-0.6B", "Qwen3", "a2d-qwen3", hidden_size=1024, num_hidden_layers=28, num_attention_heads=16,
        head_dim=128, num_key_value_heads=8, intermediate_size=3072, vocab_size=151_936, tie_word_embeddings=True,
    ),
    _sparse(
        "LLaDA2-mini", hidden_size=2048, num_hidden_layers=20, num_attention_heads=16, num_key_value_heads=4,
        head_dim=128, intermediate_size=5120, n_routed_experts=256, num_experts_per_tok=8, moe_intermediate_size=512,
        n_group=8, topk_group=4, routed_scaling_factor=2.5, vocab_size=157_184, tie_word_embeddings=False,
    ),
)  # fmt: skip
SMALL_SHAPES = (
    _dense(
        "small", "Llama", "llada", hidden_size=32, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
        intermediate_size=48, vocab_size=300, tie_word_embeddings=False,
    ),
    _sparse(
        "small with experts", hidden_size=32, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
        head_dim=8, intermediate_size=48, n_routed_experts=8, num_experts_per_tok=2, moe_intermediate_size=16,
        n_group=2, topk_group=1, routed_scaling_factor=2.5, vocab_size=300, tie_word_embeddings=False,
    ),
)  # fmt: skip


def build(shape: Shape, device: torch.device, dtype: torch.dtype) -> NativePredictor:
    """A model of this shape with random weights; its last token is the mask, the one before ends a text."""
    config = getattr(transformers, f"{shape.layers}Config")(**shape.options, is_causal=False, use_cache=False)
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        torch.manual_seed(0)
        with device:
            module = getattr(transformers, f"{shape.layers}ForCausalLM")(config).eval()
    finally:
        torch.set_default_dtype(before)
    vocabulary = shape.options["vocab_size"]
    return NativePredictor(
        module.requires_grad_(False),
        shifted=FAMILIES.get(shape.family).shifted,
        slot_positions=False,
        logit_scale=1.0,
        name=shape.name,
        special=SpecialIds(mask=vocabulary - 1, eos=vocabulary - 2, stop=frozenset({vocabulary - 2})),
        codec=None,
        vocab_size=vocabulary,
        max_length=shape.options["max_position_embeddings"],
        device=device,
        dtype=dtype,
        network={"shape": shape.name},
        source=Source(files=None, revision=None),
        attention=shape.attention,
    )


# ----- timing -----


class Enough(Exception):
    """The measurement is over."""


@dataclass(kw_only=True)
class Watch:
    """Times whole steps, after some that are not timed, until there are enough or the time is up."""

    warm: int
    steps: int
    seconds: float
    device: torch.device
    profile: torch.profiler.profile | None = None
    """Of the timed steps."""
    done: int = 0
    """Steps that began, the untimed ones included."""
    start: float = field(default=0.0, init=False)
    elapsed: float = field(default=0.0, init=False)

    def step(self) -> None:
        """From one step to the next. Raises Enough when the last one that is wanted has ended."""
        timed = self.done - self.warm
        if timed == 0:
            if self.profile is not None:
                self.profile.start()
            self.start = self._now()
        elif timed >= self.steps or (timed > 0 and time.perf_counter() - self.start > self.seconds):
            self.elapsed = self._now() - self.start
            if self.profile is not None:
                self.profile.stop()
            raise Enough
        self.done += 1

    @property
    def seconds_per_step(self) -> float:
        """Of the timed steps."""
        return self.elapsed / (self.done - self.warm)

    def _now(self) -> float:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return time.perf_counter()


def watched(order: Order, watch: Watch) -> Order:
    """The same order, which tells a watch of each step: the sampler calls it once in each."""

    def call(_: Order, state: DecodingState) -> BoolArray | Revision:
        watch.step()
        return order(state)

    return cast(Order, type("Watched", (type(order),), {"__call__": call})(**vars(order)))


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is measured."""

    shapes: tuple[Shape, ...] = SHAPES
    orders: tuple[str, ...] = ("ar", "confidence", "parallel-4", "top_prob")
    batches: tuple[int, ...] = (1, 8, 32, 128)
    prompts: tuple[int, int] = (100, 300)
    """Tokens of the shortest and of the longest prompt."""
    gen_length: int = 256
    block: int = 32
    warm: int = 3
    steps: int = 32
    seconds: float = 2.0
    """Longest measurement."""
    rounds: int = 2
    minutes: float = 9.0
    """After these, what is left is skipped, and the table says so."""

    def settings(self, order: str) -> SamplingConfig:
        """Of a sample under an order."""
        return SamplingConfig(
            gen_length=self.gen_length, block_length=1 if order == "ar" else self.block, stop_at_eos=False
        )

    def steps_of(self, order: str) -> int:
        """Steps of a whole sample."""
        return self.gen_length // per_step(order)

    def lengths(self, batch: int) -> list[int]:
        """Tokens of each prompt, evenly spread; the middle for one."""
        low, high = self.prompts
        return [round(low + (high - low) * (i + 0.5) / batch) for i in range(batch)]

    def texts(self, batch: int, vocabulary: int) -> list[list[int]]:
        """Random prompts without special tokens."""
        rng = np.random.default_rng(batch)
        return [rng.integers(0, vocabulary - 2, size=length).tolist() for length in self.lengths(batch)]


SMALL = Plan(
    shapes=SMALL_SHAPES, orders=("ar", "confidence", "parallel-4", "top_prob"), batches=(1, 2), prompts=(5, 9),
    gen_length=32, block=16, warm=1, steps=3, rounds=1,
)  # fmt: skip


def per_step(order: str) -> int:
    """Tokens that an order of the plan commits at a step."""
    name, _, number = order.rpartition("-")
    return int(number) if name == "parallel" else 1


# ----- the two sides -----


def run_ours(model: NativePredictor, plan: Plan, order: str, batch: int, watch: Watch) -> None:
    """As many steps of flexeval's sampler as the watch wants."""
    sampler = Sampler(model, watched(get_order(order), watch), plan.settings(order), batch_size=batch)
    requests = [
        SampleRequest(problem_id=f"p{i}", sample_index=0, prompt_ids=prompt)
        for i, prompt in enumerate(plan.texts(batch, model.vocab_size))
    ]
    for _ in sampler.run(requests):
        pass


def published_loop(
    model: NativePredictor, prompts: Sequence[Sequence[int]], config: SamplingConfig, committed: int
) -> Iterator[Tensor]:
    """LLaDA's `generate` on a padded batch; yields the canvases before each step, and when they are full."""
    longest = max(map(len, prompts))
    canvas_BL = torch.full((len(prompts), longest + config.gen_length), model.mask_id, device=model.device)
    attended_BL = torch.ones_like(canvas_BL, dtype=torch.bool)
    for row, prompt in enumerate(prompts):
        canvas_BL[row, longest - len(prompt) : longest] = torch.tensor(prompt, device=model.device)
        canvas_BL[row, : longest - len(prompt)] = model.eos_id
        attended_BL[row, : longest - len(prompt)] = False
    attention = None if bool(attended_BL.all()) else attended_BL
    head: Any = model.module.get_output_embeddings()
    for start in range(longest, canvas_BL.shape[1], config.block):
        for _ in range(config.block // min(committed, config.block)):
            yield canvas_BL
            logits_BLV = head(model.hidden(canvas_BL, attention))
            # Gumbel noise in float64, and the probability of what it proposes in the logits' own type.
            wide_BLV = logits_BLV.to(torch.float64)
            noise_BLV = (-torch.log(torch.rand_like(wide_BLV))) ** config.temperature
            proposal_BL = torch.argmax(wide_BLV.exp() / noise_BLV, dim=-1)
            del wide_BLV, noise_BLV
            confidence_BL = logits_BLV.softmax(dim=-1).gather(-1, proposal_BL[..., None])[..., 0]
            del logits_BLV
            confidence_BL[:, start + config.block :] = -torch.inf
            confidence_BL = torch.where(canvas_BL == model.mask_id, confidence_BL, -torch.inf)
            for row in range(len(prompts)):
                place = confidence_BL[row].topk(min(committed, config.block)).indices
                canvas_BL[row, place] = proposal_BL[row, place]
    yield canvas_BL


def run_loop(model: NativePredictor, plan: Plan, order: str, batch: int, watch: Watch) -> None:
    """As many steps of the published loop as the watch wants."""
    prompts = plan.texts(batch, model.vocab_size)
    with torch.inference_mode():
        for _ in published_loop(model, prompts, plan.settings(order), per_step(order)):
            watch.step()


def measured(
    work: Callable[[Watch], None], plan: Plan, device: torch.device, profile: torch.profiler.profile | None = None
) -> Watch | None:
    """The watch of one measurement; None where the memory of the device does not suffice."""
    watch = Watch(warm=plan.warm, steps=plan.steps, seconds=plan.seconds, device=device, profile=profile)
    try:
        with contextlib.suppress(Enough):
            work(watch)
        if not watch.elapsed:
            raise RuntimeError(f"a sample has fewer than {plan.warm} + {plan.steps} steps")
    except torch.OutOfMemoryError:
        watch.done = 0
    if device.type == "cuda":
        torch.cuda.empty_cache()
    return watch if watch.done else None


def idle_seconds(work: Callable[[Watch], None], plan: Plan, device: torch.device) -> float | None:
    """What of a step no kernel runs in, seconds; None without a GPU, whose kernels the profile is of."""
    if device.type != "cuda":
        return None
    profile = torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA])
    watch = measured(work, dataclasses.replace(plan, warm=1, steps=4), device, profile)
    if watch is None:
        return None
    busy = sum(event.self_device_time_total for event in profile.key_averages()) / 1e6
    return max(0.0, watch.seconds_per_step - busy / (watch.done - watch.warm))


def peak_rate(device: torch.device, dtype: torch.dtype) -> float:
    """Floating-point operations per second of the fastest square matrix product."""
    size, times = (8192, 30) if device.type == "cuda" else (256, 5)
    a, b = (torch.randn(size, size, device=device, dtype=dtype) for _ in range(2))
    watch = Watch(warm=0, steps=1, seconds=0.0, device=device)
    seconds = []
    for _ in range(times):
        start = watch._now()
        a @ b
        seconds.append(watch._now() - start)
    return 2 * size**3 / min(seconds)


# ----- the table -----


@dataclass(frozen=True, kw_only=True)
class Result:
    """One shape, order and batch size; None where the memory did not suffice."""

    shape: Shape
    order: str
    batch: int
    ours: float | None
    """Seconds per step."""
    loop: float | None
    single: float | None
    """Seconds per step of the loop with one sample."""
    steps: int
    """Of flexeval, timed in each round."""
    share: float | None
    """Of the measured peak, a fraction."""
    idle: float | None
    memory: int | None
    """Bytes at most."""

    def over_loop(self) -> float | None:
        """How many times as many samples a second as the loop with this batch."""
        return self.loop / self.ours if self.ours and self.loop else None

    def over_single(self) -> float | None:
        """How many times as many as the loop with one sample."""
        return self.batch * self.single / self.ours if self.ours and self.single else None

    def row(self, plan: Plan) -> str:
        """The row of the table."""
        samples, one = self.batch / plan.steps_of(self.order), 1 / plan.steps_of(self.order)
        cells = [
            self.shape.name,
            f"`{self.order}`",
            str(self.batch),
            _shown(self.ours and samples / self.ours),
            _shown(self.loop and samples / self.loop),
            _shown(self.single and one / self.single),
            _shown(self.over_loop(), ".1f"),
            _shown(self.over_single(), ".1f"),
            _shown(self.ours and self.batch / self.ours),
            _shown(self.share and 100 * self.share, ".0f"),
            _shown(self.ours and 1000 * self.ours, ".1f"),
            "-" if self.idle is None else f"{1000 * self.idle:.1f}",
            "-" if self.memory is None else f"{self.memory / 1e9:.1f}",
            str(self.steps),
        ]
        return f"| {' | '.join(cells)} |"


COLUMNS = (
    "model", "order", "batch", "samples/s", "loop", "loop, batch 1", "x loop", "x batch 1", "forwards/s",
    "% of peak", "ms a step", "host, ms", "memory, GB", "steps timed",
)  # fmt: skip


def _shown(value: float | None, form: str = ".3g") -> str:
    return "out of memory" if value is None else f"{value:{form}}"


def compare(
    model: NativePredictor, shape: Shape, plan: Plan, order: str, batch: int, rate: float, single: float | None
) -> Result:
    """Both sides in turn.

    Args:
        model: of the shape.
        shape: its sizes.
        plan: lengths and steps.
        order: the order.
        batch: samples at once.
        rate: floating-point operations per second at the peak.
        single: seconds per step of the loop with one sample, where it was measured before; with batch 1 the loop's own.
    """
    device = model.device

    def ours(watch: Watch) -> None:
        run_ours(model, plan, order, batch, watch)

    def loop(watch: Watch) -> None:
        run_loop(model, plan, order, batch, watch)

    mine, theirs, memory = [], [], None
    for _ in range(plan.rounds):
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
        mine.append(measured(ours, plan, device))
        if device.type == "cuda":
            memory = torch.cuda.max_memory_allocated(device)
        theirs.append(measured(loop, plan, device))
    seconds, loop_seconds = _median(mine), _median(theirs)
    products = shape.products([length + plan.gen_length for length in plan.lengths(batch)])
    return Result(
        shape=shape,
        order=order,
        batch=batch,
        ours=seconds,
        loop=loop_seconds,
        single=loop_seconds if batch == 1 else single,
        steps=min((watch.done - watch.warm for watch in mine if watch is not None), default=0),
        share=products / seconds / rate if seconds else None,
        idle=idle_seconds(ours, plan, device) if seconds else None,
        memory=memory,
    )


def _median(watches: Sequence[Watch | None]) -> float | None:
    seconds = [watch.seconds_per_step for watch in watches if watch is not None]
    return statistics.median(seconds) if seconds else None


def measure(plan: Plan, device: torch.device, dtype: torch.dtype, compiled: bool) -> Iterator[str]:
    """The lines of the result, as they are found."""
    begun, rate = time.monotonic(), peak_rate(device, dtype)
    yield (
        f"{_name(device)}, torch {torch.__version__}, transformers {transformers.__version__}, {dtype}; matrix "
        f"products at {rate / 1e12:.3g} TFLOP/s; prompts of {plan.prompts[0]} to {plan.prompts[1]} tokens, gen_length "
        f"{plan.gen_length}, block {plan.block} (`ar`: 1), T = 0.6, medians of {plan.rounds}."
    )
    yield ""
    yield f"| {' | '.join(COLUMNS)} |"
    yield "|" + "---|" * len(COLUMNS)
    results, skipped, forwards = [], [], []
    for shape in plan.shapes:
        model = build(shape, device, dtype)
        single: dict[str, float | None] = {}
        # A batch after the other, so that a run that is cut short has every order.
        for batch in sorted(plan.batches):
            for order in plan.orders:
                if time.monotonic() - begun > 60 * plan.minutes:
                    skipped.append(f"{shape.name} `{order}` batch {batch}")
                    continue
                found = compare(model, shape, plan, order, batch, rate, single.get(order))
                if batch == 1:
                    single[order] = found.single
                results.append(found)
                yield found.row(plan)
        if compiled and time.monotonic() - begun <= 60 * plan.minutes:
            forwards += [forward_row(model, shape, plan, batch) for batch in plan.batches]
        del model
        if device.type == "cuda":
            torch.cuda.empty_cache()
    yield ""
    yield from aims(results)
    if skipped:
        yield f"Not measured, since {plan.minutes:g} minutes were over: {', '.join(skipped)}."
    if forwards:
        yield from ["", "| model | batch | eager, ms | compiled | CUDA graphs |", "|---|---|---|---|---|", *forwards]


def aims(results: Sequence[Result]) -> Iterator[str]:
    """What of the aims is reached, for the first shape at batch 32."""
    for found in results:
        if found.batch != 32 or found.shape is not results[0].shape:
            continue
        said = [
            f"{name} {value:.{digits}f} (aim {aim}, {'reached' if value >= aim else 'missed'})"
            for name, value, aim, digits in (
                ("% of peak", found.share and 100 * found.share, 60, 0),
                ("times the batched loop", found.over_loop(), 3, 1),
                ("times batch 1", found.over_single(), 6, 1),
            )
            if value is not None
        ]
        yield f"- {found.shape.name} `{found.order}`, batch 32: {'; '.join(said)}"


def _name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"


# ----- compiled layers -----


def forward_row(model: NativePredictor, shape: Shape, plan: Plan, batch: int) -> str:
    """Milliseconds of one forward of the layers: eager, compiled layer by layer, and with CUDA graphs.

    The last layer stays eager, since it looks at which positions are asked for.
    """
    length = plan.prompts[1] + plan.gen_length
    tokens_BL = torch.randint(0, model.vocab_size - 2, (batch, length), device=model.device)
    layers = list(model.module.base_model.layers)[:-1]
    cells = []
    for mode in (None, "default", "reduce-overhead"):
        if mode is not None:
            torch.compiler.reset()
            for layer in layers:
                layer.compile(mode=mode, dynamic=False)
        try:
            seconds = forward_seconds(model, tokens_BL, plan)
        finally:
            for layer in layers:
                layer._compiled_call_impl = None
        cells.append(_shown(seconds and 1000 * seconds, ".1f"))
    return f"| {shape.name} | {batch} | {' | '.join(cells)} |"


def forward_seconds(model: NativePredictor, tokens_BL: Tensor, plan: Plan) -> float | None:
    """Seconds of one forward."""

    def work(watch: Watch) -> None:
        with torch.inference_mode():
            while True:
                watch.step()
                # What CUDA graphs of the step before gave may be overwritten.
                torch.compiler.cudagraph_mark_step_begin()
                model.hidden(tokens_BL)

    watch = measured(work, plan, model.device)
    return None if watch is None else watch.seconds_per_step


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", action="store_true", help="tiny shapes in float32 on the CPU")
    parser.add_argument("--minutes", type=float, default=9.0, help="begin no measurement after these")
    parser.add_argument("--compile", action="store_true", help="also time compiled layers, which takes minutes more")
    parser.add_argument("--out", type=Path, help="also write the table here")
    arguments = parser.parse_args(argv)
    if not arguments.small and not torch.cuda.is_available():
        parser.error("there is no CUDA device; --small runs tiny shapes on the CPU")
    if arguments.small:
        torch.set_num_threads(1)
        plan, device, dtype = SMALL, torch.device("cpu"), torch.float32
    else:
        plan, device, dtype = Plan(), torch.device("cuda"), torch.bfloat16
    plan = dataclasses.replace(plan, minutes=arguments.minutes)

    lines = []
    for line in measure(plan, device, dtype, arguments.compile):
        print(line, flush=True)
        lines.append(line)
    if arguments.out is not None:
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        command = f"`python analyses/gpu_speed.py{' --small' if arguments.small else ''}`"
        arguments.out.write_text(f"# Speed of the sampler on a GPU\n\n{command}, " + "\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
