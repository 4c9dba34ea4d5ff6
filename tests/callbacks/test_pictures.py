from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from fusionseg.callbacks.pictures import Pictures
from fusionseg.data.synthetic import SyntheticScenes
from fusionseg.sample import Prediction
from fusionseg.visualize import photo


def watched(pictures: Pictures, folder: Path, epochs: int, batch: Any, outputs: Any) -> list[str]:
    """The files that a callback leaves in a training."""
    trainer: Any = SimpleNamespace(
        sanity_checking=False,
        is_global_zero=True,
        state=SimpleNamespace(fn="fit"),
        max_epochs=epochs,
        default_root_dir=str(folder),
        loggers=[],
        val_dataloaders=None,
        num_val_batches=[3],
    )
    module: Any = SimpleNamespace(classes=SyntheticScenes.classes)
    for trainer.current_epoch in range(epochs):
        pictures.on_validation_epoch_start(trainer, module)
        for number in range(3):
            pictures.on_validation_batch_end(trainer, module, outputs, batch, number)
        pictures.on_validation_epoch_end(trainer, module)
    return sorted(p.name for p in folder.rglob("*.png"))


def answers(batch: Any) -> list[Prediction]:
    return [
        Prediction(name, {"semantic": semantic.numpy().astype(np.uint8)})
        for name, semantic in zip(batch["name"], batch["semantic"], strict=True)
    ]


def test_panels_come_at_even_distances_and_at_the_end(scenes: Any, tmp_path: Path) -> None:
    batch = scenes()
    assert watched(Pictures(1, panels=3), tmp_path, 7, batch, answers(batch)) == [
        "epoch_002.png",
        "epoch_005.png",
        "epoch_006.png",
    ]


def test_a_panel_has_so_many_rows_as_wanted(scenes: Any, tmp_path: Path) -> None:
    batch = scenes(2)
    heights = []
    for count in (1, 2, 3):
        watched(Pictures(count), tmp_path / str(count), 1, batch, answers(batch))
        with Image.open(tmp_path / str(count) / "pictures" / "epoch_000.png") as image:
            heights.append(image.height)
    assert heights[2] - heights[1] == heights[1] - heights[0] > 64


@pytest.mark.parametrize(
    ("count", "batches", "expected"),
    [(4, 8, "aceg"), (4, 100, "az"), (2, 3, "ab"), (3, 2, "aAb"), (4, 1, "aA"), (2, float("inf"), "aA")],
)
def test_pictures_are_of_images_at_even_distances(
    count: int, batches: float, expected: str, scenes: Any
) -> None:
    batch, pictures = scenes(2), Pictures(count)
    trainer: Any = SimpleNamespace(
        sanity_checking=False,
        is_global_zero=True,
        state=SimpleNamespace(fn="fit"),
        max_epochs=1,
        current_epoch=0,
        val_dataloaders=None,
        num_val_batches=[batches],
    )
    for number in range(int(min(batches, 26))):
        names = [chr(ord("a") + number), chr(ord("A") + number)]
        outputs = [
            Prediction(name, {"semantic": s.numpy().astype(np.uint8)})
            for name, s in zip(names, batch["semantic"], strict=True)
        ]
        pictures.on_validation_batch_end(trainer, None, outputs, batch, number)  # type: ignore[arg-type]
    assert "".join(prediction.name for *_, prediction in pictures.seen) == expected


def test_a_model_that_returns_no_answers_has_no_pictures(scenes: Any, tmp_path: Path) -> None:
    for outputs in (None, torch.zeros(()), {"loss": 1}, [1, 2]):
        assert watched(Pictures(), tmp_path, 1, scenes(), outputs) == []


@pytest.mark.parametrize(
    ("dtype", "top"),
    [(torch.uint8, 255), (torch.uint16, 65535), (torch.float32, 1.0)],
    ids=["uint8", "uint16", "float"],
)
def test_a_photo_is_the_first_three_channels_in_bytes(dtype: torch.dtype, top: float) -> None:
    image = torch.zeros(2, 4, 5, 6, dtype=dtype)
    image[1, 0] = torch.tensor(top).to(dtype)
    picture = photo({"image": image}, 1)
    assert picture.shape == (5, 6, 3)
    assert picture.dtype == np.uint8
    assert (picture == [255, 0, 0]).all()
