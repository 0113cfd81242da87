"""What an attack is: one program, what it tries, and what it is aimed at."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from flexeval.grading.sandbox import ProgramCheck

ENTRY_POINT = "add"
TESTS = "assert add(2, 3) == 5\nassert add(-4, 4) == 0\nassert add(10, 20) == 30\n"
WRONG = "def add(a, b):\n    return None\n"
RIGHT = "def add(a, b):\n    return a + b\n"


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """What attacks are aimed at. Everything is expendable."""

    secret_file: Path
    """A file outside the sandbox that its user can read."""
    target_folder: Path
    """An empty folder outside the sandbox that its user can write."""
    home: Path
    """The home folder of its user."""
    port: int
    """A TCP port of this machine that accepts connections."""
    process: int
    """A process of the same user."""

    def unharmed(self) -> bool:
        """Whether the process lives and the files are as they were."""
        state = Path(f"/proc/{self.process}/stat").read_text().rpartition(")")[2].split()[0]
        same_files = self.secret_file.read_text() == _SECRET and not list(self.target_folder.iterdir())
        return state not in "ZX" and same_files


_SECRET = "not for programs"


@contextmanager
def surroundings(folder: Path) -> Iterator[Surroundings]:
    """Make targets in an empty folder."""
    secret_file, target_folder = folder / "secret", folder / "target"
    secret_file.write_text(_SECRET)
    target_folder.mkdir()
    bystander = subprocess.Popen([sys.executable, "-S", "-c", "input()"], stdin=subprocess.PIPE)
    with bystander, socket.create_server(("127.0.0.1", 0)) as server:
        yield Surroundings(
            secret_file=secret_file,
            target_folder=target_folder,
            home=Path(os.path.expanduser("~")),
            port=server.getsockname()[1],
            process=bystander.pid,
        )
        bystander.kill()


@dataclass(frozen=True, kw_only=True)
class Attack:
    """One program and what it tries."""

    name: str
    tries: str
    """In words, for a table."""
    program: str
    """May mention the fields of `Surroundings` in braces."""

    def check(self, targets: Surroundings) -> ProgramCheck:
        """The attack, aimed."""
        program = self.program
        for name, value in vars(targets).items():
            program = program.replace("{" + name + "}", str(value))
        return ProgramCheck(program=program, tests=TESTS, entry_point=ENTRY_POINT)


def attack(name: str, tries: str, program: str) -> Attack:
    """An attack whose program may begin with an empty line."""
    return Attack(name=name, tries=tries, program=program.lstrip("\n"))


def in_call(statements: str) -> str:
    """A program whose wrong function does something when it is called."""
    body = "".join(f"    {line}\n" for line in statements.strip("\n").split("\n"))
    return f"def add(a, b):\n{body}    return None\n"


def if_it_works(statements: str) -> str:
    """A program that is right only when the statements raise nothing."""
    return statements.strip("\n") + "\n" + RIGHT
