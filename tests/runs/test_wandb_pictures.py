from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from lightning.pytorch.loggers import WandbLogger

from fusionseg.data.synthetic import SyntheticScenes
from fusionseg.runs.wandb_pictures import log_panel, log_pictures
from fusionseg.sample import Prediction, Truth


class Logger(WandbLogger):
    """One whose run keeps what is logged."""

    def __init__(self, seen_epoch: int = -1) -> None:
        self.logged: list[dict[str, Any]] = []
        self.seen_epoch = seen_epoch

    @property
    def experiment(self) -> Any:
        return SimpleNamespace(log=self.logged.append)


def seen(*sizes: tuple[int, int]) -> list[Any]:
    images = []
    for size in sizes:
        labels, region, _ = SyntheticScenes("val", 1, size).labels(0)
        answer = Prediction("a", {"semantic": labels, "region": region})
        images.append((np.full((*size, 3), 200, np.uint8), Truth(labels, region), answer))
    return images


@pytest.mark.parametrize("sizes", [[(48, 64)], [(48, 64), (64, 48)], [(16, 80), (40, 32), (24, 24)]])
def test_images_of_mixed_sizes_are_shown_at_one_size(sizes: list[tuple[int, int]]) -> None:
    logger = Logger()
    log_pictures([logger], "val/pictures", seen(*sizes), SyntheticScenes.classes, 0)
    (row,) = logger.logged
    height, width = (max(side) for side in zip(*sizes, strict=True))
    for image, (own_height, own_width) in zip(row["val/pictures"], sizes, strict=True):
        assert image.image.size == (width, height)
        pixels = np.asarray(image.image)
        assert (pixels[:own_height, :own_width] == 200).all()
        assert pixels.sum() == 200 * 3 * own_height * own_width


def test_pictures_of_an_epoch_that_is_logged_already_are_not_logged_again() -> None:
    logger = Logger(seen_epoch=1)
    for epoch in range(3):
        log_pictures([logger], "val/pictures", seen((48, 64)), SyntheticScenes.classes, epoch)
        log_panel([logger], "val/panel", np.zeros((4, 4, 3), np.uint8), epoch)
    assert [row["epoch"] for row in logger.logged] == [2, 2]
