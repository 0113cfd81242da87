"""The files by which lm-eval finds flexeval's tasks, generated: `python -m flexeval.lm_harness.task_files`.

One file for each published benchmark and for the bundled models' `word-problems` and `forks`, and one for the group
of them all. Run it after adding a benchmark; a test compares the folder `tasks` with what it writes.
"""

from __future__ import annotations

from pathlib import Path

from flexeval.tasks import OURS
from flexeval.tasks.benchmark import BenchmarkTask
from flexeval.tasks.forks import Forks
from flexeval.tasks.word_problems import WordProblems

FOLDER = Path(__file__).parent / "tasks"

TASK = """\
task: {name}
class: !function flexeval.lm_harness.task.FlexevalTask
dataset_name: {spec}
output_type: generate_until
doc_to_text: question
doc_to_target: target
num_fewshot: 0
repeats: 16
generation_kwargs:
  until: []
metadata:
  version: 1.0
"""

GROUP = """\
group: flexeval
task:
{names}
aggregate_metric_list:
  - metric: pass@1
    aggregation: mean
    weight_by_size: false
metadata:
  version: 1.0
"""


def task_files() -> dict[str, str]:
    """File name -> content."""
    specs = [kind.name for kind in OURS if issubclass(kind, BenchmarkTask | Forks | WordProblems)]
    names = {f"flexeval_{spec.replace('-', '_')}": spec for spec in specs}
    files = {f"{name}.yaml": TASK.format(name=name, spec=spec) for name, spec in names.items()}
    return {**files, "flexeval.yaml": GROUP.format(names="\n".join(f"  - {name}" for name in names))}


if __name__ == "__main__":
    for name, content in task_files().items():
        (FOLDER / name).write_text(content, encoding="utf-8")
