"""A plan in English. Which connective opens a sentence, and how it goes on, is a free choice at every place."""

from __future__ import annotations

from flexeval.tasks.drawing import Draw
from flexeval.tasks.word_problems.plan import Role, Step, draw_plan
from flexeval.tasks.word_problems.skeleton import Skeleton
from flexeval.tasks.word_problems.story import Story

# Slots: {eq} the calculation, {p} the pronoun, {P} the pronoun or name that opens a sentence, {v} the change in the
# story's words, {left} {right} the two numbers, {things}, {packs}, {side}: gains or losses.
_ANY_CHANGE = (
    "Since {p} {v}, {eq}.",
    "Because {p} {v}, {eq}.",
    "When {p} {v}, {eq}.",
    "Notice that {eq}.",
    "Calculate {eq}.",
    "Write {eq}.",
    "{P} {v}, so {eq}.",
)
_FIRST_CHANGE = ("First, {eq}.", "First {p} {v}, so {eq}.", "Given {left} {things}, {eq}.", "Let us start: {eq}.")
_LATER_CHANGE = ("Then {eq}.", "Then {p} {v}, so {eq}.", "Next, {eq}.", "Now {p} has {eq}.", "So {p} has {eq}.")
_GAIN = ("Let us add {right}: {eq}.", "Consider {right} more: {eq}.")
_LOSS = ("Let us subtract {right}: {eq}.", "Consider {right} less: {eq}.")
_LATER_GAIN = ("Also, {eq}.", "Also {p} {v}, so {eq}.")
_LATER_LOSS = ("But {p} {v}, so {eq}.", "However, {eq}.")
_SIMILAR = ("Similarly, {eq}.",)
_LAST = ("Finally, {eq}.",)

_PACKS = (
    "The {packs} hold {eq}.",
    "Notice that the {packs} hold {eq}.",
    "Calculate the {packs}: {eq}.",
    "Consider the {packs}: {eq}.",
    "Let us multiply: {eq}.",
)
_SUM = (
    "Calculate the {side}: {eq}.",
    "Consider the {side}: {eq}.",
    "Let us add the {side}: {eq}.",
    "Notice that the {side} are {eq}.",
    "Write the {side} as {eq}.",
    "Express the {side} as {eq}.",
    "The {side} are {eq}.",
)
_NET = ("So the difference is {eq}.", "Overall the difference is {eq}.", "Thus the difference is {eq}.")
_COMBINE = ("So {p} has {eq}.", "Thus {p} has {eq}.", "Write {eq}.", "Calculate {eq}.")
_COMBINE_MORE = ("Since {p} gets {right} more, {eq}.", "Let us add {right}: {eq}.", "Given {right} more, {eq}.")
_COMBINE_LESS = (
    "But {right} must go, so {eq}.",
    "However, {right} must go, so {eq}.",
    "Since {right} must go, {eq}.",
    "Let us subtract {right}: {eq}.",
)
_ANSWER = (
    "So the answer is {answer}.",
    "Thus the answer is {answer}.",
    "Therefore, the answer is {answer}.",
    "Finally, the answer is {answer}.",
    "The answer is {answer}.",
    "So {p} has {answer} and the answer is {answer}.",
    "With {answer} left, the answer is {answer}.",
)


def solution_text(draw: Draw, skeleton: Skeleton, story: Story) -> str:
    """One worked solution: a way to solve it, in words, ending with "the answer is N."."""
    sentences: list[str] = []
    plan = draw_plan(draw, skeleton)
    for index, step in enumerate(plan):
        before = plan[index - 1] if index else None
        template = _fresh(draw, _templates(step, before, skeleton, last=index == len(plan) - 1), sentences)
        sentences.append(_fill(draw, template, step, skeleton, story))
    closing = _fresh(draw, _ANSWER, sentences)
    sentences.append(closing.format(p=story.pronoun, answer=skeleton.answer))
    return " ".join(sentences)


def _fresh(draw: Draw, templates: tuple[str, ...], sentences: list[str]) -> str:
    """A template whose first word has not opened a sentence yet, as a writer would choose."""
    used = {sentence.split()[0].strip(",:") for sentence in sentences}
    fresh = [template for template in templates if template.split()[0].strip(",:") not in used]
    return draw.pick(fresh or templates)


def _templates(step: Step, before: Step | None, skeleton: Skeleton, *, last: bool) -> tuple[str, ...]:
    """The ways to say a step, given where in the solution it stands."""
    if step.role == "change":
        return _change_templates(step, before, skeleton, last=last)
    connectives = ("First, ",) if before is None else ("Then ", "Next, ", "Now ")
    if step.role == "packs":
        said = "the {packs} hold {eq}."
        return _PACKS + tuple(c + said for c in connectives)
    if step.role in ("gains", "losses"):
        extra = () if before is None else ("Also the {side} are {eq}.", "Similarly, the {side} are {eq}.")
        return _SUM + tuple(c + "the {side} are {eq}." for c in connectives) + (extra if _is_sum(before) else ())
    if step.role == "net":
        return _NET + tuple(c + "the difference is {eq}." for c in connectives)
    combine = _COMBINE_MORE if step.role in ("add sum", "add net") else _COMBINE_LESS
    closing = ("Finally, {eq}.",) if last else ()
    return _COMBINE + combine + closing + tuple(c + "{eq}." for c in connectives)


def _is_sum(step: Step | None) -> bool:
    return step is not None and step.role in ("gains", "losses")


def _change_templates(step: Step, before: Step | None, skeleton: Skeleton, *, last: bool) -> tuple[str, ...]:
    sign = skeleton.changes[step.place].sign
    ways: tuple[str, ...] = _ANY_CHANGE + (_GAIN if sign > 0 else _LOSS)
    if before is None:
        return ways + _FIRST_CHANGE
    ways += _LATER_CHANGE + (_LATER_GAIN if sign > 0 else _LATER_LOSS)
    if before.role == "change" and skeleton.changes[before.place].sign == sign:
        ways += _SIMILAR
    return ways + (_LAST if last else ())


_SIDES: dict[Role, str] = {"gains": "gains", "losses": "losses"}


def _fill(draw: Draw, template: str, step: Step, skeleton: Skeleton, story: Story) -> str:
    """The sentence that a template makes of a step."""
    left, _, right, _ = step.equations[-1]
    return template.format(
        eq=step.text,
        p=story.pronoun,
        P=draw.pick((story.pronoun.capitalize(), story.name)),
        v=story.phrase(step.place, skeleton.changes[step.place]) if step.role == "change" else "",
        left=left,
        right=right,
        things=story.thing,
        packs=story.packs,
        side=_SIDES.get(step.role, ""),
    )
