"""`flexeval import`: samples of another program stand beside ours, in everything that needs no token rows."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from flexeval.cli.main import main
from flexeval.runs.store import pooled, read_run, read_runs
from flexeval.stats.pass_at_k import pass_at_k

pytestmark = pytest.mark.usefixtures("in_tmp")
Refused = Callable[..., str]

SUMS = [(n, n + 1) for n in range(8)]


def write(name: str, *, right: Callable[[int, int], bool], samples: int = 4) -> str:
    """A file with some completions of each question, in an order that is not the task's."""
    lines = [
        json.dumps({"question": f"{a} + {b}?", "completion": f"\\boxed{{{a + b + (0 if right(n, i) else 1)}}}"})
        for i in range(samples)
        for n, (a, b) in reversed(list(enumerate(SUMS)))
    ]
    Path(name).write_text("\n".join(lines))
    return name


@pytest.fixture(autouse=True)
def data(in_tmp: Path) -> None:
    Path("data").mkdir()
    rows = [{"question": f"{a} + {b}?", "answer": f"#### {a + b}"} for a, b in SUMS]
    Path("data/gsm8k_test.jsonl").write_text("\n".join(map(json.dumps, rows)))


def argv(file: str, order: str, *more: str, out: str | None = None) -> list[str]:
    common = ["--task", "gsm8k", "--data-dir", "data", "--model", "theirs", "--order", order]
    return ["import", file, *common, "--out", out or f"runs/{order}", *more]


@pytest.fixture
def imported(capsys: pytest.CaptureFixture[str]) -> str:
    """AR solves half of its samples of every problem, confidence all samples of half the problems."""
    for order, right in (("ar", lambda n, i: i % 2 == 0), ("confidence", lambda n, i: n < 4)):
        assert main(argv(write(f"{order}.jsonl", right=right), order, "--json", f"{order}.json")) == 0
    return capsys.readouterr().out


def test_a_run_holds_texts_and_verdicts_in_the_order_of_the_task(imported: str) -> None:
    assert "pass@4" in imported
    assert "imported from ar.jsonl, read as completions" in imported
    run = read_run(Path("runs/ar"))
    assert run.imported
    assert run.complete
    assert list(run.problems["problem_id"]) == [f"gsm8k/test/{n}" for n in range(8)]
    assert run.samples["correct"].tolist() == [True, False] * 16
    assert run.samples["text"].iloc[1] == "\\boxed{2}"
    at_two = next(row for row in json.loads(Path("ar.json").read_text())["pass_at_k"] if row["k"] == 2)
    assert at_two["pass_percent"] == pytest.approx(100 * pass_at_k(4, 2, 2))
    assert at_two["nfe"] is None


def test_what_needs_no_tokens_works_and_what_needs_them_says_so(
    imported: str, refused: Refused, capsys: pytest.CaptureFixture[str]
) -> None:
    pair = ["runs/ar", "runs/confidence"]
    for verb in ("compare", "coverage"):
        assert main([verb, *pair, "--json", f"{verb}.json"]) == 0
    printed = capsys.readouterr().out
    assert "No pass@NFE" in printed
    compared = json.loads(Path("compare.json").read_text())
    assert compared["pass_at_nfe"] is None
    assert compared["pass_at_k"][-1]["difference_points"] == pytest.approx(50)
    assert main(["figures", "runs", "--only", "pass-at-k", "--out", "figures"]) == 0
    assert Path("figures/pass-at-k.csv").exists()
    assert main(["report", "runs", "--out", "report.html"]) == 0
    page = Path("report.html").read_text()
    assert "imported from" in page
    assert "another program drew its texts" in page
    # What was not measured is not said to be absent.
    assert "how other programs drew their texts is not known" in page
    assert not any(text in page for text in ("was bypassed.", "unknown, unknown", "fits on the page"))
    capsys.readouterr()
    assert "imported" in refused("figures", "runs", "--only", "pass-at-nfe", "--out", "figures")
    for verb in ("entropy", "bypass"):
        assert "were imported, and have no token rows" in refused(verb, *pair)


def test_an_imported_run_can_be_graded_again_but_not_continued(
    imported: str, refused: Refused, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["grade", "runs/ar", "--data-dir", "data"]) == 0
    assert "16 of 32 correct before, 16 of 32 correct now; 0 verdicts changed" in capsys.readouterr().out
    assert "not empty" in refused(*argv("ar.jsonl", "ar"))


def test_seeds_are_pooled(imported: str) -> None:
    assert main(argv("ar.jsonl", "ar", "--seed", "1", out="more/ar")) == 0
    (whole,) = pooled(read_runs([Path("runs/ar"), Path("more/ar")]))
    assert whole.config.num_samples == 8


def test_completions_are_equally_many(refused: Refused) -> None:
    write("answers.jsonl", right=lambda n, i: True, samples=3)
    with Path("answers.jsonl").open("a") as file:
        file.write('\n{"idx": 3, "completion": "7"}')
    message = refused(*argv("answers.jsonl", "ar"))
    assert "3 completions of" in message
    assert "--num-samples 3" in message
    assert not Path("runs").exists()
    assert "not 5" in refused(*argv("answers.jsonl", "ar", "--num-samples", "5"))
    assert main(argv("answers.jsonl", "ar", "--num-samples", "2")) == 0
    assert read_run(Path("runs/ar")).config.num_samples == 2


def test_a_number_of_its_own_says_which_sample_a_row_is(refused: Refused) -> None:
    def write_numbered(*numbers: int) -> list[str]:
        rows = ({"idx": 0, "completion": f"\\boxed{{{n}}}", "sample_index": n} for n in numbers)
        Path("answers.jsonl").write_text("\n".join(map(json.dumps, rows)))
        return argv("answers.jsonl", "ar")

    assert "line 2 is sample 0 of problem 'gsm8k/test/0', as" in refused(*write_numbered(0, 0))
    assert "no sample_index 1 of 'gsm8k/test/0'" in refused(*write_numbered(0, 2))
    assert main(write_numbered(2, 0, 1)) == 0
    assert read_run(Path("runs/ar")).samples["text"].tolist() == [f"\\boxed{{{n}}}" for n in range(3)]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--order", "confidense"], "Did you mean 'confidence'"),
        (["--temperature", "warm"], "--temperature"),
        (["--out", "data"], "not empty"),
        (["--k", "5"], "pass@5 needs 5 samples"),
        (["--json", "answers.jsonl"], "the command reads"),
    ],
)
def test_what_is_refused_leaves_nothing(refused: Refused, more: list[str], message: str) -> None:
    write("answers.jsonl", right=lambda n, i: True)
    assert message in refused(*argv("answers.jsonl", "ar", *more))
    assert sorted(path.name for path in Path().iterdir()) == ["answers.jsonl", "data"]
