"""The page in a headless Chromium: it opens without a complaint or a request, and its viewer does what the data says.

Needs a Chromium on PATH, or named in FLEXEVAL_CHROMIUM.
"""

from __future__ import annotations

import json
from urllib.parse import urlencode

import pytest
from chromium import Browser, find_chromium
from report_runs import HOSTILE, PIECES, run_set, write_run

from flexeval.report.decodes import decodes, decodes_section
from flexeval.report.page import make_page

TOKENS = "[...document.querySelectorAll('.pane')[{pane}].querySelectorAll('.answer .token')]"


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    program = find_chromium()
    if program is None:
        pytest.skip("needs a Chromium: install one, or name it in FLEXEVAL_CHROMIUM")
    browser = Browser(program, tmp_path_factory.mktemp("profile"))
    yield browser
    browser.close()


def viewer_page(folder, runs):
    played = decodes(runs, budget=10**7)
    path = folder / "page.html"
    path.write_text(make_page("Decodes", "", [decodes_section(played)], played.island), "utf-8")
    return path


@pytest.fixture(scope="module")
def two_orders(tmp_path_factory):
    """AR order, which commits token i at step i, beside an order that commits the odd positions first."""
    folder = tmp_path_factory.mktemp("two")
    runs = run_set(write_run(folder / "ar"), write_run(folder / "confidence", order="confidence"))
    return viewer_page(folder, runs), runs


@pytest.fixture
def opened(browser, two_orders):
    browser.open(two_orders[0])
    yield browser
    assert_quiet(browser)


def assert_quiet(browser):
    assert browser.complaints == []
    assert len(browser.requests) == 1 and browser.requests[0].startswith("file:"), browser.requests


def masked(browser, pane):
    return browser.value(TOKENS.format(pane=pane) + ".map((token) => token.classList.contains('mask'))")


def texts(browser, pane):
    return browser.value(TOKENS.format(pane=pane) + ".map((token) => token.textContent)")


def steps_of(run):
    rows = run.tokens(["problem_id", "sample_index", "commit_step", "passes", "entropy"])
    first = run.samples.iloc[0]
    return rows[(rows["problem_id"] == first["problem_id"]) & (rows["sample_index"] == first["sample_index"])]


def assert_shows(browser, runs, clock):
    """Both panes show what was committed before the clock, and masks elsewhere."""
    assert browser.value("document.querySelector('#viewer').dataset.clock") == str(clock)
    for pane, run in enumerate(runs):
        committed = (steps_of(run)["commit_step"] < clock).tolist()
        assert masked(browser, pane) == [not shown for shown in committed]
        for text, shown, piece in zip(texts(browser, pane), committed, [*PIECES, ""], strict=True):
            assert text == piece if shown else "░" in text and set(text) <= {"░", " "}


def test_it_opens_with_two_finished_answers_and_their_verdicts(opened, two_orders):
    assert_shows(opened, two_orders[1], len(PIECES) + 1)
    assert "".join(texts(opened, 0)) == "".join(PIECES)
    for pane, run in enumerate(two_orders[1]):
        said = opened.value(f"document.querySelectorAll('.verdict')[{pane}].textContent")
        sample = run.samples.iloc[0]
        assert said.startswith("✓ correct" if sample["correct"] else "✗ wrong")
        assert f"answer {sample['extracted']}" in said and f"target {run.problems['target'][0]}" in said
        label = opened.value(f"document.querySelectorAll('.run')[{pane}].selectedOptions[0].textContent")
        assert label == run.config.order


def test_the_buttons_step_both_orders_by_one_clock(opened, two_orders):
    opened.click("#start")
    assert_shows(opened, two_orders[1], 0)
    for clock in (1, 2, 3):
        opened.click("#forward")
        assert_shows(opened, two_orders[1], clock)
    opened.click("#back")
    assert_shows(opened, two_orders[1], 2)
    opened.click("#end")
    assert_shows(opened, two_orders[1], len(PIECES) + 1)


def test_the_keys_step_and_move_the_focus(opened, two_orders):
    opened.click(".answer .token")
    opened.press("Home")
    assert_shows(opened, two_orders[1], 0)
    for _ in range(5):
        opened.press("ArrowRight")
    opened.press("ArrowLeft")
    assert_shows(opened, two_orders[1], 4)
    opened.press("ArrowDown")
    opened.press("ArrowDown")
    opened.press("ArrowUp")
    assert opened.value("document.activeElement.dataset.position") == "1"
    opened.press("End")
    assert_shows(opened, two_orders[1], len(PIECES) + 1)


