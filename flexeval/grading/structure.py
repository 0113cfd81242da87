r"""Read a short answer into its outer shape: a list, a set, a tuple or interval, a union, a matrix, an assignment...

Only the shape is read here; its leaves stay text until two of them are compared. So `(1, 2)` and
`[1, 2)` differ without any algebra, and `2, 1` can be compared with `1, 2` piece by piece.
"""

from __future__ import annotations

import re

from flexeval.grading.arithmetic import exact_value
from flexeval.grading.latex import find_top, outer_brackets, split_top, tokens
from flexeval.grading.names import is_name, names_of_tuple, normal_name
from flexeval.grading.numerals import read_number
from flexeval.grading.quantities import multiplied, number_in, qualifies, split_unit
from flexeval.grading.shapes import (
    Assignment,
    Based,
    Choice,
    Group,
    Leaf,
    Matrix,
    Node,
    Range,
    Relation,
    System,
    Words,
)

MAX_DEPTH = 6
"""Shapes nested deeper than this stay text."""

_COMMAS = frozenset([",", ";"])
_ORDERS = frozenset(["<", ">", r"\le", r"\ge"])
_RELATIONS = _ORDERS | {"=", r"\ne", r"\approx", r"\equiv", r"\sim"}
_MATRIX = re.compile(
    r"(?P<before>[^&]*?)\\begin\{(?P<kind>[pbBvV]?matrix|array)\}(?:\{[lcr| ]*\})?"
    r"(?P<body>(?:(?!\\begin|\\end).)*)\\end\{(?P=kind)\}(?P<after>[^&]*)"
)
_CASES = re.compile(r"\\begin\{(?P<kind>cases|aligned|gathered)\}(?P<body>(?:(?!\\begin).)*)\\end\{(?P=kind)\}")
_TEXT = re.compile(r"\\(?:text|operatorname)\s*\{([^{}]*)\}")
_NOT_A_NUMBER = re.compile(r"[A-DF-HJ-Za-df-hj-z]")
_LABEL = re.compile(r"\\text\s*\{[^{}]*\}\s*(?=[^\s^_])|(?:about|approximately|approx\.?|roughly|exactly)\s+(?=\S)")
_BASE_NAMES = {
    "two": "2", "three": "3", "four": "4", "five": "5", "six": "6", "seven": "7", "eight": "8", "nine": "9",
    "ten": "10", "eleven": "11", "twelve": "12", "sixteen": "16",
}  # fmt: skip
_BASED = re.compile(
    r"(?P<open>\(\s*)?(?P<digits>[0-9A-Fa-f]*[0-9][0-9A-Fa-f]*)(?(open)\s*\))\s*"
    r"(?:_(?P<bare>\d{1,2})|_(?P<braced>\{(?:[^{}]|\{[^{}]*\})*\}|\(\d+\)|\\text\{[^{}]*\})"
    r"|(?P<words>\\text\s*\{\s*\(?\s*(?:in )?base[^{}]*\}\s*\d*|\(?\s*(?:in )?base [^{}]*))"
)
_BASE = re.compile(rf"\s*\(?\s*(?:in )?(?:base[\s-]*)?(?P<base>\d{{1,2}}|{'|'.join(_BASE_NAMES)})\s*\)?\s*")
_CHOICE = re.compile(
    r"(?:the )?(?:correct )?(?:option|choice|answer)\s*(?::|is)?\s*"
    r"(?:\((?P<asked>[A-J])\)|(?P<named>[A-J])\b)[\s.:)]*(?P<more>.*)"
    r"|(?:\((?P<bracketed>[A-J])\)|(?P<dotted>[A-J])\s*[.):](?=\s))\s*"
    r"(?P<content>(?:[A-Za-z]{2}|\d|\$|\\(?:frac|sqrt|text)(?![A-Za-z])).*)",
    re.IGNORECASE,
)
_CONJUNCTION = re.compile(r"(?:,\s*)?\\text\s*\{\s*,?\s*(?:and|or)\s*\}|(?:,\s*)?\b(?<!\\)(?:and|or)\b")
_THOUSANDS = re.compile(r"(?<![\d.,])[1-9]\d{0,2}(?:,\d{3})+(?![\d,])", re.ASCII)
_PERCENT = re.compile(r"\s*(?:%|\bpercent\b|\\text\s*\{\s*(?:%|percent)\s*\})\s*$")
_WORD = re.compile(r"[A-Za-z]{2,}")
_PLAIN_WORDS = re.compile(r"[A-Za-z][A-Za-z'’\- ]*")
_SHORT_WORDS = frozenset(["yes", "no", "odd"])
"""Answers that could be products of variables, and are not."""
_VOWEL = re.compile(r"[aeiouyAEIOUY]")


