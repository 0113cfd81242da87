"""Several pieces of work that go through the same rows, in one pass over these rows.

Reading many million rows costs as much as what is computed of them, and a report has ten statistics of each run. Each
piece of work runs in a thread of its own, but only one at a time: it goes on until it wants rows (`Parts`), and waits.
When all wait, the rows that most of them want are read once, with the columns that any of them wants, and each part is
handed from one to the next. Work may hand over further work, which joins in.
"""

from __future__ import annotations

import contextlib
import threading
from collections import Counter
from collections.abc import Callable, Generator, Hashable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pandas as pd

if TYPE_CHECKING:
    from flexeval.runs.parts import Parts

_Item = pd.DataFrame | Exception | None
"""The next part, an error that came instead, or None after the last one."""
_HERE = threading.local()
"""`work`: what this thread does, if it was begun here."""


def in_one_pass(works: Sequence[Callable[[], Any]]) -> list[Future[Any]]:
    """Do all of it. What one does is what it would do alone, since it gets the same parts in the same order.

    Returns:
        What became of each: its result, or its error, which `result()` raises.
    """
    if not works:
        return []
    outer: _Work | None = getattr(_HERE, "work", None)
    together = _Together() if outer is None else outer.together
    begun = [together.add(work) for work in works]
    if outer is None:
        together.run()
    else:
        outer.awaited = begun
        outer.pause()
    return [work.future for work in begun]


def gone_through(parts: Parts) -> Iterator[pd.DataFrame]:
    """The parts; within work that is done in one pass, those of a shared one."""
    work: _Work | None = getattr(_HERE, "work", None)
    return parts.read(parts.columns) if work is None else work.shared(parts)


class _Abandoned(BaseException):
    """Ends a thread that nobody will give any more rows."""


@dataclass(eq=False)
class _Reader:
    """A piece of work on its way through parts."""

    parts: Parts
    item: _Item = None


@dataclass(eq=False)
class _Work:
    together: _Together
    do: Callable[[], Any]
    future: Future[Any] = field(default_factory=Future)
    reader: _Reader | None = None
    """What it waits for a part of."""
    awaited: list[_Work] = field(default_factory=list)
    """What it waits for the end of."""
    begun: bool = False
    _go: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    _back: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))

    def go_on(self) -> None:
        """Let it work until it waits or ends."""
        if not self.begun:
            self.begun = True
            threading.Thread(target=self._run, daemon=True).start()
        self._go.release()
        self._back.acquire()

    def leave(self) -> None:
        """Let its thread end, if it waits."""
        self._go.release()

    def pause(self) -> None:
        """In its own thread: wait until it may go on."""
        self._back.release()
        self._go.acquire()
        if self.together.abandoned:
            raise _Abandoned

    def shared(self, parts: Parts) -> Iterator[pd.DataFrame]:
        """In its own thread: parts as they come."""
        if self.reader is not None:
            # It goes through two at once: the first would wait for the second.
            yield from parts.read(parts.columns)
            return
        reader = self.reader = _Reader(parts)
        try:
            while True:
                self.pause()
                if reader.item is None:
                    return
                if isinstance(reader.item, Exception):
                    raise reader.item
                yield reader.item
        finally:
            self.reader = None

    def _run(self) -> None:
        self._go.acquire()
        _HERE.work = self
        try:
            self.future.set_result(self.do())
        except BaseException as error:
            self.future.set_exception(error)
        finally:
            self._back.release()


class _Together:
    """All of it, and whose turn it is."""

    def __init__(self) -> None:
        self._works: list[_Work] = []
        self.abandoned = False

    def add(self, do: Callable[[], Any]) -> _Work:
        """One more piece of work."""
        self._works.append(_Work(self, do))
        return self._works[-1]

    def run(self) -> None:
        """Until all has ended."""
        try:
            while open_works := [work for work in self._works if not work.future.done()]:
                ready = [work for work in open_works if not work.begun or _has_what_it_awaited(work)]
                for work in ready:
                    work.awaited = []
                    work.go_on()
                if not ready:
                    self._pass([work for work in open_works if work.reader is not None])
        finally:
            self.abandoned = True
            for work in self._works:
                if work.begun and not work.future.done():
                    work.leave()

    def _pass(self, waiting: Sequence[_Work]) -> None:
        """Read the rows that most of those wait for, and give each what it wants of them."""
        ((source, _),) = Counter(work.reader.parts.source for work in waiting if work.reader).most_common(1)
        readers = [(work, work.reader) for work in waiting if work.reader and work.reader.parts.source == source]
        columns = list(dict.fromkeys(name for _, reader in readers for name in reader.parts.columns))
        with contextlib.closing(_to_the_end(readers[0][1].parts.read(columns))) as items:
            self._hand_round(items, readers, source, columns)

    def _hand_round(
        self,
        items: Iterator[_Item],
        readers: list[tuple[_Work, _Reader]],
        source: Hashable,
        columns: Sequence[str],
    ) -> None:
        """Each item to each reader, until none wants more."""
        for place, item in enumerate(items):
            still = []
            for work, reader in readers:
                if work.reader is reader:
                    _hand(work, item)
                # Who looked at the first part alone, and begins again, has missed nothing.
                while place == 0 and (again := work.reader) not in (None, reader) and _is_in(again, source, columns):
                    reader = again
                    _hand(work, item)
                if work.reader is reader:
                    still.append((work, reader))
            readers = still
            if not readers:
                return


def _hand(work: _Work, item: _Item) -> None:
    """Give what it waits for, and let it go on."""
    assert work.reader is not None
    work.reader.item = item[list(work.reader.parts.columns)] if isinstance(item, pd.DataFrame) else item
    work.go_on()


def _is_in(reader: _Reader, source: Hashable, columns: Sequence[str]) -> bool:
    """Whether a pass has what it wants."""
    return reader.parts.source == source and set(columns) >= set(reader.parts.columns)


def _has_what_it_awaited(work: _Work) -> bool:
    return bool(work.awaited) and all(each.future.done() for each in work.awaited)


def _to_the_end(parts: Iterator[pd.DataFrame]) -> Generator[_Item]:
    """The parts, then None, or the error that came instead."""
    try:
        yield from parts
        yield None
    except Exception as error:
        yield error