def test_the_facts_of_a_token_follow_the_clock(opened):
    opened.click(".answer .token")
    said = "document.querySelector('#facts').textContent"
    opened.press("Home")
    assert "still a mask" in opened.value(said)
    opened.press("ArrowRight")
    assert json.dumps(PIECES[0]) in opened.value(said) and "still a mask" not in opened.value(said)
    opened.press("ArrowLeft")
    assert "still a mask" in opened.value(said)


def test_what_was_never_decided_is_no_frontier_at_the_end(browser, tmp_path):
    browser.open(viewer_page(tmp_path, run_set(write_run(tmp_path / "run", holes=[3]))))
    outlined = TOKENS.format(pane=0) + ".findIndex((token) => token.classList.contains('frontier'))"
    assert browser.value(outlined) == -1
    assert masked(browser, 0).index(True) == 3
    browser.click("#back")
    assert browser.value(outlined) == 3
    assert_quiet(browser)


def test_it_plays_to_the_end_and_pauses(opened):
    opened.choose("#speed", "40")
    opened.click(".answer .token")
    opened.press(" ")
    playing = "document.querySelector('#play').getAttribute('aria-label') === 'Pause'"
    assert opened.value(playing)
    opened.press(" ")
    assert not opened.value(playing)
    paused_at = opened.value("document.querySelector('#viewer').dataset.clock")
    assert int(paused_at) < len(PIECES) + 1
    opened.press(" ")
    opened.wait(lambda: not opened.value(playing))
    assert opened.value("document.querySelector('#time').textContent") == f"step {len(PIECES) + 1} of {len(PIECES) + 1}"


def test_the_slider_jumps(opened, two_orders):
    opened.value(
        "{const slider = document.querySelector('#clock'); slider.value = 7; slider.dispatchEvent(new Event('input'));}"
    )
    assert_shows(opened, two_orders[1], 7)


@pytest.mark.parametrize("by", ["step", "entropy"])
def test_colours_are_those_of_the_scale(opened, two_orders, by):
    opened.click(f"input[value={by}]")
    stops = opened.value("document.querySelector('#ramp').style.backgroundImage").split("rgb")[1:]
    stops = [stop.strip("(), ") for stop in stops]
    column = {"step": "commit_step", "entropy": "entropy"}[by]
    rows = [steps_of(run)[column].to_numpy() for run in two_orders[1]]
    high = max(values.max() for values in rows)
    said = opened.value("document.querySelector('#high').textContent")
    assert said == (str(high) if by == "step" else f"{high:.2f} nats")
    for pane, values in enumerate(rows):
        colours = opened.value(TOKENS.format(pane=pane) + ".map((token) => token.style.backgroundColor)")
        for value, colour in zip(values, colours, strict=True):
            place = value / high * (len(stops) - 1)
            if abs(place - round(place)) < 1e-6:
                assert colour == f"rgb({stops[round(place)]})"
        order = sorted(range(len(values)), key=lambda i: values[i])
        light = [sum(weight * int(part) for weight, part in zip((3, 6, 1), colour[4:-1].split(","), strict=True))
                 for colour in colours]  # fmt: skip
        assert [light[i] for i in order] == sorted(light)


def test_bypassed_tokens_are_marked_by_more_than_colour(opened, two_orders):
    for pane, run in enumerate(two_orders[1]):
        lines = opened.value(TOKENS.format(pane=pane) + ".map((token) => getComputedStyle(token).textDecorationStyle)")
        assert [line == "dotted" for line in lines] == (steps_of(run)["passes"] > 0).tolist()
    assert (steps_of(two_orders[1][1])["passes"] > 0).any()


def test_pointer_and_focus_show_the_record_of_a_token(opened, two_orders):
    row = two_orders[1][1].tokens().iloc[2]
    for act in (opened.hover, opened.click):
        act(".pane:nth-child(2) .token:nth-child(3)")
        shown = dict(
            opened.value(
                "[...document.querySelectorAll('#facts div')].map((row) => [...row.children].map((c) => c.textContent))"
            )
        )
        assert shown["Position"] == "2" and shown["Token"] == json.dumps(PIECES[2])
        assert shown["Commit step"] == str(row["commit_step"])
        assert shown["Entropy at commit"] == f"{row['entropy']:.3f} nats"
        assert shown["Probability"] == f"{row['prob']:.4f}"
        assert shown["Passed over"].startswith(str(row["passes"]))
        assert shown["Rank"].startswith(str(row["rank"]))


