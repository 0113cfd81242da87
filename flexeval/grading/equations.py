r"""The equations in numbers that stand in a text.

An equation is two or more expressions in numbers with `=` between them ("6 * 5 = 30", "(7 - 2) * 3 = 15", "3(2+1) = 9",
"\frac{12}{3} + 2 = 6"). Blanks of every kind, Markdown, the marks of LaTeX around a formula or a result, the marks of
lists and the labels of steps are no part of it, and a line may end within it.

What is not in numbers alone is not looked at. So a side counts only where it is whole: one beside which something
stands that belongs to it ("x + 2", "5 red apples + 3", "2^3", "half of 8", "2 1/3") is cut off by that, and left out;
so is one beside a sign that is neither known here nor the mark of a sentence, a quotation or a bracket. Where a number
is missing and nothing stands in its place ("6 * = 30", "she has + 3 = 8"), the equation is one, and false.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

from flexeval.grading.arithmetic import exact_value

_LINE = re.compile(r"\\\\(?![A-Za-z])|\r\n?|[\v\f\x1c-\x1e\x85\u2028\u2029]")
_RULE = re.compile(r"^[ \t]*[-=*_]{2,}[ \t]*$", re.MULTILINE)
"""A line that is drawn, as under a heading or a sum."""
_BLANK = re.compile(
    r"[^\S\n]|[`€£\u200b\u2060\ufeff]|\\?\$|\\[,;:!> ()\[\]]|\\(?:q?quad|left|right|displaystyle)(?![A-Za-z])"
    r"|\\(?:begin|end) *\{[A-Za-z]+\*?\}|</?[A-Za-z]\w*>|&(?=\s*[-+*/=])|(?<==)&|(?<== )&"
)
_MARK = re.compile(
    r"(?<![-=])[-=]+>|[←-⇿⟰-⟿∴∵☀-➿\U0001f300-\U0001faff]"
    r"|\\(?:[A-Za-z]*arrow|implies|to|therefore|because|item|checkmark)(?![A-Za-z])"
)
"""Arrows, ticks and pictures, which part sentences."""
_SPELLINGS = {r"\\(?:times|cdot|ast)(?![A-Za-z])|[×✕✖·⋅•∙∗]|(?<=\d) *[xX] *(?=\d)": "*", r"\\div(?![A-Za-z])|[÷∕]": "/",
              r"[−‐‑‒﹣－]|(?<![^\s(=])[–—](?=\d)": "-", "＋": "+", "={2,}|＝": "=", r"\{,\}": ","}  # fmt: skip
_PLAIN = [(re.compile(spelling), plain) for spelling, plain in _SPELLINGS.items()]
# Between numbers a long dash subtracts; elsewhere it parts sentences.
_DASH_THAT_SUBTRACTS = re.compile(r"((?:[)}=]|\d[a-z]*(?: [a-z]+){0,2})\s*)[–—](?=\s*[\d({.\\])")
_DASH = re.compile("[–—―]")
# Fractions, and commands that say how their argument looks.
_GROUP = re.compile(
    r"(?:(?P<whole>\d *)?\\[dt]?frac\s*\{(?P<top>[^{}]*)\}\s*\{(?P<bottom>[^{}]*)\}"
    r"|\\(?:boxed|fbox|text|math|mathbf|mathrm|textbf|underline)\s*\{(?P<inside>[^{}]*)\})"
)
_DEEPEST = 4
"""Groups of LaTeX within groups that are read."""
_MIXED = re.compile(r"(?<![\d.,/])\d+ +(?P<top>\d{1,9})/(?P<bottom>\d{1,9})(?![\d.])", re.ASCII)
_NO_NUMBER = "\N{REPLACEMENT CHARACTER}"
"""In place of what is a number, but none that is read: it cuts off the side in which it stands."""
_EMPHASIS = re.compile(
    r"(?P<before>(?:^|[A-Za-z]|[^\w\s)*])[ \t]*)"
    r"(?P<mark>\*{1,3}|__?)(?=[^\s*_])(?P<inside>.{1,200}?)"
    r"(?:(?<=[^\s*\d)])(?P=mark)|(?<=[\d)])(?P=mark)(?![ \t]*[\d(*]))",
    re.MULTILINE,
)
"""Markdown's stars around something; a star after a number or a bracket multiplies."""
_ITEM = re.compile(r"(?<![-+*/=]\n)(?<![-+*/=] \n)^[ \t]*(?:[-*•]|\(?\d{1,3}[.)])[ \t]+", re.MULTILINE)
"""The mark of an item in a list, where no equation goes on ("4 + 2 =", and "7." on the next line)."""
_LABEL = re.compile(r"\b(step|case|option|method|part|line|equation)[ ]+\d+[ ]*-[ ]", re.IGNORECASE)

