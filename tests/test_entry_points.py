"""Figures, claims, models and families of other packages: found, used and listed; broken ones stop nothing else."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import matplotlib.figure
import pandas as pd
import pytest
from checkpoints import write_llada
from distributions import install, read_again
from published_runs import paper_run

import flexeval
from flexeval.claims import CLAIMS, examine
from flexeval.claims.claim import check_claim_class
from flexeval.cli.main import main
from flexeval.errors import PluginError
from flexeval.figures import FIGURES, make_figures
from flexeval.figures.figure import Figure
from flexeval.models import MODELS
from flexeval.models.families import FAMILIES, family_of
from flexeval.models.files import canonical_name, check_name
from flexeval.registry import Registry
from flexeval.report.figures import Figures
from flexeval.runs.store import RunSet

THEIRS = """
import dataclasses

import pandas as pd

from flexeval.claims import Claim
from flexeval.claims.pass_at_k import PassAtKGap
from flexeval.figures.figure import Figure
from flexeval.figures.pass_at_k import PassAtKFigure, pass_at_k_rows
from flexeval.models import KnownModel
from flexeval.models.families import FAMILIES


class MyFigure(PassAtKFigure):
    name = "my-figure"
    title = "Pass@k of egi"
    source = "theirs"
    needs = "a run of order egi"

    def usable(self, group):
        return group.where(order="egi")

    def rows(self, group):
        return [pass_at_k_rows(run, [1, 2]).drop(columns=["source", "why_no_published"]) for run in group]


class MyClaim(PassAtKGap):
    '''Holds when the interval lies above 0.'''

    name = "my-claim"
    sentence = "egi is better than confidence."
    source = "theirs"
    first, second, at_largest_k = "egi", "confidence", True


class Unfinished(Claim):
    name = "broken"
    sentence = source = "x"


class NoMeasure(MyClaim):
    name = "broken"

    def measure(self, group):
        return 0.5


class Untitled(MyFigure):
    name = "broken"
    title = None


class NoRows(Figure):
    name = "broken"
    title = source = needs = "x"

    def usable(self, group):
        return group

    def drawing(self, data):
        return None


my_model = KnownModel(repo="them/their-model")
nowhere = KnownModel(repo=None)
my_family = FAMILIES.get("llada")
half_a_family = dataclasses.replace(my_family, rename=None)
"""
GROUPS: dict[str, tuple[Registry, str]] = {
    "flexeval.figures": (FIGURES, "my-figure = their_package:MyFigure"),
    "flexeval.claims": (CLAIMS, "my-claim = their_package:MyClaim"),
    "flexeval.models": (MODELS, "my-model = their_package:my_model"),
    "flexeval.families": (FAMILIES, "my-type = their_package:my_family"),
}


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Install a package that registers something of each kind, and under each group given a broken thing."""

    def lay_out(broken: dict[str, str] | None = None) -> None:
        folder = tmp_path / "site"
        folder.mkdir()
        lines = {group: line + "\n" + (broken or {}).get(group, "") for group, (_, line) in GROUPS.items()}
        install(folder, "their-package", THEIRS, lines)
        monkeypatch.syspath_prepend(folder)
        read_again(monkeypatch, *(registry for registry, _ in GROUPS.values()))

    yield lay_out
    sys.modules.pop("their_package", None)


@pytest.fixture
def runs() -> RunSet:
    """Without token rows, as imported ones are."""
    orders, record = ("ar", "confidence", "egi"), {"imported": {}}
    return RunSet(tuple(paper_run(order, samples=8, problems=30, record=record) for order in orders))


def test_their_figure_is_drawn_beside_ours(package, runs, tmp_path):
    package()
    written = make_figures(runs, tmp_path / "figures", ["my-figure", "coverage"])
    assert {path.stem for path in written} == {"my-figure", "coverage"}
    table = pd.read_csv(tmp_path / "figures" / "my-figure.csv")
    assert set(table["order"]) == {"egi"} and list(table["k"]) == [1, 2]


def test_their_claim_stands_in_the_table_and_is_corrected_with_it(package, runs):
    package()
    (finding,) = [finding for finding in examine(runs) if finding.claim == "my-claim"]
    assert finding.measured.startswith("Pass@8, egi minus confidence: ")
    assert finding.verdict != "not measured" and finding.p_holm >= finding.p_value


def test_the_documented_claim_compares_its_two_orders():
    page = (Path(flexeval.__file__).parents[1] / "docs" / "howto" / "own-claim.md").read_text()
    code = page[page.index("from flexeval.claims.pass_at_k import PassAtKGap") :]
    names = {"__name__": __name__}
    exec(code[: code.index("```")], names)
    claim = names["MostUncertainExceedsAr"]
    check_claim_class(claim)
    (finding,) = claim().examine(RunSet((paper_run("ar", samples=8, problems=30),)))
    assert finding.measured.startswith("needs a run of most-uncertain at T = 0.6")


def test_their_model_has_a_short_name(package):
    package()
    check_name("my-model")
    assert canonical_name("them/their-model") == "my-model"
    assert canonical_name("GSAI-ML/LLaDA-8B-Instruct") == "llada-8b-instruct"


def test_a_checkpoint_of_their_family_is_loaded_and_sampled(package, tmp_path):
    folder = write_llada(tmp_path / "checkpoint")
    config = json.loads((folder / "config.json").read_text())
    samples = [[flexeval.sample(flexeval.load_model(folder), ["a"], config=flexeval.SamplingConfig(gen_length=4))]]
    (folder / "config.json").write_text(json.dumps({**config, "model_type": "my-type"}))
    assert family_of({"model_type": "my-type"}) is None
    package()
    samples += [[flexeval.sample(flexeval.load_model(folder), ["a"], config=flexeval.SamplingConfig(gen_length=4))]]
    ours, theirs = ([sample.text for sample in drawn[0][0]] for drawn in samples)
    assert ours == theirs