def test_hostile_texts_are_shown_and_do_nothing(browser, tmp_path):
    runs = run_set(
        write_run(tmp_path / "ar", pieces=HOSTILE, question=HOSTILE[0] + HOSTILE[1], task=f"word-problems{HOSTILE[1]}",
                  grade={"extracted": HOSTILE[0], "error": HOSTILE[1]}, problems=1, samples=1),
    )  # fmt: skip
    browser.open(viewer_page(tmp_path, runs))
    assert "".join(texts(browser, 0)) == "".join(HOSTILE)
    assert browser.value("document.querySelector('#question').textContent") == HOSTILE[0] + HOSTILE[1] + " 0"
    said = browser.value("document.querySelector('.verdict').textContent")
    assert HOSTILE[0] in said and HOSTILE[1] in said
    for position in range(len(HOSTILE) - 1):
        browser.press("ArrowDown") if position else browser.click(".answer .token")
    assert browser.value("document.title") == "Decodes"
    assert browser.value("document.querySelectorAll('img').length") == 0
    assert browser.value("document.querySelectorAll('script').length") == 2
    assert_quiet(browser)


def test_the_policy_stops_what_would_slip_through(browser, two_orders, tmp_path):
    """The same page with a script and an image put in by force: the policy blocks both, so it is in force."""
    page = two_orders[0].read_text("utf-8")
    forced = "<script>document.title = 'taken'</script><img src='https://example.invalid/x.png'>"
    path = tmp_path / "forced.html"
    path.write_text(page.replace("</main>", f"{forced}</main>"), "utf-8")
    browser.open(path)
    assert browser.value("document.title") == "Decodes"
    assert any("Content Security Policy" in complaint for complaint in browser.complaints)


def test_it_fits_a_phone(browser, two_orders):
    browser.open(two_orders[0], width=390, height=844, dark=True)
    assert browser.value("document.documentElement.scrollWidth") <= 390
    assert_quiet(browser)


def choices(browser, name):
    return browser.value(f"[...document.querySelector('#{name}').options].map((one) => one.textContent)")


def choose(browser, name, value):
    browser.value(
        f"(() => {{ const one = document.querySelector('#{name}'); one.value = {json.dumps(value)}; "
        "one.dispatchEvent(new Event('change')); return one.value; })()"
    )


@pytest.fixture(scope="module")
def disagreeing(tmp_path_factory):
    """Three problems, two samples each. AR order: sample j of problem i is correct where i + j is even; order entropy:
    where it is odd."""
    folder = tmp_path_factory.mktemp("disagreeing")
    folders = [
        write_run(folder / order, order=order, sound=lambda i, j: (i, j) == (0, 0)) for order in ("ar", "entropy")
    ]
    return viewer_page(folder, run_set(*folders))


def shown(browser):
    """Problem and sample."""
    chosen = "document.querySelector('#{name}').selectedOptions[0].textContent"
    problem, sample = (browser.value(chosen.format(name=name)) for name in ("problem", "sample"))
    return problem.split(":")[0].rpartition("/")[2], sample.split(":")[0]


def test_samples_are_narrowed_by_what_two_orders_make_of_them(browser, disagreeing):
    browser.open(disagreeing)
    assert choices(browser, "kind") == [
        "all (6)", "only ar right (3)", "only entropy right (3)", "sound (1)", "correct, not sound (5)",
    ]  # fmt: skip
    assert len(choices(browser, "problem")) == 3
    choose(browser, "kind", "is-sound")
    assert [text.split(":")[0] for text in choices(browser, "problem")] == ["word-problems/0"]
    assert choices(browser, "sample") == ["0: ar ✓, entropy ✗"]
    choose(browser, "kind", "only-b")
    assert choices(browser, "sample") == ["1: ar ✗, entropy ✓"]
    assert browser.value("document.querySelector('#place').textContent") == "1 of 3"
    browser.click("#next")
    assert shown(browser) == ("1", "0")
    # Without the second run, only AR order's samples count.
    browser.value(
        "(() => { const one = document.querySelectorAll('.run')[1]; one.value = ''; "
        "one.dispatchEvent(new Event('change')); return 0; })()"
    )
    assert choices(browser, "kind") == [
        "all (6)", "right (3)", "wrong (3)", "sound (1)", "correct, not sound (2)",
    ]  # fmt: skip
    choose(browser, "kind", "all")
    assert len(choices(browser, "problem")) == 3
    assert_quiet(browser)


def test_keys_work_wherever_the_page_is(browser, disagreeing):
    browser.open(disagreeing, height=300)
    before = shown(browser)
    browser.value("scrollTo(0, 1e6)")
    browser.press("ArrowLeft")
    assert browser.value("document.querySelector('#viewer').dataset.clock") == str(len(PIECES))
    browser.press("n")
    after = shown(browser)
    assert after != before
    browser.press("p")
    assert shown(browser) == before
    assert_quiet(browser)


