from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from benchmarks import data


@pytest.fixture
def camvid(tmp_path: Path) -> Path:
    """A folder in the layout of CamVid with one batch of random training images."""
    chance = np.random.default_rng(0)
    for folder in ("train", "trainannot"):
        (tmp_path / folder).mkdir()
        for i in range(data.BATCH):
            size = (360, 480, 3) if folder == "train" else (360, 480)
            pixels = chance.integers(0, 256 if folder == "train" else 12, size, dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / folder / f"{i}.png")
    lines = [f"/x/train/{i}.png /x/trainannot/{i}.png\n" for i in range(data.BATCH)]
    (tmp_path / "train.txt").write_text("".join(lines))
    return tmp_path


@pytest.mark.slow
@pytest.mark.filterwarnings(
    "ignore:The image decoding and encoding capabilities of TorchVision:DeprecationWarning"
)
def test_data_runs(camvid: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    threads = torch.get_num_threads()
    monkeypatch.setattr("sys.argv", ["data", "--root", str(camvid), "--batches", "1", "--rounds", "2"])
    try:
        data.main()
    finally:
        torch.set_num_threads(threads)
    out = capsys.readouterr().out
    assert out.count("samples a second and core") == 9
