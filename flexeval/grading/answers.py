r"""Find the final answer in a completion, and say which rule found it.

The rules, in the order in which they are tried:

- `boxed`: the last complete `\boxed{...}` that holds something (braces balanced, the backslash optional; what
  follows a closing tag inside it is left out), or a `\boxed 42` without braces. Boxes side by side, with nothing
  but commas, `and`, `or` or names between them, are one list: `\boxed{3}, \boxed{-1}`, `x = \boxed{2}, y = \boxed{4}`;
- `answer-tag`: the last `<answer>` that holds something, up to `</answer>` or the end of the text;
- `open-boxed`: a `\boxed{` that was never closed, up to the end of its line or the next tag;
- `mark`: the number after the first `####`, GSM8K's own mark (only where the task asks for numbers);
- `last-number`: the last number of the text, with its power or fraction (likewise).

If a model continues with a question of its own (`Question: ...`), its answer stands before that; the rest is not read.

Only the completion may be passed in: a prompt can itself hold a box or an answer tag.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from flexeval.grading.latex import PLAIN
from flexeval.grading.numerals import STATED
from flexeval.grading.quantities import number_in

MAX_BOXES = 100
"""Boxes of one text that are read, from the last; more are an attempt to waste time."""
MAX_QUESTIONS = 20
"""Further questions of one text that are looked at, from the first."""
BOX_OR_BRACE = re.compile(r"\\(?![A-Za-z]).|\\?(?<![A-Za-z])(?:boxed|fbox)\s*\{|[{}]", re.DOTALL)
"""An escaped character (its brace does not count), the start of a box, or a brace."""
BARE_BOX = re.compile(
    r"\\(?:boxed|fbox)(?![A-Za-z{])[ \t$]*(?=[-+−]?[ \t]*[\d$(\[|.]|\\(?!boxed|fbox|[)\]])|[A-Za-z](?![A-Za-z]))"
)
"""A box without braces, if what follows begins like an answer and not like prose."""
END_OF_BARE_BOX = re.compile(
    r"[{}]|\n|(?<!\\)\$|\\(?:[)\]]|boxed|fbox)|</|<\w+>|[.,;:!?]?\s+[A-Za-z]{2,}|[.;:!](?=\s|$)|,(?=\s)"
)
"""A brace, which is counted, or what ends the box outside of braces."""
NAME = r"\\?[A-Za-z]\w{0,3}(?:_\{?\w+\}?)?\s*="
BETWEEN_BOXES = re.compile(
    r"(?:[\s,;&$*]|\\(?:[()\[\],;:! ]|q?quad(?![A-Za-z]))|\\text\s*\{[\s,;]*(?:(?:and|or)\b)?[\s,;]*\}|\b(?:and|or)\b"
    rf"|{NAME})*"
)
"""What may stand between the boxes of one list."""
MOST_BETWEEN = 100
ANSWER_TAG = re.compile(r"<answer>(.*?)(?=</?answer|\Z)", re.DOTALL)
END_OF_OPEN_BOX = re.compile(r"\n|</|<\w+>")
END_OF_TEXT = re.compile(r"<\|(?:eot_id|endoftext|end_of_text|im_end|eos)\|>|</s>")
NOTHING = re.compile(r"(?:\\?(?:boxed|fbox)\s*\{|\}|\.\.\.|…|\\[lc]?dots|\s)*")
"""Blanks, placeholders and empty boxes."""
EMPTY_BOX = re.compile(r"\\?(?<![A-Za-z])(?:boxed|fbox)\s*\{\s*\}")
MARK = re.compile(r"####[ \t]*(?!\d+[.)][ \t])(?P<answer>(?:\\?\$|[-+−\d.\\])[^\n]*)")
"""GSM8K's mark with a number; a Markdown heading has words, or the number of a step."""
NEXT_QUESTION = re.compile(
    r"(?:\A|\s)(?:\*\*|#+ *)?Question(?: *\d+)?(?:\*\*)?:|^[ \t]*(?:\*\*)?(?:Problem|Q|Human|User)(?: *\d+)?(?:\*\*)?:",
    re.MULTILINE,
)
ANSWER_MARK = re.compile(r"(?<![A-Za-z])(?:boxed|fbox)(?![A-Za-z])|<answer>|####|\banswer is\b", re.IGNORECASE)
"""What announces a final answer, whether or not one follows."""
UNMARKED_RULES = frozenset({"last-number", "last-line", "body", "none", "steps-so-far"})
"""The rules, of all graders, that take for an answer what no mark announces, or what is none yet."""
CONCLUDES = re.compile(r"answer|=", re.IGNORECASE)
"""Says that an unmarked answer stands before the next question."""


@dataclass(frozen=True, kw_only=True)
class Extraction:
    """The answer that was read from a completion."""

    text: str
    """The answer as the model wrote it, without box and tag."""
    rule: str
    """Which rule found it."""


def answer_started(text: str, extracted: str | None, rule: str | None) -> bool:
    """Whether a completion got as far as its final answer: it holds a mark of one, or its grader found one by a rule.

    Args:
        text: what the model wrote, prompt excluded.
        extracted, rule: of its `Grade`. A task that names no rule reads answers where they are marked. A rule without
            an answer says that one has begun and cannot be read.
    """
    read = (extracted is not None or rule is not None) and rule not in UNMARKED_RULES
    return read or ANSWER_MARK.search(text) is not None


def before_end_token(text: str) -> str:
    """What stands before the first end-of-sequence or end-of-turn token that was written out as text.

    For completions that other programs stored with their special tokens.
    """
    return END_OF_TEXT.split(text, maxsplit=1)[0]


