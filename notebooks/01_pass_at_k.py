# %% [markdown]
# # Pass@k of two decoding orders
#
# The bundled model answers the same problems twice: strictly left to right (`ar`), and wherever it is most confident
# (`confidence`, LLaDA's low-confidence remasking). Pass@k is the chance that at least one of k samples is correct.
# It measures what an order can reach; accuracy (k = 1) measures what it usually says.
#
# The sets are small, so that this takes half a minute on a laptop. Look at the intervals before the curves.

# %%
import flexeval
from flexeval.figures import show_figure
from flexeval.report import show_decodes
from flexeval.stats.coverage import coverage, coverage_frame
from flexeval.stats.curves import difference_band

model = flexeval.load_model("tiny")
model

# %% [markdown]
# A run is a folder. Calling `run` again continues a stopped run and samples nothing twice.

# %%
task = flexeval.get_task("word-problems")
sampling = flexeval.SamplingConfig(gen_length=task.gen_length, block_length=task.gen_length, temperature=0.6)
for order in ("ar", "confidence"):
    config = flexeval.RunConfig(task="word-problems", order=order, sampling=sampling, num_samples=8, limit=16)
    flexeval.run(config, out=f"runs/words/{order}", predictor=model, task=task)

runs = flexeval.read_runs("runs/words")
runs

# %% [markdown]
# A run shows its settings and its curve. As frames: `run.to_frame()` has a row a sample, `run.tokens()` a row a
# committed position; `runs.to_frame()` and `runs.tokens()` have all runs below each other.

# %%
ar, confidence = runs
ar

# %%
runs.to_frame().groupby("run")[["correct", "sound", "nfe", "length"]].mean().round(3)

# %%
show_figure(runs, "pass-at-k")

# %% [markdown]
# Both orders saw the same problems and the same random numbers, so their difference, paired by problem, is
# estimated more precisely than either curve. Where the band holds 0, nothing is shown.

# %%
difference_band(confidence.counts(), ar.counts(), [1, 2, 4, 8]).round(3)

# %% [markdown]
# Which problems did one order solve at least once, and the other never?

# %%
coverage_frame(coverage(ar.counts(), confidence.counts()))

# %% [markdown]
# A sample shows how it was decoded: its text coloured by entropy when each token was committed, and by the step. Dots
# mark what was passed over while it was the leftmost mask. Point at a token for its numbers.

# %%
confidence.sample(0)

# %%
confidence.sample(0).to_frame()[["position", "piece", "commit_step", "entropy", "rank", "frontier_step", "passes"]]

# %% [markdown]
# All of it to play, two orders side by side:

# %%
show_decodes(runs)