def read(text: str) -> Node:
    """The shape of an answer, given in the spelling of `latex.clean`."""
    return _read(text, depth=0)


def _read(text: str, depth: int) -> Node:
    if depth >= MAX_DEPTH:
        return _leaf(text)
    if (choice := _choice(text, depth)) is not None:
        return choice
    if (words := _words(text)) is not None:
        return words

    # A number with separators of thousands is not a list.
    if read_number(split_unit(text)[0]) is None:
        text = _join_thousands(text)
        pieces = [p for p in split_top(_CONJUNCTION.sub(",", text), _COMMAS) if p]
        if len(pieces) > 1:
            return _list(_parts(pieces, depth))
    if match := _CASES.fullmatch(text):
        rows = [row.replace("&", " ") for row in split_top(match["body"], frozenset([r"\\"])) if row]
        return _list(_parts(rows, depth))
    if (relation := _relation(text, depth)) is not None:
        return relation
    pieces = split_top(text, frozenset([r"\cup"]))
    if len(pieces) > 1:
        return Group(kind="union", brackets="", parts=_parts(pieces, depth))

    if (matrix := _matrix(text, depth)) is not None:
        return matrix
    if (brackets := outer_brackets(text)) is not None:
        bracketed = _bracketed(brackets, depth)
        if bracketed is not None:
            return bracketed
    if text == r"\emptyset":
        return Group(kind="set", brackets="", parts=())
    if text == r"\mathbb{R}":
        return _interval("(", r"-\infty", r"\infty", ")", depth)
    if r"\pm" in tokens(text) or r"\mp" in tokens(text):
        return Group(kind="list", brackets="", parts=_parts([text], depth))
    if (based := _based(text)) is not None:
        return based
    if inside := _TEXT.fullmatch(text):
        return _read(inside[1].strip(), depth + 1)
    if (label := _LABEL.match(text)) and not qualifies(label[0]):
        return _read(text[label.end() :], depth + 1)
    return _leaf(text)


def _choice(text: str, depth: int) -> Choice | None:
    """A letter with what the option says, or with the word that calls it one."""
    match = _CHOICE.fullmatch(" ".join(_TEXT.sub(r" \1 ", text).split()))
    if match is None:
        return None
    letter = match["asked"] or match["named"] or match["bracketed"] or match["dotted"]
    content = match["more"] if match["content"] is None else match["content"]
    if not letter.isupper():
        return None
    return Choice(letter=letter, content=_read(content.strip(), depth + 1) if content.strip() else None)


def _words(text: str) -> Words | None:
    r"""A name or a phrase; not a product of variables such as `xyz`, unless \text{} says that it is a word."""
    inside = _TEXT.fullmatch(text)
    plain = inside[1].strip() if inside else text
    if not _PLAIN_WORDS.fullmatch(plain):
        return None
    words = _WORD.findall(plain)
    spelled = (
        plain.lower() in _SHORT_WORDS
        or any(len(word) >= 4 and _VOWEL.search(word) for word in words)
        or len(words) >= 2
    )
    return Words(text=" ".join(plain.split())) if spelled or (inside and words) else None


def _join_thousands(text: str) -> str:
    """The text without thousands separators, if every other comma has a blank after it."""
    joined = _THOUSANDS.sub(lambda match: match[0].replace(",", ""), text)
    if any(joined[position + 1 : position + 2] != " " for position, _ in find_top(joined, frozenset([","]))):
        return text
    return joined if outer_brackets(text) is None else text


def _parts(pieces: list[str], depth: int) -> tuple[Node, ...]:
    r"""The pieces as nodes, each `\pm` written out as two."""
    parts = []
    for piece in pieces:
        if r"\pm" in tokens(piece) or r"\mp" in tokens(piece):
            for plus, minus in (("+", "-"), ("-", "+")):
                signed = re.sub(r"\\mp(?![A-Za-z])", minus, re.sub(r"\\pm(?![A-Za-z])", plus, piece))
                parts.append(_read(signed.removeprefix("+").strip(), depth + 1))
        else:
            parts.append(_read(piece, depth + 1))
    return tuple(parts)


