r"""The one number that a short answer states, among words, units and signs: `$1,200 dollars`, `60 \text{ ft}^2`.

For answers that are known to be numeric. It is the value that counts: `\sqrt{16}` is 4, `1 million` is 1000000, and
what has no value in numbers (`x^2`, `x > 20`, `5\pi`, `at least 5`) states none.
"""

from __future__ import annotations

import re
from fractions import Fraction

from flexeval.grading.arithmetic import exact_value
from flexeval.grading.latex import clean
from flexeval.grading.numerals import MAX_DIGITS, NUMERAL, read_number
from flexeval.grading.units import is_unit, split_unit

MULTIPLIERS = {"hundred": 100, "thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12}
SUFFIXES = {"k": 10**3, "K": 10**3, "M": 10**6, "mn": 10**6, "B": 10**9, "bn": 10**9}
"""Written right behind a number."""
_ORDER = re.compile(
    r"[<>](?=\s*\S)|\\(?:le|ge|ne|pm|mp)(?![A-Za-z])|\bat (?:least|most)\b|\b(?:more|less|fewer|greater) than\s*\$?\d"
    r"|\d\s*(?:\w+\s+)?or (?:more|less|fewer)\b",
    re.IGNORECASE,
)
"""What gives a bound and no number."""
_EQUALITY = re.compile(r"=|\\(?:approx|sim|equiv)(?![A-Za-z])")
_TEXT = re.compile(r"\\text\s*\{([^{}]*)(?:\}|\Z)")
_DEGREES = re.compile(r"\^\\circ\s*(?:[CF]\b)?")
_FULL_HOUR = re.compile(r"\b(\d{1,2}):00\b")
_POWER_OF_UNIT = re.compile(r"(?P<unit>[A-Za-z]+)\s*\^\s*(?:\{\s*-?\d\s*\}|-?\d)(?!\d)")
_WORDS = re.compile(r"[A-Za-z\s$%€£.,;:/()'’\"&#-]*")
_ORDINALS = frozenset(["st", "nd", "rd", "th", "am", "pm", "AM", "PM"])
_TRAILING_WORDS = re.compile(r"\s+[A-Za-z]{3,}(?:\s+[A-Za-z]+)*\Z")
_MULTIPLIER = re.compile(rf"\b(?:{'|'.join(MULTIPLIERS)}|and (?:a|one) half)\b", re.IGNORECASE)
_MULTIPLIED = re.compile(rf"[-+\d.,\s$]*\d[\d.,]*\s*(?:{'|'.join(MULTIPLIERS)})\b[A-Za-z\s]*", re.IGNORECASE)
_AND_A_HALF = re.compile(r"\s+and (?:a|one) half\b", re.IGNORECASE)


def number_in(text: str) -> Fraction | None:
    """The one number that a short answer states, or None when it states none or several.

    Words, units, a currency and a percent sign around the number are ignored; of an equation the last side with a
    number counts; a full hour (`2:00 pm`) is its number.
    """
    if len(text) > MAX_DIGITS:
        return None
    text = clean(text)
    if _ORDER.search(_TEXT.sub(r" \1 ", text).strip()):
        return None
    sides = [side for side in _EQUALITY.split(text) if re.search(r"\d", side)]
    if not sides:
        return None
    text = _TEXT.sub(r" \1 ", sides[-1]).replace("**", " ")
    text = _DEGREES.sub(" ", text)
    text = _POWER_OF_UNIT.sub(lambda match: f" {match['unit']} " if _counts(match["unit"]) else match[0], text)
    text = " ".join(_FULL_HOUR.sub(r"\1", text).split()).strip("$%<> ")

    if (value := _value(text)) is not None:
        return value
    if not _MULTIPLIER.search(text):
        for quantity in (split_unit(text)[0], _TRAILING_WORDS.sub("", text)):
            if (value := _value(quantity)) is not None:
                return value
    return _among_words(text)


def read_numeral(numeral: str) -> Fraction | None:
    """The value of a match of `NUMERAL`; None for a zero denominator or too many digits."""
    return read_number(re.sub(r"[\\$\s]*\$\s*", "", numeral.replace("−", "-")))


def multiplied(text: str) -> bool:
    """Whether a text ends in a number and a word such as million, and perhaps a unit."""
    return _MULTIPLIED.fullmatch(_TEXT.sub(r" \1 ", text)) is not None


def _value(text: str) -> Fraction | None:
    number = read_number(text)
    return exact_value(text) if number is None else number


def _among_words(text: str) -> Fraction | None:
    """The value of the only numeral of a text that holds nothing else but words, times a word such as million."""
    text = re.sub(r"(?<=\d)\\frac", r" \\frac", text)
    text = re.sub(r"\\frac\{(\d+)\}\{(\d+)\}", r"\1/\2 ", text)
    numerals = list(NUMERAL.finditer(text))
    if len(numerals) != 1:
        return None
    before, after = text[: numerals[0].start()], text[numerals[0].end() :]
    value = read_numeral(numerals[0][0])
    if value is None or not _WORDS.fullmatch(before) or not _WORDS.fullmatch(after):
        return None
    if half := _AND_A_HALF.match(after):
        value, after = value + Fraction(1, 2), after[half.end() :]

    attached = re.match(r"[A-Za-z]*", after)
    assert attached is not None
    suffix = attached[0]
    if suffix in SUFFIXES:
        return value * SUFFIXES[suffix]
    if suffix and not (_counts(suffix) or suffix in _ORDINALS):
        return None
    word = re.match(r"[\s-]*([A-Za-z]+)", after)
    if not suffix and word is not None:
        if word[1].lower() in MULTIPLIERS:
            return value * MULTIPLIERS[word[1].lower()]
        if word[1] == "k":
            return value * SUFFIXES["k"]
        # Any other single letter at the end is a variable, unless a unit is called so.
        if len(word[1]) == 1 and word.end() == len(after) and not is_unit(word[1]):
            return None
    return value


def _counts(word: str) -> bool:
    """Whether a word beside a number says what is counted: a unit, or any word that is too long for a variable."""
    return is_unit(word) or len(word) > 2
