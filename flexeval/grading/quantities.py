r"""Numbers with units: the one number that a short answer states, and the unit that it may leave out.

`$1,200 dollars` and `60 \text{ ft}^2` each state one number. It is the value that counts: `\sqrt{16}` is 4, `1 million`
is 1000000, and what has no value in numbers (`x^2`, `x > 20`, `5\pi`, `at least 5`) states none.

An answer may leave its unit out or spell it differently (`cm`, `centimeters`, `\text{ cm}^2`); it may not name another
one. Unknown words count as no unit. Nothing is converted: 5 cm is not 0.05 m here.
"""

from __future__ import annotations

import re
from fractions import Fraction

from flexeval.grading.arithmetic import exact_value
from flexeval.grading.latex import clean
from flexeval.grading.numerals import MAX_DIGITS, NUMERAL, read_number

MULTIPLIERS = {"hundred": 100, "thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12}
SUFFIXES = {"k": 10**3, "K": 10**3, "M": 10**6, "mn": 10**6, "B": 10**9, "bn": 10**9}
"""Written right after a number."""
_ORDER = re.compile(
    r"[<>](?=\s*\S)|\\(?:le|ge|ne|pm|mp)(?![A-Za-z])|\bat (?:least|most)\b|\b(?:more|less|fewer|greater) than\s*\$?\d"
    r"|\d\s*(?:\w+\s+)?or (?:more|less|fewer)\b",
    re.IGNORECASE,
)
"""What states a bound instead of a number."""
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

_ALIASES = {
    "meter": "meters metre metres m",
    "centimeter": "centimeters centimetre centimetres cm",
    "millimeter": "millimeters millimetre millimetres mm",
    "kilometer": "kilometers kilometre kilometres km",
    "inch": "inches in",
    "foot": "feet ft",
    "yard": "yards yd",
    "mile": "miles mi",
    "second": "seconds sec s",
    "minute": "minutes min mins",
    "hour": "hours hr hrs h",
    "day": "days",
    "week": "weeks",
    "month": "months",
    "year": "years yr yrs",
    "gram": "grams g",
    "kilogram": "kilograms kg",
    "milligram": "milligrams mg",
    "pound": "pounds lb lbs",
    "ounce": "ounces oz",
    "liter": "liters litre litres l",
    "milliliter": "milliliters ml",
    "gallon": "gallons gal",
    "dollar": "dollars usd",
    "cent": "cents",
    "euro": "euros",
    "degree": "degrees deg",
    "radian": "radians rad",
    "mile per hour": "mph",
}
_CANONICAL = {alias: name for name, aliases in _ALIASES.items() for alias in (name, *aliases.split())}
_CURRENCIES = {"$": "dollar", "€": "euro", r"\text{€}": "euro", "£": "pound sterling", r"\pounds": "pound sterling"}
_DIMENSION = re.compile(r"\b(?:square|sq|cubic|cu)\b\.?|\^\s*\{?\s*\d\s*\}?")

# One-letter abbreviations are units only inside \text{}: outside they are variables.
_PLAIN = "|".join(sorted((alias for alias in _CANONICAL if len(alias) > 1), key=len, reverse=True))
_TEXT_AT_END = re.compile(r"(?:\s*/?\s*\\text\s*\{[^{}]*\}(?:\s*\^\s*(?:\{\s*\d\s*\}|\d))?)+$")
_UNIT_AT_END = re.compile(
    rf"(?<=[\d}})\s])\s*(?:\b(?:square|sq|cubic|cu)\b\.?\s*)?\b(?:{_PLAIN})\b(?:\s*\^\s*(?:\{{\s*\d\s*\}}|\d))?"
    rf"(?:\s*(?:/|per)\s*(?:{_PLAIN}|[hs])\b)?$",
    re.IGNORECASE,
)
_NUMBER_AND_WORDS = re.compile(r"(?P<number>\S.*?)\s+(?P<words>[A-Za-z]{3,}(?:\s[A-Za-z]+)*)")
_FUNCTION = re.compile(r"\b(?:sin|cos|tan|cot|sec|csc|log|exp|mod|max|min|gcd|lcm)\b")
_CALL = re.compile(r"\\(?:sin|cos|tan|cot|sec|csc)(?![A-Za-z])")
_QUALIFIER = re.compile(r"\b(?:or|and|not|no|more|less|fewer|least|most|than|if|when|except)\b", re.IGNORECASE)
_DEGREES_AT_END = re.compile(r"\^\\circ\s*(?:(?:\\text\s*\{\s*)?[CF]\s*\}?)?$")


# ----- numbers -----


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
    """The value of the only numeral among words, times a word such as million; None if there is anything else."""
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


# ----- units -----


def split_unit(text: str) -> tuple[str, str | None]:
    r"""The quantity without its unit, and the unit's canonical name.

    Args:
        text: in the spelling of `latex.clean`.

    Returns:
        The remaining text, never empty; and None where there is no unit or an unknown one.
    """
    sign = re.match(r"[-+]?\s*", text)
    start = sign.end() if sign else 0
    for symbol, name in _CURRENCIES.items():
        if text.startswith(symbol, start) and (rest := text[start + len(symbol) :].strip()):
            return text[:start] + rest, name
        if text.endswith(symbol) and (rest := text.removesuffix(symbol).strip()):
            return rest, name
    # Degrees inside a function belong to its argument.
    if (match := _DEGREES_AT_END.search(text)) and text[: match.start()].strip() and not _CALL.search(text):
        return text[: match.start()].strip(), "degree"
    for pattern in (_TEXT_AT_END, _UNIT_AT_END):
        if (match := pattern.search(text)) and text[: match.start()].strip() and _may_be_unit(match[0]):
            return text[: match.start()].strip(), _canonical(match[0])
    if (match := _NUMBER_AND_WORDS.fullmatch(text)) and read_number(match["number"]) is not None:
        words = match["words"]
        if _may_be_unit(words) and not _FUNCTION.search(words):
            return match["number"], _canonical(words)
    return text, None


def is_unit(word: str) -> bool:
    """Whether a word is the name or abbreviation of a unit."""
    return word.lower() in _CANONICAL


def qualifies(words: str) -> bool:
    """Whether words beside a value change its meaning (`or more`, `at least`), so that they are no unit or label."""
    return _QUALIFIER.search(words) is not None


def units_agree(a: str | None, b: str | None) -> bool:
    """Whether two units, as `split_unit` gives them, can belong to one quantity."""
    return a is None or b is None or a == b


def _may_be_unit(words: str) -> bool:
    """Unknown words may be; a single letter that no unit is called may be a variable."""
    letters = re.sub(r"\\text|[^A-Za-z]", "", words)
    return not qualifies(words) and (len(letters) != 1 or letters.lower() in _CANONICAL)


def _canonical(unit: str) -> str | None:
    words = re.sub(r"\\text|[{}.]", " ", _DIMENSION.sub(" ", unit)).lower()
    over = re.split(r"/|\bper\b", words)
    names = [_CANONICAL.get(part.strip()) for part in over]
    return " per ".join(name for name in names if name is not None) if all(names) else None