def extract_answer(completion: str, *, numeric: bool = False) -> Extraction | None:
    """The final answer of a completion, or None when no rule finds one.

    Args:
        completion: what the model wrote, prompt excluded.
        numeric: whether the answer is a number, so that GSM8K's mark and the last number of the text may give it.
    """
    for match in list(NEXT_QUESTION.finditer(completion))[:MAX_QUESTIONS]:
        before = completion[: match.start()]
        found = _extract(before, numeric=numeric)
        if found is not None and (found.rule != "last-number" or CONCLUDES.search(before)):
            return found
    return _extract(completion, numeric=numeric)


def _extract(text: str, *, numeric: bool) -> Extraction | None:
    if (content := _last_box(text, closed=True)) is not None:
        return Extraction(text=content, rule="boxed")
    for match in reversed(list(ANSWER_TAG.finditer(text))):
        if _says_something(match[1]):
            return Extraction(text=unbox(match[1]), rule="answer-tag")
    if (content := _last_box(text, closed=False)) is not None:
        return Extraction(text=content, rule="open-boxed")
    if numeric:
        if (mark := MARK.search(text)) is not None:
            return Extraction(text=_marked_number(mark["answer"]), rule="mark")
        numerals = [match[0] for match in STATED.finditer(text.translate(PLAIN))]
        if numerals:
            return Extraction(text=numerals[-1], rule="last-number")
    return None


def _marked_number(line: str) -> str:
    """The answer after GSM8K's mark: its line if that states one number, else the number it begins with."""
    answer = NEXT_QUESTION.split(line, maxsplit=1)[0].strip()
    numeral = STATED.search(answer) if number_in(answer) is None else None
    return answer if numeral is None else numeral[0]


def unbox(text: str) -> str:
    """The content of the last box inside `text`, closed or not; without a box, the text itself; stripped."""
    for closed in (True, False):
        if (content := _last_box(text, closed=closed)) is not None:
            return content
    return EMPTY_BOX.sub(" ", text).strip()


@dataclass(frozen=True, kw_only=True)
class _Box:
    """A box in a text: where it begins, its content, and where it ends."""

    start: int
    content: str
    end: int


def _last_box(text: str, *, closed: bool) -> str | None:
    """The content of the last box that says something, last by its start: of nested boxes the innermost.

    Closed boxes that stand beside it are put before it, with commas between.
    """
    complete, unclosed = _boxes(text)
    if not closed:
        contents = [END_OF_OPEN_BOX.split(text[start:], maxsplit=1)[0] for start in unclosed[-MAX_BOXES:]]
        return next((content.strip() for content in reversed(contents) if _says_something(content)), None)
    boxes = sorted(complete + _bare_boxes(text), key=lambda box: box.start)[-MAX_BOXES:]
    boxes = [box for box in boxes if _says_something(box.content)]
    return ", ".join(_side_by_side(text, boxes)) if boxes else None


def _side_by_side(text: str, boxes: list[_Box]) -> list[str]:
    """The contents of the last boxes with nothing but punctuation and names between them; no answer twice."""
    contents: list[str] = []
    for box, before in zip(reversed(boxes), [*reversed(boxes[:-1]), None], strict=True):
        between = None if before is None else _between(text, before, box)
        lead = re.search(rf"{NAME}\s*\Z", text[max(0, box.start - MOST_BETWEEN) : box.start])
        named = lead is not None and (between is not None or contents)
        contents.insert(0, f"{lead[0].strip()} {box.content.strip()}" if lead and named else box.content.strip())
        if between is None:
            break
    return list(dict.fromkeys(contents))


def _between(text: str, before: _Box, box: _Box) -> str | None:
    """The text between two boxes of one list; None if they are not: a box on the next line repeats the answer."""
    between = text[before.end : box.start]
    if before.end > box.start or len(between) > MOST_BETWEEN or not BETWEEN_BOXES.fullmatch(between):
        return None
    return None if "\n" in between and not between.strip(" \t\n$") else between


def _boxes(text: str) -> tuple[list[_Box], list[int]]:
    """Every complete box, and where the contents of the unclosed ones start, in order."""
    complete: list[_Box] = []
    # One entry per open brace: where a box and its content start, or None for any other brace.
    open_braces: list[tuple[int, int] | None] = []
    for match in BOX_OR_BRACE.finditer(text):
        token = match[0]
        if token == "{":
            open_braces.append(None)
        elif token == "}":
            opening = open_braces.pop() if open_braces else None
            if opening is not None:
                start, inside = opening
                content = text[inside : match.start()].split("</", maxsplit=1)[0]
                complete.append(_Box(start=start, content=content, end=match.end()))
        elif "box" in token:
            open_braces.append((match.start(), match.end()))
    return complete, [opening[1] for opening in open_braces if opening is not None]


def _bare_boxes(text: str) -> list[_Box]:
    """The boxes without braces."""
    return [
        _Box(start=match.start(), content=text[match.end() : end], end=end)
        for match in list(BARE_BOX.finditer(text))[-MAX_BOXES:]
        for end in [_end_of_bare_box(text, match.end())]
    ]


def _end_of_bare_box(text: str, start: int) -> int:
    """Where prose, punctuation, the end of the line or a brace that was opened before ends it."""
    depth = 0
    for match in END_OF_BARE_BOX.finditer(text, start):
        if match[0] in "{}":
            depth += 1 if match[0] == "{" else -1
        if depth < 0 or match[0] == "\n" or (depth == 0 and match[0] not in "{}"):
            return match.start()
    return len(text)


def _says_something(content: str) -> bool:
    return NOTHING.fullmatch(content) is None
