# %% [markdown]
# # Where did the uncertainty go?
#
# The paper explains the difference as follows: confidence ordering passes over the uncertain words that decide how a
# solution goes on ("Therefore", "Since", ...), fills in what comes after them, and returns when little is left to
# decide. Each token's entropy is recorded three times: when it was committed, when it became eligible, and when it
# was the leftmost mask (the frontier).

# %%
from pathlib import Path

from IPython.display import Image

import flexeval
from flexeval.figures import make_figures
from flexeval.records import RunConfig, SamplingConfig
from flexeval.runs.counterfactual import add_counterfactual
from flexeval.runs.counterfactual_table import tokens_with_counterfactual
from flexeval.runs.runner import run
from flexeval.runs.store import read_runs
from flexeval.stats.bypass import enrichment, most_bypassed
from flexeval.stats.entropy import connector_entropy, highest_entropy_words
from flexeval.stats.words import find_words
from flexeval.tasks import get_task

model = flexeval.load_model("tiny")
task = get_task("word-problems")
sampling = SamplingConfig(gen_length=task.gen_length, block_length=task.gen_length, temperature=0.6)
folder = Path("runs")

# %% [markdown]
# The runs of the first notebook. They are made now if they do not exist.

# %%
for order in ("ar", "confidence"):
    config = RunConfig(order=order, sampling=sampling, num_samples=8, limit=16)
    run(config, out=folder / order, predictor=model, task=task)

runs = read_runs([folder / "ar", folder / "confidence"])
ar, confidence = runs

# %% [markdown]
# The words with the most entropy at commit, left to right. `ratio` is relative to the average token.

# %%
ar_tokens, confidence_tokens = ar.tokens(), confidence.tokens()
ar_words, confidence_words = find_words(ar_tokens), find_words(confidence_tokens)
highest_entropy_words(ar_words, ar_tokens, top=10)

# %% [markdown]
# Connectors against all tokens, in nats. The dashed line of the paper's figure is "all tokens".

# %%
connector_entropy(ar_tokens, ar_words, quantities=["entropy"]).head(3).round(3)

# %%
connector_entropy(confidence_tokens, confidence_words, quantities=["entropy"]).head(3).round(3)

# %% [markdown]
# A word is bypassed when a later position was committed while it was the frontier. Are connectors bypassed more than
# other words at the same place in the block?

# %%
most_bypassed(confidence_words, top=10)

# %%
enrichment(confidence_words, sampling.block)

# %% [markdown]
# Different orders write different texts. The counterfactual keeps the text and asks another question: how
# uncertain would each token have been, given all tokens before it and none after it?

# %%
add_counterfactual(confidence, predictor=model, task=task)
tokens = tokens_with_counterfactual(confidence)
connector_entropy(tokens, find_words(tokens), quantities=["entropy", "ar_entropy", "ar_gap"]).head(9).round(3)

# %%
make_figures(runs, folder / "figures", ["connector-entropy"])
Image(folder / "figures" / "connector-entropy.png")
