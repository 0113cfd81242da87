"""Generated grade-school word problems: `WordProblems` is the task, the other files make its problems."""

from flexeval.tasks.word_problems.task import WordProblems

__all__ = ["WordProblems"]
