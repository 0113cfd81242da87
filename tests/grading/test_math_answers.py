"""Extraction of the final answer: which rule finds what."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flexeval.grading.answers import answer_started, before_end_token, extract_answer


@pytest.mark.parametrize(
    ("completion", "text", "rule"),
    [
        (r"so \boxed{5}.", "5", "boxed"),
        (r"\boxed{1} and then \boxed{2}", "2", "boxed"),
        (r"\boxed{5} or \boxed{}", "5", "boxed"),
        (r"\boxed{5} like \boxed{...}", "5", "boxed"),
        (r"\boxed{\frac{1}{\sqrt{2}}}", r"\frac{1}{\sqrt{2}}", "boxed"),
        (r"\boxed{\{1, 2\}}", r"\{1, 2\}", "boxed"),
        (r"\boxed{\left\{ x \mid x > 0 \right\}}", r"\left\{ x \mid x > 0 \right\}", "boxed"),
        (r"\boxed{\boxed{5}}", "5", "boxed"),
        (r"\boxed{x = \boxed{5}}", "5", "boxed"),
        (r"\fbox{5}", "5", "boxed"),
        (r"\boxed {5}", "5", "boxed"),
        (r"<answer>boxed{5}</answer>", "5", "boxed"),
        ("\\boxed{\n\\begin{pmatrix} 1 \\\\ 2 \\end{pmatrix}\n}", r"\begin{pmatrix} 1 \\ 2 \end{pmatrix}", "boxed"),
        (r"\boxed{7} but <answer>8</answer>", "7", "boxed"),
        ("\\boxed{120\n</answer}", "120", "boxed"),
        (r"<answer> 8 </answer>", "8", "answer-tag"),
        ("<answer>7</answer> no, <answer>8", "8", "answer-tag"),
        ("<answer>8</answer> <answer> </answer>", "8", "answer-tag"),
        (r"<answer>\boxed{8</answer>", "8", "answer-tag"),
        ("\\boxed{\\frac{1}{2}\n so", r"\frac{1}{2}", "open-boxed"),
        (r"\boxed{12 <answer>", "12", "open-boxed"),
        (r"\boxed 42", "42", "boxed"),
        (r"so $\boxed 42$.", "42", "boxed"),
        (r"\boxed42, as asked", "42", "boxed"),
        (r"\boxed\frac{1}{2}", r"\frac{1}{2}", "boxed"),
        (r"\boxed -3 \text{ cm} because", r"-3 \text{ cm}", "boxed"),
        (r"\boxed{\boxed 42}", "42", "boxed"),
        (r"\boxed{3}, \boxed{-1}", "3, -1", "boxed"),
        (r"$\boxed{3}$ and $\boxed{-1}$.", "3, -1", "boxed"),
        (r"\boxed{-2} \quad \text{and} \quad \boxed{1}", "-2, 1", "boxed"),
        (r"\boxed{1}\boxed{2} or \boxed 3", "1, 2, 3", "boxed"),
        (r"x = \boxed{2}, y = \boxed{4}", "x = 2, y = 4", "boxed"),
        (r"**\boxed{1}** and **\boxed{2}**", "1, 2", "boxed"),
        (r"\boxed{1} \text{, } \boxed{2}", "1, 2", "boxed"),
        (r"x = \boxed{2}", "2", "boxed"),
        (r"\boxed{5}, \boxed{5}", "5", "boxed"),
        (r"\boxed{3}. So \boxed{5}", "5", "boxed"),
        ("\\boxed{3}\n\n\\boxed{5}", "5", "boxed"),
        (r"\boxed{3} no \boxed{5}", "5", "boxed"),
        ("\\boxed{18}\n\nQuestion: How many?\n\\boxed{7}", "18", "boxed"),
        ("Question: How many?\n\\boxed{7}", "7", "boxed"),
        ("\\boxed{18}\nUser: And then?\n\\boxed{7}", "18", "boxed"),
    ],
)
def test_rules(completion: str, text: str, rule: str) -> None:
    for numeric in (False, True):
        extraction = extract_answer(completion, numeric=numeric)
        assert extraction is not None
        assert (extraction.text, extraction.rule) == (text, rule)


@pytest.mark.parametrize(
    "completion",
    ["", "the answer is 5", "unboxed{5}", r"\boxed{}", r"\boxed{ \ldots }", "<answer>", r"in \boxed format", "#### 5"],
)
def test_without_a_marked_answer_there_is_none(completion: str) -> None:
    assert extract_answer(completion) is None


@pytest.mark.parametrize(
    ("completion", "number"),
    [
        ("it costs $1,234.50.", "1,234.50"),
        ("from 3 to -4 degrees", "-4"),
        ("so 9 - 5", "5"),
        ("that is 1/2 of it", "1/2"),
        ("x1 is not a number, 7 is; y2 is not", "7"),
        (r"\boxed{} 32", "32"),
        ("it is ４２", "42"),
        ("The answer is 18.\n\nQuestion: Tom has 3. The answer is 7", "18"),
        ("There are 3 kinds.\nQuestion: how many apples? It is 7", "7"),
        ("#### Step 1\nso 7", "7"),
        ("#### 1. First\nso 7", "7"),
        ("a total of 5e3", "5e3"),
        ("about 1.5E-3 m, x5e3", "1.5E-3"),
        (r"it is $5 \times 10^{3}$ cm^{2}", r"5 \times 10^{3}"),
        ("it is 5×10³ cm²", "5×10³"),
        ("2^10 ways", "2^10"),
        ("s^-1 is the unit of 20 x_{1}", "20"),
        (r"so $-\frac{7}{2}$.", r"-\frac{7}{2}"),
        (r"so \dfrac12 of 3\frac{1}{4}", r"3\frac{1}{4}"),
        (r"60 \frac{miles}{hour}", "60"),
        ("that is 3 / 4 of it", "3 / 4"),
        ("3½ cups", "3½"),
        (r"it costs $12{,}000", "12{,}000"),
        (r"it costs 12\,000", r"12\,000"),
        ("in 2019 it cost 12 000", "12 000"),
        ("at 7:00 pm", "7:00"),
        ("so $4 million", "4"),
    ],
)
def test_the_last_number_where_asked_for(completion: str, number: str) -> None:
    extraction = extract_answer(completion, numeric=True)
    assert extraction is not None
    assert (extraction.text, extraction.rule) == (number, "last-number")
    assert extract_answer(completion) is None


@pytest.mark.parametrize(
    ("completion", "number"),
    [
        ("2 + 16 = 18\n#### 18", "18"),
        ("#### 18\n\nQuestion: Tom has 3 pears. #### 7", "18"),
        ("#### 18 Question: Tom has 3 pears. #### 7", "18"),
        ("#### 18\n\nTom has 3 pears.\n#### 7", "18"),
        ("#### $1,800", "$1,800"),
        ("#### -5", "-5"),
        ("#### 18 dollars", "18 dollars"),
        ("#### 18 Tom has 3 pears", "18"),
    ],
)
def test_the_mark_of_gsm8k_where_numbers_are_asked_for(completion: str, number: str) -> None:
    extraction = extract_answer(completion, numeric=True)
    assert extraction is not None
    assert (extraction.text, extraction.rule) == (number, "mark")
    assert extract_answer(completion) is None


balanced = st.recursive(
    st.text(string.ascii_letters + string.digits + " +-=,.()", min_size=1).filter(
        lambda text: text.strip(". ") and "boxed" not in text
    ),
    lambda inner: st.lists(inner, min_size=1, max_size=3).map(lambda parts: "".join(f"{{{part}}}" for part in parts)),
    max_leaves=8,
)


@given(st.text(max_size=30).filter(lambda text: "boxed" not in text and not text.endswith("\\")), balanced)
def test_any_balanced_content_comes_out_whole_whatever_stands_before_it(before: str, content: str) -> None:
    """A brace left open before the box, or closed without an opening, changes nothing."""
    extraction = extract_answer(f"{before} \\boxed{{{content}}} and more }} text {{")
    assert extraction is not None
    assert (extraction.text, extraction.rule) == (content.strip(), "boxed")


def test_only_what_stands_before_the_first_end_token_counts() -> None:
    assert before_end_token(r"\boxed{1}<|eot_id|>\boxed{2}<|endoftext|>") == r"\boxed{1}"
    assert before_end_token("no <|end> token") == "no <|end> token"
    assert before_end_token("<|endoftext|>") == ""


@pytest.mark.parametrize(
    ("text", "started"),
    [
        ("so \\boxed{5}", True),
        ("so \\boxed{", True),
        ("then <answer>", True),
        ("3 + 4 = 7\n#### ", True),
        ("Thus the answer is", True),
        ("3 + 4 = 7", False),
        ("a box of answers", False),
        ("", False),
    ],
)
def test_an_answer_has_started_where_a_mark_announces_it(text: str, started: bool) -> None:
    found = extract_answer(text, numeric=True)
    assert answer_started(text, found and found.text, found and found.rule) is started


def test_what_a_grader_read_by_a_rule_of_its_own_is_marked() -> None:
    assert answer_started("Rows: 1234", "1234", None)
    assert not answer_started("return x", "def f(x): return x", "body")
    assert answer_started("Rows: 1 2 3 4 5", None, "rows")
    assert not answer_started("6 * 5 = 30.", "6 * 5 = 30", "steps-so-far")
    assert not answer_started("Rows:", None, None)
