"""The Markdown table of Pass@k says what its frame says."""

from __future__ import annotations

import pandas as pd

from flexeval.claims import Finding
from flexeval.claims.replicates import Replicated
from flexeval.reproduce.results import pass_at_k_markdown, write_replicates


def frame() -> pd.DataFrame:
    rows = [
        {
            "model": "tiny", "task": task, "order": order, "gen_length": 48, "block_length": block, "temperature": 0.6,
            "seed": 0, "counted": "correct", "k": k, "pass_percent": 10.0 * k + block, "low_percent": 1.0 * k,
            "high_percent": 20.0 * k, "level": 0.95, "problems": 5, "num_samples": n, "nfe": 40.25,
            "tokens_per_forward": 0.875, "saved_percent": None, "samples_per_second": 3.0,
        }
        for task, order, block, n in [("a", "ar", 8, 2), ("a", "confidence", 8, 4), ("a", "confidence", 4, 4),
                                      ("b", "ar", 2, 2)]
        for k in (1, 2, 4) if k <= n
    ]  # fmt: skip
    return pd.DataFrame(rows)


def test_every_number_stands_in_its_row_and_column():
    tables = dict(zip("ab", pass_at_k_markdown(frame()).split("\n## tiny, b"), strict=True))
    for task, table in tables.items():
        lines = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines() if line[:1] == "|"]
        heading, _, *body = lines
        rows = frame()[frame()["task"] == task]
        assert len(body) == rows.groupby(["order", "block_length"]).ngroups
        for row in rows.itertuples():
            (line,) = (
                dict(zip(heading, cells, strict=True))
                for cells in body
                if cells[0] == row.order and (task == "b" or cells[1] == str(row.block_length))
            )
            assert line[f"@{row.k}"] == f"{row.pass_percent:.1f} [{row.low_percent:.1f}, {row.high_percent:.1f}]"
            assert (line["n"], line["NFE"], line["TPF"], line["saved"]) == (str(row.num_samples), "40.2", "0.88", "")


def test_only_settings_that_differ_are_told():
    first, second = pass_at_k_markdown(frame()).split("\n## tiny, b")
    assert "block_length" in first and "block_length" not in second
    assert "seed" not in first + second and "level" not in first + second


def test_replicates_are_written_as_numbers_and_as_a_table(tmp_path):
    named = {
        f"tiny+seed-{seed}": Finding(claim="grpo-raises-accuracy", sentence="", source="", task="forks",
                                     temperature=0.6, measured="", estimate=estimate, unit="fraction", verdict=verdict)
        for seed, (estimate, verdict) in enumerate([(0.25, "holds"), (0.125, "unresolved")])
    }  # fmt: skip
    write_replicates([Replicated(named=named, models=2)], tmp_path, title="two seeds")
    (row,) = pd.read_csv(tmp_path / "replicates.csv").to_dict("records")
    assert (row["mean"], row["tiny+seed-1_estimate"], row["holding"]) == (0.1875, 0.125, 1)
    *_, line = [line for line in (tmp_path / "replicates.md").read_text().splitlines() if line[:1] == "|"]
    cells = [cell.strip() for cell in line.split("|")[1:-1]]
    assert cells[3:5] == ["tiny+seed-0, tiny+seed-1", "0.250, 0.125"]
    assert cells[7:] == ["1 of 2", "holds, unresolved"]


def test_a_k_beyond_a_runs_samples_is_blank():
    line = next(line for line in pass_at_k_markdown(frame()).splitlines() if line.startswith("| ar | 8"))
    assert [cell.strip() for cell in line.split("|")[5:8]] == ["18.0 [1.0, 20.0]", "28.0 [2.0, 40.0]", ""]


def test_other_verdicts_have_a_column_where_a_task_gives_them_and_the_title_names_the_one_that_counts():
    sound = {"a": 7.25, "b": None}
    rows = frame().assign(sound_of_samples_percent=frame()["task"].map(sound))
    first, second = pass_at_k_markdown(rows).split("\n## tiny, b")
    assert "| @4 | sound | NFE |" in first and first.count("| 7.2 |") == 3
    assert "sound" not in second and "counted" not in first + second
    by_sound = pass_at_k_markdown(frame().assign(counted="sound"))
    assert "## tiny, a, T = 0.6, counted: sound\n" in by_sound
