"""The page as a file: nothing outside it, nothing in it that its policy does not allow, the same for the same runs."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import itertools
import json
import re
from collections import Counter
from html.parser import HTMLParser
from urllib.parse import parse_qsl

import pytest
from markupsafe import Markup
from matplotlib.figure import Figure as Drawing
from report_runs import ENVIRONMENT, HOSTILE, run_set, with_verdicts, write_run

from flexeval.errors import InputError
from flexeval.plots import inline
from flexeval.plots.inline import inline_svg
from flexeval.report import figures, render, report, write_report
from flexeval.report.links import START
from flexeval.report.page import Section, html, make_page
from flexeval.report.report import LARGEST_PAGE
from flexeval.runs.store import RunSet

SECTIONS = ("settings", "claims", "pass-at-k", "coverage", "entropy", "bypass", "order", "decodes")
LOADS = {"src", "srcset", "href", "action", "data", "poster", "background", "formaction", "ping", "manifest", "cite"}


class Page(HTMLParser):
    """Elements and attributes of a page, and its text by section."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.raw: list[tuple[str, str]] = []
        self.said = ""
        self._inside = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self._inside = tag

    def handle_endtag(self, tag):
        self._inside = ""

    def handle_data(self, data):
        if self._inside in ("script", "style"):
            self.raw.append((self._inside, data))
        else:
            self.said += data

    def ids(self) -> list[str]:
        return [attributes["id"] for _, attributes in self.tags if attributes.get("id")]


@pytest.fixture(scope="module")
def two_orders(tmp_path_factory):
    folder, size = tmp_path_factory.mktemp("runs"), {"problems": 7, "samples": 4}
    runs = run_set(write_run(folder / "ar", **size), write_run(folder / "other", order="confidence", **size))
    return runs, render(runs).decode()


def assert_self_contained(text):
    page = Page(text)
    for tag, attributes in page.tags:
        for name, value in attributes.items():
            if name.rpartition(":")[2] in LOADS:
                assert value.startswith(("#", "data:")), (tag, name, value)
            assert not name.startswith("on") and name != "style", (tag, name)
        assert tag not in ("iframe", "object", "embed", "base", "form")
    for kind, inside in page.raw:
        if kind == "style":
            assert "@import" not in inside and "url(" not in inside
    repeated = [one for one, count in Counter(page.ids()).items() if count > 1]
    assert repeated == []
    assert len(text.encode()) <= LARGEST_PAGE
    return page


def test_it_is_self_contained_and_has_every_section(two_orders):
    page = assert_self_contained(two_orders[1])
    assert set(SECTIONS) <= set(page.ids())
    links = [attributes["href"] for tag, attributes in page.tags if tag == "a"]
    inside = [link for link in links if not link.startswith(START)]
    assert inside and all(link[1:] in page.ids() for link in inside)


def test_the_result_comes_first_then_decodes_curves_and_claims_and_the_rest_is_folded(two_orders):
    text = two_orders[1]
    page = Page(text)
    named = [one["id"] for tag, one in page.tags if tag == "section"]
    assert named[:4] == ["decodes", "pass-at-k", "coverage", "claims"]
    folded = re.findall(r'<section id="([^"]+)"[^>]*><details class="folded">', text)
    assert folded == named[4:]
    assert text.index('class="headline"') < text.index("<nav")


def test_every_address_of_decodes_names_what_the_viewer_has(two_orders):
    """Of each point of a figure, and of the headline: task, runs, and problems where one is named."""
    page = Page(two_orders[1])
    (task,) = json.loads(next(text for kind, text in page.raw if text.startswith("{")))["tasks"]
    known = {*(one["id"] for one in task["problems"]), *task["others"]}
    addresses = [one["href"] for tag, one in page.tags if tag == "a" and one["href"].startswith(START)]
    assert len(addresses) > 20
    for address in addresses:
        said = dict(parse_qsl(address.removeprefix(START)))
        assert said.pop("task") == task["name"]
        assert (said.pop("a"), said.pop("b")) == tuple(run["label"] for run in task["runs"])
        assert said.pop("problem", task["problems"][0]["id"]) in known
        assert set(said) <= {"list", "k", "part", "word", "sample"}
    titles = [tag for tag, _ in page.tags].count("title") - 1
    assert titles >= len(addresses) - 1 > 0


