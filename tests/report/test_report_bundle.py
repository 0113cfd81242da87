"""A site of reports: one page for each model and task, an index that leads to them, and what a Space reads."""

from __future__ import annotations

import re

import pytest
import yaml
from report_runs import run_set, write_run

from flexeval.errors import InputError
from flexeval.report import figures, render, write_bundle


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    return run_set(
        write_run(folder / "ar"),
        write_run(folder / "other", order="confidence"),
        write_run(folder / "s", task="sudoku4"),
    )


@pytest.fixture(autouse=True)
def no_figures(monkeypatch):
    """Figures take long to draw."""
    monkeypatch.setattr(figures, "FIGURES", {})


def test_a_site_has_a_page_for_each_task_and_an_index_that_leads_to_them(runs, tmp_path):
    written = write_bundle(runs, tmp_path / "new" / "site")
    names = [path.name for path in written]
    assert names == ["index.html", "tiny-word-problems.html", "tiny-sudoku4.html", "README.md"]
    assert sorted(path.name for path in (tmp_path / "new" / "site").iterdir()) == sorted(names)
    index = written[0].read_text("utf-8")
    assert re.findall(r'<a href="([^"]+)"', index) == names[1:3]
    assert "default-src &#39;none&#39;" in index and "<script" not in index
    assert "at k = 1, confidence solves" in index and "2 runs" in index and "1 run," in index
    assert written[1].read_bytes() == render(type(runs)(runs.runs[:2]))


def test_a_space_is_told_where_to_begin(runs, tmp_path):
    head = write_bundle(runs, tmp_path)[-1].read_text("utf-8").split("---")[1]
    settings = yaml.safe_load(head)
    assert settings["sdk"] == "static" and settings["app_file"] == "index.html" and "tiny" in settings["title"]


def test_the_same_runs_give_the_same_site_and_other_files_stay(runs, tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    first = [path.read_bytes() for path in write_bundle(runs, tmp_path)]
    assert [path.read_bytes() for path in write_bundle(runs, tmp_path)] == first
    assert (tmp_path / "mine.txt").read_text() == "mine"


@pytest.mark.parametrize("name", ["README.md", "index.html", "tiny-sudoku4.html"])
def test_what_is_of_no_site_is_not_replaced(runs, tmp_path, name):
    (tmp_path / name).write_text("mine")
    with pytest.raises(InputError, match=f"holds '{name}', which is no part of a site"):
        write_bundle(runs, tmp_path)
    assert [path.read_text() for path in tmp_path.iterdir()] == ["mine"]


def test_names_that_are_alike_get_pages_of_their_own(tmp_path):
    tasks = ("word problems", "Word-problems", "../word/problems")
    folders = [write_run(tmp_path / str(i), task=task, problems=1, samples=1) for i, task in enumerate(tasks)]
    names = [path.name for path in write_bundle(run_set(*folders), tmp_path / "site")][1:-1]
    assert len({name.lower() for name in names}) == 3
    assert all(re.fullmatch(r"[\w-]+\.html", name) for name in names)
