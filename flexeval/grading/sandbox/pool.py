"""The sandbox as the harness uses it: workers on demand, checks from any thread."""

from __future__ import annotations

import os
import secrets
import select
import subprocess
import sys
import tempfile
import threading
import time
import weakref
from collections.abc import Collection, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from typing import Any, Self

from flexeval.errors import InputError, did_you_mean, one_line, printable
from flexeval.grading.processors import processors
from flexeval.grading.sandbox.channel import Channel, ChannelError
from flexeval.grading.sandbox.codec import decode, encode, refuse_handles
from flexeval.grading.sandbox.interpreter import ENVIRONMENT, FLAGS, bootstrap, interpreter
from flexeval.grading.sandbox.records import LAYERS, Isolation, Limits, ProgramCheck, Verdict
from flexeval.grading.sandbox.scratch import remove

ALLOW_UNSAFE = "FLEXEVAL_ALLOW_UNSAFE_PROGRAMS"
"""Environment variable; 1 lets programs run on a machine that offers no isolation."""

_MAX_MESSAGE = 1 << 30
_START_S = 60.0
_GRACE_S = 60.0
"""A worker keeps its deadline by itself. If it is later than this, it is stuck."""


class _Lost(RuntimeError):
    """A worker ended before it answered."""


class _Stuck(RuntimeError):
    """A worker did not answer in time."""


class Sandbox:
    """Runs programs that nobody has read, and says whether they pass their tests.

    `check` may be called from several threads; each check gets a worker of its own, started when first needed.
    Verdicts do not depend on the number of workers. Close it, or use it as a context manager.
    """

    def __init__(
        self,
        *,
        workers: int | None = None,
        limits: Limits | None = None,
        layers: Collection[str] = LAYERS,
        allow_unsafe: bool = False,
    ) -> None:
        """
        Args:
            workers: checks at the same time; None stands for one per processor that this process may use.
            limits: on each program.
            layers: the layers of isolation that may be used; see `LAYERS`.
            allow_unsafe: run although neither Landlock with seccomp nor namespaces protect this machine.

        Raises:
            InputError: not Linux, or no isolation and `allow_unsafe` is false.
        """
        if not sys.platform.startswith("linux"):
            raise InputError(f"generated programs can be run on Linux only, not on {sys.platform}")
        for layer in layers:
            if layer not in LAYERS:
                raise did_you_mean("isolation layer", layer, LAYERS)
        workers = processors() if workers is None else workers
        if workers < 1:
            raise InputError(f"workers must be at least 1, not {workers}")
        self.workers = workers
        self.limits = limits if limits is not None else Limits()
        self._layers = tuple(layers)
        self._owner = os.getpid()
        self._slots = threading.Semaphore(workers)
        self._lock = threading.Lock()
        self._closed = False
        self._idle: list[_Worker] = []
        self._alive: set[_Worker] = set()
        self._free_indices = list(range(workers))
        # Real path: the candidate's Landlock rules and mounts are about folders, not about links.
        temporary = os.path.realpath(tempfile.gettempdir())
        self._folder = f"{temporary}/flexeval-sandbox-{secrets.token_hex(8)}"
        # Before there is anything to remove, so that no interrupt can leave something behind.
        self._end = weakref.finalize(self, _end, self._owner, self._folder, self._alive)
        os.mkdir(self._folder)
        os.chmod(self._folder, 0o711)
        try:
            first = self._take()
            self._idle.append(first)
            self.isolation: Isolation = first.isolation
            if not self.isolation.confined and not allow_unsafe:
                raise InputError(
                    f"generated programs could harm this machine ({self.isolation.summary()}): use a kernel with "
                    f"Landlock and seccomp, or one that lets you create namespaces, or allow it with "
                    f"{ALLOW_UNSAFE}=1"
                )
        except BaseException:
            self.close()
            raise

    def check(self, check: ProgramCheck) -> Verdict:
        """Run one program against its tests.

        A worker that does not answer, whatever the program did to it, is one program that did not pass.

        Raises:
            RuntimeError: the check failed for a reason that is not in the program.
        """
        if os.getpid() != self._owner:
            raise RuntimeError("a sandbox cannot be used by a fork of the process that made it")
        if self._closed:
            raise RuntimeError("this sandbox is closed")
        start = time.monotonic()
        with self._slots:
            outcome, reason = self._answer(asdict(check))
        if outcome == "broken":
            raise RuntimeError(printable(reason or ""))
        # The program may have worded the reason.
        reason = reason and one_line(reason)
        return Verdict(outcome=outcome, reason=reason, seconds=time.monotonic() - start)

    def check_all(self, checks: Iterable[ProgramCheck]) -> list[Verdict]:
        """The verdicts of many checks, in their order; as many at a time as there are workers."""
        with ThreadPoolExecutor(self.workers) as threads:
            return list(threads.map(self.check, checks))

    def _answer(self, request: dict[str, Any]) -> tuple[Any, str | None]:
        """Outcome and reason. A worker that was lost may have been ended from outside, so another one is asked, too."""
        lost = ""
        for _ in range(2):
            worker = self._take()
            usable = False
            try:
                outcome, reason, usable = worker.ask(request, self.limits.wall_s + _GRACE_S)
                return outcome, reason
            except _Stuck as error:
                return "timed out", str(error)
            except _Lost as error:
                lost = str(error)
            finally:
                (self._put_back if usable else self._discard)(worker)
        return "crashed", lost

    def close(self) -> None:
        """End the workers, a busy one after its check, and remove their folders. Nothing in a fork of the owner."""
        if os.getpid() != self._owner:
            return
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for worker in idle:
            self._retire(worker)
        self._end_if_idle()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _take(self) -> _Worker:
        """An idle worker, or a new one. The caller holds a slot, so there is an index left for it."""
        with self._lock:
            if self._idle:
                return self._idle.pop()
            index = self._free_indices.pop(0)
        try:
            worker = _Worker(index, self._folder, self.limits, self._layers)
        except BaseException:
            with self._lock:
                self._free_indices.append(index)
            raise
        self._alive.add(worker)
        return worker

    def _put_back(self, worker: _Worker) -> None:
        with self._lock:
            if not self._closed:
                self._idle.append(worker)
                return
        # Closed by another thread during the check.
        self._retire(worker)
        self._end_if_idle()

    def _discard(self, worker: _Worker) -> None:
        worker.kill()
        self._forget(worker)
        if self._closed:
            self._end_if_idle()

    def _retire(self, worker: _Worker) -> None:
        worker.close()
        self._forget(worker)

    def _forget(self, worker: _Worker) -> None:
        with self._lock:
            self._alive.discard(worker)
            self._free_indices.append(worker.index)

    def _end_if_idle(self) -> None:
        """Remove the folder of all workers, unless one of them is still busy in it, or starting."""
        if len(self._free_indices) == self.workers:
            self._end()


