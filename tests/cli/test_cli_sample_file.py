"""`flexeval sample --prompts`: a file of prompts becomes a file of texts, which is continued after a stop."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from flexeval.cli.main import main
from flexeval.runs import prompt_file
from flexeval.runs.store import read_run

pytestmark = pytest.mark.usefixtures("in_tmp", "bigram")
Refused = Callable[..., str]

ROWS = [{"prompt": f"Question {n}?", "problem_id": f"p/{n}", "target": n, "note": "kept"} for n in range(3)]
SETTINGS = ("--order", "confidence", "--gen-length", "12", "--temperature", "1")


def write(rows: list[dict[str, Any]], name: str = "prompts.jsonl") -> str:
    Path(name).write_text("".join(json.dumps(row) + "\n" for row in rows))
    return name


def draw(rows: list[dict[str, Any]], *more: str, out: str = "texts.jsonl") -> list[dict[str, Any]]:
    assert main(["sample", "--prompts", write(rows), "--out", out, *SETTINGS, *more]) == 0
    return [json.loads(line) for line in Path(out).read_text().splitlines()]


def test_a_line_has_the_fields_of_its_prompt_the_text_and_what_it_took() -> None:
    lines = draw(ROWS, "--num-samples", "2")
    assert [(line["problem_id"], line["sample_index"]) for line in lines] == [
        (f"p/{n}", i) for n in range(3) for i in (0, 1)
    ]
    for line in lines:
        assert line["note"] == "kept"
        assert "answer is" in line["completion"]
        assert 0 < line["tokens"] <= line["nfe"] <= 12


def test_texts_do_not_depend_on_the_other_prompts_and_the_file_is_continued() -> None:
    whole = draw(ROWS, "--num-samples", "3", out="whole.jsonl")
    few = draw(ROWS[:2], "--num-samples", "1")
    # A kill left half a line.
    with Path("texts.jsonl").open("a") as file:
        file.write('{"prompt": "Quest')
    assert few == [whole[0], whole[3]]
    assert draw(ROWS, "--num-samples", "3") == whole
    assert Path("texts.jsonl").read_bytes() == Path("whole.jsonl").read_bytes()


def test_what_is_finished_is_stored_when_it_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    real, calls = prompt_file._line, []

    def stopping(*args: Any) -> bytes:
        calls.append(args)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return real(*args)

    with monkeypatch.context() as patch:
        patch.setattr(prompt_file, "_line", stopping)
        assert (
            main(["sample", "--prompts", write(ROWS), "--out", "texts.jsonl", *SETTINGS, "--num-samples", "2"]) == 130
        )
    assert len(Path("texts.jsonl").read_text().splitlines()) == 2
    calls.clear()
    monkeypatch.setattr(prompt_file, "_line", lambda *args: calls.append(args) or real(*args))  # type: ignore[func-returns-value]
    assert len(draw(ROWS, "--num-samples", "2")) == 6
    assert len(calls) == 4


def test_the_same_samples_as_of_a_problem_of_passk() -> None:
    assert main(["passk", *SETTINGS, "--limit", "2", "--num-samples", "2"]) == 0
    (folder,) = {path.parent for path in Path("runs").rglob("config.json")}
    run = read_run(folder)
    rows = [{"id": row["problem_id"], "question": row["question"]} for row in run.problems.to_dict("records")]
    assert [line["completion"] for line in draw(rows, "--num-samples", "2")] == run.samples["text"].tolist()


def test_fields_by_option_and_prompts_without_an_id() -> None:
    rows = [{"ask": "Same?"}, {"ask": "Same?"}, {"ask": "Other?"}]
    lines = draw(rows, "--prompt-field", "ask", "--text-field", "reply", "--num-samples", "2")
    assert [line["sample_index"] for line in lines] == [0, 1, 2, 3, 0, 1]
    assert all(line["reply"] for line in lines)
    assert len(draw([{"ask": "x", "key": 1}], "--prompt-field", "ask", "--id-field", "key", out="other.jsonl")) == 1


def test_texts_are_graded_and_imported_as_they_are() -> None:
    lines = draw(ROWS, "--num-samples", "2")
    assert main(["grade", "texts.jsonl", "--task", "gsm8k", "--json", "graded.json"]) == 0
    (found,) = json.loads(Path("graded.json").read_text())["graded"]
    assert (found["completions"], found["questions"]) == (len(lines), 3)


def test_texts_go_into_a_device(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sample", "--prompts", write(ROWS), "--out", "/dev/null", *SETTINGS]) == 0


@pytest.mark.parametrize(
    ("rows", "argv", "message"),
    [
        ([{"text": 7}], [], "line 1 has no field 'prompt' with a text"),
        ([{"prompt": "?"}], ["--prompt-field", "ask"], "line 1 has no field 'ask'"),
        ([{"prompt": "?"}], ["--id-field", "key"], "line 1 has no field 'key'"),
        ([{"prompt": "?", "id": 1}, {"prompt": "!", "id": "1"}], [], "line 2 has the id '1'"),
        (ROWS, ["--prompt", "bare"], "leave out --prompt"),
        (ROWS, ["--num-samples", "0"], "--num-samples must be at least 1"),
        (ROWS, ["--problem", "1"], "not allowed with argument"),
        ([{"prompt": "x" * 10, "id": 1}], ["--gen-length", "1000"], "prompts.jsonl line 1: the prompt has 11 tokens"),
        ([{"prompt": "?"}, {"prompt": "\ud800"}], [], "the prompt of prompts.jsonl line 2 holds half a character"),
        ([{"prompt": "?"}], ["--id-field", "key"], "name another --id-field"),
        (ROWS, ["--sample-index", "3"], "leave it out"),
        (ROWS, ["--table"], "leave out --table"),
        (ROWS, ["--text-field", "nfe"], "--text-field 'nfe'"),
        (ROWS, ["--text-field", "prompt"], "line 1 has a field 'prompt'"),
        ([{"prompt": "?", "completion": "mine"}], [], "line 1 has a field 'completion'"),
        ([{"prompt": "?"}, {"prompt": "?", "nfe": 3}], [], "line 2 has a field 'nfe'"),
        (ROWS, ["--out", "texts.parquet"], "'texts.parquet' ends in .parquet"),
        (ROWS, ["--out", "texts.jsonl.gz"], "ends in .gz"),
    ],
)
def test_what_is_refused_leaves_nothing(
    refused: Refused, rows: list[dict[str, Any]], argv: list[str], message: str
) -> None:
    assert message in refused("sample", "--prompts", write(rows), "--out", "texts.jsonl", *SETTINGS, *argv)
    assert not Path("texts.jsonl").exists()


def test_a_file_of_other_settings_is_not_continued(refused: Refused) -> None:
    draw(ROWS)
    before = Path("texts.jsonl").read_bytes()
    for more in (["--seed", "1"], ["--order", "ar"], ["--prompt-date", "2020-01-01", "--temperature", "0"]):
        message = refused("sample", "--prompts", "prompts.jsonl", "--out", "texts.jsonl", *SETTINGS, *more)
        assert "line 1 is no sample of these prompts" in message
    assert Path("texts.jsonl").read_bytes() == before
    assert "add --prompts" in refused("sample", "--out", "texts.jsonl")
    assert "--prompts needs --out" in refused("sample", "--prompts", "prompts.jsonl")


def test_a_file_of_somebody_else_is_untouched_whether_or_not_its_last_line_has_an_end(refused: Refused) -> None:
    (ours, *_) = draw(ROWS)
    others = ['{"accuracy": 0.9}', "mine", "{\n}", json.dumps(ROWS[0]), json.dumps(ours | {"sample_id": "x"})]
    for content in (*others, json.dumps(ours) + "\nmine", 'mine\n{"prompt": "Quest'):
        for end in ("", "\n"):
            Path("mine.json").write_text(content + end)
            refused("sample", "--prompts", write(ROWS), "--out", "mine.json", *SETTINGS)
            assert Path("mine.json").read_text() == content + end
    # A whole line of ours may lack its end, too.
    Path("mine.json").write_text(json.dumps(ours))
    assert draw(ROWS, out="mine.json") == draw(ROWS)


def test_one_decode_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sample", *SETTINGS, "--json", "-"]) == 0
    decode = json.loads(capsys.readouterr().out)
    pieces = [token["piece"] for token in decode["tokens"] if token["in_text"]]
    assert "".join(pieces) == decode["text"]
    assert set(decode["grade"]) >= {"correct", "extracted", "rule", "error"}
    assert decode["sampling"]["gen_length"] == 12
    assert sorted(token["commit_step"] for token in decode["tokens"])[0] == 0
