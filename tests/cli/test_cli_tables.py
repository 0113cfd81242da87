"""What every verb does alike: tables in a narrow terminal, files of numbers, names of options."""

from __future__ import annotations

import argparse
import csv
import io
import json
import re
from pathlib import Path

import pandas as pd
import pytest
from rich.console import Console

from flexeval.cli import formatting, output
from flexeval.cli.main import VERBS, main, make_parser
from flexeval.cli.narrow import KeyedTable, fitted
from flexeval.runs.store import read_runs

RUN_COLUMNS = ["run", "order", "model", "task", "temperature"]


def printed(table: KeyedTable, width: int) -> str:
    console = Console(width=width, file=io.StringIO(), markup=False, highlight=False)
    for part in fitted(table, console):
        console.print(part)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def wide_table() -> KeyedTable:
    numbers = [f"{place}.5 [{place}.1, 1{place}.9]" for place in range(6)]
    rows: list[list[str] | None] = [[f"pass@{2**k}", *numbers] for k in range(4)]
    orders = [f"order-number-{place}" for place in range(6)]
    made = formatting.table(["", *orders], [*rows[:2], None, *rows[2:]], right=orders)
    assert isinstance(made, KeyedTable)
    return made


@pytest.mark.parametrize("width", [40, 60, 80, 120, 200])
def test_no_number_is_broken_and_no_row_loses_its_name(width: int) -> None:
    text = printed(wide_table(), width)
    lines = text.splitlines()
    assert all(len(line) <= width for line in lines)
    for place in range(6):
        cell = f"{place}.5 [{place}.1, 1{place}.9]"
        assert sum(cell in line and "pass@" in line for line in lines) == 4, text
    for k in range(4):
        assert re.search(rf"\bpass@{2**k}\b", text)
    words = re.sub(r"[^a-z0-9-]+", " ", text)
    assert all(f"order-number-{place}" in words for place in range(6))


