"""The words of a problem: who, what, which verbs; and the question that they make of a skeleton."""

from __future__ import annotations

from dataclasses import dataclass

from flexeval.tasks.drawing import Draw
from flexeval.tasks.word_problems.skeleton import Change, Quantity, Skeleton


@dataclass(frozen=True)
class Theme:
    """Things that go together."""

    things: tuple[str, ...]
    gains: tuple[str, ...]
    losses: tuple[str, ...]
    packs: tuple[str, ...]


_FOOD = Theme(
    things=("apples", "pears", "plums", "cookies", "nuts", "eggs", "muffins", "candies"),
    gains=("buys", "gets", "picks", "finds"),
    losses=("eats", "sells", "drops", "gives away"),
    packs=("bags", "boxes", "baskets"),
)
_TOYS = Theme(
    things=("marbles", "cards", "stickers", "shells", "beads", "blocks", "coins", "stamps"),
    gains=("wins", "finds", "buys", "gets"),
    losses=("loses", "sells", "gives away", "trades"),
    packs=("bags", "boxes", "packs"),
)
_SCHOOL = Theme(
    things=("pencils", "books", "pens", "brushes", "crayons"),
    gains=("buys", "borrows", "gets", "finds"),
    losses=("loses", "lends", "returns", "gives away"),
    packs=("boxes", "packs", "shelves"),
)
_PLACE = Theme(
    things=("lamps", "chairs", "bikes", "plants", "hats"),
    gains=("buys", "gets", "orders", "makes"),
    losses=("sells", "returns", "lends", "ships"),
    packs=("boxes", "rows", "crates"),
)
_RIDE = Theme(
    things=("people", "children", "riders"),
    gains=("picks up", "takes on", "lets in"),
    losses=("drops off", "lets out"),
    packs=("rows", "groups"),
)
_PERSONAL = (_FOOD, _TOYS, _SCHOOL)
_HERS = ("Mia", "Anna", "Ella", "Lucy", "Zoe", "Nora", "Ruth", "Ivy")
_HIS = ("Tom", "Ben", "Sam", "Leo", "Max", "Omar", "Noah", "Finn")
_PLACES = ("The shop", "The store", "The club")
_RIDES = ("The bus", "The train", "The boat")


@dataclass(frozen=True)
class Story:
    """The words that a problem and its solutions share."""

    name: str
    """The subject at the start of a sentence: "Mia", "The bus"."""
    pronoun: str
    thing: str
    verbs: tuple[str, ...]
    """One per change."""
    packs: str
    """The plural of the container, "boxes"."""

    def phrase(self, place: int, change: Change) -> str:
        """A change in words: "buys 5", "sells 2 bags of 3"."""
        return f"{self.verbs[place]} {self.amount(change.amount)}"

    def amount(self, quantity: Quantity) -> str:
        """A quantity in words, without the thing: "5", "2 bags of 3"."""
        return str(quantity.each) if quantity.packs == 1 else f"{quantity.packs} {self.packs} of {quantity.each}"


def draw_story(draw: Draw, skeleton: Skeleton) -> Story:
    """Draw the words for these numbers; verbs do not repeat while there are others."""
    kind = draw.pick_weighted(("her", "his", "place", "ride"), (0.4, 0.4, 0.1, 0.1))
    name = draw.pick({"her": _HERS, "his": _HIS, "place": _PLACES, "ride": _RIDES}[kind])
    theme = {"place": _PLACE, "ride": _RIDE}.get(kind) or draw.pick(_PERSONAL)
    rest = {+1: draw.shuffled(theme.gains), -1: draw.shuffled(theme.losses)}
    verbs = []
    for change in skeleton.changes:
        verb = rest[change.sign].pop(0)
        rest[change.sign].append(verb)
        verbs.append(verb)
    return Story(
        name=name,
        pronoun={"her": "she", "his": "he"}.get(kind, "it"),
        thing=draw.pick(theme.things),
        verbs=tuple(verbs),
        packs=draw.pick(theme.packs),
    )


def question_text(draw: Draw, skeleton: Skeleton, story: Story) -> str:
    """The problem in English: a start, the changes in the skeleton's order, a question."""
    thing, pronoun = story.thing, story.pronoun
    start = skeleton.start
    opening = draw.pick(("{} has", "At first {} has", "{} starts with"))
    name = story.name if opening.startswith("{}") else story.name.replace("The", "the")
    if start.packs == 1:
        holds = f"{start.each} {thing}"
    else:
        holds = draw.pick(
            (f"{story.amount(start)} {thing}", f"{start.packs} {story.packs} with {start.each} {thing} each")
        )
    phrases = [story.phrase(place, change) for place, change in enumerate(skeleton.changes)]
    question = draw.pick(
        (
            f"How many {thing} does {pronoun} have now?",
            f"How many {thing} are there in the end?",
            f"How many {thing} does {pronoun} have in the end?",
            f"How many {thing} are left?",
        )
    )
    return f"{opening.format(name)} {holds}. {_tell(draw, phrases, pronoun)} {question}"


def _tell(draw: Draw, phrases: list[str], pronoun: str) -> str:
    """The changes as one sentence with commas, as a sentence each, or as two sentences."""
    manner = draw.pick(("list", "sentences", "halves"))
    if manner == "list" or len(phrases) < 2:
        return _sentence(draw.pick(("", "Then ", "Later ")), pronoun, phrases)
    if manner == "halves":
        cut = draw.between(1, len(phrases) - 1)
        first = _sentence(draw.pick(("", "First ")), pronoun, phrases[:cut])
        return f"{first} {_sentence(draw.pick(('Then ', 'After that ', 'Later ')), pronoun, phrases[cut:])}"
    starts = ["", *draw.shuffled(("Then ", "Next ", "Later ", "After that ", "Now "))]
    return " ".join(_sentence(starts[i % len(starts)], pronoun, [phrase]) for i, phrase in enumerate(phrases))


def _sentence(start: str, pronoun: str, phrases: list[str]) -> str:
    """One sentence: "Then she buys 5, eats 2 and finds 3."."""
    listed = phrases[0] if len(phrases) == 1 else f"{', '.join(phrases[:-1])} and {phrases[-1]}"
    return f"{start}{pronoun} {listed}." if start else f"{pronoun.capitalize()} {listed}."
