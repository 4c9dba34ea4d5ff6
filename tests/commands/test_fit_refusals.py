from pathlib import Path

import numpy as np
import pytest
from PIL import Image

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
        *("--data.batch_size", "2", "--data.workers", str(workers), "--model.backbone.encoder", "resnet18"),
    ]
    with pytest.raises(ValueError, match=r"train_\d.png is no complete image file"):
        main([*words, "--out", str(tmp_path / "run")])
    assert not (tmp_path / "run").exists()
    assert "Traceback" not in capfd.readouterr().err
