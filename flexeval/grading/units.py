r"""Take the unit off a quantity, and say whether two units contradict each other.

An answer may leave out its unit, or write it in another way (`cm`, `centimeters`, `\text{ cm}^2`); it may
not name a different one. Unknown words count as no unit. Nothing is converted: 5 cm is not 0.05 m here.
"""

from __future__ import annotations

import re

from flexeval.grading.numerals import read_number

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
_TRAILING_TEXT = re.compile(r"(?:\s*/?\s*\\text\s*\{[^{}]*\}(?:\s*\^\s*(?:\{\s*\d\s*\}|\d))?)+$")
_TRAILING_WORDS = re.compile(
    rf"(?<=[\d}})\s])\s*(?:\b(?:square|sq|cubic|cu)\b\.?\s*)?\b(?:{_PLAIN})\b(?:\s*\^\s*(?:\{{\s*\d\s*\}}|\d))?"
    rf"(?:\s*(?:/|per)\s*(?:{_PLAIN}|[hs])\b)?$",
    re.IGNORECASE,
)
_NUMBER_AND_WORDS = re.compile(r"(?P<number>\S.*?)\s+(?P<words>[A-Za-z]{3,}(?:\s[A-Za-z]+)*)")
_FUNCTION = re.compile(r"\b(?:sin|cos|tan|cot|sec|csc|log|exp|mod|max|min|gcd|lcm)\b")
_CALL = re.compile(r"\\(?:sin|cos|tan|cot|sec|csc)(?![A-Za-z])")
_QUALIFIER = re.compile(r"\b(?:or|and|not|no|more|less|fewer|least|most|than|if|when|except)\b", re.IGNORECASE)
_DEGREES = re.compile(r"\^\\circ\s*(?:(?:\\text\s*\{\s*)?[CF]\s*\}?)?$")


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
    if (match := _DEGREES.search(text)) and text[: match.start()].strip() and not _CALL.search(text):
        return text[: match.start()].strip(), "degree"
    for pattern in (_TRAILING_TEXT, _TRAILING_WORDS):
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
    """Whether words beside a value change what is said (`or more`, `at least`), so that they are no unit or label."""
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
