"""Cell after cell: what is stored is not made again, and what fails does not stop the rest."""

from __future__ import annotations

import weakref

import pytest
import torch

from flexeval.errors import InputError
from flexeval.reproduce.grid import expand
from flexeval.reproduce.sweep import Cell, cells, run_cells
from flexeval.tasks import get_task


class Watch:
    """Keeps what it hears."""

    def __init__(self):
        self.begun, self.ended = [], []

    def begin(self, cell):
        self.begun.append(cell.config.order)
        return lambda progress: None

    def end(self, outcome):
        self.ended.append(outcome.cell.config.order)


def sweep(sample, *, stored=()):
    """Outcomes of a sweep over four orders; `stored` ones have a run already."""
    watch = Watch()
    configs = expand({"order": ["ar", "random", "egi", "margin"], "limit": ["2"]})
    task = get_task("word-problems")
    wanted = [
        Cell(config=config, folder=None, task=task, stored=f"stored {config.order}" if config.order in stored else None)
        for config in configs
    ]
    return list(run_cells(wanted, sample=sample, watch=watch)), watch


def made(config, folder, task, progress):
    return f"made {config.order}"


def test_what_is_stored_is_not_made_again():
    outcomes, watch = sweep(made, stored=("ar", "egi"))
    assert [outcome.run for outcome in outcomes] == ["stored ar", "made random", "stored egi", "made margin"]
    assert watch.begun == ["random", "margin"]
    assert watch.ended == ["ar", "random", "egi", "margin"]


@pytest.mark.parametrize("error", [InputError("no such model"), RuntimeError("out of memory"), ZeroDivisionError()])
def test_a_failure_is_kept_and_the_rest_goes_on(error):
    def sample(config, folder, task, progress):
        if config.order == "random":
            raise error
        return made(config, folder, task, progress)

    outcomes, watch = sweep(sample)
    assert [outcome.run for outcome in outcomes] == ["made ar", None, "made egi", "made margin"]
    assert [outcome.error for outcome in outcomes] == [None, error, None, None]
    assert watch.ended == ["ar", "random", "egi", "margin"]


def test_what_failed_keeps_no_memory():
    """The next run needs that of the GPU; and for want of it is no bug, whose traceback would be shown."""
    held = []

    def sample(config, folder, task, progress):
        large = torch.empty(2)
        held.append(weakref.ref(large))
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB. GPU 0 has 1 GiB free. Of the rest")

    outcomes, _ = sweep(sample)
    assert [tensor() for tensor in held] == [None] * 4
    for outcome in outcomes:
        assert isinstance(outcome.error, InputError)
        assert "(CUDA out of memory. Tried to allocate 2 GiB. GPU 0 has 1 GiB free)" in str(outcome.error)


@pytest.mark.parametrize("end", [OSError(28, "no space left"), KeyboardInterrupt()])
def test_a_full_disk_and_the_user_stop_everything(end):
    def sample(config, folder, task, progress):
        raise end

    with pytest.raises(type(end)):
        sweep(sample)


def test_each_task_is_loaded_once_and_each_run_has_its_own_folder(tmp_path):
    asked = []

    def load_task(spec):
        asked.append(spec)
        return get_task(spec)

    configs = expand({"task": ["word-problems", "sudoku4"], "order": ["ar", "egi"], "temperature": ["0.6", "1"]})
    found = cells(configs, out=tmp_path, load_task=load_task)
    assert asked == ["word-problems", "sudoku4"]
    assert [cell.config for cell in found] == configs
    assert len({cell.folder for cell in found}) == len(configs)
    assert all(cell.stored is None and tmp_path in cell.folder.parents for cell in found)
    for cell in found:
        sampling = cell.config.sampling
        assert f"{cell.config.order}-T{sampling.temperature:g}-L{sampling.gen_length}" in cell.folder.name
