import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

SHORT = "max_epochs=1, limit_train_batches=4, limit_val_batches=4"
NOTEBOOKS = sorted((Path(__file__).parents[2] / "notebooks").glob("*.ipynb"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_is_valid_and_without_outputs(path: Path) -> None:
    notebook = nbformat.read(path, nbformat.NO_CONVERT)  # type: ignore[no-untyped-call]
    nbformat.validate(notebook)
    assert [cell.id for cell in notebook.cells if cell.get("outputs") or cell.get("execution_count")] == []


@pytest.mark.slow
@pytest.mark.filterwarnings("default::DeprecationWarning:jupyter_client", "default::DeprecationWarning:zmq")
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_runs_and_shows_a_picture_and_a_table(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    before = sorted(path.parent.iterdir())
    notebook = nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]
    for cell in notebook.cells:  # less training shows the same
        cell.source = re.sub(r"max_epochs=\d+, check_val_every_n_epoch=\d+", SHORT, cell.source)
    trains = [cell for cell in notebook.cells if "Trainer(" in cell.source]
    assert all(SHORT in cell.source for cell in trains)
    NotebookClient(notebook, timeout=900, resources={"metadata": {"path": str(path.parent)}}).execute()
    shown = {
        kind
        for cell in notebook.cells
        for output in cell.get("outputs", [])
        for kind in output.get("data", {})
    }
    assert {"image/png", "text/markdown"} <= shown
    assert sorted(path.parent.iterdir()) == before
