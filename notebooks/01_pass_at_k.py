# %% [markdown]
# # Pass@k of two decoding orders
#
# The bundled model answers the same problems twice: strictly left to right (`ar`), and wherever it is most confident
# (`confidence`, LLaDA's low-confidence remasking). Pass@k is the chance that at least one of k samples is correct.
# It measures what an order can reach; accuracy (k = 1) measures what it usually says.
#
# The sets are small, so that this takes half a minute on a laptop. Look at the intervals before the curves.

# %%
from pathlib import Path

from IPython.display import Image

import flexeval
from flexeval.figures import make_figures
from flexeval.records import RunConfig, SamplingConfig
from flexeval.runs.runner import run
from flexeval.runs.store import read_runs
from flexeval.stats.coverage import coverage, coverage_frame
from flexeval.stats.curves import difference_band, pass_at_k_band
from flexeval.stats.pass_at_k import default_ks
from flexeval.tasks import get_task

model = flexeval.load_model("tiny")
task = get_task("word-problems")
sampling = SamplingConfig(gen_length=task.gen_length, block_length=task.gen_length, temperature=0.6)
folder = Path("runs")

# %% [markdown]
# A run is a folder. Calling `run` again continues a stopped run and samples nothing twice.

# %%
for order in ("ar", "confidence"):
    config = RunConfig(order=order, sampling=sampling, num_samples=8, limit=16)
    run(config, out=folder / order, predictor=model, task=task)

runs = read_runs([folder / "ar", folder / "confidence"])
ar, confidence = runs
ar.samples[["problem_id", "sample_index", "text", "correct", "nfe"]].head(4)

# %% [markdown]
# The unbiased estimator at each k, with bands that hold for the whole curve at once.

# %%
ks = default_ks(8)
pass_at_k_band(ar.counts(), ks).round(3)

# %%
pass_at_k_band(confidence.counts(), ks).round(3)

# %% [markdown]
# Both orders saw the same problems and the same random numbers, so their difference, paired by problem, is
# estimated more precisely than either curve.

# %%
difference_band(confidence.counts(), ar.counts(), ks).round(3)

# %% [markdown]
# Which problems did one order solve at least once, and the other never?

# %%
coverage_frame(coverage(ar.counts(), confidence.counts()))

# %%
make_figures(runs, folder / "figures", ["pass-at-k"])
Image(folder / "figures" / "pass-at-k.png")
