r"""What may stand on the left of an equality as the name of its value: `x`, `f(2)`, `|AB|`, `m\angle A`, `(x, y)`.

A name is what a question can ask for. `x + 2` is none, and neither is `|x|`: `|x| = 1` does not say that x is 1.
"""

from __future__ import annotations

import re

from flexeval.grading.latex import outer_brackets, split_top, tokens

_GREEK = (
    r"\\(?:alpha|beta|gamma|delta|(?:var)?epsilon|zeta|eta|(?:var)?theta|iota|kappa|lambda|mu|nu|xi|rho|sigma|tau|upsilon"
    r"|(?:var)?phi|chi|psi|omega|Gamma|Delta|Theta|Lambda|Xi|Pi|Sigma|Phi|Psi|Omega|ell)(?![A-Za-z])"
)
_BRACES = r"\{(?:[^{}]|\{[^{}]*\})*\}"
_SUBSCRIPT = rf"(?:_\s*(?:\w|\\[A-Za-z]+(?:\s*{_BRACES}|\s+[A-Za-z])?|{_BRACES}))?"
_DECORATED = r"\\(?:mathbf|mathrm|vec|overline|overrightarrow|widehat|hat|bar|tilde)\s*"
_VECTOR = rf"{_DECORATED}(?:\{{\s*[A-Za-z]+\s*\}}|[A-Za-z]){_SUBSCRIPT}"
_SEGMENT = r"(?:(?:[A-Z]'?){2,3}|\\overline\s*\{\s*[A-Z]+\s*\})"
_VARIABLE = re.compile(
    rf"(?:[A-Za-z]|(?:[A-Z]'?){{2,3}}|[A-Za-z]{{4,}}(?: [A-Za-z]+)*|\\[A-Za-z]+(?<!\\pi)|\\text\{{[^{{}}]*\}}"
    rf"|{_VECTOR}){_SUBSCRIPT}'*(?:\^\{{?-1\}}?)?(?:\s*\(\s*\w+(?:\s*,\s*\w+)*\s*\))?"
)
"""A variable, a segment, a word, a vector, a function of variables."""
_MEASURE = re.compile(
    rf"m?\s*\\(?:measured)?angle\s*(?:[A-Z]{{1,3}}|{_GREEK}|\d|\{{\s*[A-Z]{{1,3}}\s*\}})|\\(?:triangle|widehat)\s*[A-Z]{{3}}"
    rf"|\[\s*[A-Z]{{3,6}}\s*\]"
    rf"|\|\s*(?:{_SEGMENT}|[A-Z](?:\s*\\c[au]p\s*[A-Z])*|{_VECTOR}|[zw]{_SUBSCRIPT})\s*\|"
    rf"|(?:\\\||\|\|)\s*(?:{_VECTOR}|[A-Za-z])\s*(?:\\\||\|\|)"
    rf"|(?:{_VECTOR}\s*\\(?:cdot|times)\s*{_VECTOR}|{_SEGMENT}\s*\\(?:cdot|times)\s*{_SEGMENT})"
)
"""An angle, an area, a length, a count, a product of vectors or segments."""
_FUNCTION = re.compile(
    rf"\\(?:sin|cos|tan|cot|sec|csc|arcsin|arccos|arctan|det|gcd|lcm|max|min|deg|dim|Pr)(?![A-Za-z]){_SUBSCRIPT}(?:\^\s*\d)?"
    rf"|[fghFGHPEQ]{_SUBSCRIPT}'*(?:\^\{{?-1\}}?)?|\(\s*[fgh]\s*\\circ\s*[fgh]\s*\)|\\mathbb\{{[EP]\}}"
    rf"|\\(?:text|operatorname)\*?\{{[^{{}}]*\}}{_SUBSCRIPT}"
)
"""What is a name when brackets or a plain argument follow."""
_PLAIN_ARGUMENT = re.compile(rf"(?:\\angle\s*)?(?:[A-Za-z]|[A-Z]{{2,3}}|{_GREEK}|{_VECTOR})")
_FRACTION = re.compile(rf"\\frac\s*({_BRACES})\s*({_BRACES})")


def is_name(text: str) -> bool:
    """Whether a text, in the spelling of `latex.clean`, can be what an equality gives the value of."""
    text = text.strip()
    if not text:
        return False
    if _VARIABLE.fullmatch(text) or _MEASURE.fullmatch(text):
        return True
    if names_of_tuple(text):
        return True
    if match := _FRACTION.fullmatch(text):
        return all(_is_part_of_ratio(match[n][1:-1].strip()) for n in (1, 2))
    for sign in (":", "/"):
        parts = split_top(text, frozenset([sign]))
        if len(parts) > 1:
            return all(_is_part_of_ratio(part) for part in parts)
    return _is_call(text)


def names_of_tuple(text: str) -> tuple[str, ...]:
    """The names in `(x, y)`, normalised; empty when it is no tuple of names."""
    brackets = outer_brackets(text)
    if brackets is None or (brackets[0], brackets[2]) not in (("(", ")"), (r"\langle", r"\rangle")):
        return ()
    parts = split_top(brackets[1], frozenset([",", ";"]))
    if len(parts) < 2 or not all(_VARIABLE.fullmatch(part) for part in parts):
        return ()
    return tuple(normal_name(part) for part in parts)


def normal_name(text: str) -> str:
    r"""One spelling of a name: `m\angle A` and `\angle A`, `|AB|` and `AB`, `\mathbf{a}` and `a` are the same."""
    text = re.sub(r"\\(?:mathbf|mathrm|vec|overline|overrightarrow|text|operatorname)(?![A-Za-z])", " ", text)
    text = re.sub(r"\Am\s*(?=\\(?:measured)?angle)", "", text).replace(r"\measuredangle", r"\angle")
    return "".join(token for token in tokens(text) if token not in ("{", "}", "|", r"\|"))


def _is_part_of_ratio(text: str) -> bool:
    """A variable, a length, an area or a differential; not a word, and not another ratio."""
    return (
        re.fullmatch(r"d[a-z]", text) is not None
        or _MEASURE.fullmatch(text) is not None
        or (_VARIABLE.fullmatch(text) is not None and not re.fullmatch(r"[A-Za-z]{4,}.*", text))
    )


def _is_call(text: str) -> bool:
    match = _FUNCTION.match(text)
    if match is None:
        return False
    argument = text[match.end() :].strip()
    brackets = outer_brackets(argument)
    if brackets is not None and brackets[0] in ("(", "[", "{"):
        return True
    return (
        match[0].startswith("\\") and (_PLAIN_ARGUMENT.fullmatch(argument) or _MEASURE.fullmatch(argument)) is not None
    )
