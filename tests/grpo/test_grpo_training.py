"""Run folders: a training that is stopped and continued ends as one that was not."""

from __future__ import annotations

import dataclasses
import json
import shutil
from types import SimpleNamespace

import pytest
import torch
from checkpoints import write_llada
from grpo_toys import ToyTask
from safetensors import SafetensorError
from safetensors.torch import load_file

from flexeval import load_model
from flexeval.errors import DamageError, InputError
from flexeval.grpo import training
from flexeval.grpo.config import GRPOConfig
from flexeval.grpo.metrics import read_metrics
from flexeval.grpo.training import train
from flexeval.models.files import find_checkpoint
from flexeval.models.lineage import read_lineage
from flexeval.runs import identity

TASK = ToyTask(right=lambda problem, text: sum(text.encode()) % 2 == 1)
CONFIG = GRPOConfig(model="llada", task="toy", group_size=4, problems_per_step=2, gen_length=3, learning_rate=1e-3,
                    steps=4, save_every=2, weight_decay=0.01)  # fmt: skip


@pytest.fixture
def make_run():
    """A function that trains into a folder, each time from a freshly loaded model, as a new process would."""
    from accelerate import Accelerator

    def make(source):
        def run(out, report=None, **changes):
            return train(
                dataclasses.replace(CONFIG, **changes),
                out=out,
                predictor=load_model(source, device="cpu"),
                source=find_checkpoint(str(source)),
                task=TASK,
                accelerator=Accelerator(cpu=True),
                report=report,
            )

        return run

    return make


@pytest.fixture
def run(make_run, llada_folder):
    return make_run(llada_folder)


def without_seconds(rows):
    return [{name: value for name, value in row.items() if not name.endswith("_seconds")} for row in rows]


class Stopped(Exception):
    pass


SETTINGS = {
    "plain": {},
    "adapters": {"lora_rank": 2},
    "adapters and a reference": {"lora_rank": 2, "kl": 0.1},
    "random order and a reference": {"rollout_order": "random", "kl": 0.1},
    "two updates a rollout": {"updates_per_rollout": 2},
}


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS.keys())
def test_a_run_that_was_stopped_continues_bit_for_bit(tmp_path, run, settings):
    stop_and_continue(tmp_path, run, settings)


def test_a_run_with_a_tied_head_continues_bit_for_bit(tmp_path, make_run):
    stop_and_continue(tmp_path, make_run(write_llada(tmp_path / "tied", weight_tying=True)), {})


def stop_and_continue(tmp_path, run, settings):
    straight = run(tmp_path / "straight", **settings)

    def stop(metrics):
        if metrics.step == 2:
            raise Stopped

    with pytest.raises(Stopped):
        run(tmp_path / "stopped", report=stop, **settings)
    assert [row["step"] for row in read_metrics(tmp_path / "stopped")] == [0, 1, 2]
    continued = run(tmp_path / "stopped", **settings)

    rows = [read_metrics(tmp_path / name) for name in ("straight", "stopped")]
    assert [row["step"] for row in rows[1]] == [0, 1, 2, 3]
    assert without_seconds(rows[0]) == without_seconds(rows[1])
    assert sum(row["grad_norm"] is not None for row in rows[0]) >= 2
    ours, theirs = (load_file(folder / "model.safetensors") for folder in (straight, continued))
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(weight, theirs[name]) for name, weight in ours.items())


def test_a_checkpoint_is_the_model_that_was_trained(tmp_path, run, llada_folder):
    folder = run(tmp_path / "run")
    assert sorted(path.name for path in folder.parent.iterdir()) == ["step-000002", "step-000004"]
    assert [path.name for path in (tmp_path / "run/state").iterdir()] == ["step-000004"]
    trained, before = (load_model(path, device="cpu") for path in (folder, llada_folder))
    assert any(
        not torch.equal(ours, theirs)
        for ours, theirs in zip(trained.module.parameters(), before.module.parameters(), strict=True)
    )


