r"""Verdicts by the rules under which numbers were published, right or wrong, so that these can be re-derived.

Mathematics follows the parser of dllm-reasoning/d1 (`eval/parse_and_get_acc.py`, `parser_helper.py` at 837888f), whose
prompts and settings the paper takes; programs follow LeapLabTHU/JustGRPO (`utils/code_exec.py` at eebe50e), the paper's
own code. These rules compare texts and know little: `6,277` is read as 6, 5.5 is not 11/2. The tasks' own graders
decide better (results/grading/agreement.md), and only the comparison with published numbers uses this module.

What upstream evaluates in its own process (sums of Countdown, programs) runs in the sandbox here, under its limits.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from flexeval.grading.programs import program_check
from flexeval.grading.sandbox import ProgramCheck, shared_sandbox
from flexeval.records import Grade, Problem

_BOX_ON_A_LINE = re.compile(r"\\boxed{(.*?)}")
_ANSWER = re.compile(r"<answer>(.*?)</answer>", re.DOTALL)
_DECIMAL = re.compile(r"-?\d+\.?\d*")
_TARGET = re.compile(r"\$?([\d,]+(?:\.\d+)?)")
_PYTHON_BLOCK = re.compile(r"```python\n(.*?)```", re.DOTALL)
_SUM = re.compile(r"([0-9+\-*/() ]+)=[0-9. ]+")
_ARITHMETIC = re.compile(r"[\d+\-*/().\s]+", re.ASCII)


# ----- GSM8K -----


def number_as_published(completion: str, target: str) -> Grade:
    """The verdict on a GSM8K completion: the first box on one line with a number, else the last number of a tag.

    Args:
        completion: what the model wrote, prompt excluded.
        target: the reference number. The parser knows no negative ones: where the target is one, nothing is correct.
    """
    found, rule = _first_boxed_number(completion), "first box"
    if found is None and (tag := _ANSWER.search(completion)):
        numbers = [tag[1].strip()] if _float(tag[1]) is not None else _DECIMAL.findall(tag[1])
        found, rule = (numbers[-1], "answer tag") if numbers else (None, rule)
    if found is None:
        return Grade(correct=False)
    reference = _TARGET.match(target.strip())
    correct = reference is not None and _float(found) == _float(reference[1].replace(",", ""))
    return Grade(correct=correct, extracted=found, rule=rule)


def _first_boxed_number(text: str) -> str | None:
    for match in _BOX_ON_A_LINE.finditer(text):
        content = match[1].strip()
        if not content.strip("."):
            continue
        if _float(content) is not None:
            return content
        if number := _DECIMAL.search(content):
            return number[0]
    return None


def _float(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


# ----- MATH-500 -----


def expression_as_published(completion: str, target: str) -> Grade:
    r"""The verdict on a MATH-500 completion: the last `\boxed`, else the first answer tag, as a normalised text.

    Without any box the whole completion is the answer. Texts that the normalisation trips over are compared unchanged.
    """
    extracted, rule = _last_box(completion), "last box"
    if not extracted and (tag := _ANSWER.search(completion)):
        extracted, rule = tag[1].strip(), "answer tag"
    if extracted is None:
        return Grade(correct=False)
    try:
        correct = _normalised(extracted) == _normalised(target)
    except _Trips:
        correct = extracted == target
    return Grade(correct=correct, extracted=extracted, rule=rule)


def _last_box(text: str) -> str | None:
    r"""What the last `\boxed` holds, with braces or after a blank; None where its braces do not close."""
    if "\\boxed " in text:
        return text.rpartition("\\boxed ")[2].partition("$")[0]
    start = text.rfind("\\boxed")
    if start < 0:
        start = text.rfind("\\fbox")
    if start < 0:
        return text
    depth = 0
    for end in range(start, len(text)):
        depth += (text[end] == "{") - (text[end] == "}")
        if text[end] == "}" and depth == 0:
            box = text[start : end + 1]
            return box[len("\\boxed{") : -1] if box.startswith("\\boxed{") else box
    return None


class _Trips(Exception):
    """The normalisation fails on this text."""


def _normalised(text: str) -> str:
    """A text as it is compared: without spacing, sizes, units and percent signs, with fractions and roots in braces."""
    for old, new in (
        ("\n", ""), ("\\!", ""), ("\\\\", "\\"), ("tfrac", "frac"), ("dfrac", "frac"), ("\\left", ""), ("\\right", ""),
        ("^{\\circ}", ""), ("^\\circ", ""), ("\\$", ""),
    ):  # fmt: skip
        text = text.replace(old, new)
    pieces = text.split("\\text{ ")
    if len(pieces) > 2:
        raise _Trips
    text = pieces[0].replace("\\%", "").replace(" .", " 0.").replace("{.", "{0.")
    if not text:
        return text
    text = f"0{text}" if text.startswith(".") else text
    sides = text.split("=")
    if len(sides) == 2 and len(sides[0]) <= 2:
        text = sides[1]
    text = _with_braces_after_roots(text).replace(" ", "")
    text = _with_braces_after_fractions(text)
    return _as_fraction("\\frac{1}{2}" if text == "0.5" else text)


def _with_braces_after_roots(text: str) -> str:
    first, *rest = text.split("\\sqrt")
    if not all(rest):
        raise _Trips
    return first + "".join("\\sqrt" + (part if part[0] == "{" else f"{{{part[0]}}}{part[1:]}") for part in rest)


def _with_braces_after_fractions(text: str) -> str:
    first, *rest = text.split("\\frac")
    braced = [first]
    for part in rest:
        if not part:
            raise _Trips
        if part[0] != "{" and len(part) < 2:
            return text
        if part[0] == "{":
            braced.append(part)
        elif part[1] == "{":
            braced.append(f"{{{part[0]}}}{part[1:]}")
        else:
            braced.append(f"{{{part[0]}}}{{{part[1]}}}{part[2:]}")
    return "\\frac".join(braced)


def _as_fraction(text: str) -> str:
    """`1/2` as a fraction; upstream's code fails on a slash between anything but whole numbers."""
    sides = text.split("/")
    if len(sides) != 2:
        return text
    try:
        over, under = int(sides[0]), int(sides[1])
    except ValueError:
        raise _Trips from None
    return f"\\frac{{{over}}}{{{under}}}" if text == f"{over}/{under}" else text


