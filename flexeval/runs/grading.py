"""Verdicts on a stream of texts, by several threads. It does not know where the texts come from."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from flexeval.grading.processors import processors
from flexeval.records import Grade

T = TypeVar("T")

WAITING = 256
"""Items whose verdict may be outstanding before the stream has to wait."""


def graded(items: Iterable[T], grade: Callable[[T], Grade], *, threads: int | None = None) -> Iterator[tuple[T, Grade]]:
    """Each item with its verdict, in the order of the items, which does not depend on the number of threads.

    Threads suffice, since what takes long in a grader happens in processes of its own (algebra, programs). The
    next items are drawn while the verdicts on earlier ones are found.

    Args:
        items: may be endless, and slow.
        grade: item -> verdict; called from several threads.
        threads: at a time; None stands for one per processor that this process may use.

    Raises:
        Exception: whatever `items` raises, after the verdicts on the items before it; whatever `grade` raises, in
            place of the verdict.
    """
    waiting: deque[tuple[T, Future[Grade]]] = deque()
    pool = ThreadPoolExecutor(threads or processors())
    source, end = iter(items), None
    try:
        while end is None:
            try:
                item = next(source)
            except BaseException as error:
                # Also an interrupt: what was drawn before it is still handed out.
                end = error
            else:
                waiting.append((item, pool.submit(grade, item)))
            while waiting and (end is not None or waiting[0][1].done() or len(waiting) > WAITING):
                item, verdict = waiting.popleft()
                yield item, verdict.result()
        if not isinstance(end, StopIteration):
            raise end
    finally:
        pool.shutdown(cancel_futures=True)