def test_a_checkpoint_says_how_it_was_trained(tmp_path, run):
    folder = run(tmp_path / "run")
    lines = read_metrics(tmp_path / "run")
    for steps in (2, 4):
        lineage = read_lineage(folder.with_name(f"step-{steps:06d}"))
        assert (lineage.base, lineage.training, lineage.step) == (CONFIG.model, "run", steps)
        assert (lineage.recipe, lineage.basis, lineage.seed) == (CONFIG.recipe, CONFIG.basis, CONFIG.seed)
        assert lineage.samples == sum(line["samples"] for line in lines[:steps])
        parts = ("rollout_seconds", "reward_seconds", "update_seconds")
        assert lineage.seconds == pytest.approx(sum(line[part] for line in lines[:steps] for part in parts), abs=0.1)


def test_more_steps_go_on_from_the_last(tmp_path, run):
    run(tmp_path / "run", steps=2)
    longer = run(tmp_path / "run", steps=4)
    straight = run(tmp_path / "straight", steps=4)
    ours, theirs = (load_file(folder / "model.safetensors") for folder in (longer, straight))
    assert all(torch.equal(weight, theirs[name]) for name, weight in ours.items())
    with pytest.raises(InputError, match="has made 4 steps already"):
        run(tmp_path / "run", steps=3)


def test_a_folder_of_another_training_is_refused(tmp_path, run):
    run(tmp_path / "run", steps=1)
    with pytest.raises(InputError, match=r"was trained with learning_rate 0\.001, not 0\.5"):
        run(tmp_path / "run", learning_rate=0.5)
    (tmp_path / "other").mkdir()
    (tmp_path / "other/notes.txt").write_text("mine")
    with pytest.raises(InputError, match="neither empty nor a training folder"):
        run(tmp_path / "other")
    assert [path.name for path in (tmp_path / "other").iterdir() if path.name != "lock"] == ["notes.txt"]


def test_settings_that_are_refused_leave_no_folder(tmp_path, run):
    for settings, message in (
        ({"problems_per_step": 99}, "takes 99 problems"),
        ({"gen_length": 4000}, "the prompt of"),
    ):
        with pytest.raises(InputError, match=message):
            run(tmp_path / "run", **settings)
    assert not (tmp_path / "run").exists()


def test_a_folder_in_which_nothing_was_trained_is_begun_anew(tmp_path, run):
    def stop(metrics):
        raise Stopped

    with pytest.raises(Stopped):
        run(tmp_path / "run", report=stop, learning_rate=0.5)
    run(tmp_path / "run", steps=1, save_every=1)
    assert json.loads((tmp_path / "run/config.json").read_text())["grpo"]["learning_rate"] == CONFIG.learning_rate
    assert [row["step"] for row in read_metrics(tmp_path / "run")] == [0]


@pytest.fixture(scope="module")
def trained(tmp_path_factory, llada_folder):
    """A training of one step."""
    from accelerate import Accelerator

    out = tmp_path_factory.mktemp("trained") / "run"
    config = dataclasses.replace(CONFIG, steps=1)
    model, source = load_model(llada_folder, device="cpu"), find_checkpoint(str(llada_folder))
    train(config, out=out, predictor=model, source=source, task=TASK, accelerator=Accelerator(cpu=True))
    return out


