r"""The equations in numbers that stand in a text.

An equation is two or more expressions in numbers with `=` between them ("6 * 5 = 30", "(7 - 2) * 3 = 15", "3(2+1) = 9",
"\frac{12}{3} + 2 = 6"). Markdown, the marks of lists and the labels of steps are no part of it.

What is not in numbers alone is not looked at. So a side counts only where it is whole: one beside which something
stands that belongs to it ("x + 2", "5 apples + 3", "2^3", "5 times 3") is cut off by that, and left out. Where a number
is missing and nothing stands in its place ("6 * = 30", "she has + 3 = 8"), the equation is one, and false.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

from flexeval.grading.arithmetic import exact_value

_SPELLINGS = {r"\times": "*", r"\cdot": "*", r"\div": "/", "×": "*", "·": "*", "⋅": "*", "÷": "/", "−": "-", "==": "=",
              "{,}": ",", "$": " ", r"\(": " ", r"\)": " ", r"\[": " ", r"\]": " ", r"\left(": "(", r"\right)": ")",
              }  # fmt: skip
_ARROW = re.compile(r"(?<![-=])[-=]+>")
_FRACTION = re.compile(r"(?<![\w.)])\\[dt]?frac\s*\{(?P<top>[^{}]*)\}\s*\{(?P<bottom>[^{}]*)\}")
_DEEPEST = 4
"""Fractions within fractions that are read."""
_EMPHASIS = re.compile(
    r"(?P<before>(?:^|[A-Za-z]|[^\w\s)*])[ \t]*)"
    r"(?P<mark>\*{1,3})(?=[^\s*])(?P<inside>.{1,200}?)"
    r"(?:(?<=[^\s*\d)])(?P=mark)|(?<=[\d)])(?P=mark)(?![ \t]*[\d(*]))",
    re.MULTILINE,
)
"""Markdown's stars around something; a star after a number or a bracket multiplies."""
_ITEM = re.compile(r"^[ \t]*(?:[-*•]|\(?\d{1,3}[.)])[ \t]+", re.MULTILINE)
"""The mark of an item in a list."""
_LABEL = re.compile(r"\b(step|case|option|method|part|line|equation)[ ]+\d+[ ]*-[ ]", re.IGNORECASE)

_NUMBER = r"(?:(?<![\d.,])[1-9]\d{0,2}(?:,\d{3})+(?!,?\d)(?:\.\d+)?|\d+(?:\.\d+)?|(?<![\w.])\.\d+)"
_TOKEN = re.compile(rf"{_NUMBER}|(?<!\*)\*(?!\*)|(?<!/)/(?!/)|[-+()=]", re.ASCII)
_OPERATION = r"(?:plus|minus|times|over|divided by|multiplied by|mod)"
_NAME = r"(?:(?<![A-Za-z])[B-HJ-Zb-hj-z](?![A-Za-z'’])|\\[A-Za-z]+|[α-ω])"
"""What stands for a number: a letter by itself, but for the words `a` and `I`."""
_TIMES = r"(?<![A-Za-z])[xyzn](?![A-Za-z'’])"
"""A variable that multiplies without a sign, or the letter for one."""
_BELONGS_BEFORE = re.compile(
    rf"(?:\w|\d[.,]|(?:[\^±∓√]|\*\*|//|\\sqrt|{_TIMES}) *|\w +{_OPERATION} +"
    r"|\b(?:half|third|thirds|quarter|quarters|percent) of +|% of +|\bof [\d.,]+ and +)\Z"
)
_BELONGS_AFTER = re.compile(
    rf"[.,]\d| *(?:[\^±∓√%]|\*\*|//|\\(?:sqrt|[dt]?frac|pi)(?![A-Za-z])|{_TIMES}|{_OPERATION} +[\d(]"
    r"|(?:!|[a-z]+) *[-+*/] *[\d(])"
)
_OPERAND_BEFORE = re.compile(rf"(?:{_NAME}|[\])}}|!%°]|\d *[a-z]+) *\Z")
_OPERAND_AFTER = re.compile(rf" *(?:{_NAME}|√)")
"""What a sign at the beginning or the end of an equation may belong to: a name, or a number with its unit."""
_MOST_BEFORE = 20
"""Characters before an equation that are looked at."""


@dataclass(frozen=True)
class Equation:
    """One equation of a text."""

    text: str
    """As the text has it, with single spaces."""
    operands: tuple[Fraction, ...]
    """The numbers, with their signs, of the sides that calculate, from left to right; where no side does, the first
    number. Empty where a side cannot be read."""
    result: Fraction | None
    """The value of the last side; None when a side cannot be read ("6 * = 30")."""
    true: bool
    """Whether every side can be read and all have one value."""