def test_a_figure_on_dark_paper_has_no_colour_that_is_lost_there(two_orders):
    style = next(text for kind, text in Page(two_orders[1]).raw if kind == "style")
    colours = dict(re.findall(r"--c([0-9a-f]{6}):(#[0-9a-f]{6}|var\([^)]*\))", style))
    used = set(re.findall(r'(?:fill|stroke)="#([0-9a-f]{6})"', two_orders[1]))
    assert used == set(colours) and len(used) > 4
    own = [colour for colour in colours.values() if colour.startswith("#") and colour != "#4b5059"]
    assert own and all(inline._contrast(colour, "#1c1f24") >= 4 for colour in own)


def test_the_policy_names_the_script_and_the_style_and_nothing_else(two_orders):
    page = Page(two_orders[1])
    (policy,) = [one["content"] for tag, one in page.tags if one.get("http-equiv") == "Content-Security-Policy"]
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == "'none'" and rules["base-uri"] == "'none'"

    def hashed(kind):
        inside = [text for name, text in page.raw if name == kind and not text.startswith("{")]
        digests = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in inside]
        return " ".join(f"'sha256-{digest}'" for digest in digests)

    assert rules["script-src"] == hashed("script")
    assert rules["style-src"] == hashed("style")


def test_the_same_runs_give_the_same_bytes(tmp_path):
    folder = write_run(tmp_path / "run", order="confidence", samples=4)
    assert render(run_set(folder)) == render(run_set(folder))


def test_the_numbers_on_the_page_are_those_of_the_runs(two_orders):
    runs, text = two_orders
    said = Page(text).said
    for run in runs:
        assert f"{len(run.samples)} of {len(run.samples)}" in said
        assert run.config.order in said
    first, other = (set(run.samples.loc[run.samples["correct"], "problem_id"]) for run in runs)
    row = f"{len(first - other)}{len(other - first)}{len(first & other)}{7 - len(first | other)}"
    assert f"ar (A), confidence (B){row}4" in said


def test_a_page_of_several_tasks_errors_and_an_unfinished_run(tmp_path):
    isolation = {"landlock": 4, "seccomp": True, "namespaces": False, "user": None, "python": "3.11",
                 "missing": {"namespaces": "not permitted"}}  # fmt: skip
    failed = {"correct": False, "extracted": None, "error": HOSTILE[0] + "\nTraceback"}
    runs = run_set(
        write_run(tmp_path / "ar", task=f"word-problems{HOSTILE[1]}", finished=3),
        write_run(tmp_path / "code", task="humaneval", grade=failed, record={"isolation": isolation}),
        write_run(tmp_path / "none", task="sudoku4", finished=0),
    )
    text = render(runs).decode()
    page = assert_self_contained(text)
    assert "Not finished: " in page.said and "3 of 6" in page.said and "0 of 6" in page.said
    assert "nan" not in page.said
    assert HOSTILE[0] in page.said and HOSTILE[1] in page.said
    assert "Landlock 4, seccomp, limits; without namespaces (not permitted)" in page.said
    assert "tokens a text" in page.said and ENVIRONMENT["python"] in page.said


def test_texts_that_no_file_holds_survive(tmp_path):
    runs = with_verdicts(run_set(write_run(tmp_path / "run", problems=1, samples=1)), error="\ud800\x00 </script>")
    write_report(runs, tmp_path / "page.html")
    page = assert_self_contained((tmp_path / "page.html").read_text("utf-8"))
    assert r"\ud800\x00 </script>" in page.said


