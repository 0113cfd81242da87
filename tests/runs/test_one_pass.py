"""Work that is done in one pass over rows has what it would have alone, and rows are read once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence

import pandas as pd
import pytest

from flexeval.runs.one_pass import in_one_pass
from flexeval.runs.parts import Parts


class Rows:
    """Rows of two sources in three parts each, and what of them was read."""

    def __init__(self, fail_at: int | None = None) -> None:
        self.read: list[tuple[str, tuple[str, ...]]] = []
        self.given = 0
        self.fail_at = fail_at

    def parts(self, *columns: str, source: str = "first") -> Parts:
        def read(wanted: Sequence[str]) -> Iterator[pd.DataFrame]:
            self.read.append((source, tuple(wanted)))
            for place in range(3):
                if place == self.fail_at:
                    raise OSError("the disk is gone")
                self.given += 1
                yield pd.DataFrame({name: [len(source) + place] for name in wanted})

        return Parts(source=source, columns=columns, read=read)


def total(parts: Parts) -> int:
    """Of all its columns; it sees no others."""
    found = 0
    for part in parts:
        assert list(part.columns) == list(parts.columns)
        found += int(part.to_numpy().sum())
    return found


def results(*works: Callable[[], object]) -> list[object]:
    return [work.result() for work in in_one_pass(works)]


def test_all_have_what_they_would_have_alone_from_one_reading_of_each_source() -> None:
    rows = Rows()
    alone = [total(rows.parts("a")), total(rows.parts("b", "c")), total(rows.parts("a", source="second"))]
    rows.read.clear()
    works = [lambda: total(rows.parts("a")), lambda: total(rows.parts("b", "c"))]
    assert results(*works, lambda: total(rows.parts("a", source="second"))) == alone
    assert rows.read == [("first", ("a", "b", "c")), ("second", ("a",))]


def test_one_after_the_other_goes_on_with_those_that_wait() -> None:
    """Three that read the first source twice and the second once share three readings."""
    rows = Rows()

    def work() -> list[int]:
        return [total(rows.parts("a")), total(rows.parts("b")), total(rows.parts("a", source="second"))]

    alone = work()
    rows.read.clear()
    assert results(work, work, work) == [alone] * 3
    assert [source for source, _ in rows.read] == ["first", "first", "second"]


def test_who_looks_at_the_first_part_and_begins_again_has_missed_nothing() -> None:
    rows = Rows()

    def work() -> tuple[int, int]:
        parts = rows.parts("a")
        return len(next(iter(parts))), total(parts)

    alone = work()
    rows.read.clear()
    assert results(work, work, lambda: total(rows.parts("a"))) == [alone, alone, alone[1]]
    assert len(rows.read) == 1


def test_work_hands_over_further_work() -> None:
    rows = Rows()

    def work() -> int:
        more: list[int] = [each.result() for each in in_one_pass([lambda: total(rows.parts("a"))] * 2)]
        return sum(more) + total(rows.parts("b"))

    alone = 3 * total(rows.parts("a"))
    rows.read.clear()
    assert results(work, lambda: total(rows.parts("c")), work) == [alone, alone // 3, alone]
    assert [columns for _, columns in rows.read] == [("c", "a"), ("b",)]


def test_nothing_to_do_is_done() -> None:
    assert in_one_pass([]) == [] and results(lambda: in_one_pass([])) == [[]]


def test_two_at_once_are_gone_through_without_waiting_for_each_other() -> None:
    rows = Rows()

    def pairs() -> list[tuple[int, int]]:
        both = zip(rows.parts("a"), rows.parts("a", source="second"), strict=True)
        return [(int(one["a"][0]), int(other["a"][0])) for one, other in both]

    assert results(pairs, lambda: total(rows.parts("a"))) == [pairs(), total(rows.parts("a"))]


def test_who_leaves_early_stops_nobody_and_reading_stops_with_the_last() -> None:
    rows = Rows()
    first, all_of_them = in_one_pass([lambda: next(iter(rows.parts("a")))["a"][0], lambda: total(rows.parts("a"))])
    assert (first.result(), all_of_them.result()) == (5, 18)
    rows.given = 0
    results(*[lambda: next(iter(rows.parts("a")))] * 2)
    assert rows.given == 1


def test_an_error_is_that_of_its_work() -> None:
    rows = Rows()

    def fails() -> None:
        next(iter(rows.parts("a")))
        raise ValueError("its own")

    failed, well = in_one_pass([fails, lambda: total(rows.parts("a"))])
    assert well.result() == 18
    with pytest.raises(ValueError, match="its own"):
        failed.result()


def test_an_error_in_reading_is_everybodys() -> None:
    rows = Rows(fail_at=1)
    for work in in_one_pass([lambda: total(rows.parts("a")), lambda: total(rows.parts("b"))]):
        with pytest.raises(OSError, match="disk is gone"):
            work.result()


def test_nothing_is_left_behind_when_it_is_interrupted() -> None:
    def interrupted(wanted: Sequence[str]) -> Iterator[pd.DataFrame]:
        yield pd.DataFrame({"a": [1]})
        raise KeyboardInterrupt

    before = threading.active_count()
    closed = []

    def work() -> None:
        try:
            total(Parts(source="x", columns=("a",), read=interrupted))
        finally:
            closed.append(True)

    with pytest.raises(KeyboardInterrupt):
        in_one_pass([work, work])
    for thread in threading.enumerate():
        if thread is not threading.current_thread() and thread.daemon:
            thread.join(timeout=5)
    assert len(closed) == 2 and threading.active_count() <= before
