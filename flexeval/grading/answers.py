r"""Find the final answer in a completion, and say which rule found it.

The rules, in the order in which they are tried:

- `boxed`: the last complete `\boxed{...}` that holds something (braces balanced, the backslash optional; what
  follows a closing tag inside it is left out);
- `answer-tag`: the last `<answer>` that holds something, up to `</answer>` or the end of the text;
- `open-boxed`: a `\boxed{` that was never closed, up to the end of its line or the next tag;
- `last-number`: the last number of the text (only where the task asks for it).

Only the completion may be passed in: a prompt can itself hold a box or an answer tag.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from flexeval.grading.numerals import NUMERAL

MAX_BOXES = 100
"""Boxes of one text that are looked into, from the last; more are an attempt to waste time."""
BOX_OR_BRACE = re.compile(r"\\(?![A-Za-z]).|\\?(?<![A-Za-z])(?:boxed|fbox)\s*\{|[{}]", re.DOTALL)
"""An escaped character (its brace does not count), the start of a box, or a brace."""
ANSWER_TAG = re.compile(r"<answer>(.*?)(?=</?answer|\Z)", re.DOTALL)
END_OF_OPEN_BOX = re.compile(r"\n|</|<\w+>")
END_OF_TEXT = re.compile(r"<\|(?:eot_id|endoftext|end_of_text|im_end|eos)\|>|</s>")
NOTHING = re.compile(r"(?:\\?(?:boxed|fbox)\s*\{|\}|\.\.\.|…|\\[lc]?dots|\s)*")
"""Blanks, placeholders and empty boxes."""


@dataclass(frozen=True, kw_only=True)
class Extraction:
    """The answer that was read from a completion."""

    text: str
    """The answer as the model wrote it, without box and tag."""
    rule: str
    """Which rule found it."""


def before_end_token(text: str) -> str:
    """What stands before the first end-of-sequence or end-of-turn token that was written out as text.

    For completions that other programs stored with their special tokens.
    """
    return END_OF_TEXT.split(text, maxsplit=1)[0]


def extract_answer(completion: str, *, last_number: bool = False) -> Extraction | None:
    """The final answer of a completion, or None when no rule finds one.

    Args:
        completion: what the model wrote, prompt excluded.
        last_number: whether the last number of the text may stand in for a marked answer.
    """
    if (content := _last_box(completion, closed=True)) is not None:
        return Extraction(text=content, rule="boxed")
    for match in reversed(list(ANSWER_TAG.finditer(completion))):
        if _says_something(match[1]):
            return Extraction(text=unbox(match[1]), rule="answer-tag")
    if (content := _last_box(completion, closed=False)) is not None:
        return Extraction(text=content, rule="open-boxed")
    if last_number:
        numerals = [match[0] for match in NUMERAL.finditer(completion)]
        if numerals:
            return Extraction(text=numerals[-1], rule="last-number")
    return None


def unbox(text: str) -> str:
    """The content of the last box inside `text`, closed or not; without a box, the text itself; stripped."""
    for closed in (True, False):
        if (content := _last_box(text, closed=closed)) is not None:
            return content
    return text.strip()


def _last_box(text: str, *, closed: bool) -> str | None:
    """The content of the last box that says something, last by its start: of nested boxes the innermost."""
    complete, unclosed = _boxes(text)
    if closed:
        last = sorted(complete)[-MAX_BOXES:]
        contents = [text[start:end].split("</", maxsplit=1)[0] for start, end in last]
    else:
        contents = [END_OF_OPEN_BOX.split(text[start:], maxsplit=1)[0] for start in unclosed[-MAX_BOXES:]]
    return next((content.strip() for content in reversed(contents) if _says_something(content)), None)


def _boxes(text: str) -> tuple[list[tuple[int, int]], list[int]]:
    """(start, end) of the content of every complete box, and the starts of the unclosed ones, in order."""
    complete: list[tuple[int, int]] = []
    # One entry per open brace: where a box's content starts, or -1 for any other brace.
    open_braces: list[int] = []
    for match in BOX_OR_BRACE.finditer(text):
        token = match[0]
        if token == "{":
            open_braces.append(-1)
        elif token == "}":
            start = open_braces.pop() if open_braces else -1
            if start >= 0:
                complete.append((start, match.start()))
        elif "box" in token:
            open_braces.append(match.end())
    return complete, [start for start in open_braces if start >= 0]


def _says_something(content: str) -> bool:
    return NOTHING.fullmatch(content) is None
