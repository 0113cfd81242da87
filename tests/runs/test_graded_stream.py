"""Verdicts come in the order of the items, whatever the threads do, and an error loses nothing before it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from flexeval.records import Grade
from flexeval.runs import grading
from flexeval.runs.grading import graded


def even(number: int) -> Grade:
    return Grade(correct=number % 2 == 0, extracted=str(number))


@pytest.mark.parametrize("threads", [None, 1, 2, 7])
def test_order_and_verdicts_do_not_depend_on_the_threads(threads: int | None) -> None:
    def uneven(number: int) -> Grade:
        time.sleep(0.002 * (number % 3))
        return even(number)

    verdicts = list(graded(range(40), uneven, threads=threads))
    assert verdicts == [(number, even(number)) for number in range(40)]


def test_the_next_items_are_drawn_while_a_verdict_is_outstanding() -> None:
    all_drawn = threading.Event()

    def items() -> Iterator[int]:
        yield from range(5)
        all_drawn.set()

    def waits(number: int) -> Grade:
        # Would be false for ever if the stream waited for each verdict.
        return Grade(correct=all_drawn.wait(timeout=120))

    assert all(grade.correct for _, grade in graded(items(), waits, threads=1))


def test_outstanding_verdicts_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grading, "WAITING", 3)
    drawn: list[int] = []
    release = threading.Event()

    def items() -> Iterator[int]:
        for number in range(10):
            drawn.append(number)
            if number == 4:
                pytest.fail("drawn although four verdicts were outstanding")
            if number == 3:
                threading.Timer(0.05, release.set).start()
            yield number

    def slow(number: int) -> Grade:
        release.wait(timeout=120)
        return even(number)

    stream = graded(items(), slow, threads=1)
    assert next(stream)[0] == 0
    assert drawn == [0, 1, 2, 3]
    stream.close()


@pytest.mark.parametrize("error", [KeyboardInterrupt(), RuntimeError("out of memory")])
def test_an_error_of_the_source_comes_after_the_verdicts_before_it(error: BaseException) -> None:
    def items() -> Iterator[int]:
        yield from range(6)
        raise error

    seen: list[int] = []
    with pytest.raises(type(error)):
        for number, _ in graded(items(), even, threads=2):
            seen.append(number)
    assert seen == list(range(6))


def test_an_error_of_the_grader_comes_in_its_place() -> None:
    def fails(number: int) -> Grade:
        if number == 3:
            raise ValueError("three")
        return even(number)

    seen: list[int] = []
    with pytest.raises(ValueError, match="three"):
        for number, _ in graded(range(100), fails, threads=2):
            seen.append(number)
    assert seen == [0, 1, 2]
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("ThreadPoolExecutor")]