def test_an_address_opens_its_decode_at_its_step(browser, disagreeing):
    said = urlencode({"task": "word-problems", "a": "entropy", "b": "ar", "problem": "word-problems/2", "sample": 1})
    browser.open(disagreeing, at=f"#decode?{said}&step=5")
    assert shown(browser) == ("2", "1")
    assert browser.value("document.querySelector('#viewer').dataset.clock") == "5"
    runs = "[...document.querySelectorAll('.run')].map((one) => one.selectedOptions[0].textContent)"
    assert browser.value(runs) == ["entropy", "ar"]
    # The address follows the reader.
    browser.click("#forward")
    browser.wait(lambda: browser.value("location.hash").endswith("step=6"))
    assert browser.value("location.hash").startswith("#decode?task=word-problems&a=entropy&b=ar")
    assert_quiet(browser)


def test_the_page_begins_by_playing_a_pair_that_differs(browser, disagreeing):
    browser.open(disagreeing, still=False)
    verdicts = browser.value("[...document.querySelectorAll('.verdict strong:first-child')].map((e) => e.className)")
    assert sorted(verdicts) == ["correct", "wrong"]
    browser.wait(lambda: int(browser.value("document.querySelector('#viewer').dataset.clock")) > 1)
    browser.press(" ")
    assert_quiet(browser)


def test_the_list_of_problems_leads_to_a_decode(browser, disagreeing):
    """As from a point of a curve: one click for the list, one for the decode."""
    said = urlencode({"task": "word-problems", "a": "ar", "b": "entropy", "list": 1, "k": 2})
    browser.open(disagreeing)
    browser.value(
        "document.querySelector('main').append(Object.assign(document.createElement('a'), "
        f"{{href: {json.dumps('#decode?' + said)}, id: 'point', textContent: 'k = 2'}})), 0"
    )
    browser.click("#point")
    assert browser.value("document.querySelector('#behind').open")
    rows = browser.value("[...document.querySelectorAll('#behind-rows tr')].map((row) => row.children[1].textContent)")
    assert rows == ["1 of 2100.0 %"] * 3  # Pass@2 of a problem with one of two right
    browser.click("#behind-rows tr:nth-child(3) a:nth-child(2)")
    assert not browser.value("document.querySelector('#behind').open")
    assert shown(browser) == ("2", "1")
    assert_quiet(browser)


def test_a_bar_of_the_chart_goes_to_its_step(opened, two_orders):
    opened.click("#start")
    opened.click(".pane:nth-child(1) .chart .target:nth-child(8)")  # a bar and its target a position: the fourth
    assert_shows(opened, two_orders[1], 4)


def test_a_decode_can_be_copied_as_a_picture(opened):
    """Where the clipboard refuses, it is offered as a file; here only that a picture is made."""
    opened.value(
        "(() => { window.made = null; const own = HTMLCanvasElement.prototype.toBlob;"
        "HTMLCanvasElement.prototype.toBlob = function (done, kind) {"
        "own.call(this, (blob) => { window.made = [blob.type, blob.size, this.width]; done(blob); }, kind); }; })()"
    )
    opened.click("#copy-image")
    opened.wait(lambda: opened.value("window.made") is not None)
    kind, size, width = opened.value("window.made")
    assert kind == "image/png" and size > 5000 and width == 2 * (2 * (620 + 24) + 24)


def test_a_revision_is_played(browser, tmp_path):
    """A token that is taken back shows from its commit on until then, and its place is marked at that step."""
    taken_back = [(0, 1, 3, "Thus"), (0, 4, 6, "As")]
    browser.open(viewer_page(tmp_path, run_set(write_run(tmp_path / "run", order="t2m", taken_back=taken_back))))
    (run,) = run_set(tmp_path / "run")
    last = int(steps_of(run)["commit_step"].iloc[0])
    assert last == 7
    browser.click("#start")
    seen = []
    for _ in range(last + 1):
        classes = browser.value(TOKENS.format(pane=0) + ".map((token) => token.className)[0]").split()
        seen.append((None if "mask" in classes else texts(browser, 0)[0], "revised" in classes))
        browser.click("#forward")
    mask, thus, as_ = (None, False), ("Thus", False), ("As", False)
    assert seen == [mask, mask, thus, thus, (None, True), as_, as_, (None, True)]
    assert texts(browser, 0)[0] == PIECES[0]
