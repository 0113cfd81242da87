"""`flexeval ls` shows every registered name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from flexeval.claims import CLAIMS
from flexeval.cli.main import main
from flexeval.figures import FIGURES
from flexeval.models import MODELS
from flexeval.models.families import FAMILIES
from flexeval.orders import ORDERS
from flexeval.registry import Registry
from flexeval.tasks import TASKS

REGISTRIES: dict[str, Registry[Any]] = {
    "orders": ORDERS,
    "models": MODELS,
    "families": FAMILIES,
    "tasks": TASKS,
    "figures": FIGURES,
    "claims": CLAIMS,
}


@pytest.mark.parametrize(("kind", "registry"), REGISTRIES.items())
def test_every_name_has_a_line_with_its_aliases_and_summary(
    capsys: pytest.CaptureFixture[str], kind: str, registry: Registry[Any]
) -> None:
    assert main(["ls", kind]) == 0
    title, *lines = capsys.readouterr().out.splitlines()
    assert title == kind
    assert [line.split()[0] for line in lines] == list(registry)
    for line in lines:
        name = line.split()[0]
        assert registry.summary(name) in line
        assert all(alias in line for alias in registry.aliases(name))


def test_parameters_come_with_their_defaults(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ls", "orders"]) == 0
    lines = {line.split()[0]: line for line in capsys.readouterr().out.splitlines()[1:]}
    assert "parameters: tau=0.9" in lines["threshold"]
    assert "parameters: k" in lines["parallel-k"]
    assert "parameters" not in lines["ar"]


def test_tasks_come_with_the_prompts_that_they_have(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ls", "tasks"]) == 0
    lines = {line.split()[0]: line for line in capsys.readouterr().out.splitlines()[1:]}
    assert lines["gsm8k"].endswith("prompts: default, bare, d1, justgrpo")
    assert lines["mbpp"].endswith("prompts: default, bare, justgrpo")
    assert "prompts" not in lines["sudoku4"]


def test_without_a_kind_all_names_are_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ls"]) == 0
    first_words = [line.split()[0] for line in capsys.readouterr().out.splitlines() if line]
    assert first_words == [word for kind, registry in REGISTRIES.items() for word in (kind, *registry)]


def test_unknown_kind(refused: Callable[..., str]) -> None:
    assert "Did you mean 'orders'?" in refused("ls", "order")
