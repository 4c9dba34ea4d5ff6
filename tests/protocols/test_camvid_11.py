"""SegNet on CamVid: section 3.2 of the paper, and its authors' files (github.com/alexgkendall/SegNet-Tutorial, Models)."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from fusionseg.data.camvid import CamVid

NAME = "camvid_11"
SMALL = ["--model.backbone.encoder", "tu-test_efficientnet", "--model.backbone.decoder", "Unet"]
TRAINING = 367
WEIGHTS = {
    "Sky": 0.2595,
    "Building": 0.1826,
    "Pole": 4.5640,
    "Road": 0.1417,
    "Pavement": 0.9051,
    "Tree": 0.3826,
    "SignSymbol": 9.6446,
    "Fence": 1.8418,
    "Car": 0.6823,
    "Pedestrian": 6.2478,
    "Bicyclist": 7.3614,
}
"""`class_weighting` of segnet_basic_train.prototxt, in the order of the label ids."""

Protocols = Callable[..., Any]


def scenes(length: int) -> list[str]:
    return ["--data.dataset", "SyntheticScenes", "--data.dataset.length", str(length)]


@pytest.mark.slow
def test_the_rate_stays_and_validation_comes_each_thousand_iterations(
    protocol: Protocols, rates: Callable[[Any], list[float]]
) -> None:
    """`base_lr: 0.1`, `gamma: 1.0` and `max_iter: 10000` of segnet_basic_solver.prototxt."""
    given = protocol(NAME, *SMALL, *scenes(TRAINING))
    batches = given.batches()
    assert batches == TRAINING // 12 == 30
    found = rates(given)
    assert {found[iteration // batches] for iteration in (0, 999, 5_000, 9_999)} == {0.1}
    assert given.trainer["max_steps"] == 10_000
    assert (len(found) - 1) * batches < 10_000 <= len(found) * batches
    assert abs(given.trainer["check_val_every_n_epoch"] * batches - 1000) < batches / 2
    assert given.trainer["monitor"] == "val/accuracy", "global accuracy (section 3.3)"


def test_momentum_and_weight_decay_are_those_of_the_solver(protocol: Protocols) -> None:
    """`momentum: 0.9` and `weight_decay: 0.0005`."""
    optimizer = protocol(NAME, *SMALL, *scenes(12)).model.optimizer([torch.nn.Parameter(torch.zeros(1))])
    group = optimizer.param_groups[0]
    assert (type(optimizer), group["momentum"], group["weight_decay"]) == (torch.optim.SGD, 0.9, 5e-4)
    assert not group["nesterov"]


@pytest.mark.slow
def test_images_are_seen_whole_with_24_rows_more(protocol: Protocols) -> None:
    for crop in protocol(NAME, *SMALL, *scenes(12)).crops((360, 480), 20):
        assert crop.size == (384, 480)
        assert crop.columns == pytest.approx((0, 1), abs=1e-5)
        first, last = crop.rows
        assert last - first == pytest.approx(384 / 360, abs=1e-5)
        assert -24 / 360 - 1e-5 <= first <= 1e-5
        assert (crop.zoom, crop.turned) == (1, False)


def by_caffe(logits: Tensor, semantic: Tensor, weights: list[float]) -> float:
    """`SoftmaxWithLoss` with `weight_by_label_freqs`, which divides by the number of labelled pixels, one by one."""
    p = logits.double().softmax(1)
    losses = [
        -weights[label] * float(p[image, label, row, column].log())
        for image, row, column in np.ndindex(*semantic.shape)
        if (label := int(semantic[image, row, column])) != 255
    ]
    assert 100 < len(losses) < semantic.numel()
    return float(np.sum(losses) / len(losses))


def test_the_loss_of_a_batch_is_that_of_its_authors(protocol: Protocols, camvid: Path) -> None:
    assert tuple(WEIGHTS) == CamVid.classes.names
    args = ["--data.dataset.root", str(camvid), "--data.batch_size", "2", "--data.crop_size", "[32, 32]"]
    with torch.no_grad():
        loss, outputs, batch = protocol(NAME, *SMALL, *args).step()
    assert outputs["semantic"].shape == (2, 11, 32, 32)
    assert float(loss) == pytest.approx(
        by_caffe(outputs["semantic"], batch["semantic"], [*WEIGHTS.values()]), rel=1e-5
    )


@pytest.mark.slow
def test_the_weights_of_pole_and_road_are_those_of_median_frequency_balancing(data: Path) -> None:
    """The median share of a class over its own. The others of the file are neither so nor as Eigen and Fergus have it.

    Eigen and Fergus (arXiv:1411.4734, section 6) count only the images that show a class.
    """
    dataset = CamVid("train", data / "CamVid")
    labels = [dataset.labels(i).semantic for i in range(len(dataset))]
    counts = np.stack([np.bincount(each.ravel(), minlength=256)[:11] for each in labels])
    labelled = counts.sum(1, keepdims=True)
    shares = counts.sum(0) / labelled.sum()
    of_showing = counts.sum(0) / ((counts > 0) * labelled).sum(0)
    balanced = dict(zip(WEIGHTS, np.median(shares) / shares, strict=True))
    by_eigen = dict(zip(WEIGHTS, np.median(of_showing) / of_showing, strict=True))
    for name, weight in WEIGHTS.items():
        assert (abs(balanced[name] / weight - 1) < 2e-4) == (name in ("Pole", "Road"))
        assert abs(by_eigen[name] / weight - 1) > 2e-2
    assert (balanced["SignSymbol"], by_eigen["SignSymbol"]) == pytest.approx((3.8248, 3.8464), rel=1e-4)


@pytest.mark.slow
def test_the_network_is_segnet(protocol: Protocols) -> None:
    """26 convolutions, those of VGG-16 forth and back (section 3 of the paper); the last is the head's."""
    network = protocol(NAME, *scenes(12)).model.network
    convolutions = [module for module in network.modules() if isinstance(module, torch.nn.Conv2d)]
    assert len(convolutions) == 13 + 13 + 1, "the head is one more"
    assert not any(isinstance(module, torch.nn.ConvTranspose2d) for module in network.modules())
