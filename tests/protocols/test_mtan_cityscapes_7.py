"""MTAN on Cityscapes: the paper's section 4.1, and its authors' losses restated (github.com/lorenmt/mtan, utils.py)."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from fusionseg.data.base import DataError

NAME = "mtan_cityscapes_7"
SIZE = (128, 256)
SMALL = ["--model.backbone.encoder", "tu-test_efficientnet", "--model.backbone.decoder", "Unet"]
TRAINING = 2975

Protocols = Callable[..., Any]


def scenes(length: int) -> list[str]:
    return ["--data.dataset", "SyntheticScenes", "--data.dataset.length", str(length)]


@pytest.mark.slow
def test_the_rate_is_halved_at_40_thousand_of_80_thousand_iterations(
    protocol: Protocols, rates: Callable[[Any], list[float]]
) -> None:
    given = protocol(NAME, *SMALL, *scenes(TRAINING))
    batches = given.batches()
    assert batches == TRAINING // 8 == 371
    found = rates(given)
    assert given.trainer["max_steps"] == 80_000
    assert len(found) == 80_000 // batches + 1, "the last epoch is not a whole one"
    halved = 1 + max(epoch for epoch, rate in enumerate(found) if rate == 1e-4)
    assert abs(halved * batches - 40_000) < batches / 2, "no end of an epoch is nearer"
    assert found == [1e-4] * halved + [5e-5] * (len(found) - halved)


@pytest.mark.slow
def test_images_are_seen_whole(protocol: Protocols) -> None:
    for crop in protocol(NAME, *SMALL, *scenes(8)).crops(SIZE, 20):
        assert crop.size == SIZE
        assert crop.rows == pytest.approx((0, 1), abs=1e-5)
        assert crop.columns == pytest.approx((0, 1), abs=1e-5)
        assert (crop.zoom, crop.turned) == (1, False)


def test_the_copy_at_twice_the_size_is_refused(protocol: Protocols, libmtl: Path) -> None:
    np.save(libmtl / "cityscapes7/train/image/0.npy", np.zeros((256, 512, 3), np.float32))
    with pytest.raises(
        DataError, match=r"expected images of 256 x 128 pixels, as in cityscapes2.zip, found 512 x 256"
    ):
        protocol(NAME, *SMALL, "--data.dataset.root", str(libmtl / "cityscapes7")).batches()


def by_model_fit(outputs: dict[str, Tensor], batch: dict[str, Tensor]) -> float:
    """`model_fit` of utils.py for two tasks, and their sum with `--weight equal`, pixel by pixel."""
    logits = outputs["semantic"].double()
    log_p = logits - logits.exp().sum(1, keepdim=True).log()
    inverse_depth = 0.1 * torch.log1p(outputs["disparity"].double().exp())[:, 0]
    cross_entropy, l1 = [], []
    for image, row, column in np.ndindex(*batch["semantic"].shape):
        if (label := int(batch["semantic"][image, row, column])) != 255:
            cross_entropy.append(-float(log_p[image, label, row, column]))
        if true := float(batch["disparity"][image, row, column]):
            l1.append(abs(float(inverse_depth[image, row, column]) - true))
    assert min(len(cross_entropy), len(l1)) > 100
    return float(np.mean(cross_entropy) + np.mean(l1))


@pytest.mark.slow
def test_the_loss_of_a_batch_is_that_of_its_authors(protocol: Protocols, libmtl: Path) -> None:
    root = ["--data.dataset.root", str(libmtl / "cityscapes7"), "--data.dataset.expected_size", "null"]
    args = [*root, "--data.batch_size", "2"]
    with torch.no_grad():
        loss, outputs, batch = protocol(NAME, *SMALL, *args, "--data.crop_size", "[32, 64]").step()
    assert outputs["semantic"].shape == (2, 7, 32, 64)
    assert float(loss) == pytest.approx(by_model_fit(outputs, batch), rel=1e-5)
