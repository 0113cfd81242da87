# %% [markdown]
# # An order of your own
#
# An order is a frozen dataclass: its fields are its parameters, and its call returns the positions to commit. It sees
# entropies and probabilities, but cannot touch the canvas or the random numbers.
#
# Here: commit where the model is most certain, but only within a window that starts at the leftmost mask. A width of
# one is AR order, a window as wide as the block is `entropy`.

# %%
from dataclasses import dataclass

import numpy as np

import flexeval
from flexeval.orders import ORDERS, Order, take_highest
from flexeval.report import show_decodes


@dataclass(frozen=True)
class Window(Order):
    """The lowest entropy among the next `width` positions."""

    name = "window"
    reads = frozenset({"entropy"})
    width: int = 4

    def __call__(self, state):
        near_BG = np.arange(state.eligible_BG.shape[1]) < state.frontier_B[:, None] + self.width
        return take_highest(-state.entropy_BG, state.eligible_BG & near_BG, state.budget_B)


ORDERS.register("window", Window, summary="the lowest entropy among the next few positions")

# %% [markdown]
# Once registered, it has a name and parameters like any other order. (If your package declares it in the entry-point
# group `flexeval.orders`, the command line knows it too.)

# %%
model = flexeval.load_model("tiny")
[samples] = flexeval.sample(
    model,
    ["Mia has 7 pears. She buys 3. Then she sells 4. How many pears does she have now?"],
    order="window:width=8",
    config=flexeval.SamplingConfig(gen_length=48, block_length=48),
    num_samples=2,
)
samples[0]

# %% [markdown]
# Every sample carries its record: one row a committed position.

# %%
samples[0].to_frame()[["position", "piece", "commit_step", "entropy", "prob", "rank", "passes"]].head(8)

# %% [markdown]
# Two tests for a new order. With a window of one it must be AR order, sample for sample: the random numbers
# belong to positions, not to orders. With a window as wide as the block it must be `entropy`.

# %%
task = flexeval.get_task("sudoku4")
sampling = flexeval.SamplingConfig(gen_length=task.gen_length, block_length=task.gen_length)
for order in ("ar", "window:width=1", "window", "window:width=24", "entropy"):
    config = flexeval.RunConfig(task="sudoku4", order=order, sampling=sampling, num_samples=8, limit=8)
    flexeval.run(config, out=f"runs/own/{order.replace(':', '-')}", predictor=model, task=task)

runs = flexeval.read_runs("runs/own")
texts = {run.config.order: list(run.samples["text"]) for run in runs}
assert texts["window:width=1"] == texts["ar"]
assert texts["window:width=24"] == texts["entropy"]
runs

# %% [markdown]
# What it decides, step by step, beside another order:

# %%
show_decodes(runs)
