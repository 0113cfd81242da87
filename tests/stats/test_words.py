"""Words are those of the text, however a tokenizer cuts it into pieces."""

from __future__ import annotations

import unicodedata

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from token_rows import text_rows

from flexeval.stats.words import CONNECTORS, find_words

ALPHABET = "aZé\u0301ßñ中Ж_'’.,;:!?= \n—(\"0593٣½🙂SoLt"


def spelled(text: str) -> list[tuple[int, str]]:
    """(where it begins, word), character by character."""

    def kind(at: int) -> str:
        if not 0 <= at < len(text):
            return "outside"
        character = text[at]
        if character.isdecimal():
            return "digit"
        if character.isalnum() or character == "_" or unicodedata.category(character)[0] == "M":
            return "letter"
        return {"'": "apostrophe", "’": "apostrophe", ".": "point", ",": "point"}.get(character, "other")

    found: list[tuple[int, str]] = []
    open_word = False
    for at, character in enumerate(text):
        around = {kind(at - 1), kind(at + 1)}
        inside = (
            kind(at) in ("letter", "digit")
            or (kind(at) == "apostrophe" and around == {"letter"})
            or (kind(at) == "point" and around == {"digit"})
        )
        if inside and open_word:
            begin, word = found.pop()
            found.append((begin, word + character))
        elif inside:
            found.append((at, character))
        open_word = inside
    return found


@settings(max_examples=40)
@given(st.lists(st.lists(st.text(ALPHABET, max_size=6), max_size=8), min_size=1, max_size=4))
def test_words_are_those_of_the_joined_text(samples):
    rows = text_rows([("p", i, pieces) for i, pieces in enumerate(samples)])
    found = find_words(rows)
    for i, pieces in enumerate(samples):
        starts = [len("".join(pieces[:at])) for at in range(len(pieces) + 1)]
        expected = []
        for begin, word in spelled("".join(pieces)):
            token = next(at for at in range(len(pieces)) if starts[at] <= begin < starts[at + 1])
            expected.append((token, word))
        mine = found[found["sample_index"] == i]
        assert list(zip(mine["position"], mine["word"], strict=True)) == expected


@settings(max_examples=40)
@given(st.text(ALPHABET, max_size=30), st.data())
def test_how_a_text_is_cut_does_not_matter(text, data):
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=6)))
    pieces = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    cut, whole = find_words(text_rows([("p", 0, pieces)])), find_words(text_rows([("p", 0, [text])]))
    assert list(cut["word"]) == list(whole["word"])
    assert list(cut["connector"]) == list(whole["connector"])


@pytest.mark.parametrize(
    ("text", "connectors"),
    [
        ("So it is", ["So"]),
        ("so it is. so", []),
        ("It is. So we go on", ["So"]),
        ("It is 3, Therefore 4", ["Therefore"]),
        ("x = 3\nTherefore x", ["Therefore"]),
        ("x = 3 Therefore x", []),
        ("Sofia, Letter; Nowhere", []),
        ("1. First (Since it is)", ["First", "Since"]),
        ("The word So", []),
        (". Let's see", []),
        ("However, But: Or", ["However", "But", "Or"]),
    ],
)
def test_a_connector_is_a_whole_capitalised_word_that_begins_a_clause(text, connectors):
    for pieces in ([text], list(text), [text[:5], text[5:]]):
        found = find_words(text_rows([("p", 0, pieces)]))
        assert list(found.loc[found["connector"], "word"]) == connectors


def test_the_list_is_the_papers(shared_dir):
    assert list(CONNECTORS) == (shared_dir / "facts" / "connectors.txt").read_text().split()


def test_samples_and_ends_of_texts_part_words():
    rows = text_rows([("p", 0, ["No", "w"]), ("p", 1, ["here"]), ("q", 1, ["So"])], in_text=[True, False, True, True])
    found = find_words(rows)
    assert list(found["word"]) == ["No", "here", "So"]
    assert list(found["connector"]) == [False, False, True]
    assert list(found["problem_id"]) == ["p", "p", "q"]


def test_a_hole_in_the_text_parts_words():
    rows = text_rows([("p", 0, ["ab", "x", "cd"])]).drop(index=1)
    assert list(find_words(rows)["word"]) == ["ab", "cd"]


def test_measurements_are_of_the_first_token():
    rows = text_rows(
        [("p", 0, [" ", "Th", "us", ",", " we", "'ll", " go"])], entropy=range(7), commit_step=range(7, 14)
    )
    found = find_words(rows)
    assert list(found["word"]) == ["Thus", "we'll", "go"]
    assert list(found["position"]) == [1, 4, 6]
    assert list(found["entropy"]) == [1, 4, 6]
    assert list(found["commit_step"]) == [8, 11, 13]


def test_a_table_without_text_has_no_words():
    rows = text_rows([("p", 0, ["a"])], in_text=False)
    assert len(find_words(rows)) == 0
    assert set(find_words(rows).columns) >= {"problem_id", "word", "connector", "entropy"}
    assert isinstance(find_words(rows)["problem_id"].dtype, pd.CategoricalDtype)
