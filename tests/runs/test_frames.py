"""Frames of runs, samples read back from a run, and what a notebook shows of both."""

from __future__ import annotations

import dataclasses
import inspect
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from runs_fakes import CONFIG, extended, make, trajectory

import flexeval
from flexeval.errors import InputError
from flexeval.records import Sample
from flexeval.runs.store import SETTINGS, Run, RunSet, pooled, read_runs
from flexeval.runs.tokens import SCHEMA


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return make(CONFIG, tmp_path / "run")


def test_a_sample_of_a_run_is_the_one_that_was_drawn(run: Run) -> None:
    for place, sample_index in ((0, 0), (3, 2)):
        found, drawn = run.sample(place, sample_index).trajectory, trajectory(f"p{place}", sample_index)
        committed = drawn.commit_step_G >= 0
        for field in dataclasses.fields(drawn):
            ours, theirs = getattr(found, field.name), getattr(drawn, field.name)
            if field.name == "revisions":
                assert len(ours) == len(theirs) == 0
            elif field.name.endswith("_G"):
                np.testing.assert_array_equal(ours[committed], theirs[committed])
                assert ours.dtype == theirs.dtype
            else:
                assert ours == theirs


def test_the_frame_of_a_sample_is_its_part_of_the_token_table(run: Run) -> None:
    sample = run.sample("p2", 1)
    frame, table = sample.to_frame(), run.tokens()
    assert list(frame.columns) == SCHEMA.names
    part = table[(table["problem_id"] == "p2") & (table["sample_index"] == 1)].reset_index(drop=True)
    for name in SCHEMA.names:
        assert frame[name].tolist() == pytest.approx(part[name].tolist(), nan_ok=True), name
        assert isinstance(part[name].dtype, pd.CategoricalDtype) or frame[name].dtype == part[name].dtype
    assert "".join(frame["piece"][frame["in_text"]]) == sample.text


def test_a_sample_that_is_not_there_is_an_error(run: Run) -> None:
    for asked, words in (((9,), "give 0 to 3"), (("p9",), "4 ids such as"), ((0, 3), "3 of them")):
        with pytest.raises(InputError, match=words):
            run.sample(*asked)


def test_frames_of_several_runs_can_be_told_apart_and_add_up(tmp_path: Path) -> None:
    for seed in (0, 1):
        sampling = dataclasses.replace(CONFIG.sampling, seed=seed)
        make(extended(sampling=sampling), tmp_path / f"seed-{seed}")
    runs = read_runs(tmp_path)
    samples, tokens = runs.to_frame(), runs.tokens()
    assert list(samples.columns[: len(SETTINGS) + 1]) == ["run", *SETTINGS]
    assert list(samples["run"].unique()) == runs.labels() == list(tokens["run"].unique())
    assert len(samples) == sum(len(run.samples) for run in runs) == 24
    for run, label in zip(runs, runs.labels(), strict=True):
        own = tokens[tokens["run"] == label].drop(columns=["run", "model", "task", "order", "temperature"])
        assert own["piece"].tolist() == run.tokens()["piece"].tolist()
    assert isinstance(tokens["piece"].dtype, pd.CategoricalDtype)
    assert list(runs.tokens(["entropy"]).columns) == ["run", "model", "task", "order", "temperature", "entropy"]
    (together,) = pooled(runs)
    assert together.to_frame()["seed"].unique().tolist() == ["0+1"]
    assert together.sample(1, 4).text == runs[1].sample(1, 1).text


def test_runs_are_read_from_one_name_or_several(tmp_path: Path) -> None:
    make(CONFIG, tmp_path / "runs" / "one")
    make(extended(order="random"), tmp_path / "runs" / "two")
    folder = tmp_path / "runs"
    for given in (folder, str(folder), [folder], [str(folder / "one"), folder / "two"], (folder,), iter([folder])):
        assert flexeval.read_runs(given).labels() == ["ar", "random"]  # type: ignore[arg-type]