def _list(parts: tuple[Node, ...]) -> Node:
    """Parts in a row; inequalities in one variable are one set of values, values of several names one system."""
    ranges = [part for part in parts if isinstance(part, Range)]
    if len(ranges) == len(parts) and len({part.name for part in ranges}) == 1:
        union = Group(kind="union", brackets="", parts=tuple(part.values for part in ranges))
        text = r" \text{ or } ".join(part.text for part in ranges)
        return Range(text=text, name=ranges[0].name, values=union)
    systems = _systems(parts)
    if len(systems) == 1:
        return systems[0]
    return Group(kind="list", brackets="", parts=systems or parts)


def _systems(parts: tuple[Node, ...]) -> tuple[Node, ...]:
    """`x = 1, y = 2, x = 3, y = 4` as two systems; none where the parts do not give the same names again and again."""
    found: list[dict[str, Node]] = []
    for part in parts:
        if not isinstance(part, Assignment) or not part.name or part.name.startswith("("):
            return ()
        if not found or part.name in found[-1]:
            found.append({})
        found[-1][part.name] = part.value
    if len(found[0]) < 2 or any(system.keys() != found[0].keys() for system in found):
        return ()
    return tuple(System(values=dict(sorted(system.items()))) for system in found)


def _matrix(text: str, depth: int) -> Matrix | None:
    """Rows and columns; a factor before or a number after them is multiplied into the cells."""
    match = _MATRIX.fullmatch(text)
    if match is None:
        return None
    determinant = match["kind"].lower() == "vmatrix"
    before, after = match["before"].strip(), match["after"].strip()
    # Brackets around an array belong to it.
    if (before[-1:], after[:1]) in (("(", ")"), ("[", "]")):
        before, after = before[:-1].strip(), after[1:].strip()
    factor = _factor(before, after)
    if factor is None or (factor and determinant):
        return None
    rows = [split_top(row, frozenset(["&"])) for row in split_top(match["body"], frozenset([r"\\"])) if row]
    cells = tuple(tuple(_read(factor.format(cell) if factor else cell, depth + 1) for cell in row) for row in rows)
    return Matrix(text=text, determinant=determinant, rows=cells)


def _factor(before: str, after: str) -> str | None:
    """A pattern that multiplies a cell; empty for a matrix that stands alone, None where it is no plain multiple."""
    before = re.sub(r"\s*(?:\\cdot|\\times|\*)$", "", before)
    over = re.fullmatch(r"/\s*(\d+)|(?:\\cdot|\\times|\*)\s*([\d/]+)", after)
    if after and over is None:
        return None
    if find_top(before.lstrip("-"), _RELATIONS | _COMMAS | {"+", "-", r"\cup"}) or not _is_balanced(before):
        return None
    pattern = "({})" if before or after else ""
    if before:
        multiplier = before if before != "-" else "-1"
        pattern = f"({_escaped(multiplier)}) \\cdot {pattern}"
    if over:
        pattern = f"{pattern}/{over[1]}" if over[1] else f"{pattern} \\cdot ({over[2]})"
    return pattern


def _escaped(text: str) -> str:
    return text.replace("{", "{{").replace("}", "}}")


def _is_balanced(text: str) -> bool:
    return not text or outer_brackets(f"({text})") is not None


def _bracketed(brackets: tuple[str, str, str], depth: int) -> Node | None:
    opening, inside, closing = brackets
    pieces = [piece for piece in split_top(inside, _COMMAS) if piece]
    if (opening, closing) == (r"\{", r"\}"):
        condition = re.match(r"(?P<name>[^:|]+?)\s*(?:\\mid|\||:)(?P<condition>.*)", inside)
        if condition and is_name(condition["name"]):
            return _read(condition["condition"].strip(), depth + 1)
        return Group(kind="set", brackets="", parts=_parts(pieces, depth))
    if opening == "{" or closing == "}":
        return _read(inside, depth + 1) if (opening, closing) == ("{", "}") else None
    if len(pieces) > 1 and opening in ("(", "[", r"\langle") and closing in (")", "]", r"\rangle"):
        # Angle brackets write the same vector as round ones.
        plain = (opening + closing).replace(r"\langle", "(").replace(r"\rangle", ")")
        return Group(kind="tuple", brackets=plain, parts=_parts(pieces, depth))
    if (opening, closing) == ("(", ")") and len(pieces) == 1:
        return _read(inside, depth + 1)
    return None


def _based(text: str) -> Based | None:
    r"""`4210_5`, `(4210)_{5}`, `4210_{\text{five}}`, `4210 \text{ (base 5)}`."""
    match = _BASED.fullmatch(text)
    if match is None:
        return None
    subscript = match["bare"] or match["braced"] or match["words"]
    base = _BASE.fullmatch(re.sub(r"\\text|[{}]", " ", subscript).lower())
    if base is None:
        return None
    digits = match["digits"].lstrip("0").lower() or "0"
    return Based(digits=digits, base=_BASE_NAMES.get(base["base"], base["base"]))


