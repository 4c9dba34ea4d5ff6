"""What all tests share: fixed chance, no tracking, and real data where there are some."""

import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from fusionseg import fit
from fusionseg.data.synthetic import SyntheticScenes
from fusionseg.sample import Sample


@pytest.fixture(autouse=True)
def fixed_chance(monkeypatch: pytest.MonkeyPatch) -> None:
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)
    monkeypatch.delenv("PL_GLOBAL_SEED", raising=False)


@pytest.fixture(autouse=True)
def no_tracking(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "disabled")


@pytest.fixture
def data() -> Path:
    """The folder of real data."""
    folder = os.environ.get("FUSIONSEG_DATA")
    if not folder:
        pytest.skip("FUSIONSEG_DATA is not set: it names the folder of real data")
    return Path(folder)


@pytest.fixture
def scenes() -> Callable[..., Sample]:
    """Batches of synthetic scenes as the module gets them."""

    def batch(number: int = 2, size: tuple[int, int] = (64, 96)) -> Sample:
        dataset = SyntheticScenes("val", number, size)
        images, semantic, region = (np.stack(maps) for maps in zip(*map(dataset.read, range(number)), strict=True))
        return {
            "image": torch.from_numpy(images).permute(0, 3, 1, 2),
            "semantic": torch.from_numpy(semantic.astype(np.int64)),
            "region": torch.from_numpy(region.astype(np.int64)),
            "name": [dataset.name(i) for i in range(number)],
        }

    return batch


TINY = [
    *("--data.dataset", "SyntheticScenes", "--data.dataset.length", "8", "--data.dataset.size", "[64, 64]"),
    *("--data.crop_size", "[64, 64]", "--data.batch_size", "4", "--data.workers", "0"),
    *("--model.backbone.encoder", "tu-mobilenetv3_small_050", "--trainer.max_epochs", "2"),
]


@pytest.fixture
def tiny() -> list[str]:
    """The words of a training that takes a second."""
    return list(TINY)


@pytest.fixture(scope="session")
def _trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "tiny"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WANDB_MODE", "disabled")
        fit.main([*TINY, "--out", str(folder)])
    return folder


@pytest.fixture
def trained(_trained: Path, tmp_path: Path) -> Path:
    """A run folder of that training, to do with as one likes."""
    return shutil.copytree(_trained, tmp_path / "trained")
