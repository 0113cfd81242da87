"""The sections on tokens: what they say of orders and words whose numbers are known."""

from __future__ import annotations

import pytest
from report_runs import PIECES, run_set, write_run

from flexeval.report.task_runs import by_task
from flexeval.report.tokens import bypass_section, entropy_section, measure_words, order_section
from flexeval.stats.ranks import non_top_rate, proposal_against_commit


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    return run_set(write_run(folder / "ar"), write_run(folder / "other", order="confidence"))


def cells(runs, *, table):
    """Run -> its cells in a table of the section."""
    ((_, parts),) = order_section(by_task(runs)).tasks
    return {label: row for label, *row in parts[table].rows}


def test_ar_is_all_from_left_to_right_and_alike(runs):
    ar, other = cells(runs, table=0)["ar"], cells(runs, table=0)["confidence"]
    assert ar[:4] == ["100.0 [100.0, 100.0]"] * 4
    # The odd positions from left to right, then the even ones: no commit is right after the one before.
    assert other[:2] == ["0.0 [0.0, 0.0]"] * 2
    # Of 15 commits one at a time, the eight at even positions are at the leftmost mask.
    assert len(PIECES) == 15 and other[2] == "53.3 [53.3, 53.3]"
    # All samples of a run have one order.
    assert ar[4] == other[4] == "0.0 [0.0, 0.0]"


def test_what_was_likeliest_is_that_of_the_token_table(runs):
    expected = proposal_against_commit(runs[0].tokens(), bins=5)
    said = [cell for cell in cells(runs, table=1)["ar"] if cell != "–"]
    assert said == [f"{100 * row.committed:.1f} ({100 * row.top_prob:.1f})" for row in expected.itertuples()]
    rate = non_top_rate(runs[0].tokens()).estimate
    assert cells(runs, table=0)["ar"][5].startswith(f"{100 * rate:.1f} [")


def test_a_run_without_text_is_named(tmp_path):
    empty = run_set(write_run(tmp_path / "run", finished=0))
    ((_, (note,)),) = order_section(by_task(empty)).tasks
    assert "no text to measure yet" in note


def test_words_have_the_entropies_and_bypass_rates_of_their_first_tokens(runs):
    quantities = ("entropy", "eligible_entropy", "frontier_entropy")
    (measured,) = map(measure_words, by_task(runs))
    ((_, (entropies, *_)),) = entropy_section([measured], ()).tasks
    ((_, (rates, *_)),) = bypass_section([measured], ()).tasks
    said = {(label, of): cells for label, of, *cells in entropies.rows}
    bypassed = {label: cells for label, *cells in rates.rows}
    for run in runs:
        order, tokens = run.config.order, run.tokens()
        (words,) = run.word_parts([*quantities, "passes"])
        for of, rows in (
            ("all tokens", tokens[tokens["in_text"]]),
            ("connectors", words[words["connector"]]),
            ("other words", words[~words["connector"]]),
        ):
            cells = said.pop((order, of))
            assert int(cells[-1]) == len(rows) > 0
            for cell, quantity in zip(cells, quantities, strict=False):
                known = rows[quantity].dropna()
                assert cell.split(" ")[0] == (f"{known.mean():.2f}" if len(known) else "–")
        for cell, connector in zip(bypassed.pop(order), (True, False), strict=False):
            share = (words.loc[words["connector"] == connector, "passes"] > 0).mean()
            assert cell.split(" ")[0] == f"{100 * share:.1f}"
    assert not said and not bypassed
