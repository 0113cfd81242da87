# %% [markdown]
# # Real checkpoints
#
# Everything that runs on the bundled model runs on LLaDA and Dream. `FLEXEVAL_MODEL` names one: a short name, a folder
# or a hub id. Without it this notebook uses the bundled model and shows the calls.
#
# In a shell:
#
#     flexeval ls models
#     FLEXEVAL_MODEL=llada-8b-instruct FLEXEVAL_TASK=gsm8k jupyter lab

# %%
import os

import flexeval
from flexeval.models import MODELS
from flexeval.reproduce.estimate import Machine, estimate
from flexeval.reproduce.plan import read_preset

name = os.environ.get("FLEXEVAL_MODEL", "tiny")
task_name = os.environ.get("FLEXEVAL_TASK", "sudoku4")
list(MODELS)

# %% [markdown]
# Loading looks at the checkpoint's layout, not at its name, takes weights from safetensors only, and runs two short
# forwards to check that attention is bidirectional and that padding changes nothing. Code that comes with a checkpoint
# runs only with `trust_remote_code=True`.

# %%
model = flexeval.load_model(name)
model

# %% [markdown]
# What the model sees: the task's wording, through the checkpoint's own chat template.

# %%
task = flexeval.get_task(task_name, data_dir=os.environ.get("FLEXEVAL_DATA", "data"))
problem = task.problems()[0]
prompt_ids = model.encode(task.prompt(problem))
print(len(prompt_ids), "tokens:", problem.question)

# %% [markdown]
# A few samples with LLaDA's settings for short answers. On a GPU give `num_samples=128` and no limit. You may stop it
# at any time, since the run folder resumes.

# %%
sampling = flexeval.SamplingConfig(gen_length=task.gen_length, temperature=0.6)
config = flexeval.RunConfig(model=name, task=task_name, order="confidence", sampling=sampling, num_samples=4, limit=8)
result = flexeval.run(config, out=f"runs/real/{name.replace('/', '-')}", predictor=model, task=task)
result

# %% [markdown]
# The first sample of the first problem, as it was decoded:

# %%
result.sample(0)

# %% [markdown]
# Before the long run: what would the paper's whole grid cost? These are upper bounds: samples stop at their end of
# text, and equal canvases are evaluated once. `flexeval reproduce --preset llada --dry-run` prints the same table, and
# without `--dry-run` it makes the runs, the figures, the claims and the report.

# %%
plan = read_preset("llada", quick=False)
machine = Machine()
hours = {}
for cell in plan.configs:
    samples = (cell.limit or 0) * cell.num_samples
    cost = estimate(cell, samples=samples, parameters=plan.parameters.get(cell.model), machine=machine)
    hours[cell.task] = hours.get(cell.task, 0.0) + (cost.gpu_hours or 0.0)
{name: round(value) for name, value in hours.items()}

# %% [markdown]
# The same model inside lm-eval, which may be where your other numbers come from. With equal settings and seed,
# Pass@k equals that of `flexeval.run` above, sample by sample.

# %%
import lm_eval
from lm_eval.utils import make_table

from flexeval.lm_harness import FlexevalLM, task_manager

results = lm_eval.simple_evaluate(
    FlexevalLM(model, order="confidence", temperature=0.6, batch_size=8),
    tasks=["flexeval_word_problems"],
    limit=4,
    task_manager=task_manager(include_defaults=False, metadata={"repeats": 4}),
)
print(make_table(results))