def find_equations(text: str) -> list[Equation]:
    """The equations of a text, in order."""
    text = plain_text(text)
    found = (_equation(stretch, text) for stretch in _stretches(text))
    return [equation for equation in found if equation is not None]


def plain_text(text: str) -> str:
    """A text with its signs in ASCII, and without Markdown, marks of lists and labels of steps."""
    for spelling, plain in _SPELLINGS.items():
        text = text.replace(spelling, plain)
    text = _ARROW.sub(" ; ", text)
    text = _EMPHASIS.sub(r"\g<before>\g<inside>", text)
    text = _LABEL.sub(r"\1: ", _ITEM.sub("", text))
    for _ in range(_DEEPEST):
        text = _FRACTION.sub(r"((\g<top>)/(\g<bottom>))", text)
    return text


@dataclass
class _Stretch:
    """Numbers and signs with nothing but blanks between them."""

    tokens: list[str]
    start: int
    end: int
    cut: bool
    """Whether it begins with a bracket right after a number: a factor, or another sentence."""


def _stretches(text: str) -> list[_Stretch]:
    """All of them in order; two numbers side by side begin a new one."""
    found: list[_Stretch] = []
    for match in _TOKEN.finditer(text):
        token, start = match[0], match.start()
        cut = False
        if found and not text[found[-1].end : start].strip(" "):
            last = found[-1]
            number_before = last.tokens[-1] == ")" or last.tokens[-1][-1].isdigit()
            if not number_before or not (token[-1].isdigit() or (token == "(" and last.end < start)):
                last.tokens.append(token)
                last.end = match.end()
                continue
            cut = token == "(" and "=" not in last.tokens
        found.append(_Stretch([token], start, match.end(), cut))
    return found


def _equation(stretch: _Stretch, text: str) -> Equation | None:
    """The equation that a stretch is; None when it has no two whole sides."""
    sides: list[list[str]] = [[]]
    for token in stretch.tokens:
        if token == "=":
            sides.append([])
        else:
            sides[-1].append(token)
    before, after = text[max(0, stretch.start - _MOST_BEFORE) : stretch.start], stretch.end
    _drop_brackets_around(sides)
    first, last = sides[0], sides[-1]
    sign = first and (first[0] in "+*/" or (first[0] == "-" and text[stretch.start + 1 : stretch.start + 2] == " "))
    cut_before = stretch.cut or _excess(first) < 0 or _BELONGS_BEFORE.search(before)
    if first and (cut_before or (sign and _OPERAND_BEFORE.search(before))):
        del sides[0]
    cut_after = _excess(last) > 0 or _BELONGS_AFTER.match(text, after)
    if last and sides and (cut_after or (last[-1] in "+-*/" and _OPERAND_AFTER.match(text, after))):
        del sides[-1]
    # "so x = 5 + 3 = 8" and "5 + 3 = ?" leave an empty side at an end.
    held = [place for place, side in enumerate(sides) if side]
    if len(held) < 2:
        return None
    sides = sides[held[0] : held[-1] + 1]

    values = [exact_value("".join(side).replace(",", "")) for side in sides]
    signed = [_with_signs(side) for side in sides]
    worked = [side for side in signed if len(side) > 1]
    numbers = [token for side in worked or signed[:1] for token in side if token[-1].isdigit()]
    return Equation(
        text=" = ".join(" ".join(side) for side in signed),
        operands=() if None in values else tuple(Fraction(number.replace(",", "")) for number in numbers),
        result=None if None in values else values[-1],
        true=None not in values and len(set(values)) == 1,
    )


def _drop_brackets_around(sides: list[list[str]]) -> None:
    """Remove what opens before an equation and closes after it: "(5 + 3 = 8)"."""
    first, last = sides[0], sides[-1]
    opening = next((place for place, token in enumerate(first) if token != "("), len(first))
    del first[: max(0, min(_excess(first), opening))]
    closing = next((place for place, token in enumerate(reversed(last)) if token != ")"), len(last))
    del last[len(last) - max(0, min(-_excess(last), closing)) :]


def _excess(side: list[str]) -> int:
    """How many more brackets open than close."""
    return side.count("(") - side.count(")")


def _with_signs(side: list[str]) -> list[str]:
    """A side with each minus sign that does not subtract in one token with its number."""
    signed: list[str] = []
    for place, token in enumerate(side):
        if token[-1].isdigit() and side[place - 1 : place] == ["-"] and (place == 1 or side[place - 2] in "+-*/("):
            signed[-1] = f"-{token}"
        else:
            signed.append(token)
    return signed
