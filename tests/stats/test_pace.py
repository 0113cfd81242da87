"""Tokens per step: positions over evaluations."""

from __future__ import annotations

import pandas as pd
import pytest

from flexeval import stats
from flexeval.errors import InputError


def rows(per_problem: dict[str, int]) -> pd.DataFrame:
    return pd.DataFrame({"problem_id": [problem for problem, number in per_problem.items() for _ in range(number)]})


def test_one_position_a_step_is_one_without_width():
    samples = pd.DataFrame({"problem_id": ["a", "a", "b"], "nfe": [3, 5, 4]})
    pace = stats.tokens_per_step(rows({"a": 8, "b": 4}), samples)
    assert (pace.estimate, pace.low, pace.high) == (1, 1, 1)


def test_samples_count_by_what_they_cost():
    samples = pd.DataFrame({"problem_id": ["a", "b"], "nfe": [2, 6]})
    pace = stats.tokens_per_step(rows({"a": 8, "b": 8}), samples)
    assert pace.estimate == 2
    assert 8 / 6 <= pace.low <= 2 <= pace.high <= 4


def test_a_sample_without_a_position_costs_too():
    samples = pd.DataFrame({"problem_id": ["a", "b"], "nfe": [4, 4]})
    assert stats.tokens_per_step(rows({"a": 8}), samples).estimate == 1


def test_no_evaluation_is_refused():
    with pytest.raises(InputError, match="no evaluation"):
        stats.tokens_per_step(rows({}), pd.DataFrame({"problem_id": [], "nfe": []}))
