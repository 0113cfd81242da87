"""Every attack fails on time, the harness stays alive and nothing is left running."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from attacks import ATTACKS, ENTRY_POINT, RIGHT, TESTS, Attack, Surroundings, surroundings
from processes import children, scratch_files, workers

from flexeval.grading.sandbox import Limits, ProgramCheck, Sandbox

pytestmark = pytest.mark.linux

WALL_S = 2.0
LATEST_S = WALL_S + 60.0
"""Ending processes and emptying folders takes its time on a busy machine."""
ALL = [attack for attacks in ATTACKS.values() for attack in attacks]


@pytest.fixture(scope="module")
def sandbox_and_worker() -> Iterator[tuple[Sandbox, int]]:
    others = workers()
    with Sandbox(workers=1, limits=Limits(cpu_s=1, wall_s=WALL_S)) as sandbox:
        (worker,) = workers() - others
        yield sandbox, worker


@pytest.fixture(scope="module")
def targets(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Surroundings]:
    with surroundings(tmp_path_factory.mktemp("outside")) as targets:
        yield targets


def test_there_are_attacks_of_every_kind() -> None:
    assert len(ALL) >= 25
    assert len({attack.name for attack in ALL}) == len(ALL)


@pytest.mark.parametrize("attack", ALL, ids=lambda attack: attack.name.replace(" ", "-"))
def test_an_attack_fails_on_time_and_leaves_nothing(
    sandbox_and_worker: tuple[Sandbox, int], targets: Surroundings, attack: Attack
) -> None:
    sandbox, worker = sandbox_and_worker
    verdict = sandbox.check(attack.check(targets))

    assert verdict.outcome in ("failed", "crashed", "timed out", "unsupported result")
    assert verdict.seconds < LATEST_S
    assert targets.unharmed()
    # Nothing is left inside, and the same worker goes on; without a bound on what it must clear another one does.
    if sandbox.isolation.namespaces:
        assert worker in workers()
        assert scratch_files(worker) == []
    assert children(worker) == []


def test_after_all_that_a_right_program_still_passes(sandbox_and_worker: tuple[Sandbox, int]) -> None:
    sandbox, _ = sandbox_and_worker
    right = ProgramCheck(program=RIGHT, tests=TESTS, entry_point=ENTRY_POINT)
    verdict = sandbox.check(right)
    # The deadline is short for the sake of the attacks; on a busy machine a right program may miss it.
    while verdict.outcome == "timed out":
        verdict = sandbox.check(right)
    assert verdict.passed
