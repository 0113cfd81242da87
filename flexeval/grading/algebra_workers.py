"""Processes that compare expressions by algebra, started when first needed and killed when they overrun.

A plain child process with two pipes, not a fork: it is safe beside torch and its threads, it inherits no
memory and almost no environment, and it can be killed in the middle of a computation in C, which no signal
handler inside it could stop. A comparison that overruns or crashes its process is a `ComparisonFailed`; the
next one gets a fresh process.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import json
import os
import queue
import select
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from flexeval.grading.processors import processors

CPU_SECONDS = 3
WALL_SECONDS = 15.0
START_SECONDS = 120.0
REMEMBERED = 20_000

_PACKAGE_ROOT = Path(__file__).resolve().parents[2]
_KEPT_VARIABLES = ("PATH", "HOME", "LD_LIBRARY_PATH", "PYTHONHOME", "VIRTUAL_ENV")


class ComparisonFailed(Exception):
    """Two expressions could not be compared; the message says why."""


class MathWorkers:
    """A pool of comparing processes. May be used from several threads; each holds one process at a time."""

    def __init__(
        self, *, workers: int | None = None, cpu_seconds: int = CPU_SECONDS, wall_seconds: float = WALL_SECONDS
    ) -> None:
        """
        Args:
            workers: most processes at a time; None stands for one per processor that this process may use. They are
                started when needed.
            cpu_seconds: processor time that one comparison may use.
            wall_seconds: time after which a comparison ends in any case.
        """
        self._cpu_seconds = cpu_seconds
        self._wall_seconds = wall_seconds
        self._slots: queue.SimpleQueue[_Worker | None] = queue.SimpleQueue()
        self._count = workers or processors()
        for _ in range(self._count):
            self._slots.put(None)
        self._verdict = functools.lru_cache(maxsize=REMEMBERED)(self._ask)

    def same(self, a: str, b: str) -> bool:
        """Whether two LaTeX expressions are equal; False where one of them cannot be parsed.

        Raises:
            ComparisonFailed: the comparison took too long, or ended its process.
        """
        equal, failure = self._verdict(*sorted((a, b)))
        if failure is not None:
            raise ComparisonFailed(failure)
        return equal

    def close(self) -> None:
        """End all processes. The pool can still be used; it starts new ones."""
        for _ in range(self._count):
            worker = self._slots.get()
            if worker is not None:
                worker.end()
            self._slots.put(None)

    def __enter__(self) -> MathWorkers:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _ask(self, a: str, b: str) -> tuple[bool, str | None]:
        """(equal, why it could not be found out)."""
        worker = self._slots.get()
        kept = None
        try:
            if worker is None or not worker.alive():
                worker = _Worker()
            reply = worker.ask({"a": a, "b": b, "cpu_seconds": self._cpu_seconds}, self._wall_seconds)
            kept = worker
        except ComparisonFailed as failure:
            return False, str(failure)
        finally:
            if worker is not None and kept is None:
                worker.end()
            self._slots.put(kept)
        return bool(reply["equal"]), None


class _Worker:
    """One child process."""

    def __init__(self) -> None:
        environment = {name: os.environ[name] for name in _KEPT_VARIABLES if name in os.environ}
        environment |= {"PYTHONPATH": str(_PACKAGE_ROOT), "PYTHONDONTWRITEBYTECODE": "1", "PYTHONUTF8": "1"}
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "flexeval.grading.algebra"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
            # Ctrl-C is for the parent, which ends its workers itself.
            start_new_session=True,
        )
        try:
            self._read_line(START_SECONDS)
        except ComparisonFailed as failure:
            self.end()
            raise RuntimeError(f"the process that compares expressions does not start: {failure}") from failure

    def alive(self) -> bool:
        return self._process.poll() is None

    def ask(self, request: dict[str, Any], wall_seconds: float) -> dict[str, Any]:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(request).encode() + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise ComparisonFailed(self._why_it_ended()) from None
        reply: dict[str, Any] = json.loads(self._read_line(wall_seconds))
        return reply

    def end(self) -> None:
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            with contextlib.suppress(BrokenPipeError):
                pipe.close()

    def _read_line(self, seconds: float) -> bytes:
        """The next line, which the child writes whole."""
        assert self._process.stdout is not None
        poll = select.poll()
        poll.register(self._process.stdout, select.POLLIN | select.POLLHUP)
        deadline = time.monotonic() + seconds
        while not poll.poll(max(0.0, deadline - time.monotonic()) * 1000):
            if time.monotonic() >= deadline:
                raise ComparisonFailed(f"no result within {seconds:g} seconds")
        line = self._process.stdout.readline()
        if not line:
            raise ComparisonFailed(self._why_it_ended())
        return line

    def _why_it_ended(self) -> str:
        code = self._process.wait()
        if code == -signal.SIGPROF:
            return "no result within the processor time allowed"
        return f"the comparing process ended with status {code}"


_shared: dict[int, MathWorkers] = {}
_shared_lock = threading.Lock()


def shared_workers() -> MathWorkers:
    """The pool of this process, made on first use and closed at exit."""
    with _shared_lock:
        # By process id: after a fork the parent's pipes are not ours to use or to close.
        pid = os.getpid()
        if pid not in _shared:
            _shared[pid] = MathWorkers()
        return _shared[pid]


@atexit.register
def close_shared_workers() -> None:
    """End the processes of the shared pool, if it has any."""
    pool = _shared.get(os.getpid())
    if pool is not None:
        pool.close()
