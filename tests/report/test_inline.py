"""The decode viewer and figures in a notebook."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path

import pytest
from published_runs import paper_run
from report_runs import HOSTILE, run_set, write_run

from flexeval.errors import InputError
from flexeval.figures import show_figure
from flexeval.report import show_decodes
from flexeval.runs.store import RunSet


class _Tags(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> RunSet:
    folder = tmp_path_factory.mktemp("runs")
    size = {"problems": 2, "samples": 2}
    return run_set(write_run(folder / "ar", **size), write_run(folder / "other", order="confidence", **size))


def test_the_viewer_is_a_page_in_a_frame_that_nothing_leaves(runs: RunSet) -> None:
    shown = show_decodes(runs, height=500)
    ((tag, attributes),) = _Tags(shown._repr_html_()).found
    assert tag == "iframe" and attributes["sandbox"] == "allow-scripts" and "500px" in (attributes["style"] or "")
    page = attributes["srcdoc"] or ""
    assert page == shown.page
    assert "default-src &#39;none&#39;" in page or "default-src 'none'" in page
    assert ("section", "decodes") in [(name, given.get("id")) for name, given in _Tags(page).found]
    assert not any(text in page for text in HOSTILE if "<" in text)
    assert len(repr(shown)) < 80


def test_a_run_by_itself_and_runs_without_decodes(runs: RunSet) -> None:
    assert "decode-data" in show_decodes(runs[0]).page
    with pytest.raises(InputError, match="no decode to show"):
        show_decodes(RunSet((paper_run(record={"imported": {"file": "x"}}),)))


def test_a_figure_is_shown_at_its_size_with_its_numbers() -> None:
    shown = show_figure(
        RunSet((paper_run("ar", samples=4, problems=30), paper_run("confidence", samples=4, problems=30))), "pass-at-k"
    )
    png, metadata = shown._repr_png_()
    assert png.startswith(b"\x89PNG")
    assert metadata == {"width": round(96 * shown.drawing.get_size_inches()[0])}
    assert {"order", "k", "estimate"} <= set(shown.data.columns)
    assert len(repr(shown)) < 80
    with pytest.raises(InputError, match="Did you mean 'pass-at-k'"):
        show_figure(RunSet(()), "pass-at-kk")
    assert not Path("figures").exists()
