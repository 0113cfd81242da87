"""Token rows -> words: whole words of a text, each with the measurements of its first token.

Token pieces are joined and cut again at the edges of words, so the tokenizer's splits do not matter. No language is
known here: a run of letters without a space is one word.

Axis suffixes: `R` token rows of the text, `C` characters, `W` words.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from flexeval.records import BoolArray
from flexeval.stats.parts import Changed, Groups, Rows, added, parts_of
from flexeval.stats.pooled import problem_codes, problem_ids

CONNECTORS = (
    "Therefore", "Thus", "So", "Since", "When", "Given", "However", "Let", "First", "Then", "Next", "Finally", "Now",
    "Similarly", "Calculate", "Solving", "Notice", "Specifically", "Follows", "Because", "But", "Or", "Consider",
    "Also", "Express", "Write",
)  # fmt: skip
"""The words of figure 12 of "The Flexibility Trap" (arXiv:2601.15165), as they are written at the start of a clause.

The paper does not say how they are matched. Here a connector is a whole word, written as in the list, that begins a
clause: the first word of a text, or one with a character of `CLAUSE_ENDS` between it and the word before.
"""

CLAUSE_ENDS = frozenset('.,;:!?…\n—–([{“"')
"""What ends a clause, or opens a new one inside it."""

_OTHER, _LETTER, _DIGIT, _APOSTROPHE, _POINT = range(5)
_NOT_CARRIED = ("token_id", "piece", "in_text", "problem_id", "sample_index", "position")


def find_words(tokens: pd.DataFrame) -> pd.DataFrame:
    """The words of the texts, one row an occurrence.

    A word is a run of letters, digits, marks and underscores; an apostrophe between letters (don't) and a point or
    comma between digits (3.5, 1,000) belong to it. Everything else, operators included, separates words.

    Args:
        tokens: rows as `Run.tokens()` gives them, sorted by problem, sample and position, with at least problem_id,
            sample_index, position, piece and in_text. Rows after the end of a text are left out.

    Returns:
        problem_id, sample_index, position (of the word's first token), word, connector (see
        `CONNECTORS`), and every other column of the rows, at the word's first token.
    """
    row_W, word_W, connector_W = word_places(tokens)
    found = tokens[["problem_id", "sample_index", "position"]].iloc[row_W].reset_index(drop=True)
    found["word"] = word_W
    found["connector"] = connector_W
    for name in tokens.columns:
        if name not in _NOT_CARRIED:
            found[name] = tokens[name].to_numpy()[row_W]
    return found


def word_places(tokens: pd.DataFrame) -> tuple[NDArray[np.intp], pd.Categorical, BoolArray]:
    """Where the words of the texts begin.

    Args:
        tokens: as `find_words`; the samples may come in any order.

    Returns:
        (the row of each word's first token, the word, whether it is a connector).
    """
    text_R = np.flatnonzero(tokens["in_text"].to_numpy())
    text, end_R = _joined(tokens, text_R)
    kind_C, ends_clause_C = _characters(text)

    # Cut the text into words.
    inside_C = _inside_words(kind_C)
    begin_W = np.flatnonzero(inside_C & ~np.append(False, inside_C[:-1]))
    end_W = np.flatnonzero(inside_C & ~np.append(inside_C[1:], False)) + 1
    word_W, vocabulary = pd.factorize(
        np.array([text[begin:end] for begin, end in zip(begin_W.tolist(), end_W.tolist(), strict=True)], dtype=object)
    )

    # Which of them begin a clause: those with the end of a clause between them and the word before.
    ended_C = np.cumsum(ends_clause_C, dtype=np.int32)
    ended_before_W = np.append(0, ended_C[end_W[:-1] - 1]) if len(end_W) else np.zeros(0, np.int32)
    opens_W = ended_C[begin_W] > ended_before_W
    listed_W = np.isin(vocabulary, CONNECTORS)[word_W] if len(vocabulary) else np.zeros(0, bool)

    row_W = text_R[np.searchsorted(end_R, begin_W, side="right")]
    return row_W, pd.Categorical.from_codes(word_W, pd.Index(vocabulary, dtype=object)), opens_W & listed_W


def connectors(words: Rows) -> Rows:
    """The words that are connectors."""
    return Changed(words, lambda part: part[part["connector"]])


def word_sums(
    words: Rows, measure: Callable[[pd.DataFrame], Mapping[str, pd.Series]], *, by: str = "word"
) -> pd.DataFrame:
    """Sums over the occurrences of each word.

    Args:
        words: from `find_words`, or parts of it.
        measure: words -> what is summed, by name; truth values are counted.
        by: the column to group by.

    Returns:
        One row a word that occurs, in the order in which they first occur (sorted where `by` is no column of
        categories): occurrences, and the sums.
    """
    groups = Groups()
    sums = np.zeros((1, 0))
    for part in parts_of(words):
        group_N = groups.numbers(part[by], problem_codes(part["problem_id"], problem_ids(part["problem_id"])))
        measured = measure(part)
        sums_VK = [np.bincount(group_N, minlength=len(groups)).astype(np.float64)]
        sums_VK += [np.bincount(group_N, values.to_numpy(), len(groups)) for values in measured.values()]
        sums = added(sums, np.stack(sums_VK))
    names, order_K = groups.names()
    return pd.DataFrame(sums[:, order_K].T, index=names.rename(by), columns=["occurrences", *measured])


def first_rows(tokens: pd.DataFrame) -> BoolArray:
    """Which rows are the first of their sample, for rows sorted by problem and sample."""
    problem, sample = pd.factorize(tokens["problem_id"])[0], tokens["sample_index"].to_numpy()
    changed: BoolArray = (np.diff(problem, prepend=-1) != 0) | (np.diff(sample, prepend=-1) != 0)
    return changed


def _joined(tokens: pd.DataFrame, text_R: NDArray[np.intp]) -> tuple[str, NDArray[np.int64]]:
    """(all texts in one, where in it each row ends). A line break separates texts, a space fills a gap in one."""
    pieces = tokens["piece"].astype("category")
    code_R = pieces.cat.codes.to_numpy()[text_R]
    vocabulary = pieces.cat.categories.to_numpy(dtype=object)
    piece_R = vocabulary[code_R]
    length_R = np.array([len(piece) for piece in vocabulary], dtype=np.int64)[code_R]

    text = tokens[["problem_id", "sample_index"]].iloc[text_R]
    first_R = first_rows(text)
    gap_R = (np.diff(tokens["position"].to_numpy()[text_R], prepend=-1) != 1) & ~first_R
    for parted_R, sign in ((first_R, "\n"), (gap_R, " ")):
        piece_R[parted_R] = sign + piece_R[parted_R]
        length_R[parted_R] += 1
    return "".join(piece_R.tolist()), np.cumsum(length_R)


def _characters(text: str) -> tuple[NDArray[np.uint8], BoolArray]:
    """(kind of each character, whether it ends a clause)."""
    code_C = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
    alphabet = set(text)
    size = max(map(ord, alphabet), default=0) + 1
    kinds, ends = np.zeros(size, dtype=np.uint8), np.zeros(size, dtype=bool)
    for character in alphabet:
        kinds[ord(character)] = _kind(character)
        ends[ord(character)] = character in CLAUSE_ENDS
    return kinds[code_C], ends[code_C]


def _kind(character: str) -> int:
    if character.isdecimal():
        return _DIGIT
    if character.isalnum() or character == "_" or unicodedata.category(character).startswith("M"):
        return _LETTER
    return {"'": _APOSTROPHE, "’": _APOSTROPHE, ".": _POINT, ",": _POINT}.get(character, _OTHER)


def _inside_words(kind_C: NDArray[np.uint8]) -> BoolArray:
    inside_C: BoolArray = (kind_C == _LETTER) | (kind_C == _DIGIT)
    # A text begins with a line break, so no character in question is the first.
    for sign, neighbour in ((_APOSTROPHE, _LETTER), (_POINT, _DIGIT)):
        between_C = kind_C[1:-1] == sign
        inside_C[1:-1] |= between_C & (kind_C[:-2] == neighbour) & (kind_C[2:] == neighbour)
    return inside_C
