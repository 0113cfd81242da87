"""What is put into HTML or JSON comes out as the same text, and is never anything else."""

from __future__ import annotations

import json
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markupsafe import Markup
from report_runs import HOSTILE

from flexeval.report.page import Section, Table, html, island, make_page, visible

ANY_TEXT = st.text(alphabet=st.characters(codec=None)) | st.sampled_from(HOSTILE)


class Read(HTMLParser):
    """The elements of a text, and the characters between them."""

    def __init__(self, markup: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(str(markup))
        self.close()

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data


def shown(*parts) -> Read:
    """The parts of a section as HTML."""
    return Read(html("show", parts=parts))


@given(ANY_TEXT)
def test_a_note_is_its_text_and_nothing_else(text):
    read = shown(text)
    assert read.elements == [("p", {"class": "note"})]
    assert read.text == visible(text)
    html("show", parts=[text]).encode()


@given(ANY_TEXT, ANY_TEXT, ANY_TEXT)
def test_a_table_holds_its_texts_and_no_other_element(caption, column, cell):
    read = shown(Table(caption=caption, columns=[column], rows=[[cell]]))
    assert [tag for tag, _ in read.elements] == ["div", "table", "caption", "thead", "tr", "th", "tbody", "tr", "th"]
    assert read.elements[0][1]["aria-label"] == visible(caption)
    assert read.text == "".join(map(visible, (caption, column, cell)))


@given(ANY_TEXT, ANY_TEXT)
def test_every_text_of_a_page_is_text(text, label):
    section = Section(name="a", title=text, about=text, tasks=[(text, [text]), (label, [label])])
    page, plain = (
        Read(make_page(*texts, Markup())) for texts in ((text, label, [section]), ("T", "L", [_plain(section)]))
    )
    assert [tag for tag, _ in page.elements] == [tag for tag, _ in plain.elements]
    assert page.text.count(visible(text)) >= 5
    assert visible(label) in page.text


def _plain(section: Section) -> Section:
    """The same section with texts that need no escapes; where there is no text to show about it, none either."""
    about = "about" if section.about else ""
    return Section(name="a", title="T", about=about, tasks=[("one", ["x"]), ("two", ["y"])])


@given(st.text())
def test_printable_text_stays_as_it_is(text):
    kept = "".join(char for char in text if char.isprintable() or char == "\n")
    assert visible(kept) == kept


def test_html_is_not_escaped_again():
    figure = html("figure", name="a", svg=Markup("<svg></svg>"), caption="1 < 2")
    assert html("show", parts=[Markup("<br>"), figure]) == (
        '<br><figure id="figure-a" class="narrow"><div class="scroll paper" role="region" tabindex="0" '
        'aria-label="1 &lt; 2"><svg></svg></div><figcaption>1 &lt; 2</figcaption></figure>'
    )


@given(st.recursive(ANY_TEXT | st.integers() | st.none(), st.lists))
def test_an_island_gives_back_its_value_and_cannot_be_left(value):
    markup = str(island("data", value))
    begin, end = '<script type="application/json" id="data">', "</script>"
    inside = markup.removeprefix(begin).removesuffix(end)
    assert markup == begin + inside + end
    assert json.loads(inside) == value
    assert inside.isascii() and not set("<>&\x00") & set(inside)


def test_an_interval_and_what_follows_it_have_lines_of_their_own():
    read = shown(Table(columns=["order", "pass@1"], rows=[["a [b] c", "+1.0 [0.5, 1.5] above, p < 0.001"]], caption=""))
    assert read.text == "orderpass@1a [b] c+1.0\n[0.5, 1.5]\nabove\np < 0.001"


def test_a_folded_section_shows_its_heading_and_has_its_text():
    page = make_page("T", "L", [Section(name="a", title="A", parts=["inside"], folded=True)], Markup())
    tags = [tag for tag, _ in Read(page).elements]
    begin = tags.index("section")
    assert tags[begin : begin + 5] == ["section", "details", "summary", "h2", "p"]


def test_an_island_refuses_what_is_not_json():
    with pytest.raises(ValueError):
        island("data", float("nan"))


def test_a_table_says_which_cells_name_rows_and_columns_and_which_are_numbers():
    read = shown(Table(columns=["order", "words", "k"], rows=[["ar", "<i>", "1"]], caption="What", words=(1,)))
    cells = [(tag, one.get("scope"), one.get("class")) for tag, one in read.elements if tag in ("th", "td")]
    assert cells == [
        ("th", "col", None), ("th", "col", None), ("th", "col", "number"),
        ("th", "row", None), ("td", None, None), ("td", None, "number"),
    ]  # fmt: skip
    assert read.text == "Whatorderwordskar<i>1"
