"""The U-Net that this project began with, on Cityscapes at 224 x 224, Adam at 1e-3."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

NAME = "unet_cityscapes"
SIZE = (224, 224)
SMALL = ["--model.backbone.encoder", "tu-test_efficientnet"]
TRAINING = 2975

Protocols = Callable[..., Any]


def scenes(length: int) -> list[str]:
    return ["--data.dataset", "SyntheticScenes", "--data.dataset.length", str(length)]


def test_the_rate_stays_in_all_epochs_of_371_batches(
    protocol: Protocols, rates: Callable[[Any], list[float]]
) -> None:
    given = protocol(NAME, *SMALL, *scenes(TRAINING))
    assert given.batches() == TRAINING // 8 == 371
    assert {*rates(given)} == {1e-3}


def test_images_are_brought_to_224_x_224_whatever_their_proportions(protocol: Protocols) -> None:
    for crop in protocol(NAME, *SMALL, *scenes(8)).crops((256, 512), 10):
        assert crop.size == SIZE
        assert crop.rows == pytest.approx((0, 1), abs=1e-3)
        assert crop.columns == pytest.approx((0, 1), abs=1e-3)
        assert (crop.zoom, crop.turned) == (1, False)


def test_the_loss_of_a_batch_is_the_cross_entropy_that_ignores_void(
    protocol: Protocols, cityscapes: Path
) -> None:
    args = ["--data.dataset.root", str(cityscapes), "--data.batch_size", "2"]
    sizes = ["--data.crop_size", "[64, 64]", "--data.resize", "[64, 64]"]
    with torch.no_grad():
        loss, outputs, batch = protocol(NAME, *SMALL, *args, *sizes).step()
    assert outputs["semantic"].shape == (2, 19, 64, 64)
    assert (batch["semantic"] == 255).any()
    criterion = torch.nn.CrossEntropyLoss(ignore_index=255)
    assert float(loss) == pytest.approx(float(criterion(outputs["semantic"], batch["semantic"])), rel=1e-5)


@pytest.mark.slow
def test_levels_are_as_wide_as_in_the_paper(protocol: Protocols) -> None:
    """64 channels at the image's size, twice as many at half of it, up to 512 (figure 1 of the paper)."""
    encoder = protocol(NAME, *scenes(8)).model.network.encoder
    assert [*encoder.out_channels][:4] == [64, 128, 256, 512]
