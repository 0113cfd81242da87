"""Forks: every text is one chain, every chain is found, and test puzzles never occur in training."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flexeval.errors import InputError
from flexeval.grading.answers import answer_started
from flexeval.grading.equations import find_equations
from flexeval.grading.soundness import fault_in_chain
from flexeval.records import Problem
from flexeval.tasks.drawing import split_of
from flexeval.tasks.forks import Forks
from flexeval.tasks.forks.puzzle import LARGEST, Chain, Puzzle, Step, chains, passes
from flexeval.tasks.forks.wording import solution_text

SIGNS = {"+": lambda a, b: a + b, "-": lambda a, b: a - b, "*": lambda a, b: a * b}


def by_brute_force(numbers: tuple[int, ...]) -> dict[int, set[tuple[tuple[int, str, int, int], ...]]]:
    """Every order of the numbers and every choice of signs, worked out from the left."""
    found: dict[int, set[tuple[tuple[int, str, int, int], ...]]] = {}
    for order in itertools.permutations(numbers):
        if order[0] < order[1]:
            continue
        for signs in itertools.product("+-*", repeat=len(numbers) - 1):
            total, steps = order[0], []
            for sign, number in zip(signs, order[1:], strict=True):
                result = SIGNS[sign](total, number)
                steps.append((total, sign, number, result))
                total = result
            if all(1 <= step[3] <= LARGEST for step in steps):
                found.setdefault(total, set()).add(tuple(steps))
    return found


@given(st.lists(st.integers(1, 9), min_size=2, max_size=4).map(lambda numbers: tuple(sorted(numbers))))
@settings(max_examples=60, deadline=None)
def test_the_solver_finds_every_chain_once(numbers: tuple[int, ...]) -> None:
    solved = chains(numbers)
    steps = {
        goal: [tuple((s.left, s.sign, s.right, s.result) for s in chain) for chain in ending]
        for goal, ending in solved.items()
    }
    assert {goal: set(ending) for goal, ending in steps.items()} == by_brute_force(numbers)
    assert all(len(set(ending)) == len(ending) for ending in steps.values())


@pytest.mark.parametrize("numbers", [2, 3, 4, 5])
def test_every_solution_is_sound_and_says_its_chain(numbers: int) -> None:
    task = Forks(min_numbers=numbers, max_numbers=numbers, size=6)
    for problem in task.problems():
        puzzle = Puzzle(tuple(problem.metadata["numbers"]), problem.metadata["goal"])
        texts = [solution_text(chain) for chain in puzzle.solutions]
        assert len(set(texts)) == len(texts) == problem.metadata["solutions"] > 0
        for chain, text in zip(puzzle.solutions, texts, strict=True):
            assert [equation.text for equation in find_equations(text)] == [step.equation for step in chain]
            grade = task.grade(problem, text)
            assert grade.correct and grade.verdicts == {"sound": True} and grade.rule == "last-step"
        assert problem.metadata["first_signs"] == sorted({chain[0].sign for chain in puzzle.solutions})


def test_the_first_word_is_the_first_sign_and_the_lead_says_that_the_goal_is_passed() -> None:
    below: Chain = (Step(6, "+", 5, 11), Step(11, "*", 2, 22))
    above: Chain = (Step(6, "*", 5, 30), Step(30, "-", 6, 24), Step(24, "+", 5, 29))
    assert not passes(below)
    assert passes(above)
    assert solution_text(below) == "First 6 + 5 = 11. Thus finally 11 * 2 = 22."
    assert solution_text(above) == ("We pass 29. Notice that 6 * 5 = 30. But that leaves 30 - 6 = 24. So 24 + 5 = 29.")
    openings = {
        solution_text((Step(6, sign, 5, result),)).split()[0] for sign, result in (("+", 11), ("-", 1), ("*", 30))
    }
    assert len(openings) == 3


def test_no_test_puzzle_is_ever_drawn_for_training_in_any_order_of_its_numbers() -> None:
    test = {problem.id for problem in Forks().problems()}
    train = {Forks(split="train").draw(f"a test's own/{i}")[0].id for i in range(1000)}
    assert not test & train
    assert all(split_of(name) == "test" for name in test)
    assert all(split_of(name) == "train" for name in train)
    assert {str(Puzzle(numbers, 29)) for numbers in itertools.permutations((5, 6, 6, 5))} == {"5-5-6-6=29"}


def test_puzzles_are_distinct_within_the_limits_and_the_same_on_every_machine() -> None:
    task = Forks(max_numbers=3, max_number=7, min_goal=20, max_goal=30, size=10)
    problems = task.problems()
    assert len({problem.id for problem in problems}) == 10
    assert replace(task, size=5).problems() == problems[:5]
    assert replace(task, size=5, seed=1).problems() != problems[:5]
    for problem in problems:
        assert 20 <= problem.metadata["goal"] <= 30
        assert all(1 <= number <= 7 for number in problem.metadata["numbers"])
        told = problem.question.removeprefix("Make ").removesuffix(".").split(" from ")
        assert (int(told[0]), [int(n) for n in told[1].split(", ")]) == (
            problem.metadata["goal"],
            problem.metadata["numbers"],
        )


@pytest.mark.parametrize(
    ("text", "correct", "extracted"),
    [
        ("6 * 5 = 30. 30 - 6 = 24. 24 + 5 = 29.", True, "((6 * 5) - 6) + 5 = 29"),
        ("6 * 5 = 30. 5 + 30 = 35. 35 - 6 = 29.", True, "(5 + (6 * 5)) - 6 = 29"),
        # Two results are wrong, the numbers and signs make the goal all the same.
        ("6 * 5 = 36. 36 - 6 = 24. 24 + 5 = 29.", True, "((6 * 5) - 6) + 5 = 29"),
        ("6 * 5 = 30. 30 - 6 = 24. 24 + 5 = 28.", False, "((6 * 5) - 6) + 5 = 29, not 28"),
        ("6 + 5 = 11. 11 + 6 = 17. 17 + 5 = 29.", False, "((6 + 5) + 6) + 5 = 22, not 29"),
        ("24 + 5 = 29.", False, "24 + 5 = 29"),
        ("6 * 5 = 30. 24 + 5 = 29.", False, None),
        ("6 * 5 = 30. 30 - 6 = 24. 24 + = 29.", False, "(6 * 5) - 6 = 24"),
        ("6 × 5 = 30. 30 − 6 = 24. 24 + 5 = 29.", True, "((6 * 5) - 6) + 5 = 29"),
        (r"$6 \times 5 = 30$, $30 - 6 = 24$ and $24 + 5 =$ **29**.", True, "((6 * 5) - 6) + 5 = 29"),
        ("6 – 5 = 1. 1 + 6 = 7. 7 * 5 = 35.", False, "((6 - 5) + 6) * 5 = 35"),
        ("5 *\t6 = 30. 30 – 6\u00a0= 24. 24 + 5 =\n29.", True, "((5 * 6) - 6) + 5 = 29"),
        # A part of a longer equation is no step.
        ("7 + 5 * 6 = 30. 30 - 6 = 24. 24 + 5 = 29.", False, "(30 - 6) + 5 = 29"),
        ("9 * 5 * 6 = 30. 30 - 6 = 24. 24 + 5 = 29.", False, "(30 - 6) + 5 = 29"),
        ("-5 * 6 = 30. 30 - 6 = 24. 24 + 5 = 29.", False, "(30 - 6) + 5 = 29"),
        ("5 * 6 = 30 / 2. 30 - 6 = 24. 24 + 5 = 29 - 40", False, "30 - 6 = 24"),
        ("It is 29.", False, None),
        ("", False, None),
    ],
)
def test_numbers_and_signs_have_to_make_the_goal(text: str, correct: bool, extracted: str | None) -> None:
    problem = Problem(id="p", question="?", target="29", metadata={"numbers": [5, 6, 6, 5], "goal": 29})
    grade = Forks().grade(problem, text)
    assert (grade.correct, grade.extracted) == (correct, extracted)
    # The third answer is right by false steps.
    assert grade.verdicts["sound"] == (correct and "6 * 5 = 36" not in text)


@pytest.mark.parametrize(
    ("text", "started"),
    [
        ("6 * 5 = 30. 30 - 6 = 24. 24 + 5 = 28.", True),
        # A chain that breaks has come to an end as well, and so has one that says the goal too early.
        ("6 * 5 = 30. 24 + 6 = 30. 30 - 1 = 29.", True),
        ("We pass 29. 6 * 5 = 30. Therefore that leaves 30 - 1 = 29.", True),
        ("6 * 5 = 30. 30 - 6 = 24. So 24 + 5 =", True),
        ("6 * 5 = 30. 30 - 6 = 24. So 24 +", False),
        ("We pass 29. Notice that 6 * 5 = 30.", False),
        ("6 * 5 = 30. 24 + 6 = 30.", False),
        ("We pass 29.", False),
    ],
)
def test_the_last_step_is_the_answer(text: str, started: bool) -> None:
    problem = Problem(id="p", question="?", target="29", metadata={"numbers": [5, 6, 6, 5], "goal": 29})
    grade = Forks().grade(problem, text)
    assert answer_started(text, grade.extracted, grade.rule) is started


@given(
    st.lists(st.tuples(st.integers(1, 6), st.sampled_from("+-*"), st.integers(1, 6), st.integers(0, 12)), max_size=3)
)
@settings(max_examples=300, deadline=None)
def test_sound_is_a_chain_without_fault_that_ends_at_the_goal_and_is_correct(
    equations: list[tuple[int, str, int, int]],
) -> None:
    text = " ".join(f"{left} {sign} {right} = {said}." for left, sign, right, said in equations)
    for numbers in ((1, 2, 3), (2, 3), (1, 1, 2, 4)):
        for goal in (5, 6):
            problem = Problem(id="p", question="?", target="", metadata={"numbers": list(numbers), "goal": goal})
            reached = bool(equations) and equations[-1][3] == goal
            grade = Forks().grade(problem, text)
            whole = fault_in_chain(text, numbers) is None
            assert grade.verdicts["sound"] == (whole and reached) <= grade.correct


@given(st.lists(st.sampled_from(["1", "23", "+", "-", "*", "=", ".", " ", "a", "\n", "\U0001d7d9"])).map("".join))
@settings(max_examples=200, deadline=None)
def test_any_text_gets_a_verdict(text: str) -> None:
    problem = Problem(id="p", question="?", target="24", metadata={"numbers": [1, 23], "goal": 24})
    grade = Forks().grade(problem, text)
    assert grade.verdicts["sound"] <= grade.correct


@pytest.mark.parametrize(
    "fields",
    [{"min_numbers": 1}, {"max_numbers": 6}, {"max_number": 0}, {"min_goal": 0}, {"max_goal": 61}, {"size": 0},
     {"min_goal": 30, "max_goal": 20}, {"split": "dev"}],
)  # fmt: skip
def test_impossible_settings_are_refused(fields: dict[str, object]) -> None:
    with pytest.raises(InputError):
        Forks(**fields)  # type: ignore[arg-type]


def test_settings_that_allow_too_few_puzzles_are_refused() -> None:
    with pytest.raises(InputError, match="only"):
        Forks(min_numbers=2, max_numbers=2, max_number=2, min_goal=1).problems()
    with pytest.raises(InputError, match="no test puzzle"):
        Forks(min_numbers=2, max_numbers=2, max_number=1, min_goal=50, max_goal=60).problems()
