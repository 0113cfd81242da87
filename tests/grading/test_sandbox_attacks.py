"""Every attack fails on time, the harness stays alive and nothing is left running."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from processes import children, scratch_files, workers

from flexeval.grading.sandbox import Limits, ProgramCheck, Sandbox
from flexeval.grading.sandbox.attacks import ATTACKS, ENTRY_POINT, TESTS, Attack, Surroundings

WALL_S = 2.0
LATEST_S = WALL_S + 8.0
"""Ending processes and emptying folders takes its time on a busy machine."""
ALL = [attack for attacks in ATTACKS.values() for attack in attacks]


@dataclass(frozen=True, kw_only=True)
class Range:
    """Where the attacks are let loose."""

    sandbox: Sandbox
    surroundings: Surroundings
    bystander: subprocess.Popen[bytes]
    outside: Path


@pytest.fixture(scope="module")
def shooting_range(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Range]:
    outside = tmp_path_factory.mktemp("outside")
    (outside / "secret").write_text("a secret")
    (outside / "target").mkdir()
    bystander = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    with (
        bystander,
        socket.create_server(("127.0.0.1", 0)) as server,
        Sandbox(workers=1, limits=Limits(cpu_s=1, wall_s=WALL_S)) as sandbox,
    ):
        surroundings = Surroundings(
            secret_file=str(outside / "secret"),
            target_folder=str(outside / "target"),
            port=server.getsockname()[1],
            home=os.path.expanduser("~"),
            process=bystander.pid,
        )
        yield Range(sandbox=sandbox, surroundings=surroundings, bystander=bystander, outside=outside)
        bystander.kill()


def test_there_are_attacks_of_every_kind() -> None:
    assert len(ALL) >= 25
    assert len({attack.name for attack in ALL}) == len(ALL)


@pytest.mark.parametrize("attack", ALL, ids=lambda attack: attack.name.replace(" ", "-"))
def test_an_attack_fails_on_time_and_leaves_nothing(shooting_range: Range, attack: Attack) -> None:
    verdict = shooting_range.sandbox.check(attack.check(shooting_range.surroundings))

    assert verdict.outcome in ("failed", "crashed", "timed out")
    assert verdict.seconds < LATEST_S
    # Nothing outside has changed.
    assert shooting_range.bystander.poll() is None
    assert (shooting_range.outside / "secret").read_text() == "a secret"
    assert not list((shooting_range.outside / "target").iterdir())
    # Nothing is left inside, and the same worker goes on.
    (worker,) = workers()
    assert children(worker) == []
    if shooting_range.sandbox.isolation.namespaces:
        assert scratch_files(worker) == []


def test_after_all_that_a_right_program_still_passes(shooting_range: Range) -> None:
    program = "def add(a, b):\n    return a + b\n"
    assert shooting_range.sandbox.check(ProgramCheck(program=program, tests=TESTS, entry_point=ENTRY_POINT)).passed
