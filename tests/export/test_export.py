"""Exports, read back by the libraries that they are for."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pandas as pd
import pytest
from runs_fakes import CONFIG, extended, make

from flexeval.cli.main import main
from flexeval.errors import InputError
from flexeval.export import write_hub_folder, write_inspect_logs
from flexeval.runs.frames import SETTINGS
from flexeval.runs.store import Run, RunSet, read_runs


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> RunSet:
    """Two orders; questions, texts and names that are HTML, YAML and Markdown."""
    folder = tmp_path_factory.mktemp("runs")
    make(CONFIG, folder / "ar")
    make(extended(order="confidence"), folder / "confidence")
    return RunSet(tuple(with_texts(run) for run in read_runs(folder)))


TEXTS = ("<script>alert(1)</script>", "---\nconfigs: []\n---", "a | b", "", "\x1b[31m \u202e", "plain")


def with_texts(run: Run) -> Run:
    """The run with texts that would be something else in HTML, YAML or Markdown, and a second verdict."""
    texts = [TEXTS[place % len(TEXTS)] for place in range(len(run.samples))]
    sound = [{"sound": place % 3 == 0} for place in range(len(run.samples))]
    return dataclasses.replace(run, samples=run.samples.assign(text=texts, verdicts=sound))


def test_a_log_is_the_run_in_the_eyes_of_inspect(runs: RunSet, tmp_path: Path) -> None:
    log = pytest.importorskip("inspect_ai.log")
    paths = write_inspect_logs(runs, tmp_path / "logs")
    assert len(log.list_eval_logs(str(tmp_path / "logs"))) == 2
    for path, run in zip(paths, runs, strict=True):
        read = log.read_eval_log(str(path))
        assert read.status == "success" and read.eval.model == f"flexeval/{run.model}"
        assert read.eval.metadata["order"] == run.config.order
        assert read.eval.config.epochs == run.config.num_samples
        accuracy = read.results.scores[0].metrics["accuracy"].value
        assert accuracy == pytest.approx(run.samples["correct"].mean())
        counts = run.counts()
        assert read.results.scores[0].metrics["pass_at_3"].value == pytest.approx((counts["c"] > 0).mean())
        by_key = {(sample.id, sample.epoch - 1): sample for sample in read.samples}
        assert len(by_key) == len(run.samples)
        problems = run.problems.set_index("problem_id")
        for row in run.samples.to_dict("records"):
            sample = by_key[row["problem_id"], row["sample_index"]]
            assert sample.output.completion == row["text"]
            assert sample.input == problems["question"][row["problem_id"]]
            assert sample.scores["correct"].value == ("C" if row["correct"] else "I")
            assert sample.scores["correct"].answer == row["extracted"]
            assert sample.output.usage.output_tokens == row["length"]
    again = write_inspect_logs(runs, tmp_path / "logs")
    assert again == paths and sorted((tmp_path / "logs").iterdir()) == sorted(paths)


def test_the_verdict_that_counts_comes_first(runs: RunSet, tmp_path: Path) -> None:
    log = pytest.importorskip("inspect_ai.log")
    (path,) = write_inspect_logs(RunSet((runs[0].counting("sound"),)), tmp_path)
    assert [score.name for score in log.read_eval_log(str(path)).results.scores] == ["sound", "correct"]


def test_without_inspect_one_line_says_what_to_install(
    runs: RunSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "inspect_ai.log", None)
    with pytest.raises(InputError, match=r"pip install \"flexeval-dllm\[export\]\""):
        write_inspect_logs(runs, tmp_path / "logs")
    assert not (tmp_path / "logs").exists()


def test_the_folder_is_a_data_set(runs: RunSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    datasets = pytest.importorskip("datasets")
    out = tmp_path / "hub"
    write_hub_folder(runs, out)

    def load(name: str) -> pd.DataFrame:
        loaded = datasets.load_dataset(str(out), name, split="train", cache_dir=str(tmp_path / "cache"))
        frame: pd.DataFrame = loaded.to_pandas()
        return frame

    samples, tokens = load("samples"), load("tokens")
    whole = runs.to_frame()
    for name in ("run", "order", "problem_id", "sample_index", "text", "correct", "nfe", "length"):
        assert samples[name].tolist() == whole[name].tolist(), name
    assert samples["question"].tolist() == [
        question for run in runs for question in run.problems["question"].repeat(run.config.num_samples)
    ]
    rows = runs.tokens()
    for name in ("run", "problem_id", "piece", "commit_step", "entropy", "passes"):
        assert tokens[name].tolist() == pytest.approx(rows[name].tolist()), name
    assert load("runs")["order"].tolist() == ["ar", "confidence"]


def test_the_card_says_what_counts_and_what_every_column_is(runs: RunSet, tmp_path: Path) -> None:
    write_hub_folder(runs.counting("sound"), tmp_path)
    card, samples = (tmp_path / "README.md").read_text(), pd.read_parquet(tmp_path / "samples" / "all.parquet")
    assert "over problems; counted: sound\n" in card
    assert [name for name in samples if f"- `{name}`: " not in card and name not in SETTINGS] == []
    never = runs.tokens().query("frontier_step == -1")
    assert never["frontier_entropy"].isna().all() and "-1 and NaN if it never was" in card


def test_a_folder_of_somebody_else_is_left_alone(runs: RunSet, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("x")
    with pytest.raises(InputError, match=r"mine\.txt"):
        write_hub_folder(runs, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_each_run_has_the_questions_of_its_own_task(runs: RunSet, tmp_path: Path) -> None:
    first, second = runs
    other = dataclasses.replace(second, problems=second.problems.assign(question="another", target="9"))
    write_hub_folder(RunSet((first, other)), tmp_path)
    rows = pd.read_parquet(tmp_path / "samples" / "all.parquet")
    asked = {label: set(own["question"]) for label, own in rows.groupby("run")}
    assert asked == {"ar": set(first.problems["question"]), "confidence": {"another"}}


def test_two_copies_of_one_run_have_their_own_rows(runs: RunSet, tmp_path: Path) -> None:
    write_hub_folder(RunSet((runs[0], runs[0])), tmp_path)
    rows = pd.read_parquet(tmp_path / "samples" / "all.parquet")
    assert rows.groupby("run").size().tolist() == 2 * [len(runs[0].samples)] and rows["question"].notna().all()


def test_a_verdict_that_one_task_lacks_is_missing_and_no_text(runs: RunSet, tmp_path: Path) -> None:
    first, second = runs
    plain = dataclasses.replace(second, samples=second.samples.assign(verdicts=[{}] * len(second.samples)))
    write_hub_folder(RunSet((first, plain)), tmp_path)
    sound = pd.read_parquet(tmp_path / "samples" / "all.parquet")["sound"]
    assert set(sound.dropna()) == {True, False} and sound.isna().sum() == len(plain.samples)


def test_a_card_or_a_runs_folder_of_somebody_else_stays(runs: RunSet, tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("# My project\n")
    (tmp_path / "runs").mkdir()
    with pytest.raises(InputError, match="no part of an export"):
        write_hub_folder(runs, tmp_path)
    assert (tmp_path / "README.md").read_text() == "# My project\n"
    own = tmp_path / "own"
    write_hub_folder(runs, own)
    (own / "runs" / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match=r"runs/notes\.txt"):
        write_hub_folder(runs, own)


def test_an_earlier_export_is_replaced_and_imported_runs_have_no_tokens(runs: RunSet, tmp_path: Path) -> None:
    write_hub_folder(runs, tmp_path)
    first = {path.name: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    write_hub_folder(runs, tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == first
    imported = dataclasses.replace(runs[0], record={**runs[0].record, "imported": {"file": "x", "form": "y"}})
    write_hub_folder(RunSet((imported,)), tmp_path)
    assert not list((tmp_path / "tokens").iterdir())
    card = (tmp_path / "README.md").read_text()
    assert "config_name: tokens" not in card and "`commit_step`" not in card


def test_the_card_is_yaml_and_markdown_whatever_the_names_are(runs: RunSet, tmp_path: Path) -> None:
    import yaml

    named = dataclasses.replace(runs[0], config=dataclasses.replace(runs[0].config, model="--- <script>|x\n# y"))
    write_hub_folder(RunSet((named,)), tmp_path)
    _, head, body = (tmp_path / "README.md").read_text().split("---\n", 2)
    assert {one["config_name"] for one in yaml.safe_load(head)["configs"]} == {"samples", "tokens", "runs"}
    assert "<script>" not in body and "\n# y" not in body


def test_on_the_command_line(
    runs: RunSet, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folders = [str(run.folder) for run in runs]
    assert main(["export", *folders, "--to", "hub-folder", "-o", "set"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "set/README.md"
    assert main(["export", *folders, "--to", "hub-foldr"]) == 2
    assert "Did you mean 'hub-folder'" in capsys.readouterr().err


def test_an_export_that_is_refused_changes_nothing(runs: RunSet, tmp_path: Path) -> None:
    write_hub_folder(runs, tmp_path / "hub")
    before = {path: path.read_bytes() for path in (tmp_path / "hub").rglob("*.*")}
    damaged = make(CONFIG, tmp_path / "run")
    next((damaged.folder / "tokens").iterdir()).write_bytes(b"no Parquet")
    for out in ("hub", "new"):
        with pytest.raises(InputError):
            write_hub_folder(RunSet((*runs, damaged)), tmp_path / out)
    assert {path: path.read_bytes() for path in (tmp_path / "hub").rglob("*.*")} == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["hub", "run"]
