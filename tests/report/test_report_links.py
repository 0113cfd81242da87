"""Addresses of decodes: which two runs a page is about, and what a row behind a figure leads to."""

from __future__ import annotations

import dataclasses
from urllib.parse import parse_qsl

import pandas as pd
import pytest
from report_runs import run_set, write_run

from flexeval.figures.settings import with_settings
from flexeval.report.headline import headline
from flexeval.report.links import START, Links, main_pair
from flexeval.report.task_runs import by_task
from flexeval.runs.store import RunSet
from flexeval.stats.pass_at_k import pass_at_k_table


@pytest.fixture(scope="module")
def groups(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    size = {"problems": 6, "samples": 4}
    orders = ("entropy", "ar", "confidence")
    return by_task(run_set(*(write_run(folder / order, order=order, **size) for order in orders)))


def said(address):
    assert address.startswith(START)
    return dict(parse_qsl(address.removeprefix(START)))


def test_the_main_pair_is_ar_order_and_the_papers_arbitrary_order(groups):
    assert main_pair(groups[0]) == (1, 2)


def test_of_several_block_lengths_it_is_the_papers(tmp_path):
    """Block 32, or the whole canvas where that is shorter: with a block of 1 every order is AR order."""
    folders = [
        write_run(tmp_path / "ar"),
        *(write_run(tmp_path / str(b), order="confidence", block=b) for b in (1, 16, 8)),
    ]
    (group,) = by_task(run_set(*folders))
    first, second = main_pair(group)
    assert group.runs[first].config.order == "ar" and group.runs[second].config.sampling.block == 16


def test_one_order_alone_is_no_pair(tmp_path):
    assert main_pair(by_task(run_set(write_run(tmp_path / "ar")))[0]) is None


def test_runs_that_differ_in_more_than_their_order_are_no_pair_and_rows_do_not_tell_them_apart(groups):
    ar, confidence = (groups[0].runs[place] for place in (1, 2))
    cut = dataclasses.replace(confidence.config.sampling, top_p=0.5)
    other = dataclasses.replace(confidence, config=dataclasses.replace(confidence.config, sampling=cut))
    assert main_pair(by_task(RunSet((ar, other)))[0]) is None
    (three,) = by_task(RunSet((other, ar, confidence)))
    assert main_pair(three) == (1, 2)
    assert Links([three]).of({**settings_of(confidence), "k": 2}) is None
    assert said(Links([three]).of({**settings_of(ar), "k": 2}))["b"] == three.labels[2]


@pytest.mark.parametrize(
    ("order", "pair"),
    [("ar", ("ar", "confidence")), ("entropy", ("ar", "entropy")), ("ar, confidence", ("ar", "confidence"))],
)
def test_a_row_leads_to_its_run_beside_ar_order(groups, order, pair):
    run = groups[0].runs[1]
    row = {**settings_of(run), "order": order, "k": 4}
    assert said(Links(groups).of(row)) == {
        "task": "word-problems", "a": pair[0], "b": pair[1], "list": "1", "k": "4",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("about", "what"),
    [
        ({"problem_id": "word-problems/3", "k": float("nan")}, {"problem": "word-problems/3"}),
        ({"word": "So"}, {"word": "So"}),
        ({"group": "Then", "estimate": 1.0}, {"word": "Then"}),
        ({"group": "other words"}, {"list": "1"}),
        ({"part": "confidence_only"}, {"list": "1", "part": "b"}),
        ({"k": 2.0}, {"list": "1", "k": "2"}),
    ],
)
def test_a_row_leads_to_what_it_is_about(groups, about, what):
    address = Links(groups).of({**settings_of(groups[0].runs[2]), **about})
    assert said(address) == {"task": "word-problems", "a": "ar", "b": "confidence", **what}


def test_a_row_of_no_run_of_the_page_leads_nowhere(groups):
    settings = settings_of(groups[0].runs[0])
    for other in ({"task": "gsm8k"}, {"model": "another"}, {"temperature": 0.1}, {"order": "random"}):
        assert Links(groups).of({**settings, **other}) is None


def test_the_headline_has_the_numbers_of_the_main_pair(groups):
    (sentence,) = headline(groups)
    ar, confidence = (pass_at_k_table(groups[0].runs[place].counts(), [1, 4]).mean() for place in (1, 2))
    for k in (1, 4):
        assert f"at k = {k}, confidence solves {100 * confidence[k]:.1f} %" in sentence
        assert f"ar {100 * ar[k]:.1f} %" in sentence
    assert sentence.count("unresolved") == 2


def settings_of(run):
    return with_settings(pd.DataFrame({"x": [1]}), run).to_dict("records")[0]
