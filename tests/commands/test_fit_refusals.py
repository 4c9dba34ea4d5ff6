import os
import subprocess
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fusionseg.cli.entry import guarded
from fusionseg.commands.fit import main


@pytest.fixture
def camvid_like(tmp_path: Path) -> Path:
    """Real files in CamVid's layout, of noise."""
    root, rng = tmp_path / "CamVid", np.random.default_rng(0)
    for split in ("train", "val", "test"):
        (root / split).mkdir(parents=True)
        (root / f"{split}annot").mkdir()
        for i in range(2):
            Image.fromarray(rng.integers(0, 256, (32, 32, 3), np.uint8)).save(
                root / split / f"{split}_{i}.png"
            )
            Image.fromarray(np.full((32, 32), 3, np.uint8)).save(root / f"{split}annot" / f"{split}_{i}.png")
        lines = [
            f"/SegNet/CamVid/{split}/{split}_{i}.png /SegNet/CamVid/{split}annot/{split}_{i}.png"
            for i in range(2)
        ]
        (root / f"{split}.txt").write_text("\n".join(lines))
    return root


@pytest.mark.slow
def test_a_folder_with_a_run_is_refused_and_kept(trained: Path, tiny: list[str]) -> None:
    before = {p: p.stat().st_mtime_ns for p in trained.rglob("*")}
    with pytest.raises(FileExistsError, match=r"already holds a run: choose another folder with --out"):
        main([*tiny, "--out", str(trained)])
    with pytest.raises(FileExistsError, match=r"is a file: choose a folder with --out"):
        main([*tiny, "--out", str(trained / "summary.json")])
    assert {p: p.stat().st_mtime_ns for p in trained.rglob("*")} == before


@pytest.mark.parametrize("words", ["--data.batch_size 9", "--trainer.callbacks nosuch.Callback"])
def test_a_training_that_never_starts_leaves_nothing(words: str, tiny: list[str], tmp_path: Path) -> None:
    with pytest.raises(
        ValueError, match=r"expected at least one batch of 9 training images|No module named 'nosuch'"
    ):
        main([*tiny, *words.split(), "--out", str(tmp_path / "run")])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("workers", [0, 1])
def test_a_truncated_image_is_named_without_a_traceback(
    workers: int, tmp_path: Path, camvid_like: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    for path in (camvid_like / "train").iterdir():
        path.write_bytes(path.read_bytes()[:-300])
    words = [
        *(
            "--data.dataset",
            "CamVid",
            "--data.dataset.root",
            str(camvid_like),
            "--data.crop_size",
            "[32, 32]",
        ),
        *("--data.batch_size", "2", "--data.workers", str(workers)),
        *("--model.backbone.encoder", "tu-test_efficientnet"),
    ]
    with pytest.raises(ValueError, match=r"train_\d.png is no complete image file"):
        main([*words, "--out", str(tmp_path / "run")])
    assert not (tmp_path / "run").exists()
    assert "Traceback" not in capfd.readouterr().err


PARTS = """
import numpy as np
import torch
from fusionseg.data.synthetic import SyntheticScenes
from fusionseg.heads import BoundaryHead
from fusionseg.losses import CrossEntropy

class Head(BoundaryHead):
    def forward(self, *maps):
        one, two, three = (1, 2, 3, 4)

class Loss(CrossEntropy):
    def total(self, *_):
        raise OSError(5, "no path")

class Data(SyntheticScenes):
    def read(self, index):
        return np.zeros((2, 3)).reshape(7)

class File(BoundaryHead):
    def forward(self, *maps):
        open("no/such/file")

class Pools(BoundaryHead):
    def forward(self, *maps):
        torch.nn.MaxPool2d(999)(maps[0])

class Files(SyntheticScenes):
    def read(self, index):
        if torch.utils.data.get_worker_info():
            open("no/such/file")
        return super().read(index)

class Refuses(BoundaryHead):
    def __init__(self, channels: int) -> None:
        raise ValueError("this head wants more")

class RefusesFile(BoundaryHead):
    def __init__(self, channels: int) -> None:
        open("no/such/file")
"""
"""Parts of a user's own; those that do not refuse fail in the first batch."""


@pytest.fixture
def parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The parts in a file that Python finds."""
    (tmp_path / "parts.py").write_text(PARTS)
    monkeypatch.syspath_prepend(tmp_path)
    yield
    sys.modules.pop("parts", None)


NO_FILE = "FileNotFoundError: [Errno 2] No such file or directory: 'no/such/file'"
BUGS = {
    "head": (
        "--model.region_head parts.Head",
        "ValueError: too many values to unpack (expected 3)",
        "in forward",
    ),
    "loss": ("--model.semantic_head.losses [parts.Loss]", "OSError: [Errno 5] no path", "in total"),
    "file": ("--model.region_head parts.File", NO_FILE, "in forward"),
    "file in a worker": ("--data.dataset parts.Files --data.workers 1 --data.cache none", NO_FILE, "in read"),
    "map": (
        "--model.region_head parts.Pools",
        "RuntimeError: Given input size: (8x64x64). Calculated output size: (8x0x0). Output size is too small",
        "in forward",
    ),
    "data": (
        "--data.dataset parts.Data",
        "ValueError: cannot reshape array of size 6 into shape (7,)",
        "in read",
    ),
    "data in a worker": (
        "--data.dataset parts.Data --data.workers 1",
        "ValueError: cannot reshape array of size 6 into shape (7,)",
        "in read",
    ),
}
"""Arguments with a part that fails, the error, and where it is raised."""


@pytest.mark.slow
@pytest.mark.usefixtures("parts")
@pytest.mark.parametrize("bug", BUGS)
def test_a_bug_in_a_part_of_one_s_own_keeps_its_traceback_which_is_in_the_run_folder(
    bug: str, tiny: list[str], tmp_path: Path
) -> None:
    words, reason, place = BUGS[bug]
    with pytest.raises((OSError, RuntimeError, ValueError)) as raised:  # and no exit with one line
        guarded(main, [*tiny, *words.split(), "--out", str(tmp_path / "run")])
    kept = (tmp_path / "run" / "traceback.txt").read_text()
    for told in ("".join(traceback.format_exception(raised.value)), kept):
        assert "Traceback" in told
        assert place in told
        assert reason in told
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["traceback.txt"]


@pytest.mark.slow
@pytest.mark.usefixtures("parts")
def test_that_traceback_is_on_the_screen(tiny: list[str], tmp_path: Path) -> None:
    words, reason, place = BUGS["data in a worker"]
    command = [sys.executable, "-m", "fusionseg.fit", *tiny, *words.split(), "--out", str(tmp_path / "run")]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert place in done.stderr
    assert reason in done.stderr


@pytest.mark.slow
@pytest.mark.usefixtures("parts")
@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("Refuses", "this head wants more"),
        ("RefusesFile", "[Errno 2] No such file or directory: 'no/such/file'"),
    ],
)
def test_a_part_of_one_s_own_that_cannot_be_built_is_one_line(
    name: str, line: str, tiny: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        guarded(main, [*tiny, "--model.region_head", f"parts.{name}", "--out", str(tmp_path / "run")])
    assert stop.value.code == 2
    assert capsys.readouterr().err == f"error: {line}\n"
    assert not (tmp_path / "run").exists()
