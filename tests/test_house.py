"""What `analyses/house.py` counts, on packages small enough to count by hand."""

from __future__ import annotations

import runpy
import sys
import textwrap
import threading
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
HOUSE = runpy.run_path(str(ROOT / "analyses" / "house.py"))


def write(folder: Path, **sources: str) -> None:
    for name, source in sources.items():
        (folder / f"{name}.py").write_text(textwrap.dedent(source), encoding="utf-8")


def test_lines_of_functions_leave_out_the_functions_inside_them(tmp_path):
    write(
        tmp_path,
        a="""\
        def outer():
            def inner():
                return 1
            return inner


        class Box:
            def method(self):
                return [
                    1,
                ]
        """,
    )
    source = HOUSE["read_source"](tmp_path)
    assert source.lines_by_file == {"a.py": 11}
    assert {name.split(":")[1]: n for name, n in source.lines_by_function.items()} == {
        "outer": 2, "inner": 2, "method": 4,
    }  # fmt: skip


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Three modules: `front` sets up once, and for each sample makes a record in `record` and calls `back`."""
    folder = tmp_path / "traced_package"
    folder.mkdir()
    write(
        folder,
        __init__="",
        record="""
            from dataclasses import dataclass

            @dataclass(frozen=True)
            class Carried:
                number: int

            @dataclass(frozen=True)
            class Settings:
                number: int
            """,
        back="def keep(record):\n    return record.number\n",
        front="""
            import threading
            from traced_package.back import keep
            from traced_package.record import Carried, Settings

            def set_up():
                return Settings(0)

            def run(samples):
                set_up()
                for number in range(samples):
                    thread = threading.Thread(target=lambda: list(map(keep, [Carried(number)])))
                    thread.start()
                    thread.join()
            """,
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    yield "traced_package"
    for name in [name for name in sys.modules if name.split(".")[0] == "traced_package"]:
        del sys.modules[name]


def test_the_way_of_a_sample_is_what_each_more_sample_calls_in_any_thread(package):
    from traced_package.front import run

    def calls(samples):
        calls = HOUSE["Calls"](package)
        before = sys.getprofile(), threading.getprofile()
        with calls.recorded():
            run(samples)
        assert (sys.getprofile(), threading.getprofile()) == before
        return calls

    way = HOUSE["Way"].between(calls(1), calls(3), samples=2)
    assert way.modules == {"traced_package.front", "traced_package.back"}
    assert way.functions == {
        ("traced_package.front", "run.<locals>.<lambda>"), ("traced_package.back", "keep"),
    }  # fmt: skip
    assert way.hops == {("traced_package.front", "traced_package.back")}
    assert way.records == {"traced_package.record.Carried"}


def test_the_page_has_a_place_for_the_table():
    page = (ROOT / "docs" / "design.md").read_text(encoding="utf-8")
    assert page.count(HOUSE["BEGIN"]) == page.count(HOUSE["END"]) == 1
    assert page.index(HOUSE["BEGIN"]) < page.index(HOUSE["END"])