@pytest.mark.parametrize("width", [1, 20])
def test_no_number_is_cut_off_where_it_does_not_fit(
    width: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    table = KeyedTable(records=True)
    for name in ("claim", "verdict"):
        table.add_column(name)
    table.add_row("AR reaches more.", "unresolved")
    long_names = wide_table()
    long_names.columns[0]._cells = [f"a long name of {cell}" for cell in long_names.columns[0].cells]
    output.show([long_names, table])
    shown = capsys.readouterr().out
    assert "unresolved" in shown
    assert all(shown.count(f"{place}.5 [{place}.1, 1{place}.9]") == 4 for place in range(6)), shown


def test_a_table_that_fits_keeps_its_frame() -> None:
    assert "┃" in printed(wide_table(), 200) and "┃" not in printed(wide_table(), 80)


def test_records_become_a_list() -> None:
    table = KeyedTable(records=True, title="Claims")
    for name in ("claim", "measured", "verdict"):
        table.add_column(name)
    table.add_row("AR reaches more.", "+12.5 points [3.0, 20.0]", "holds")
    title, claim, measured, verdict, *_ = (line.rstrip() for line in printed(table, 80).splitlines())
    assert [title, claim] == ["Claims", "AR reaches more."]
    assert [measured, verdict] == ["  measured +12.5 points [3.0, 20.0]", "  verdict  holds"]
    assert "┃" in printed(table, 160)


def options_of(verb: str) -> dict[str, argparse.Action]:
    parser = make_parser()
    (subparsers,) = (action for action in parser._actions if isinstance(action, argparse._SubParsersAction))
    own = subparsers.choices[verb]
    with pytest.raises((SystemExit, Exception)):
        own.parse_known_args(["--surely-unknown"])
    return own._option_string_actions


def test_out_means_one_thing_and_numbers_can_be_had_as_files(capsys: pytest.CaptureFixture[str]) -> None:
    prints_numbers = {
        "passk", "sample", "sweep", "reproduce", "compare", "coverage", "entropy", "bypass", "claims", "grade", "import"
    }  # fmt: skip
    for verb in sorted(set(VERBS) - {"lm-eval"}):
        known = options_of(verb)
        assert known.get("-o") is known.get("--out"), verb
        if verb in prints_numbers:
            assert {"--json", "--csv"} <= set(known), verb
    assert "--json" in options_of("ls")


@pytest.fixture
def two_runs(bigram: list[str], in_tmp: Path, capsys: pytest.CaptureFixture[str]) -> list[str]:
    argv = ["passk", "--task", "word-problems", "--limit", "8", "--num-samples", "4", "--gen-length", "8", "-o", "runs"]
    given = ["--temperature", "1", "--csv", "passk.csv", "--json", "-"]
    assert main([*argv, "--order", "ar", "--order", "random", *given]) == 0
    return [run["folder"] for run in json.loads(capsys.readouterr().out)["runs"]]


def test_files_of_several_commands_can_be_joined(two_runs: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    for verb in ("compare", "coverage", "entropy", "bypass", "claims"):
        assert main([verb, *two_runs, "--csv", f"{verb}.csv"]) == 0
    capsys.readouterr()
    sweep = [
        "sweep",
        "--task",
        "word-problems",
        "--limit",
        "8",
        "--num-samples",
        "4",
        "--gen-length",
        "8",
        "-o",
        "runs",
    ]
    given = ["--temperature", "1", "--csv", "sweep.csv", "--json", "-"]
    assert main([*sweep, "--order", "ar", "--order", "random", *given]) == 0
    swept = json.loads(capsys.readouterr().out)
    assert {row["run"] for row in swept["pass_at_k"]} == {"ar", "random"}
    assert main(["grade", *two_runs, "--csv", "grade.csv"]) == 0
    assert main(["sample", "--task", "word-problems", "--gen-length", "8", "--csv", "sample.csv"]) == 0
    for verb in ("passk", "compare", "coverage", "entropy", "bypass", "sweep", "grade", "sample", "claims"):
        frame = pd.read_csv(f"{verb}.csv")
        assert set(RUN_COLUMNS) <= set(frame.columns), verb
        assert len(frame), verb
        if verb != "claims":
            assert not frame[RUN_COLUMNS].isna().any().any(), verb
            assert set(frame["order"]) <= {"ar", "random"} and set(frame["temperature"]) <= {1.0, 0.6}
    compared = pd.read_csv("compare.csv")
    assert set(compared["against_order"]) == {"random"} and set(compared["order"]) == {"ar"}
    examined = pd.read_csv("claims.csv").dropna(subset="model")
    assert all("ar" in order.split(", ") for order in examined["order"])


def numbers_in(value: object) -> list[float]:
    """All numbers of a JSON value."""
    if isinstance(value, dict | list):
        return [
            number for part in (value.values() if isinstance(value, dict) else value) for number in numbers_in(part)
        ]
    return [float(value)] if isinstance(value, int | float) and not isinstance(value, bool) else []


def test_every_number_that_is_printed_is_in_the_json(
    two_runs: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "400")
    for argv in (
        ["compare", *two_runs, "--votes", "--diversity"],
        ["entropy", *two_runs, "--min-count", "1"],
        ["bypass", *two_runs, "--min-count", "1"],
    ):
        assert main([*argv, "--json", "-"]) == 0
        shown = capsys.readouterr()
        known, seen = numbers_in(json.loads(shown.out)), 0
        for line in shown.err.splitlines():
            for told in re.findall(r"(?<![\w.])[-+]?\d+\.\d+", line) if line.startswith("│") else ():
                rounding = 0.5000001 * 10.0 ** -len(told.partition(".")[2])
                assert any(abs(float(told) - number) <= rounding for number in known), (argv[0], told, line)
                seen += 1
        assert seen > 5, argv


def test_a_checkpoint_that_is_worse_fails_the_command(two_runs: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    verdicts = read_verdicts(two_runs)
    for wanted in ("below", "above", "unresolved", "below,above", "above, unresolved"):
        unwanted = {word.strip() for word in wanted.split(",")}
        status = main(["compare", *two_runs, "--fail-if", wanted])
        error = capsys.readouterr().err
        assert status == (1 if unwanted & set(verdicts.values()) else 0), (wanted, verdicts)
        assert all((f"pass@{k}" in error) == (verdict in unwanted) for k, verdict in verdicts.items())
    assert main(["compare", *two_runs, "--fail-if", "belov"]) == 2
    assert "Did you mean 'below'" in capsys.readouterr().err
    assert len(read_runs(two_runs)) == 2


def read_verdicts(folders: list[str]) -> dict[int, str]:
    assert main(["compare", *folders, "--csv", "rows.csv"]) == 0
    with open("rows.csv") as file:
        rows = [row for row in csv.DictReader(file) if row["measure"] == "pass_at_k"]
    return {int(row["at"]): row["verdict"] for row in rows}


def test_every_name_is_listed_for_programs(capsys: pytest.CaptureFixture[str], in_tmp: Path) -> None:
    assert main(["ls", "--json", "-"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert set(listed) == {"orders", "models", "families", "tasks", "figures", "claims"}
    by_name = {entry["name"]: entry for entries in listed.values() for entry in entries}
    assert by_name["threshold"]["parameters"]["tau"] == "0.9"
    assert by_name["parallel-k"]["parameters"]["k"] is None
    assert "d1" in by_name["gsm8k"]["prompts"]
    assert by_name["llada-8b-instruct"]["hub_id"]
    assert main(["ls", "orders", "--json", "orders.json"]) == 0
    assert capsys.readouterr().out.startswith("orders\n")
    assert json.loads(Path("orders.json").read_text()) == {"orders": listed["orders"]}


def test_what_a_plan_takes_on_this_machine(
    in_tmp: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from flexeval.runs import timing

    asked: list[str] = []

    def seconds(config: object, *_: object) -> float:
        asked.append(config.task)  # type: ignore[attr-defined]
        return 0.5

    monkeypatch.setattr(timing, "seconds_per_sample", seconds)
    plan = {
        "title": "mine",
        "runs": [{"task": "sudoku4", "order": ["ar", "parallel-k:k=2"], "num_samples": 4, "limit": 3}],
    }
    Path("mine.yaml").write_text(json.dumps(plan))
    assert main(["reproduce", "--plan", "mine.yaml", "--dry-run", "--json", "-", "--csv", "plan.csv"]) == 0
    captured = capsys.readouterr()
    rows = json.loads(captured.out)["runs"]
    assert asked == ["sudoku4"], "one model and task are timed once"
    assert [row["minutes_here"] for row in rows] == pytest.approx([12 * 0.5 / 60, 12 * 0.5 / 60 / 2])
    assert "about 0.1 minutes" in captured.err or "about 0.2 minutes" in captured.err
    assert pd.read_csv("plan.csv")["minutes_here"].tolist() == pytest.approx([row["minutes_here"] for row in rows])
