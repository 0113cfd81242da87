"""The program in a completion: where it begins and ends, and what it must be joined with.

Models wrap programs in prose, fences and tags, repeat the signature that they were given, or write the body
alone. All of that is read here, and nothing is run.
"""

from __future__ import annotations

import re
import textwrap
from dataclasses import dataclass

from flexeval.grading.program_syntax import defines, has_body, valid_prefix, with_what_it_uses, without_idle_lines

_PYTHON = {"", "python", "python3", "py", "py3"}
_TAG = re.compile(r"</?(?:answer|reasoning)>")
_FENCE = re.compile(r"`{3,}|^[ \t]*~{3,}", re.MULTILINE)
_INFO = re.compile(
    r"[ \t]*(?:\{[ \t]*\.?(?P<braced>[\w+#.-]*)[^{}\n]*\}"
    r"|(?P<plain>[\w+#.-]*)(?:[ \t]*\{[^{}\n]*\}|[ \t]+\w+=\"[^\"\n]*\")*)[ \t]*(?:\n|\Z)"
)
"""The rest of the line of an opening fence: `python`, `{.python}`, `python title="x"`."""
_BEGIN = re.compile(r"^[ \t]*\[(?:BEGIN|PYTHON|CODE|SOLUTION|ANSWER)\][ \t]*$", re.MULTILINE)
_DONE = re.compile(r"^[ \t]*\[(?:DONE|END|/\w+)\][ \t]*$", re.MULTILINE)
"""What stands before and after a program in few-shot prompts, such as MBPP's."""
_CODE_START = re.compile(
    r"^[ \t]*(?:import\s+\w|from\s+[\w.]+\s+import\s|(?:async\s+)?def\s+\w|class\s+\w|@\w|\w+\s*=[^=])", re.MULTILINE
)
_FUTURE = re.compile(r"^from __future__ import .*\n?", re.MULTILINE)
_MOST_STARTS = 20
"""Lines that a program may begin at. The bound keeps the search short for any text."""


@dataclass(frozen=True, kw_only=True)
class Extraction:
    """A program, and how it was found."""

    program: str | None
    """Ready to be run; None when the completion holds none."""
    rule: str
    """`fenced block`, `unclosed fence`, `closing fence`, `definition`, `body` or `none`; within answer tags
    prefixed by `answer tag, `."""


def extract_program(completion: str, *, entry_point: str, prompt: str = "") -> Extraction:
    """Find the program in a completion.

    Rules, the first that finds something wins; each is tried within the last `<answer>` first:

    1. *Fenced blocks* marked as Python or not marked; blocks marked as something else count only when there are no
       others. The last block that defines the entry point, with what it uses of the others (imports, helpers); without
       one, the first that continues the prompt; without one, the first. A fence that is never closed ends with the
       text, or with the last line up to which everything is valid Python, if that still defines the entry point; if
       the number of fences is odd and the first names no language, the text before it counts as a block that the
       prompt opened.
    2. *A definition of the entry point* (`def` or `=`), in prose or alone: from the first line that looks like code to
       the last line up to which everything is valid Python.
    3. *The body alone*, when there is a prompt to continue: as it is, or with its first line or all lines indented;
       to the last line up to which everything is valid Python.

    Lines that are valid Python but do nothing, such as `Output` or `python` beside the code, are left out.
    `[DONE]` and its like end the text.

    Args:
        completion: what the model wrote, without the prompt.
        entry_point: the function that the program must define.
        prompt: source that ends in the signature and docstring of the entry point (HumanEval). What is found is
            put after it, as upstream does, so that its imports and helpers are there; a body continues it.
    """
    completion = _before_done(completion.replace("\r\n", "\n"), entry_point)
    _, tag, tagged = completion.rpartition("<answer>")
    if tag:
        found = _extract(tagged.partition("</answer>")[0], entry_point, prompt)
        if found.program is not None:
            return Extraction(program=found.program, rule=f"answer tag, {found.rule}")
    return _extract(_TAG.sub("", completion), entry_point, prompt)


def _extract(text: str, entry_point: str, prompt: str) -> Extraction:
    blocks = _blocks(text, entry_point, prompt)
    defining = [block for block in blocks if defines(block.code, entry_point)]
    if defining:
        others = [block.code for block in blocks if block is not defining[-1]]
        whole = with_what_it_uses(textwrap.dedent(defining[-1].code), others, prompt)
        return Extraction(program=_after(prompt, whole), rule=defining[-1].rule)
    for block in blocks:
        program = _continue(prompt, block.code, entry_point)
        if program is not None:
            return Extraction(program=program, rule=block.rule)
    if blocks:
        return Extraction(program=_after(prompt, blocks[0].code), rule=blocks[0].rule)
    code = _definition(text, entry_point)
    if code is not None:
        return Extraction(program=_after(prompt, code), rule="definition")
    program = _continue(prompt, text, entry_point)
    return Extraction(program=program, rule="none" if program is None else "body")


