r"""Bring the LaTeX of a short answer into one spelling, and cut it at its top level.

`clean` changes the way an answer is written, never its value: `\dfrac12` becomes `\frac{1}{2}`, `\left(`
becomes `(`, `1{,}234` becomes `1,234`, `≤` becomes `\le`. It knows nothing of what the answer means.
Everything works on a flat list of tokens, so that no depth of nesting can exhaust the stack.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

TOKEN = re.compile(r"\\[A-Za-z]+|\\.|.", re.DOTALL)
"""A command, an escaped character, or one character."""

PLAIN = str.maketrans(
    {chr(code): chr(code - 0xFEE0) for code in range(0xFF01, 0xFF5F)}  # full-width forms
    | {chr(code): unicodedata.normalize("NFKC", chr(code)) for code in range(0x1D400, 0x1D800)}  # mathematical type
    | dict.fromkeys("−–‐‑‒﹣", "-")
    | dict.fromkeys("\u00a0\u2009\u202f\u3000", " ")
    | {"≦": "≤", "≧": "≥", "⟨": "〈", "⟩": "〉", "∆": "△"}
)
"""Characters that only look different from another one; the length of a text stays the same."""

UNICODE = {
    "×": r"\times ", "✕": r"\times ", "✖": r"\times ", "∗": "*", "·": r"\cdot ", "⋅": r"\cdot ", "∙": r"\cdot ",
    "÷": "/", "⁄": "/", "∕": "/", "∞": r"\infty ", "√": r"\sqrt ",
    "°": r"^\circ ", "≤": r"\le ", "≥": r"\ge ", "≠": r"\ne ", "≈": r"\approx ", "≡": r"\equiv ", "∪": r"\cup ",
    "∩": r"\cap ", "∈": r"\in ", "±": r"\pm ", "∓": r"\mp ", "∅": r"\emptyset ", "ℝ": r"\mathbb{R}",
    "∠": r"\angle ", "△": r"\triangle ", "〈": r"\langle ", "〉": r"\rangle ",
} | {chr(code): f"\\{unicodedata.name(chr(code)).rpartition(' ')[2].lower()} "
     for code in range(0x3B1, 0x3CA) if code not in (0x3BB, 0x3BF, 0x3C2)} | {"λ": r"\lambda "} | {
    character: "\\frac{{{}}}{{{}}}".format(*unicodedata.normalize("NFKC", character).split("⁄"))
    for character in "¼½¾⅐⅑⅒⅓⅔⅕⅖⅗⅘⅙⅚⅛⅜⅝⅞"
}  # fmt: skip

RENAMED = {
    r"\dfrac": r"\frac", r"\tfrac": r"\frac", r"\cfrac": r"\frac", r"\dbinom": r"\binom", r"\tbinom": r"\binom",
    r"\leq": r"\le", r"\leqslant": r"\le", r"\geq": r"\ge", r"\geqslant": r"\ge", r"\neq": r"\ne",
    r"\lt": "<", r"\gt": ">", r"\lbrace": r"\{", r"\rbrace": r"\}", r"\lbrack": "[", r"\rbrack": "]",
    r"\lparen": "(", r"\rparen": ")", r"\vert": "|", r"\lvert": "|", r"\rvert": "|", r"\colon": ":",
    r"\mbox": r"\text", r"\hbox": r"\text", r"\textbf": r"\text", r"\textit": r"\text", r"\textrm": r"\text",
    r"\textup": r"\text", r"\textnormal": r"\text", r"\mathrm": r"\text", r"\bigcup": r"\cup",
    r"\varnothing": r"\emptyset", r"\degree": r"^\circ", r"\%": "%", r"\$": "$", r"\dots": r"\ldots",
    r"\,": " ", r"\;": " ", r"\:": " ", r"\ ": " ", r"\quad": " ", r"\qquad": " ", r"\space": " ", "~": " ",
    "\n": " ", "\t": " ", "\r": " ", r"\ast": "*",
}  # fmt: skip

DROPPED = frozenset([
    r"\left", r"\right", r"\middle", r"\big", r"\bigl", r"\bigr", r"\Big", r"\Bigl", r"\Bigr", r"\bigg", r"\biggl",
    r"\biggr", r"\Bigg", r"\Biggl", r"\Biggr", r"\displaystyle", r"\textstyle", r"\scriptstyle", r"\limits",
    r"\nolimits", r"\rm", r"\bf", r"\it", r"\normalsize", r"\large", r"\Large", r"\LARGE", r"\huge", r"\Huge", r"\!",
    r"\(", r"\)", r"\[", r"\]",
])  # fmt: skip

OPENING = frozenset(["(", "[", "{", r"\{", r"\langle", r"\begin"])
CLOSING = frozenset([")", "]", "}", r"\}", r"\rangle", r"\end"])
MAX_STYLES = 50
"""Style commands that are removed; more are an attempt to waste time."""


_RAISED = re.compile("[⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺]+")
_LOWERED = re.compile("[₀₁₂₃₄₅₆₇₈₉₋₊]+")
_COLOUR = re.compile(r"\\(?:text|page)?color(?:box)?\s*(?:\[[^\]]*\]\s*)?\{[^{}]*\}")
_STYLE = re.compile(
    r"\\(mathbf|boldsymbol|bm|pmb|mathit|mathsf|mathtt|mathnormal|underline|emph|textsf|texttt|textsc|ensuremath|mathop)\s*\{"
)
_BOLD = frozenset(["mathbf", "boldsymbol", "bm", "pmb"])
_PROSE = re.compile(r"(?!\s*[A-Za-z]\s*\Z)[A-Za-z(][A-Za-z .,;:()'’-]*")


def clean(text: str) -> str:
    """The same answer in one spelling of LaTeX, without delimiters of mathematics.

    Unescaped dollar signs in pairs are such delimiters; a single one is a currency sign and stays.
    """
    text = _undouble(text.translate(PLAIN))
    text = _RAISED.sub(lambda match: f"^{{{_digits(match[0])}}}", text)
    text = _LOWERED.sub(lambda match: f"_{{{_digits(match[0])}}}", text)
    for character, command in UNICODE.items():
        text = text.replace(character, command)
    text = re.sub(r"<=|=<", r"\\le ", text).replace(">=", r"\ge ").replace(" != ", r" \ne ").replace("==", "=")
    text = _undo_separators(text)
    text = re.sub(r"\\(?:mathrm|text)\s*\{\s*([ei])\s*\}", r" \1", text)
    text = re.sub(r"(?<![\\A-Za-z])sqrt(?![A-Za-z])", r"\\sqrt", text)
    text = re.sub(r"(?<![\\A-Za-z])pi(?![A-Za-z])", r"\\pi", text)
    text = re.sub(r"(?<![\\A-Za-z])(?:infinity|infty|inf|oo)(?![A-Za-z])", r"\\infty", text)

    if len(re.findall(r"(?<!\\)\$", text)) % 2 == 0:
        text = re.sub(r"(?<!\\)\$", " ", text)
    text = _without_styles(_COLOUR.sub(" ", re.sub(r"\\q?quad(?=[a-z](?:_|\b))", " ", text)))
    text = "".join(" " if token in DROPPED else RENAMED.get(token, token) for token in TOKEN.findall(text))
    text = re.sub(r"\\text\s*\{\s*\\text\s*\{([^{}]*)\}\s*\}", r"\\text{\1}", text)
    text = re.sub(r"\^\s*\{\s*(?:\^\s*)?\\circ\s*\}|\^\s*\^?\s*\\circ", r"^\\circ ", text)
    text = re.sub(r"\{([^{}]*)\\over(?![A-Za-z])([^{}]*)\}", r"\\frac{\1}{\2}", text)
    text = re.sub(r"([\^_])\s*\{\s*([A-Za-z0-9])\s*\}(?!\s*[A-Za-z0-9])", r"\1\2", text)
    text = _brace_arguments(text)
    text = re.sub(r"(\\[A-Za-z]+)\s+\{", r"\1{", text)
    text = re.sub(r"(?<![\\\w}\]^])\{\s*([\d.,]+|[A-Za-z])\s*\}", r"\1", text)
    text = " ".join(text.split())
    return _trim(text)


def tokens(text: str) -> tuple[str, ...]:
    """The tokens of a text without blanks: two texts with equal tokens are the same answer."""
    return tuple(token for token in TOKEN.findall(text) if not token.isspace())


def split_top(text: str, separators: frozenset[str]) -> list[str]:
    """Cut at the separating tokens that stand outside every kind of bracket; pieces are stripped."""
    pieces, start = [], 0
    for position, token in _top_level(text):
        if token in separators:
            pieces.append(text[start:position].strip())
            start = position + len(token)
    return [*pieces, text[start:].strip()]


def find_top(text: str, wanted: frozenset[str]) -> list[tuple[int, str]]:
    """(position, token) of the wanted tokens that stand outside every kind of bracket."""
    return [(position, token) for position, token in _top_level(text) if token in wanted]


def outer_brackets(text: str) -> tuple[str, str, str] | None:
    """(opening, inside, closing) when one pair of brackets, not necessarily of one kind, holds the whole text."""
    depth = 0
    matches = list(TOKEN.finditer(text))
    if len(matches) < 2 or matches[0][0] not in OPENING or matches[-1][0] not in CLOSING:
        return None
    for match in matches[:-1]:
        depth += (match[0] in OPENING) - (match[0] in CLOSING)
        if depth == 0:
            return None
    if depth != 1:
        return None
    return matches[0][0], text[matches[0].end() : matches[-1].start()].strip(), matches[-1][0]


def _top_level(text: str) -> Iterator[tuple[int, str]]:
    depth = 0
    for match in TOKEN.finditer(text):
        token = match[0]
        if token in CLOSING:
            depth = max(0, depth - 1)
        elif token in OPENING:
            depth += 1
        elif depth == 0:
            yield match.start(), token


def _brace_arguments(text: str) -> str:
    r"""Put braces around the bare arguments of \frac, \binom and \sqrt: `\frac9{19}`, `\frac\pi2`, `\sqrt2`."""
    text = re.sub(r"(\\sqrt(?![A-Za-z]))\s*(\\[A-Za-z]+|\d+|[^\s{}\\\[(])", r"\1{\2}", text)
    text = re.sub(r"(\\(?:frac|binom)(?![A-Za-z]))\s*(\\[A-Za-z]+|[^\s{}\\(])", r"\1{\2}", text)
    text = re.sub(r"(\\(?:frac|binom)(?![A-Za-z]))\s+\{", r"\1{", text)
    # From the right, so that positions to the left of a change stay valid.
    for match in reversed(list(re.finditer(r"\\(?:frac|binom)\{", text))):
        end = _closing_brace(text, match.end() - 1)
        bare = re.match(r"\s*(\\[A-Za-z]+|[^\s{}\\])", text[end + 1 :]) if end is not None else None
        if end is not None and bare is not None:
            rest = text[end + 1 + bare.end() :]
            text = f"{text[: end + 1]}{{{bare[1]}}}{rest}"
        elif end is not None:
            text = text[: end + 1] + text[end + 1 :].lstrip()
    return re.sub(r"\\sqrt\s*\(([^()]*)\)", r"\\sqrt{\1}", text)


def _closing_brace(text: str, opening: int) -> int | None:
    depth = 0
    for match in TOKEN.finditer(text, opening):
        depth += (match[0] == "{") - (match[0] == "}")
        if depth == 0:
            return match.start()
    return None


def _undouble(text: str) -> str:
    r"""LaTeX as it stands in a program's string, `\\\\frac{1}{2}`, with its backslashes halved.

    A double backslash before a command means nothing else, except where it ends the row of a matrix.
    """
    if r"\\begin" in text:
        return text.replace("\\\\", "\\")
    return text if r"\begin" in text else re.sub(r"\\\\(?=[A-Za-z]{2})", lambda _: "\\", text)


def _digits(text: str) -> str:
    return unicodedata.normalize("NFKC", text).replace("−", "-")


def _undo_separators(text: str) -> str:
    r"""Remove TeX's thousands separators, `10,\!080` and `10{,}080`; any other `{,}` between digits is decimal."""
    text = re.sub(r"(?<=\d)(?:,\s*\\!\s*|\{,\})(?=\d{3}(?!\d))", "", text)
    text = re.sub(r"(?<=\d)\{,\}(?=\d)", ".", text)
    return re.sub(r",\s*\\!\s*", ",", text).replace("{,}", ",")


def _without_styles(text: str) -> str:
    r"""The text without style commands. One bold letter stays bold: it names a vector."""
    # From the right, so that positions to the left of a change stay valid.
    for match in reversed(list(_STYLE.finditer(text))[:MAX_STYLES]):
        end = _closing_brace(text, match.end() - 1)
        if end is None:
            continue
        content = text[match.end() : end]
        if _PROSE.fullmatch(content):
            content = rf"\text{{{content}}}"
        elif match[1] in _BOLD and re.fullmatch(r"\s*(?:[A-Za-z]|\\[A-Za-z]+)\s*", content):
            content = rf"\mathbf{{{content.strip()}}}"
        elif not re.fullmatch(r"[\d.,\s]*", content):
            content = f"{{{content}}}"
        text = text[: match.start()] + content + text[end + 1 :]
    return text


def _trim(text: str) -> str:
    """Without blanks, emphasis marks and final punctuation around the answer."""
    text = re.sub(r"(\\text\s*\{[^{}]*?)[\s.,;:]+\}\Z", r"\1}", text)
    while (trimmed := text.strip().removeprefix("**").removesuffix("**").rstrip(".,;: ")) != text:
        text = trimmed
    return text
