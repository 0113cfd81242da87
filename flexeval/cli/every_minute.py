"""A line a minute on stderr that says how far a command is, so that a log is never silent for long.

`main` runs every command in `every_minute`; what the line says comes from the innermost `saying` block, and where there
is none, it says for how long the command has been running. A command of less than a minute prints nothing. Imports
nothing of weight.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator

MINUTE = 60.0
"""Seconds between two lines."""
Line = Callable[[], str | None]
"""What is to be said now; None for nothing. Called by another thread."""

_said: list[Line] = []
"""The innermost one comes last."""


@contextlib.contextmanager
def saying(line: Line) -> Iterator[None]:
    """While the block runs, this is what is said every minute."""
    _said.append(line)
    try:
        yield
    finally:
        _said.remove(line)


@contextlib.contextmanager
def every_minute(command: str) -> Iterator[None]:
    """Print a line every minute while the block runs.

    Args:
        command: its name.
    """
    begun, ended = time.monotonic(), threading.Event()

    def tell() -> None:
        while not ended.wait(MINUTE):
            line = _said[-1]()
            if line is None:
                continue
            try:
                print(f"flexeval: {line}", file=sys.stderr, flush=True)
            except OSError:
                # Nobody reads any more; the command itself finds out when it has something to say.
                return

    teller = threading.Thread(target=tell, name="flexeval-every-minute", daemon=True)
    # Of several processes of one command (accelerate launch), the first speaks for all.
    first = os.environ.get("RANK", "0") == "0"
    with saying(lambda: f"{command}: {duration(time.monotonic() - begun)} so far"):
        if first:
            teller.start()
        try:
            yield
        finally:
            ended.set()
            if first:
                teller.join(timeout=1.0)


class Pace:
    """How far a stretch of work is, how fast it goes, and how long the rest takes at that speed."""

    def __init__(self, name: str, unit: str = "samples") -> None:
        """
        Args:
            name: of the work.
            unit: what is counted, in the plural.
        """
        self._name, self._unit = name, unit
        self._first: tuple[float, float] | None = None
        self._now: tuple[float, float] = (0, 0)
        self._forecast: float | None = None

    def at(self, done: float, total: float, *, forecast: float | None = None) -> None:
        """So many are done. The clock runs from the first call: what was done before it took no time now.

        Args:
            done: so far.
            total: of how many.
            forecast: seconds that what is missing at first was expected to take.
        """
        self._forecast = forecast
        self._first = self._first or (time.monotonic(), done)
        self._now = (done, total)

    def seconds(self) -> float:
        """Since the first call."""
        return time.monotonic() - self._first[0] if self._first else 0.0

    def left(self) -> float | None:
        """Seconds that the rest takes; None where nothing tells.

        A forecast counts as much as a run of its length would: samples finish in batches, so few of them tell little.
        """
        if self._first is None:
            return None
        (done, total), before = self._now, self._first[1]
        made, seconds = done - before, self.seconds()
        if self._forecast is not None:
            made, seconds = made + total - before, seconds + self._forecast
        return seconds * (total - done) / made if made else None

    def line(self, *more: str) -> str:
        """Done, total, speed, and time left, with what else there is to say."""
        if self._first is None:
            return f"{self._name}: has not begun yet"
        done, total = self._now
        made, seconds = done - self._first[1], self.seconds()
        each = (
            []
            if not made
            else [f"{made / seconds:.1f} a second" if made >= seconds else f"{seconds / made:.1f} s each"]
        )
        left = self.left()
        rest = "time left unknown" if left is None else f"about {duration(left)} left"
        return ", ".join([f"{self._name}: {done:,} of {total:,} {self._unit}", *each, *more, rest])


def duration(seconds: float) -> str:
    """A time in its largest usual unit."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 90 * 60 else f"{seconds / 3600:.1f} h"