def _end(owner: int, folder: str, alive: set[_Worker]) -> None:
    """What is left to do when a sandbox is closed, let go or when its process ends; nothing in a fork of the owner."""
    if os.getpid() == owner:
        for worker in list(alive):
            worker.kill()
        remove(folder, aside=os.path.dirname(folder))


class _Worker:
    """The harness's end of one worker process."""

    def __init__(self, index: int, folder: str, limits: Limits, layers: tuple[str, ...]) -> None:
        self.index = index
        self._folder = f"{folder}/worker-{index}-{secrets.token_hex(4)}"
        python = interpreter()
        self._process = subprocess.Popen(
            [python.executable, *FLAGS, "-c", bootstrap("sandbox.worker")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            cwd="/",
            env=ENVIRONMENT,
            # An interrupt from the terminal is for the harness, which then closes its workers.
            start_new_session=True,
        )
        try:
            assert self._process.stdin is not None and self._process.stdout is not None
            self._channel = Channel(self._process.stdout.fileno(), self._process.stdin.fileno(), _MAX_MESSAGE)
            os.mkdir(self._folder, 0o700)
            settings = {
                "folder": self._folder,
                "interpreter": asdict(python),
                "limits": asdict(limits),
                "layers": layers,
                "index": index,
            }
            hello = self.ask(settings, _START_S)
            self.isolation = Isolation(**hello["isolation"])
            outcome, reason = hello["trial"]
            if outcome != "passed":
                raise RuntimeError(f"the sandbox does not work here ({self.isolation.summary()}): {outcome}, {reason}")
        except BaseException:
            self.kill()
            raise

    def ask(self, request: object, timeout_s: float) -> Any:
        """Send a request and wait for its answer. Raises `_Lost` when the worker ended, `_Stuck` when it is late."""
        try:
            self._channel.send(encode(request, refuse_handles))
            poll = select.poll()
            poll.register(self._channel.read_fd, select.POLLIN)
            if not poll.poll(timeout_s * 1000):
                raise _Stuck(f"a sandbox worker did not answer within {timeout_s:g} s")
            return decode(self._channel.recv(), refuse_handles)
        except ChannelError:
            raise _Lost("a sandbox worker ended unexpectedly; its last words are on standard error") from None

    def close(self) -> None:
        """Hang up, so that the worker ends by itself, and wait for it."""
        self._hang_up()
        try:
            self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self._process.kill()
        self._bury()

    def kill(self) -> None:
        """End the worker now; what it had started dies with it."""
        self._process.kill()
        self._hang_up()
        self._bury()

    def _bury(self) -> None:
        """Wait for the end of the process, and remove what it left."""
        self._process.wait()
        remove(self._folder, aside=os.path.dirname(os.path.dirname(self._folder)))

    def _hang_up(self) -> None:
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()


def describe_isolation(layers: Collection[str] = LAYERS) -> Isolation:
    """The isolation that a sandbox has on this machine, found by starting one. Raises InputError off Linux."""
    with Sandbox(workers=1, layers=layers, allow_unsafe=True) as sandbox:
        return sandbox.isolation


_shared_lock = threading.Lock()
_shared: dict[int, Sandbox] = {}
"""By process id, since a fork cannot use the sandbox of its parent."""


def shared_sandbox() -> Sandbox:
    """A sandbox with the default limits, started when first asked for; it ends with the process."""
    with _shared_lock:
        process = os.getpid()
        if process not in _shared:
            _shared[process] = Sandbox(allow_unsafe=os.environ.get(ALLOW_UNSAFE) == "1")
        return _shared[process]