def _relation(text: str, depth: int) -> Node | None:
    member = find_top(text, frozenset([r"\in"]))
    if len(member) == 1:
        position, token = member[0]
        name, values = text[:position].strip(), text[position + len(token) :].strip()
        if is_name(name):
            return Range(text=text, name=normal_name(name), values=_read(values, depth + 1))
        return Relation(text=text)

    signs = [token for _, token in find_top(text, _RELATIONS)]
    if not signs:
        return None
    sides = split_top(text, _RELATIONS)
    if not sides[0] and signs[0] in ("=", r"\approx", r"\sim") and all(sides[1:]):
        # The sign alone introduces the answer: `= 42`, `\approx 42`.
        return _read(text[text.index(signs[0]) + len(signs[0]) :].strip(), depth + 1)
    if not all(sides):
        return Relation(text=text)
    if set(signs) <= {"=", r"\approx"}:
        return _equality(text, signs, sides, depth)
    if set(signs) <= _ORDERS:
        return _inequality(text, signs, sides, depth)
    if signs == [r"\ne"] and is_name(sides[0]):
        halves = (_interval("(", r"-\infty", sides[1], ")", depth), _interval("(", sides[1], r"\infty", ")", depth))
        union = Group(kind="union", brackets="", parts=halves)
        return Range(text=text, name=normal_name(sides[0]), values=union)
    return Relation(text=text)


def _equality(text: str, signs: list[str], sides: list[str], depth: int) -> Node:
    # What follows a sign of approximation is the rounded answer, unless only a name stands before the sign.
    if r"\approx" in signs:
        cut = signs.index(r"\approx") + 1
        if cut > 1 or not is_name(sides[0]):
            sides = sides[:cut]
    if len(sides) == 1:
        return _read(sides[0], depth + 1)
    if len(sides) == 2 and is_name(sides[1]) and not is_name(sides[0]):
        sides.reverse()
    if is_name(sides[0]):
        names = names_of_tuple(sides[0])
        name = f"({','.join(names)})" if names else normal_name(sides[0])
        return Assignment(text=text, name=name, value=_read(sides[-1], depth + 1))
    # A calculation ends in its result; `7 = 11a + c` is an equation.
    if not any(_NOT_A_NUMBER.search(_symbols(side)) for side in (sides[0], sides[-1])):
        return Assignment(text=text, name="", value=_read(sides[-1], depth + 1))
    return Relation(text=text)


def _symbols(text: str) -> str:
    """A text without its unit, the words in it and the names of commands."""
    return re.sub(r"\\[A-Za-z]+", "", _TEXT.sub(" ", split_unit(text)[0]))


def _inequality(text: str, signs: list[str], sides: list[str], depth: int) -> Node:
    r"""`x < 2`, `2 \ge x`, `1 < x \le 3` as intervals; anything else stays a relation."""
    if all(sign in (">", r"\ge") for sign in signs):
        mirrored = {">": "<", r"\ge": r"\le"}
        signs, sides = [mirrored[sign] for sign in reversed(signs)], sides[::-1]
    if any(sign in (">", r"\ge") for sign in signs):
        return Relation(text=text)
    if len(sides) == 2 and is_name(sides[0]):
        sides, signs = [r"-\infty", *sides], ["<", *signs]
    elif len(sides) == 2 and is_name(sides[1]):
        sides, signs = [*sides, r"\infty"], [*signs, "<"]
    if len(sides) != 3 or not is_name(sides[1]):
        return Relation(text=text)
    opening, closing = "(" if signs[0] == "<" else "[", ")" if signs[1] == "<" else "]"
    values = _interval(opening, sides[0], sides[2], closing, depth)
    return Range(text=text, name=normal_name(sides[1]), values=values)


def _interval(opening: str, low: str, high: str, closing: str, depth: int) -> Group:
    ends = (_read(low, depth + 1), _read(high, depth + 1))
    return Group(kind="tuple", brackets=opening + closing, parts=ends)


def _leaf(text: str) -> Leaf:
    if multiplied(text):
        return Leaf(text=text, number=number_in(text), percent=False, unit=None)
    bare, unit = split_unit(text)
    percent = _PERCENT.search(text) is not None
    bare = _PERCENT.sub("", bare).removeprefix("+").strip()
    number = read_number(bare)
    return Leaf(text=bare, number=exact_value(bare) if number is None else number, percent=percent, unit=unit)