def flipped(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 4
    path.write_bytes(data)


def edited(path, old, new):
    path.write_text(path.read_text().replace(old, new))


STATE = "state/step-000001"
DAMAGES = {
    "a bit of the optimiser": (lambda out: flipped(out / STATE / "optimizer.bin"), "optimizer.bin is not as it was"),
    "a bit of the weights": (lambda out: flipped(out / STATE / "model.safetensors"), "model.safetensors is not as it"),
    "no optimiser": (lambda out: (out / STATE / "optimizer.bin").unlink(), "optimizer.bin is missing"),
    "no metrics": (lambda out: (out / "metrics.jsonl").unlink(), "line 1 should be of step 0"),
    "metrics of another step": (lambda out: edited(out / "metrics.jsonl", '"step": 0', '"step": 1'), "be of step 0"),
    "metrics without samples": (lambda out: edited(out / "metrics.jsonl", '"samples"', '"sample"'), "'samples' is"),
    "no configuration": (lambda out: (out / "config.json").unlink(), "has lost its config.json"),
    "a changed configuration": (lambda out: edited(out / "config.json", '"seed": 0', '"seed": 1'), "wrong checksum"),
    "an empty configuration": (lambda out: (out / "config.json").write_text("{}"), "'grpo' is missing"),
}  # fmt: skip


@pytest.mark.parametrize(("damage", "message"), DAMAGES.values(), ids=DAMAGES.keys())
def test_damage_is_refused_and_nothing_is_changed(tmp_path, trained, run, damage, message):
    shutil.copytree(trained, tmp_path / "run")
    damage(tmp_path / "run")
    before = {path: path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()}
    with pytest.raises(DamageError, match=message):
        run(tmp_path / "run", steps=2)
    assert {path: path.read_bytes() for path in before} == before


def test_other_problems_or_wording_are_another_training(tmp_path, trained, run, monkeypatch):
    shutil.copytree(trained, tmp_path / "run")
    prompt = ToyTask.prompt
    monkeypatch.setattr(ToyTask, "prompt", lambda task, problem: dataclasses.replace(prompt(task, problem), system="s"))
    with pytest.raises(InputError, match="was made from other data"):
        run(tmp_path / "run", steps=2)


def test_a_task_of_other_code_is_another_training(tmp_path, trained, run, monkeypatch):
    shutil.copytree(trained, tmp_path / "run")
    monkeypatch.setattr(identity, "code_hash", lambda kind: "edited" if kind is ToyTask else None)
    with pytest.raises(InputError, match="was made with other code of its order or task"):
        run(tmp_path / "run", steps=2)


def test_what_a_kill_left_is_removed_and_a_copy_is_let_be(tmp_path, trained, run):
    out = tmp_path / "run"
    shutil.copytree(trained, out)
    for name in ("checkpoints/step-000007.partial", f"{STATE}.partial", f"{STATE}.bak"):
        (out / name).mkdir()
    run(out, steps=1)
    assert [path.name for path in (out / "checkpoints").iterdir()] == ["step-000001"]
    assert sorted(path.name for path in (out / "state").iterdir()) == ["step-000001", "step-000001.bak"]


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (OSError(28, "No space left on device"), 28),
        (SafetensorError("Error while serializing: I/O error: File too large (os error 27)"), 27),
        (RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 576 vs 534"), 28),
    ],
)
def test_a_checkpoint_that_cannot_be_written_leaves_nothing_half(tmp_path, run, monkeypatch, error, code):
    def fail(*args, **kwargs):
        raise error

    monkeypatch.setattr("huggingface_hub.save_torch_state_dict", fail)
    monkeypatch.setattr("shutil.disk_usage", lambda folder: SimpleNamespace(free=0))
    with pytest.raises(OSError) as caught:
        run(tmp_path / "run", steps=1)
    assert caught.value.errno == code
    assert not list((tmp_path / "run/checkpoints").iterdir())


def test_weights_out_of_bounds_end_a_training_with_what_to_do(tmp_path, run):
    with pytest.raises(InputError, match="lower learning rate") as caught:
        run(tmp_path / "run", learning_rate=1e30)
    assert "check its weights" not in str(caught.value)


def test_the_record_says_what_a_training_was_begun_and_continued_with(tmp_path, run, monkeypatch):
    def stored():
        return json.loads((tmp_path / "run/config.json").read_text())

    def made_by(revision, dtype="float32"):
        environment = {"git_revision": revision, "dtype": dtype}
        monkeypatch.setattr(training, "environment", lambda **about: environment)
        return environment

    for steps, revision in ((1, "first"), (2, "first"), (3, "second"), (4, "second")):
        made_by(revision)
        run(tmp_path / "run", steps=steps, save_every=1)
        assert stored()["environment"]["git_revision"] == "first"
        assert stored()["grpo"]["steps"] == steps
        if steps < 3:
            assert "continued" not in stored()
    assert stored()["continued"] == [{"after_steps": 2, "environment": made_by("second"), "processes": 1}]
    made_by("second", "bfloat16")
    with pytest.raises(InputError, match=r"training folder .* was made with dtype float32, not bfloat16"):
        run(tmp_path / "run", steps=5)


def test_tensorboard_events_say_what_the_lines_say(tmp_path, run):
    pytest.importorskip("tensorboard", reason="needs tensorboard: pip install 'flexeval-dllm[tensorboard]'")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run(tmp_path / "run", steps=2)
    events = EventAccumulator(str(tmp_path / "run/tensorboard"))
    events.Reload()
    logged = {event.step: event.value for event in events.Scalars("length")}
    assert logged == pytest.approx({row["step"]: row["length"] for row in read_metrics(tmp_path / "run")})