def test_no_two_runs_have_one_label(tmp_path: Path) -> None:
    """Of one setting on two machines, with fewer problems, or copied: rows of two runs are never one run's."""
    make(CONFIG, tmp_path / "a")
    make(CONFIG, tmp_path / "b")
    make(extended(limit=2), tmp_path / "fewer")
    make(extended(order="random"), tmp_path / "other")
    runs = read_runs(tmp_path)
    assert runs.labels() == ["ar", "ar (2)", "ar (3)", "random"]
    assert runs.tokens().groupby("run").size().to_dict() == {
        label: len(run.tokens()) for label, run in zip(runs.labels(), runs, strict=True)
    }


def test_paths_are_texts_or_paths_in_every_public_function() -> None:
    """An argument that is a path may be given as text, wherever a user calls."""
    from flexeval import figures, report, tasks
    from flexeval.grpo import training
    from flexeval.reproduce import plan, results
    from flexeval.runs import completions, grading, imported, prompt_file, runner, store

    modules = (flexeval, figures, report, tasks, training, plan, results, completions, grading, imported, prompt_file,
               runner, store)  # fmt: skip
    internal = {"RunWriter", "Run", "PooledRun", "RunSet"} | {"open_run", "reopen_run", "check_new_folder", "lineage"}
    seen = 0
    for module in modules:
        names = getattr(module, "__all__", None) or [
            name for name, value in vars(module).items() if getattr(value, "__module__", "") == module.__name__
        ]
        for name in names:
            function = getattr(module, name)
            if name.startswith("_") or name in internal or not inspect.isfunction(function):
                continue
            # As written: what they name may be imported for the type checker only.
            for parameter, hint in function.__annotations__.items():
                if parameter != "return" and re.search(r"\bPath\b", str(hint)):
                    seen += 1
                    assert re.search(r"\bstr\b", str(hint)), f"{module.__name__}.{name}({parameter})"
    assert seen > 10


class _Texts(HTMLParser):
    """The elements and the visible text of some HTML."""

    def __init__(self) -> None:
        super().__init__()
        self.elements: set[str] = set()
        self.text = ""

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.elements.add(tag)

    def handle_data(self, data: str) -> None:
        self.text += data


def _read(html: str) -> _Texts:
    parser = _Texts()
    parser.feed(html)
    return parser


HOSTILE = ["<script>alert(1)</script>", '"><img src=x onerror=y>', "\x1b[31m", "\u202egnp"]


def test_what_a_model_wrote_stays_text(run: Run) -> None:
    drawn = trajectory("<b>p</b>", 0)
    pieces = (HOSTILE * 2)[: drawn.length] + [""] * (8 - drawn.length)
    for size in (drawn.length, 0):
        whole = dataclasses.replace(drawn, length=size)
        html = Sample(text="".join(pieces[:size]), pieces=pieces, trajectory=whole)._repr_html_()
        assert _read(html).elements <= {"div", "span"}
        assert not re.search("[\x00-\x08\x1b\u202e]", html)
    assert drawn.length > 0 and "&lt;script&gt;" in Sample(text="", pieces=pieces, trajectory=drawn)._repr_html_()
    named = dataclasses.replace(run, config=extended(model="<script>1</script>"))
    for shown in (named, RunSet((named, run))):
        page = _read(shown._repr_html_())
        assert page.elements <= {"div", "span", "b", "table", "thead", "tbody", "tr", "th", "td"}
        assert "<script>1</script>" in page.text


def test_a_repr_is_short(run: Run) -> None:
    sample = run.sample(1)
    for shown in (run, sample, sample.trajectory, *RunSet((run, run)).runs):
        assert len(repr(shown)) < 200 and "\n" not in repr(shown)
    assert "4 problems x 3 samples" in repr(run) and "ar" in repr(run)
    assert len(repr(RunSet((run, run))).splitlines()) == 3


def test_a_notebook_sees_settings_pass_at_k_and_every_token(run: Run) -> None:
    page = _read(run._repr_html_())
    assert "pass@3" in page.text and "temperature" in page.text and str(run.folder) in page.text
    drawn = trajectory("p1", 0)
    html = run.sample("p1")._repr_html_()
    assert html.count(" title=") == 2 * drawn.length  # by entropy, and by step
    assert html.count("underline") // 2 == 2 * int((drawn.passes_G[: drawn.length] > 0).sum())
    unfinished = dataclasses.replace(run, samples=run.samples.iloc[:0])
    assert "0 of 12 samples" in _read(unfinished._repr_html_()).text.replace("\xa0", " ")
