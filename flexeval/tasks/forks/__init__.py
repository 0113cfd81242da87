"""Number puzzles in which the first word of a sentence is a choice with consequences: `Forks` is the task."""

from flexeval.tasks.forks.task import Forks

__all__ = ["Forks"]
