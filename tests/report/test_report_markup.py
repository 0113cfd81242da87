"""What is put into HTML or JSON comes out as the same text, and is never anything else."""

from __future__ import annotations

import json
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st
from report_runs import HOSTILE

from flexeval.report.markup import Markup, element, escape, island, join, table, visible

ANY_TEXT = st.text(alphabet=st.characters(codec=None)) | st.sampled_from(HOSTILE)


class Read(HTMLParser):
    """The elements of a text, and the characters between them."""

    def __init__(self, markup: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(markup)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data


@given(ANY_TEXT)
def test_escaped_text_is_text(text):
    read = Read(escape(text))
    assert read.elements == []
    assert read.text == visible(text)
    escape(text).encode()


@given(ANY_TEXT, ANY_TEXT)
def test_an_element_holds_its_text_and_attributes_and_no_other_element(text, title):
    read = Read(element("p", text, title=title, class_="a", aria_label="b"))
    assert read.elements == [("p", {"title": visible(title), "class": "a", "aria-label": "b"})]
    assert read.text == visible(text)


@given(st.text())
def test_printable_text_stays_as_it_is(text):
    kept = "".join(char for char in text if char.isprintable() or char == "\n")
    assert visible(kept) == kept


def test_markup_is_not_escaped_again():
    assert join([element("b", "1 < 2"), "1 < 2"]) == "<b>1 &lt; 2</b>1 &lt; 2"
    assert element("p", Markup("<br>")) == "<p><br></p>"


@given(st.recursive(ANY_TEXT | st.integers() | st.none(), st.lists))
def test_an_island_gives_back_its_value_and_cannot_be_left(value):
    markup = island("data", value)
    begin, end = '<script type="application/json" id="data">', "</script>"
    inside = markup.removeprefix(begin).removesuffix(end)
    assert markup == begin + inside + end
    assert json.loads(inside) == value
    assert inside.isascii() and not set("<>&\x00") & set(inside)


def test_an_island_refuses_what_is_not_json():
    with pytest.raises(ValueError):
        island("data", float("nan"))


def test_a_table_says_which_cells_name_rows_and_columns():
    read = Read(table(["order", "words", "k"], [["ar", "<i>", "1"]], caption="What", texts=(1,)))
    cells = [(tag, attributes.get("scope")) for tag, attributes in read.elements if tag in ("th", "td")]
    assert cells == [("th", "col"), ("th", "col"), ("th", "col"), ("th", "row"), ("td", None), ("td", None)]
    assert read.text == "WhatorderwordskAr<i>1".replace("A", "a")