def test_the_heaviest_figures_are_left_out_with_a_line_where_all_would_be_too_large(two_orders):
    runs = two_orders[0]
    everything = figures.Figures(runs)
    found = re.findall(r'(?s)(?=<figure id="figure-([^"]+)"[ >])(.*?</figure>)', _illustrated(everything))
    size = {name: len(markup.encode()) for name, markup in found}
    assert len(size) > 3
    heaviest = max(size, key=size.__getitem__)
    fewer = _illustrated(figures.Figures(runs, budget=sum(size.values()) - 1))
    assert {name for name in size if f'id="figure-{name}"' not in fewer} == {heaviest}
    assert "too large for this page" in fewer and "too large for this page" not in _illustrated(everything)


def _illustrated(drawn):
    sections = map(drawn.of, ("pass-at-k", "coverage", "entropy", "bypass"))
    return html("show", parts=[*drawn.others(), *itertools.chain(*sections)])


def test_bytes_are_counted_and_decodes_make_room(two_orders, monkeypatch):
    """Without figures, which take long to draw."""
    runs = with_verdicts(two_orders[0], error="é" * 3000)
    monkeypatch.setattr(figures, "FIGURES", {})
    whole = len(render(runs))
    monkeypatch.setattr(report, "LARGEST_PAGE", whole - 1)
    assert len(render(runs)) < whole
    monkeypatch.setattr(report, "LARGEST_PAGE", 1000)
    with pytest.raises(InputError, match=r"a page of 2 runs has \d+ bytes"):
        render(runs)


def test_no_runs_are_refused():
    with pytest.raises(InputError, match="no runs"):
        render(RunSet(()))


def test_a_page_without_data_has_no_script_and_allows_none():
    page = Page(make_page("T", "L", [Section(name="a", title="A", parts=["nothing"])], Markup()))
    assert not any(tag == "script" for tag, _ in page.tags)
    (policy,) = [one["content"] for _, one in page.tags if one.get("http-equiv")]
    assert "script-src" not in policy and "default-src 'none'" in policy


def test_a_drawing_has_its_own_ids_no_styles_and_repeats_to_the_byte():
    def drawn(name):
        drawing = Drawing()
        axes = drawing.subplots()
        axes.plot([0, 1], [0, 1], marker="o", linestyle="--")
        axes.imshow([[0, 1], [1, 0]])
        axes.fill_between([0, 1], [0, 1], alpha=0.3)
        axes.set_title("<b>&</b>")
        return inline_svg(drawing, name, "a <b> label")

    assert drawn("one") == drawn("one")
    one, two = Page(drawn("one")), Page(drawn("two"))
    assert one.ids() and not set(one.ids()) & set(two.ids())
    for tag, attributes in one.tags:
        assert tag not in ("style", "metadata") and "style" not in attributes
        for value in attributes.values():
            for target in re.findall(r"^#([^#]*[^0-9a-f#][^#]*)$|url\(#(.*?)\)", value or ""):
                assert "".join(target) in one.ids(), value
    colours = {attributes.get("fill") for _, attributes in one.tags}
    assert any(re.fullmatch("#[0-9a-f]{6}", colour or "") for colour in colours)
    assert one.tags[0][1]["aria-label"] == "a <b> label"


def test_the_title_names_the_model_and_counts_its_checkpoints(two_orders):
    first, second = two_orders[0]
    lineage = {"base": first.config.model, "training": "one", "rollout_order": "ar", "fast": False, "step": 3,
               "samples": 24, "seconds": 1.5}  # fmt: skip
    trained = dataclasses.replace(second, record={**second.record, "lineage": lineage})
    title = render(RunSet((first, trained))).decode().partition("</title>")[0].rpartition("<title>")[2]
    assert title.startswith(f"{first.config.model} and 1 checkpoint on ")