_NUMBER = r"(?:(?<![\d.,])[1-9]\d{0,2}(?:,\d{3})+(?!,?\d)(?:\.\d+)?|\d+(?:\.\d+)?|(?<![\w.])\.\d+)"
_TOKEN = re.compile(rf"{_NUMBER}|(?<!\*)\*(?!\*)|(?<!/)/(?!/)|[-+()=]", re.ASCII)
_OPERATION = r"(?:plus|minus|times|over|divided by|multiplied by|mod)"
_SHARE = (
    r"(?:half|twice|double|triple|thrice|root|squared?|cubed?|percent|(?:third|quarter|fourth|fifth|sixth|tenth)s?)"
)
_OF_SEVERAL = r"(?:sum|product|difference|quotient|ratio|average|mean|half)"
_SCALE = r"(?:dozens?|tens|hundreds?|thousands?|millions?|billions?)(?![A-Za-z])"
_NUMERAL = r"(?:one|two|three|four|five|six|seven|eight|nine|ten|half)(?![A-Za-z])"
_UNIT = r"(?:(?: *[a-z]{1,20})(?: (?!(?:and|but|so|then|also|that|now|or)\b)[a-z]{1,20}){0,2})"
"""What is counted, in up to three words."""
_NAME = r"(?:(?<![A-Za-z])[B-HJ-Zb-hj-z](?![A-Za-z'’])|\\[A-Za-z]+|[α-ω])"
"""What stands for a number: a letter by itself, but for the words `a` and `I`."""
_TIMES = r"(?<![A-Za-z])[xyznX](?![A-Za-z'’])"
"""A variable that multiplies without a sign, or the letter for one."""
_UNKNOWN = r"""[^\s\w.,;:!?"'“”‘’()\[\]{}|<>…#=]"""
"""A sign that is no mark of a sentence, a quotation, a bracket, a table or a heading."""
_BELONGS_BEFORE = re.compile(
    rf"(?:\w|\d[.,:]|(?:{_UNKNOWN}|\\[A-Za-z]+|{_TIMES})\s*|\w\s+{_OPERATION}\s+|\b{_SHARE}\s+(?:of\s+)?|[\d%]\s+of\s+"
    r"|\bof [\d.,]+ and +)\Z"
)
_BELONGS_AFTER = re.compile(
    rf"[.,:]\d| *(?:{_UNKNOWN}|\\[A-Za-z]|{_TIMES}|{_SCALE}|{_OPERATION} +[\d(]|(?:!|{_UNIT}) *[-+*/] *[\d(])"
)
_OPERAND_BEFORE = re.compile(rf"(?:{_NAME}|[\])}}|!%°]|\d{_UNIT}) *\Z")
_OPERAND_AFTER = re.compile(rf" *(?:{_NAME}|{_NUMERAL}|[√{_NO_NUMBER}|])")
"""What a sign at the beginning or the end of an equation may belong to: a name, or a number with its unit."""
_SEVERAL_BEFORE = re.compile(rf"\b{_OF_SEVERAL}\b(?:[\s\d.,:&]|of|the|and|between)*\Z")
"""What a number by itself is taken into: "the product of 3, 4"."""
_WORD_AFTER = re.compile(r" +[A-Za-z]{2}")
_MOST_BEFORE = 40
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
    """A text with its signs in ASCII and no blanks but " " and line feeds, without Markdown and marks of lists."""
    text = _BLANK.sub(" ", _RULE.sub(";", _LINE.sub("\n", text)))
    for spelling, plain in _PLAIN:
        text = spelling.sub(plain, text)
    text = _MARK.sub(" ; ", text)
    text = _DASH.sub(" ; ", _DASH_THAT_SUBTRACTS.sub(r"\1-", text))
    text = _EMPHASIS.sub(r"\g<before>\g<inside>", text)
    text = _LABEL.sub(r"\1: ", _ITEM.sub("", text))
    for _ in range(_DEEPEST):
        text = _GROUP.sub(_without_braces, text)
    text = _MIXED.sub(lambda match: _NO_NUMBER if int(match["top"]) < int(match["bottom"]) else match[0], text)
    return text.replace("{", "(").replace("}", ")")


def _without_braces(group: re.Match[str]) -> str:
    if group["inside"] is not None:
        return f" {group['inside']} "
    return _NO_NUMBER if group["whole"] else f"(({group['top']})/({group['bottom']}))"


@dataclass
class _Stretch:
    """Numbers and signs with nothing but blanks between them."""

    tokens: list[str]
    start: int
    end: int
    cut: bool
    """Whether it begins with a bracket right after a number: a factor, or another sentence."""
    equates: bool
    """Whether it has a `=`."""


def _stretches(text: str) -> list[_Stretch]:
    """All of them in order; two numbers side by side begin a new one, and so does a signed number on a new line."""
    found: list[_Stretch] = []
    for match in _TOKEN.finditer(text):
        token, start = match[0], match.start()
        cut = False
        if found and not (gap := text[found[-1].end : start]).strip():
            last = found[-1]
            parted = last.tokens[-1] == ")" or last.tokens[-1][-1].isdigit()
            if token == "(":
                parted = parted and gap != ""
            elif token == "-":
                parted = (
                    parted and last.equates and "\n" in gap and text[match.end() : match.end() + 1] not in ("", " ")
                )
            else:
                parted = parted and token[-1].isdigit()
            if not parted:
                last.tokens.append(token)
                last.end = match.end()
                last.equates |= token == "="
                continue
            cut = token == "(" and not last.equates and "\n" not in gap
        found.append(_Stretch([token], start, match.end(), cut, token == "="))
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
    taken = _BELONGS_BEFORE.search(before) or (len(first) == 1 and _SEVERAL_BEFORE.search(before))
    cut_before = stretch.cut or _excess(first) < 0 or taken
    if first and (cut_before or (sign and _OPERAND_BEFORE.search(before))):
        del sides[0]
    cut_after = _excess(last) > 0 or _BELONGS_AFTER.match(text, after)
    if last and sides and (cut_after or (last[-1] in "+-*/" and _OPERAND_AFTER.match(text, after))):
        del sides[-1]
    elif len(last) > 1 and last[-1] == "-" and _WORD_AFTER.match(text, after):
        # A dash: "7 * 3 = 21 - too big".
        del last[-1]
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
