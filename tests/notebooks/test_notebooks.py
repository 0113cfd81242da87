"""The notebooks: each is its script, runs from top to bottom on the bundled model, and shows its figures."""

from __future__ import annotations

from pathlib import Path

import jupytext
import nbformat
import pytest
from nbclient import NotebookClient
from nbformat import NotebookNode

FOLDER = Path(__file__).resolve().parents[2] / "notebooks"
NAMES = ["01_pass_at_k", "02_entropy_degradation", "03_your_own_order", "04_real_checkpoints", "05_taking_back"]
FIGURES = dict(zip(NAMES, (1, 1, 0, 0, 1), strict=True))
DECODES = dict(zip(NAMES, (2, 2, 2, 1, 3), strict=True))
"""Samples in colour, and viewers."""
LARGEST = 1_500_000
"""Bytes of a stored notebook."""


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder for all, as for a reader who goes through them: the second finds the runs of the first."""
    return tmp_path_factory.mktemp("notebooks")


def test_no_notebook_is_forgotten() -> None:
    assert sorted(path.stem for path in FOLDER.glob("*.ipynb")) == NAMES
    assert sorted(path.stem for path in FOLDER.glob("*.py")) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_is_its_script(name: str) -> None:
    notebook = nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)
    script = jupytext.read(FOLDER / f"{name}.py")
    assert [(cell.cell_type, cell.source) for cell in notebook.cells] == [
        (cell.cell_type, cell.source) for cell in script.cells
    ]


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_is_stored_with_what_it_shows(name: str) -> None:
    """On a page of the site, and on GitHub, nobody runs it."""
    path = FOLDER / f"{name}.ipynb"
    assert path.stat().st_size < LARGEST
    cells = [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
    assert all(cell.execution_count for cell in cells)
    assert _decodes([output for cell in cells for output in cell.outputs]) == DECODES[name]


def _decodes(outputs: list[NotebookNode]) -> int:
    shown = [output.get("data", {}).get("text/html", "") for output in outputs]
    return sum("passed over" in html or "<iframe" in html for html in shown)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_runs_and_shows_its_figures(name: str, workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("FLEXEVAL_MODEL", "FLEXEVAL_TASK", "FLEXEVAL_DATA"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("IPYTHONDIR", str(workplace / "ipython"))
    notebook = jupytext.read(FOLDER / f"{name}.py")
    resources = {"metadata": {"path": str(workplace)}}
    NotebookClient(notebook, kernel_name="python3", timeout=280, resources=resources).execute()
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    complaints = [output["text"] for output in outputs if output.get("name") == "stderr"]
    assert not [text for text in complaints if text.strip() and "%|" not in text]  # a progress bar is none
    assert _decodes(outputs) == DECODES[name]
    assert sum("image/png" in output.get("data", {}) for output in outputs) == FIGURES[name]