def test_all_of_it_is_listed(package, capsys: pytest.CaptureFixture[str]):
    package()
    assert main(["ls"]) == 0
    lines = {line.split()[0]: line for line in capsys.readouterr().out.splitlines() if line}
    assert all("from their-package" in lines[name] for name in ("my-figure", "my-claim", "my-model", "my-type"))


BROKEN = {
    "flexeval.figures": [
        ("not_there:Figure", "does not load .*not_there"),
        ("their_package:MyClaim", "no class of figures"),
        ("their_package:MyFigure", "calls itself 'my-figure'"),
        ("their_package:Untitled", "figure 'broken' has no title"),
        ("their_package:NoRows", r"figure 'broken' has no method rows\(\)"),
    ],
    "flexeval.claims": [
        ("not_there:Claim", "does not load .*not_there"),
        ("their_package:my_model", "no class of claims"),
        ("their_package:MyClaim", "calls itself 'my-claim'"),
        ("their_package:Unfinished", r"no method measure\(\)"),
    ],
    "flexeval.models": [
        ("not_there:model", "does not load .*not_there"),
        ("their_package:MyClaim", "is no KnownModel"),
        ("their_package:nowhere", "repo None is no hub id"),
    ],
    "flexeval.families": [
        ("not_there:family", "does not load .*not_there"),
        ("their_package:my_model", "is no Family"),
        ("their_package:half_a_family", "rename must be a function"),
    ],
}


@pytest.mark.parametrize(("group", "value", "says"), [(group, *row) for group, rows in BROKEN.items() for row in rows])
def test_what_cannot_be_used_says_why_and_stops_nothing_else(
    package, runs, capsys: pytest.CaptureFixture[str], group, value, says
):
    package({group: f"broken = {value}"})
    registry, line = GROUPS[group]
    with pytest.raises(PluginError, match=f"'broken' of their-package cannot be used: entry point.*{says}") as error:
        registry.get("broken")
    assert "\n" not in str(error.value)
    good = line.partition(" ")[0]
    assert registry.get(good) and good in dict(registry.usable()) and "broken" not in dict(registry.usable())

    kind = group.partition(".")[2]
    assert main(["ls", kind]) == 0
    listed = {line.split()[0]: line for line in capsys.readouterr().out.splitlines()}
    assert "cannot be used" in listed["broken"] and "cannot be used" not in listed[good]


def test_a_broken_figure_is_left_out_and_a_broken_claim_is_not_measured(package, runs, tmp_path):
    package({"flexeval.figures": "broken = not_there:Figure", "flexeval.claims": "broken = not_there:Claim"})
    said: list[str] = []
    written = {path.stem for path in make_figures(runs, tmp_path / "figures", say=said.append)}
    assert {"my-figure", "coverage"} <= written
    assert any(line.startswith("left out: figure 'broken' of their-package cannot be used") for line in said)
    with pytest.raises(PluginError):
        make_figures(runs, tmp_path / "figures", ["broken"])
    (finding,) = [finding for finding in examine(runs) if finding.claim == "broken"]
    assert finding.verdict == "not measured" and "does not load" in finding.measured
    assert "does not load" in str(Figures(runs).others())


def test_a_broken_model_does_not_stop_others(package):
    package({"flexeval.models": "broken = not_there:model", "flexeval.families": "broken = not_there:family"})
    assert canonical_name("them/their-model") == "my-model"
    assert canonical_name("GSAI-ML/LLaDA-8B-Instruct") == "llada-8b-instruct"
    assert family_of({"model_type": "llada"}) is FAMILIES.get("llada")


# ----- what they answer -----


def test_a_claim_that_measures_something_else_is_named(package, runs):
    package({"flexeval.claims": "broken = their_package:NoMeasure"})
    (finding,) = [finding for finding in examine(runs) if finding.claim == "broken"]
    assert finding.verdict == "not measured"
    assert "measure() of claim 'broken' must return a flexeval.claims.Measured, not a float" in finding.measured


GOOD_ROWS = pd.DataFrame({"estimate": [0.5]})


@pytest.mark.parametrize(
    ("members", "says"),
    [
        ({"usable": lambda self, group: None}, r"usable\(\) of figure 'mine' must return a RunSet, not a NoneType"),
        ({"rows": lambda self, group: None}, r"rows\(\) of figure 'mine' must return a list of DataFrames, not a None"),
        ({"rows": lambda self, group: [1]}, "list of DataFrames, not a int"),
        ({"rows": lambda self, group: GOOD_ROWS}, "list of DataFrames, not a str"),
        ({"rows": lambda self, group: [GOOD_ROWS]}, "lacks the columns model, task, order"),
        ({"data": lambda self, runs: None}, r"data\(\) of figure 'mine' must return a DataFrame"),
        ({"drawing": lambda self, data: None}, r"drawing\(\) of figure 'mine' must return a matplotlib Figure"),
    ],
)
def test_a_figure_that_answers_something_else_is_named(runs, members, says):
    from flexeval.figures.settings import with_settings

    good = {
        "usable": lambda self, group: group,
        "rows": lambda self, group: [with_settings(GOOD_ROWS, run) for run in group],
        "drawing": lambda self, data: matplotlib.figure.Figure(),
        **dict.fromkeys(("title", "source", "needs"), "x"),
        "name": "mine",
    }
    figure = type("Mine", (Figure,), {**good, **members})()
    with pytest.raises(PluginError, match=says):
        figure.draw(figure.data(runs))
