"""`passk --model FOLDER`: another model in the folder is not taken for the one that was there."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from checkpoints import write_llada

from flexeval.cli.main import main

SMALL = ("passk", "--task", "countdown", "--limit", "1", "--gen-length", "4", "--order", "ar", "--json", "out.json")


def sampled(*options: str) -> tuple[str, int]:
    """The folder of the run that a command used, and how many samples are in it."""
    assert main([*SMALL, *options]) == 0
    (run,) = json.loads(Path("out.json").read_text())["runs"]
    return run["folder"], len((Path(run["folder"]) / "samples.jsonl").read_text().splitlines())


def test_swapped_weights_are_refused_and_moved_ones_are_known(
    in_tmp: Path, refused: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    write_llada(in_tmp / "ckpt", seed=0)
    folder, count = sampled("--model", "./ckpt", "--num-samples", "2")
    assert count == 2

    # Whatever the folder is called, it is one model.
    for name in ("ckpt", "ckpt/", str(in_tmp / "ckpt")):
        assert sampled("--model", name, "--num-samples", "2") == (folder, 2)

    # Another model in the folder: neither more samples nor the old ones as its own.
    shutil.move(in_tmp / "ckpt", in_tmp / "kept")
    write_llada(in_tmp / "ckpt", seed=1)
    Path("out.json").unlink()
    capsys.readouterr()
    for num_samples in ("4", "2"):
        line = refused(*SMALL, "--model", "./ckpt", "--num-samples", num_samples)
        assert "made by another model" in line and "--out" in line
    line = refused("entropy", folder, "--counterfactual")
    assert "made by another model" in line
    assert not Path("out.json").exists()

    # The first model back in its place goes on.
    shutil.rmtree(in_tmp / "ckpt")
    shutil.move(in_tmp / "kept", in_tmp / "ckpt")
    assert sampled("--model", "./ckpt", "--num-samples", "4") == (folder, 4)


def test_a_run_goes_on_when_its_model_has_moved(in_tmp: Path) -> None:
    write_llada(in_tmp / "ckpt", seed=0)
    folder, _ = sampled("--model", "ckpt", "--num-samples", "2")
    place = in_tmp / "new"
    place.mkdir()
    shutil.move(in_tmp / "ckpt", place)
    for num_samples in (2, 4):
        assert sampled("--model", "new/ckpt", "--num-samples", str(num_samples)) == (folder, num_samples)
    shutil.move(place / "ckpt", place / "renamed")
    assert sampled("--model", "new/renamed", "--num-samples", "4") == (folder, 4)
    shutil.move(place / "renamed", place / "ckpt")

    # Another model of the name, or a copy beside the first one, is another run.
    write_llada(in_tmp / "other/ckpt", seed=1)
    assert sampled("--model", "other/ckpt", "--num-samples", "2")[0] != folder
    shutil.copytree(place / "ckpt", in_tmp / "ckpt")
    shutil.copytree(place / "ckpt", in_tmp / "copy/ckpt")
    assert sampled("--model", "copy/ckpt", "--num-samples", "2")[0] != folder
    assert sampled("--model", "ckpt", "--num-samples", "4") == (folder, 4)


@pytest.mark.parametrize("tomorrow", [1, 400])
def test_a_template_with_todays_date_gives_a_run_that_continues(
    in_tmp: Path, monkeypatch: pytest.MonkeyPatch, tomorrow: int
) -> None:
    import datetime

    from transformers.utils import chat_template_utils

    folder = write_llada(in_tmp / "ckpt")
    config = json.loads((folder / "tokenizer_config.json").read_text())
    template = "{{ bos_token }}Today is {{ strftime_now('%d %b %Y') }}. {{ messages[-1]['content'] }}"
    (folder / "tokenizer_config.json").write_text(json.dumps(config | {"chat_template": template}))
    first = sampled("--model", "ckpt", "--num-samples", "1")

    class Later(datetime.datetime):
        @classmethod
        def now(cls, tz=None):
            return super().now(tz) + datetime.timedelta(days=tomorrow)

    if hasattr(chat_template_utils, "datetime"):
        monkeypatch.setattr(chat_template_utils, "datetime", Later)
    assert sampled("--model", "ckpt", "--num-samples", "2") == (first[0], 2)