# ----- Countdown -----


def countdown_as_published(completion: str, numbers: Sequence[int], goal: int) -> Grade:
    """The verdict on a Countdown completion: the numbers each once, and a value within 1e-5 of the goal.

    The value is what Python makes of the text, in the sandbox; so `**` and `//` count as well.
    """
    equation, rule = _last_box(completion), "last box"
    if equation is None:
        tag = _ANSWER.search(completion)
        equation, rule = (tag[1].strip(), "answer tag") if tag else (completion, "whole text")
    for command, sign in (("\\div", "/"), ("\\times", "*"), ("\\cdot", "*")):
        equation = equation.replace(command, sign)
    if match := _SUM.search(equation):
        equation = match[1].strip()

    used = sorted(number.lstrip("0") or "0" for number in re.findall(r"\d+", equation, re.ASCII))
    if used != sorted(map(str, numbers)) or not _ARITHMETIC.fullmatch(equation):
        return Grade(correct=False, extracted=equation, rule=rule)
    program = f"def value():\n    return eval({equation.strip()!r}, {{'__builtins__': None}}, {{}})\n"
    check = ProgramCheck(program=program, tests=f"assert abs(value() - {goal}) < 1e-5\n", entry_point="value")
    return Grade(correct=shared_sandbox().check(check).passed, extracted=equation, rule=rule)


# ----- HumanEval and MBPP -----


def program_as_published(problem: Problem, completion: str) -> Grade:
    """The verdict on a program: the first block fenced as python, else the whole completion, right after the prompt.

    HumanEval's prompt and the code are joined as they are, without a line between; MBPP's code stands alone.
    """
    block = _PYTHON_BLOCK.search(completion)
    code, rule = (block[1].strip(), "first python block") if block else (completion, "whole text")
    program = problem.metadata.get("prompt", "") + code
    passed = shared_sandbox().check(program_check(problem, program)).passed
    return Grade(correct=passed, extracted=program, rule=rule)
