# %% [markdown]
# # Where did the uncertainty go?
#
# The paper explains the difference as follows: confidence ordering passes over the uncertain words that decide how a
# solution goes on ("Therefore", "Since", ...), fills in what comes after them, and returns when little is left to
# decide. Each token's entropy is recorded three times: when it was committed, when it became eligible, and when it
# was the leftmost mask (the frontier).

# %%
import flexeval
from flexeval.figures import show_figure
from flexeval.runs.counterfactual import add_counterfactual
from flexeval.runs.counterfactual_table import tokens_with_counterfactual
from flexeval.stats.bypass import enrichment, most_bypassed
from flexeval.stats.entropy import connector_entropy, highest_entropy_words
from flexeval.stats.words import find_words

model = flexeval.load_model("tiny")
task = flexeval.get_task("word-problems")
sampling = flexeval.SamplingConfig(gen_length=task.gen_length, block_length=task.gen_length, temperature=0.6)
for order in ("ar", "confidence"):
    config = flexeval.RunConfig(task="word-problems", order=order, sampling=sampling, num_samples=8, limit=16)
    flexeval.run(config, out=f"runs/words/{order}", predictor=model, task=task)

runs = flexeval.read_runs("runs/words")
ar, confidence = runs
runs

# %% [markdown]
# One problem under both orders. Left to right, a word is committed when all before it is known. Under confidence
# ordering, the dotted words were passed over, and what stood after them was there first.

# %%
ar.sample(3)

# %%
confidence.sample(3)

# %% [markdown]
# The words with the most entropy at commit, left to right. `ratio` is relative to the average token.

# %%
ar_tokens, confidence_tokens = ar.tokens(), confidence.tokens()
ar_words, confidence_words = find_words(ar_tokens), find_words(confidence_tokens)
highest_entropy_words(ar_words, ar_tokens, top=10).round(3)

# %% [markdown]
# Connectors against all tokens, in nats, for both orders.

# %%
show_figure(runs, "connector-entropy")

# %%
connector_entropy(confidence_tokens, confidence_words, quantities=["entropy"]).head(3).round(3)

# %% [markdown]
# A word is bypassed when a later position was committed while it was the frontier. Are connectors bypassed more than
# other words at the same place in the block?

# %%
most_bypassed(confidence_words, top=10).round(3)

# %%
found = enrichment(confidence.word_parts(["in_block", "passes"]))
print(f"connectors {found.rate:.3f}, others at the same place {found.matched_rate:.3f}")
print(f"difference {found.difference.text(form='+.3f')}, p = {found.p_value:.4f}")

# %% [markdown]
# The token table is a frame, so anything else is a line of pandas: how late, and how uncertain, was each position?

# %%
tokens = runs.tokens(["position", "in_text", "commit_step", "entropy", "passes"])
tokens[tokens["in_text"]].groupby("run")[["commit_step", "entropy", "passes"]].mean().round(3)

# %% [markdown]
# Different orders write different texts. The counterfactual keeps the text and asks another question: how
# uncertain would each token have been, given all tokens before it and none after it?

# %%
add_counterfactual(confidence, predictor=model, task=task)
asked = tokens_with_counterfactual(confidence)
connector_entropy(asked, find_words(asked), quantities=["entropy", "ar_entropy", "ar_gap"]).head(9).round(3)
