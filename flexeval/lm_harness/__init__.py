"""flexeval inside lm-eval: the model `flexeval` and the tasks `flexeval_*`.

Importing this package registers the model. `task_manager` knows the tasks, which lm-eval finds by folder.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lm_eval.tasks import TaskManager

from flexeval.lm_harness.model import FlexevalLM

TASKS_FOLDER = Path(__file__).parent / "tasks"
"""The task files; also what `--include_path` wants."""


def task_manager(
    include_path: str | Path | Sequence[str | Path] = (),
    *,
    include_defaults: bool = True,
    metadata: Mapping[str, Any] | None = None,
) -> TaskManager:
    """lm-eval's task manager with flexeval's tasks.

    Args:
        include_path: further folders of task files.
        include_defaults: index lm-eval's own tasks too, which takes some seconds.
        metadata: what `--metadata` says on the command line: `repeats`, `data_dir`, `prompt`.
    """
    more = [include_path] if isinstance(include_path, str | Path) else list(include_path)
    return TaskManager(
        include_path=[TASKS_FOLDER, *more], include_defaults=include_defaults, metadata=dict(metadata or {})
    )


__all__ = ["TASKS_FOLDER", "FlexevalLM", "task_manager"]
