"""Token rows -> words: whole words of a text, each with the measurements of its first token.

Token pieces are joined and cut again at the edges of words, so the tokenizer's splits do not matter. No language is
known here: a run of letters without a space is one word.

Axis suffixes: `R` token rows of the text, `T` stretches of rows that share no word, `D` different stretches, `C`
characters of these, `V` their words, `W` words of the texts.
"""

from __future__ import annotations

import functools
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from flexeval.errors import InputError
from flexeval.hashing import mixed_bits
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

_OTHER, _LETTER, _DIGIT, _APOSTROPHE, _POINT, _NONE = range(6)
_GO_ON = np.zeros((6, 6), dtype=np.bool_)
"""Whether a word may go on from a character of one kind to one of another; `_NONE` stands for an empty piece."""
for _one, _other in (
    (_LETTER, _LETTER), (_LETTER, _DIGIT), (_DIGIT, _DIGIT), (_LETTER, _APOSTROPHE), (_DIGIT, _POINT),
    *((_NONE, kind) for kind in range(6)),
):  # fmt: skip
    _GO_ON[_one, _other] = _GO_ON[_other, _one] = True
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
    rows = tokens.iloc[text_R] if len(text_R) < len(tokens) else tokens
    pieces = rows["piece"].astype("category").cat
    piece_R, vocabulary = pieces.codes.to_numpy(), pieces.categories.to_numpy(dtype=object)

    # Cut the rows into stretches that share no word; few of them are different, and words are found in these.
    first_R = first_rows(rows)
    start_T = np.flatnonzero(~_joins(piece_R, vocabulary, rows["position"].to_numpy(), first_R))
    kind_T, example_D = _alike(piece_R, start_T)
    rows_D = np.diff(start_T, append=len(rows))[example_D]
    examples_R = _ranges(start_T[example_D], rows_D)
    found = _words_of_stretches(vocabulary[piece_R[examples_R]], rows_D)

    # The words of each stretch are those of its example.
    words_T = found.words_D[kind_T]
    word_W = _ranges((np.cumsum(found.words_D) - found.words_D)[kind_T], words_T)
    row_W = text_R[np.repeat(start_T, words_T) + found.row_V[word_W]]

    # Which of them begin a clause: those with the end of a clause, or of a text, between them and the word before.
    ends_T = found.ends_D[kind_T]
    before_W = np.repeat(np.cumsum(ends_T + first_R[start_T]) - ends_T, words_T)
    opens_W = before_W + found.ends_before_V[word_W] > np.append(0, before_W + found.ends_within_V[word_W])[:-1]
    listed_V = np.isin(found.vocabulary, CONNECTORS)
    code_W = found.code_V[word_W]
    words = pd.Categorical.from_codes(code_W, pd.Index(found.vocabulary, dtype=object))
    return row_W, words, opens_W & listed_V[code_W]


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
        by: the column to group by; a word without a value there is left out.

    Returns:
        One row a word that occurs, in the order in which they first occur (sorted where `by` is no column of
        categories): occurrences, and the sums.
    """
    groups = Groups()
    sums = np.zeros((1, 0))
    for part in parts_of(words):
        if by not in part:
            raise InputError(f"the words have no column {by!r} to group by; they have {', '.join(part.columns)}")
        part = part[part[by].notna()] if part[by].hasnans else part
        group_N = groups.numbers(part[by], problem_codes(part["problem_id"], problem_ids(part["problem_id"])))
        measured = measure(part)
        sums_VK: list[NDArray[Any]] = [np.bincount(group_N, minlength=len(groups)).astype(np.float64)]
        sums_VK += [np.bincount(group_N, values.to_numpy(), len(groups)) for values in measured.values()]
        sums = added(sums, np.stack(sums_VK))
    names, order_K = groups.names()
    return pd.DataFrame(sums[:, order_K].T, index=names.rename(by), columns=["occurrences", *measured])


def first_rows(tokens: pd.DataFrame) -> BoolArray:
    """Which rows are the first of their sample, for rows sorted by problem and sample."""
    problem, sample = pd.factorize(tokens["problem_id"])[0], tokens["sample_index"].to_numpy()
    changed: BoolArray = (np.diff(problem, prepend=-1) != 0) | (np.diff(sample, prepend=-1) != 0)
    return changed


# ----- stretches of rows that share no word -----


def _joins(
    piece_R: NDArray[np.integer[Any]],
    vocabulary: NDArray[np.object_],
    position_R: NDArray[np.int32],
    first_R: BoolArray,
) -> BoolArray:
    """Whether a word may go on from the row before. A new text and a gap between positions end every word."""
    edges = [(_kind(piece[0]), _kind(piece[-1])) if piece else (_NONE, _NONE) for piece in vocabulary]
    begins_V, ends_V = np.array(edges, dtype=np.intp).reshape(-1, 2).T
    joins_R = np.zeros(len(piece_R), dtype=np.bool_)
    joins_R[1:] = _GO_ON[ends_V[piece_R[:-1]], begins_V[piece_R[1:]]] & (np.diff(position_R) == 1)
    return joins_R & ~first_R


def _alike(piece_R: NDArray[np.integer[Any]], start_T: NDArray[np.intp]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """(the kind of each stretch, a stretch of each kind): those of one kind have the same pieces."""
    rows_T = np.diff(start_T, append=len(piece_R))
    place_R = np.arange(len(piece_R)) - np.repeat(start_T, rows_T)
    hash_R = mixed_bits(place_R.astype(np.uint64) << np.uint64(32) | piece_R.astype(np.uint64))
    kind_T, hashes = pd.factorize(np.add.reduceat(hash_R, start_T) if len(start_T) else hash_R)
    example_D = np.zeros(len(hashes), dtype=np.intp)
    example_D[kind_T[::-1]] = np.arange(len(kind_T))[::-1]
    like_T = example_D[kind_T]
    same = (rows_T == rows_T[like_T]).all() and (piece_R == piece_R[_ranges(start_T[like_T], rows_T)]).all()
    # Two hashes may be equal by chance.
    return (kind_T, example_D) if same else (np.arange(len(start_T)), np.arange(len(start_T)))


def _ranges(start_T: NDArray[np.intp], count_T: NDArray[np.intp]) -> NDArray[np.intp]:
    """So many numbers from each start on, one range after the other."""
    return np.arange(count_T.sum()) + np.repeat(start_T - np.cumsum(count_T) + count_T, count_T)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Found:
    """The words of some stretches, in order."""

    words_D: NDArray[np.intp]
    """How many each stretch has."""
    ends_D: NDArray[np.intp]
    """How many ends of clauses."""
    code_V: NDArray[np.intp]
    """Each word, as a place in the vocabulary."""
    vocabulary: NDArray[np.object_]
    row_V: NDArray[np.intp]
    """The row of its first token, from that of the stretch."""
    ends_before_V: NDArray[np.intp]
    """Ends of clauses in the stretch up to where the word begins."""
    ends_within_V: NDArray[np.intp]
    """And up to where it ends."""


def _words_of_stretches(piece_R: NDArray[np.object_], rows_D: NDArray[np.intp]) -> _Found:
    """Find the words of stretches.

    Args:
        piece_R: of their rows.
        rows_D: how many rows each has.
    """
    # A space before each stretch keeps them apart.
    row_D = np.cumsum(rows_D) - rows_D
    length_R = np.array([len(piece) for piece in piece_R], dtype=np.intp)
    piece_R, length_R[row_D] = piece_R.copy(), length_R[row_D] + 1
    piece_R[row_D] = " " + piece_R[row_D]
    text, end_R = "".join(piece_R.tolist()), np.cumsum(length_R)
    kind_C, ends_clause_C = _characters(text)

    # Cut the text into words.
    inside_C = _inside_words(kind_C)
    begin_V = np.flatnonzero(inside_C & ~np.append(False, inside_C[:-1]))
    end_V = np.flatnonzero(inside_C & ~np.append(inside_C[1:], False)) + 1
    code_V, vocabulary = pd.factorize(
        np.array([text[begin:end] for begin, end in zip(begin_V.tolist(), end_V.tolist(), strict=True)], dtype=object)
    )

    # Which stretch each is in, and what stands before it there.
    row_V = np.searchsorted(end_R, begin_V, side="right")
    stretch_V = np.searchsorted(row_D, row_V, side="right") - 1
    ends_C = np.append(0, np.cumsum(ends_clause_C, dtype=np.intp))
    ends_D = ends_C[end_R[row_D + rows_D - 1]] if len(row_D) else np.zeros(0, np.intp)
    before_D = np.append(0, ends_D)[:-1]
    return _Found(
        words_D=np.bincount(stretch_V, minlength=len(rows_D)),
        ends_D=ends_D - before_D,
        code_V=code_V,
        vocabulary=vocabulary,
        row_V=row_V - row_D[stretch_V],
        ends_before_V=ends_C[begin_V] - before_D[stretch_V],
        ends_within_V=ends_C[end_V] - before_D[stretch_V],
    )


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


@functools.cache
def _kind(character: str) -> int:
    if character.isdecimal():
        return _DIGIT
    if character.isalnum() or character == "_" or unicodedata.category(character).startswith("M"):
        return _LETTER
    return {"'": _APOSTROPHE, "’": _APOSTROPHE, ".": _POINT, ",": _POINT}.get(character, _OTHER)


def _inside_words(kind_C: NDArray[np.uint8]) -> BoolArray:
    inside_C: BoolArray = (kind_C == _LETTER) | (kind_C == _DIGIT)
    # A stretch begins with a space, so no character in question is the first.
    for sign, neighbour in ((_APOSTROPHE, _LETTER), (_POINT, _DIGIT)):
        between_C = kind_C[1:-1] == sign
        inside_C[1:-1] |= between_C & (kind_C[:-2] == neighbour) & (kind_C[2:] == neighbour)
    return inside_C