@dataclass(frozen=True, kw_only=True)
class _Block:
    code: str
    rule: str


def _before_done(text: str, entry_point: str) -> str:
    """The text up to the first mark that ends a program, if anything stands before it; without marks that begin one."""
    text = _BEGIN.sub("", text)
    definition = _definition_of(entry_point).search(text)
    start = definition.end() if definition else len(text) - len(text.lstrip())
    done = _DONE.search(text, start)
    return text[: done.start()] if done and text[: done.start()].strip() else text


def _definition_of(entry_point: str) -> re.Pattern[str]:
    name = re.escape(entry_point)
    return re.compile(rf"^(?:[ \t]*(?:async\s+)?def\s+{name}\b|{name}[ \t]*=[^=])", re.MULTILINE)


def _blocks(text: str, entry_point: str, prompt: str) -> list[_Block]:
    """The fenced blocks of a text, in order."""
    outside, *parts = _cut_at_fences(text)
    found: list[tuple[str, _Block]] = []
    if len(parts) % 2 == 1 and _INFO.match(parts[0]) is not None and not _language(parts[0]):
        code = textwrap.dedent(_TAG.sub("", outside))
        if defines(code, entry_point) or _continue(prompt, outside, entry_point) is not None:
            found.append(("", _Block(code=outside, rule="closing fence")))
            parts = parts[1:]
    for index in range(0, len(parts), 2):
        rule = "unclosed fence" if index == len(parts) - 1 else "fenced block"
        info = _INFO.match(parts[index])
        code = parts[index][info.end() :] if info else re.sub(r"^[ \t]*(?:python3?|py)\s", "", parts[index])
        if rule == "unclosed fence":
            finished = valid_prefix(textwrap.dedent(code))
            code = finished if defines(finished, entry_point) else code
        if code.strip():
            found.append((_language(parts[index]), _Block(code=code, rule=rule)))
    python = [block for language, block in found if language in _PYTHON]
    return python or [block for _, block in found]


def _cut_at_fences(text: str) -> list[str]:
    """The text outside and inside fences, alternating. A fence of the same kind, at least as long, closes a fence."""
    pieces, start, opening = [], 0, ""
    for match in _FENCE.finditer(text):
        fence = match[0].strip()
        if opening and not (fence[0] == opening[0] and len(fence) >= len(opening)):
            continue
        pieces.append(text[start : match.start()])
        start, opening = match.end(), "" if opening else fence
    return [*pieces, text[start:]]


def _language(part: str) -> str:
    """The language that an opening fence names; empty when it names none."""
    info = _INFO.match(part)
    return (info["braced"] or info["plain"] or "").lower() if info else ""


def _definition(text: str, entry_point: str) -> str | None:
    """The code around a definition of the entry point in prose."""
    definition = _definition_of(entry_point).search(text)
    if definition is None:
        return None
    starts = [0, *(match.start() for match in _CODE_START.finditer(text, 0, definition.end()))]
    for start in starts[:_MOST_STARTS]:
        code = valid_prefix(textwrap.dedent(_unindent_from(text[start:])))
        if defines(code, entry_point):
            return code
    return None


def _unindent_from(text: str) -> str:
    """Cut a text where a line is indented less than its first one."""
    lines = text.split("\n")
    margin = len(lines[0]) - len(lines[0].lstrip())
    end = next((n for n, line in enumerate(lines) if line.strip() and line[:margin].strip()), len(lines))
    return "\n".join(lines[:end])


def _continue(prompt: str, body: str, entry_point: str) -> str | None:
    """The prompt with a body that continues it; None when this is not valid, or adds no statement."""
    if not prompt:
        return None
    first_indented = "    " + body.lstrip()
    all_indented = textwrap.indent(textwrap.dedent(body), "    ")
    for variant in (body, first_indented, all_indented):
        program = valid_prefix(prompt + variant)
        if has_body(program, entry_point):
            return without_idle_lines(program)
    return None


def _after(prompt: str, code: str) -> str:
    """A program that follows the prompt, whose stub it redefines."""
    code = without_idle_lines(textwrap.dedent(code))
    if not prompt:
        return code
    futures = "".join(_FUTURE.findall(code))
    return f"{futures}{prompt}\n\n{_FUTURE.sub('', code)}"
