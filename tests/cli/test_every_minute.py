"""A command that takes long says how far it is, line by line; a short one says nothing."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from flexeval.cli import every_minute, ls, output, progress
from flexeval.cli.every_minute import Pace, duration, saying
from flexeval.cli.main import main
from flexeval.display import notebook_bar
from flexeval.records import Problem
from flexeval.runs.environment import Memory
from flexeval.runs.grading import here
from flexeval.runs.storage import Progress
from flexeval.tasks import get_task


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """A minute is short."""
    monkeypatch.setattr(every_minute, "MINUTE", 0.02)


def wait_for(said: Callable[[], str], text: str) -> str:
    """All that was said, once it has the text."""
    heard, deadline = said(), time.monotonic() + 20
    while text not in heard and time.monotonic() < deadline:
        time.sleep(0.01)
        heard += said()
    assert text in heard
    return heard


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, soon: None) -> Callable[[Callable[[], None]], int]:
    """Runs a command that does what it is given; its status."""

    def run(body: Callable[[], None]) -> int:
        monkeypatch.setattr(ls, "run", lambda args: body() or 0)
        return main(["ls"])

    return run


def test_every_command_says_that_it_is_alive(command: Callable[..., int], capsys: pytest.CaptureFixture[str]) -> None:
    assert command(lambda: wait_for(lambda: capsys.readouterr().err, "flexeval: ls: 0 s so far\n") and None) == 0
    capsys.readouterr()
    time.sleep(0.05)
    assert capsys.readouterr().err == "", "nothing is said after the end"


def test_a_short_command_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ls", "orders"]) == 0
    assert capsys.readouterr().err == ""


def test_the_innermost_work_speaks_and_may_be_silent(
    command: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    def body() -> None:
        with saying(lambda: "outer"):
            with saying(lambda: None):
                time.sleep(0.1)
            with saying(lambda: "inner"):
                heard = wait_for(lambda: capsys.readouterr().err, "flexeval: inner\n")
                assert "outer" not in heard
            wait_for(lambda: capsys.readouterr().err, "flexeval: outer\n")

    assert command(body) == 0


def test_only_the_first_of_several_processes_speaks(
    command: Callable[..., int], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RANK", "1")
    assert command(lambda: time.sleep(0.1)) == 0
    assert capsys.readouterr().err == ""


def test_a_reader_that_went_away_ends_the_lines_and_not_the_command(
    command: Callable[..., int], monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[bool] = []

    def gone(text: str) -> None:
        tried.append(True)
        raise BrokenPipeError

    def body() -> None:
        monkeypatch.setattr(sys, "stderr", SimpleNamespace(write=gone, flush=lambda: None))
        time.sleep(0.2)
        monkeypatch.undo()

    assert command(body) == 0
    assert tried == [True]


def test_samples_are_told_with_speed_time_left_memory_and_verdicts(
    command: Callable[..., int], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [100.0]
    monkeypatch.setattr(every_minute, "time", SimpleNamespace(monotonic=lambda: now[0]))

    def body() -> None:
        with progress.sampling_bars() as bar:
            report = bar("ar")
            report(Progress(done=1000, total=6000, correct=0))
            wait_for(lambda: capsys.readouterr().err, "flexeval: ar: 1,000 of 6,000 samples, time left unknown\n")
            now[0] += 100
            report(Progress(done=1500, total=6000, correct=210, gpu=Memory(61_400_000_000, 141_000_000_000)))
            wait_for(
                lambda: capsys.readouterr().err,
                "flexeval: ar: 1,500 of 6,000 samples, 5.0 a second, 210 of 500 correct, 61.4 of 141 GB of GPU memory, "
                "about 15 min left\n",
            )

    assert command(body) == 0


def test_the_clock_of_a_pace_runs_from_its_first_call(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(every_minute, "time", SimpleNamespace(monotonic=lambda: now[0]))
    pace = Pace("training", "steps")
    assert pace.left() is None and pace.line() == "training: has not begun yet"
    now[0] = 1000.0
    pace.at(4, 10)
    now[0] += 300
    pace.at(6, 10)
    assert pace.left() == 600
    assert pace.line("more") == "training: 6 of 10 steps, 150.0 s each, more, about 10 min left"
    pace.at(10, 10)
    assert pace.left() == 0
    # 300 s have made 2 of 6, and the forecast was 600 s for all 6: 900 s for 8.
    pace.at(6, 10, forecast=600)
    assert pace.left() == 900 / 8 * 4


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0, "0 s"), (89, "89 s"), (90, "2 min"), (5399, "90 min"), (5400, "1.5 h"), (360000, "100.0 h")],
)
def test_a_time_has_a_usual_unit(seconds: float, said: str) -> None:
    assert duration(seconds) == said


def test_stages_and_counts_are_told(command: Callable[..., int], capsys: pytest.CaptureFixture[str]) -> None:
    def body() -> None:
        with progress.stages("report") as say:
            say("measuring words")
            wait_for(lambda: capsys.readouterr().err, "flexeval: report: measuring words, 0 s so far\n")
        with progress.counted("ar: AR counterfactual") as report:
            report(0, 40)
            wait_for(lambda: capsys.readouterr().err, "flexeval: ar: AR counterfactual: 0 of 40 samples")

    assert command(body) == 0


def test_no_line_comes_between_bars(
    command: Callable[..., int], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = output.messages
    monkeypatch.setenv("TERM", "xterm")

    def at_terminal(**options: bool) -> object:
        console = real(**options)
        console._force_terminal = True
        return console

    monkeypatch.setattr(output, "messages", at_terminal)

    def body() -> None:
        with progress.counted("grading", "texts") as report:
            capsys.readouterr()
            report(1, 2)
            time.sleep(0.1)
            assert "flexeval:" not in capsys.readouterr().err
        with progress.sampling_bars() as bar:
            capsys.readouterr()
            bar("ar")(Progress(done=1, total=2, correct=0))
            time.sleep(0.1)
            assert "flexeval:" not in capsys.readouterr().err

    assert command(body) == 0


def test_verdicts_are_counted_as_they_come() -> None:
    task = get_task("forks")
    texts: list[tuple[Problem, str]] = [(problem, problem.target) for problem in task.problems()[:3]]
    told: list[tuple[int, int]] = []
    here(task, progress=lambda done, total: told.append((done, total)))(texts)
    assert told == [(0, 3), (1, 3), (2, 3), (3, 3)]


def test_a_notebook_gets_a_bar_and_nothing_else_does(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    import tqdm.auto

    from flexeval import display

    moved: list[tuple[int, int]] = []

    class Bar:
        def __init__(self, *, total: int, initial: int, desc: str, delay: float) -> None:
            self.n, self.total = initial, total
            assert desc == "ar"

        def update(self, by: int) -> None:
            self.n += by
            moved.append((self.n, self.total))

        def close(self) -> None:
            moved.append((-1, -1))

    monkeypatch.setattr(tqdm.auto, "tqdm", Bar)
    monkeypatch.setitem(sys.modules, "IPython", None)
    notebook_bar("ar")(1, 2)
    assert not moved
    shell = SimpleNamespace(kernel=object())
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))
    move = display.notebook_bar("ar")
    for done in (1, 2, 4):
        move(done, 4)
    assert moved == [(1, 4), (2, 4), (4, 4), (-1, -1)]
    assert capsys.readouterr() == ("", "")
