r"""Read one number, exactly, as a fraction: `1,234`, `.5`, `-\frac{3}{4}`, `137 \frac{1}{2}`, `6.02 \times 10^{23}`.

Nothing is rounded and nothing is evaluated: a text is a number only when it is written as one, so `2^{10}`
and `3 + 4` are not numbers here. Bounds on digits and exponents keep hostile texts cheap.
"""

from __future__ import annotations

import re
from fractions import Fraction

MAX_DIGITS = 1000
MAX_EXPONENT = 1000

_DIGITS = r"(?:[1-9]\d{0,2}(?:,\d{3})+|\d{1,3}(?: \d{3})+|\d+)"
_DECIMAL = rf"(?:{_DIGITS}(?:\.\d*)?|\.\d+)"
_SIGNED = rf"[-+]?\s*{_DECIMAL}"
_TEN_TO = r"(?:[eE]|\s*(?:\\times|\\cdot|\*|x)\s*10\s*\^\s*)"

DECIMAL = re.compile(rf"(?P<sign>[-+]?)\s*(?P<value>{_DECIMAL})", re.ASCII)
FRACTION = re.compile(
    rf"(?P<sign>[-+]?)\s*(?:\\frac\s*\{{\s*(?P<top>{_SIGNED})\s*\}}\s*\{{\s*(?P<bottom>{_SIGNED})\s*\}}"
    rf"|(?P<over>{_DECIMAL})\s*/\s*(?P<under>{_SIGNED}))",
    re.ASCII,
)
MIXED = re.compile(
    r"(?P<sign>[-+]?)\s*(?P<whole>\d+)(?:\s*\\frac\s*\{\s*(?P<top>\d+)\s*\}\s*\{\s*(?P<bottom>\d+)\s*\}"
    r"|\s+(?P<over>\d+)\s*/\s*(?P<under>\d+))",
    re.ASCII,
)
SCIENTIFIC = re.compile(
    rf"(?P<sign>[-+]?)\s*(?P<value>{_DECIMAL}){_TEN_TO}"
    r"(?:\{\s*(?P<braced>[-+]?\s*\d+)\s*\}|\(\s*(?P<paren>[-+]?\s*\d+)\s*\)|(?P<bare>[-+]?\d+))",
    re.ASCII,
)

REPEATING = re.compile(
    r"(?P<sign>[-+]?)\s*(?P<whole>\d*)\.(?P<fixed>\d*)\\overline\s*\{?\s*(?P<repeated>\d+)\s*\}?", re.ASCII
)

NUMERAL = re.compile(
    r"(?:(?<![\w)}\].])[-−]\\?\$?|(?<![\w.]))"
    r"(?:\d+ \d+/\d+|(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?:\.\d+)?(?:/\d+(?![\d.]))?|\.\d+)",
    re.ASCII,
)
"""A number inside running text; a minus sign belongs to it unless it subtracts."""

_VULGAR = "[¼½¾⅐⅑⅒⅓⅔⅕⅖⅗⅘⅙⅚⅛⅜⅝⅞]"
_WITH_DIGIT = r"\{[^{}]{0,40}\d[^{}]{0,40}\}"
_OVER = rf"(?:{_VULGAR}|\\[dtc]?frac\s?(?:{_WITH_DIGIT}\s?{_WITH_DIGIT}|\d\s?(?:\d|{_WITH_DIGIT})))"
_POWER = r"(?:\s?\^\s?(?:[-+]?\d+|\{\s?[-+]?\d+\s?\}|\(\s?[-+]?\d+\s?\))|[⁻⁺]?[⁰¹²³⁴⁵⁶⁷⁸⁹]+)"
_GROUPED = r"(?:\d{1,3}(?:(?:,(?:\\!)?|\{,\}|\\,| )\d{3})+(?!\d)|\d+)"
_WITH_IT = (
    r"/\d+(?![\d.])| / \d+(?![\d.])",
    rf"\s?{_OVER}",
    r"[eE][-+]?\d+(?!\w)",
    rf"\s?(?:\\times|\\cdot|[×·⋅*x])\s?10{_POWER}",
    _POWER,
    r" and (?:a|one) half\b",
)
STATED = re.compile(
    r"(?<![\^_])(?<![\^_][-{(])(?<![\^_][{(]-)(?:(?<![\w)}\].])[-−]\\?\$?|(?<![\w.]))"
    rf"(?:\d+ \d+/\d+|\d{{1,2}}:\d\d(?![\d:])|{_GROUPED}(?:\.\d+)?(?:{'|'.join(_WITH_IT)})?|\.\d+|{_OVER})",
    re.ASCII,
)
"""The same with the signs that make its value: `5e3`, `12{,}000`, `\\frac{1}{2}`, `2^{10}`, `7:00`. What stands in an
exponent or index is no number: `5 cm^2`. A word such as million stays outside: of the answers in GSM8K whose solutions
end in one, all count in millions. Not all of these are numbers to `read_number`."""


def read_number(text: str) -> Fraction | None:
    """The value of a text that is one number and nothing else, or None.

    Args:
        text: in the spelling of `latex.clean`; units, currency and percent signs already taken off.
    """
    if len(text) > MAX_DIGITS:
        return None
    text = text.strip()
    if match := DECIMAL.fullmatch(text):
        return _signed(match, _decimal(match["value"]))
    if match := MIXED.fullmatch(text):
        top, bottom = match["top"] or match["over"], match["bottom"] or match["under"]
        part = _ratio(_decimal(top), _decimal(bottom))
        return None if part is None else _signed(match, _decimal(match["whole"]) + part)
    if match := FRACTION.fullmatch(text):
        top, bottom = match["top"] or match["over"], match["bottom"] or match["under"]
        value = _ratio(_decimal(top), _decimal(bottom))
        return None if value is None else _signed(match, value)
    if match := SCIENTIFIC.fullmatch(text):
        exponent = int((match["braced"] or match["paren"] or match["bare"]).replace(" ", ""))
        if abs(exponent) > MAX_EXPONENT:
            return None
        return _signed(match, _decimal(match["value"]) * Fraction(10) ** exponent)
    if match := REPEATING.fullmatch(text):
        fixed, repeated = match["fixed"], match["repeated"]
        period = Fraction(int(repeated), 10 ** len(repeated) - 1) / 10 ** len(fixed)
        return _signed(match, Fraction(f"{match['whole'] or 0}.{fixed or 0}") + period)
    return None


def _decimal(text: str) -> Fraction:
    return Fraction(re.sub(r"[,\s]", "", text).removesuffix("."))


def _ratio(top: Fraction, bottom: Fraction) -> Fraction | None:
    return top / bottom if bottom else None


def _signed(match: re.Match[str], value: Fraction) -> Fraction:
    return -value if match["sign"] == "-" else value
