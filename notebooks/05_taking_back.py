# %% [markdown]
# # Does taking back release the trap?
#
# Orders that commit for good live with their first guesses. Orders that revise mask tokens again, or rewrite them. Does
# that give back the solutions that confidence ordering passes over, or does it narrow the samples further?
#
# The bundled model `forks` makes a number out of a few others; the first word of a sentence is a choice with
# consequences. Each order that revises is compared with its own rule with nothing taken back, so that what differs is
# the revision.

# %%
import flexeval
from flexeval.figures import show_figure
from flexeval.orders import get_order
from flexeval.report import show_decodes
from flexeval.stats.entropy import connector_entropy
from flexeval.stats.revisions import first_commits, successors, taken_back_by_piece
from flexeval.stats.words import find_words

model = flexeval.load_model("forks")
task = flexeval.get_task("forks")
sampling = flexeval.SamplingConfig(gen_length=task.gen_length, block_length=task.gen_length, temperature=1.0)
for order in ("ar", "confidence", "wino", get_order("wino").committing.spec):
    config = flexeval.RunConfig(model="forks", task="forks", order=order, sampling=sampling, num_samples=8, limit=12)
    flexeval.run(config, out=f"runs/taking-back/{order}", predictor=model, task=task)

runs = flexeval.read_runs("runs/taking-back").counting("sound")
runs

# %% [markdown]
# `wino` commits every proposal that is likely enough, then looks at each token again as if it were masked, and masks
# again what it now doubts. Every revision is in the record: a row a token that was taken back, with what was known when
# it was committed and when it went.

# %%
ar, confidence, wino, _ = runs
wino.revisions()[["sample_index", "step", "position", "old_piece", "commit_prob", "old_prob"]].head(8)

# %% [markdown]
# One problem, left to right and with revisions.

# %%
ar.sample(2)

# %%
wino.sample(2)

# %% [markdown]
# Play it: tokens come, go and come again.

# %%
show_decodes(flexeval.read_runs(["runs/taking-back/ar", "runs/taking-back/wino"]))

# %% [markdown]
# What does it solve? At one sample and at all eight, the arrow from the rule without to the rule with taking back. Of
# twelve problems this is an impression; `results/revision` has a hundred.

# %%
show_figure(runs, "revision")

# %% [markdown]
# Does a revision change anything, or does the same token come back?

# %%
tokens, revisions = wino.tokens(), wino.revisions()
following = successors(tokens, revisions)
print(f"{len(revisions) / len(wino.samples):.1f} tokens taken back a sample")
print(f"{100 * (following['next_token'] == following['old_token']).mean():.0f} % of them come back as they were")

# %% [markdown]
# Which words are taken back most, by the share of their commits?

# %%
words = taken_back_by_piece(tokens, revisions)
words[words["commits"] >= 20].sort_values("share", ascending=False).head(8).round(2)

# %% [markdown]
# Entropies come in two kinds here: at the last commit of a position, which is what the token rows hold, and at its
# first, before anything was taken back.

# %%
last = connector_entropy(tokens, find_words(tokens), quantities=["entropy"]).head(3)
first_rows = first_commits(tokens, revisions)
first = connector_entropy(first_rows, find_words(first_rows), quantities=["entropy"]).head(3)
last[["group", "count", "estimate"]].assign(at_first_commit=first["estimate"]).round(3)
