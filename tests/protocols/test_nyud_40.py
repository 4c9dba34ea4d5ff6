"""NYUD-MT: what its authors' code does, restated (github.com/SimonVandenhende/Multi-Task-Learning-PyTorch)."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

NAME = "nyud_40"
OWN_SIZE = (425, 560)
SIZE = (480, 640)
SMALL = ["--model.backbone.encoder", "resnet18", "--model.backbone.late_dilation", "false"]
TRAINING = 795

Protocols = Callable[..., Any]


def scenes(length: int) -> list[str]:
    return [
        *("--data.dataset", "SyntheticScenes", "--data.dataset.length", str(length)),
        *("--data.dataset.depth", "true"),
    ]


@pytest.mark.slow
def test_the_rate_falls_from_epoch_to_epoch_by_a_power_of_what_is_left(
    protocol: Protocols, rates: Callable[[Any], list[float]]
) -> None:
    """`adjust_learning_rate` of utils/common_config.py, before each epoch; `drop_last` of its train loader."""
    given = protocol(NAME, *SMALL, *scenes(TRAINING))
    assert given.batches() == TRAINING // 8 == 99
    found = rates(given)
    assert len(found) == 100
    for iteration in (0, 98, 99, 4_950, 9_899):
        epoch = iteration // 99
        assert found[epoch] == pytest.approx(1e-4 * (1 - epoch / 100) ** 0.9, rel=1e-9)


@pytest.mark.slow
def test_views_are_zooms_about_the_center_by_which_depth_is_divided(protocol: Protocols) -> None:
    """`RandomHorizontalFlip`, `ScaleNRotate(rots=[0], scales=[1.0, 1.2, 1.5])` and `FixedResize` to 480 x 640."""
    given = protocol(NAME, *SMALL, *scenes(8))
    assert {crop.size for crop in given.crops(OWN_SIZE, 3)} == {SIZE}
    small = protocol(NAME, *SMALL, *scenes(8), "--data.crop_size", "[96, 128]", "--data.resize", "[96, 128]")
    crops = small.crops((85, 112), 600)
    zooms = Counter(round(crop.zoom, 3) for crop in crops)
    assert zooms.keys() == {1.0, 1.2, 1.5}
    assert all(abs(count - 200) < 4 * (600 * 2 / 9) ** 0.5 for count in zooms.values())
    mirrored = [crop.columns[0] > crop.columns[1] for crop in crops]
    assert abs(sum(mirrored) - 300) < 4 * 150**0.5
    assert mirrored == [crop.turned for crop in crops]
    for crop in crops:
        cut = (1 - 1 / crop.zoom) / 2
        for (first, last), pixel in ((crop.rows, 1 / 96), (sorted(crop.columns), 1 / 128)):
            assert first == pytest.approx(cut, abs=pixel)
            assert last == pytest.approx(1 - cut, abs=pixel)


def by_loss_functions(outputs: dict[str, Tensor], batch: dict[str, Tensor]) -> float:
    """`SoftMaxwithLoss` and `DepthLoss` of losses/loss_functions.py on outputs brought to the size of the labels."""
    size = batch["semantic"].shape[1:]
    logits, raw = (
        F.interpolate(outputs[task].double(), size, mode="bilinear") for task in ("semantic", "depth")
    )
    depth = torch.log1p(raw.exp())[:, 0]
    log_p = logits - logits.exp().sum(1, keepdim=True).log()
    cross_entropy, l1 = [], []
    for image, row, column in np.ndindex(*batch["semantic"].shape):
        if (label := int(batch["semantic"][image, row, column])) != 255:
            cross_entropy.append(-float(log_p[image, label, row, column]))
        if true := float(batch["depth"][image, row, column]):
            l1.append(abs(float(depth[image, row, column]) - true))
    assert min(len(cross_entropy), len(l1)) > 100
    return float(1.0 * np.mean(cross_entropy) + 1.0 * np.mean(l1))


@pytest.mark.slow
def test_the_loss_of_a_batch_is_that_of_its_authors(
    protocol: Protocols, nyu_copy: Callable[[str], Path]
) -> None:
    args = ["--data.dataset.root", str(nyu_copy("NYUD_MT")), "--data.batch_size", "2"]
    sizes = ["--data.crop_size", "[64, 96]", "--data.resize", "[64, 96]"]
    with torch.no_grad():
        loss, outputs, batch = protocol(NAME, *SMALL, *args, *sizes).step()
    assert outputs["semantic"].shape == (2, 40, 8, 12), "stride 8, as of its dilated ResNet"
    assert float(loss) == pytest.approx(by_loss_functions(outputs, batch), rel=1e-5)


@pytest.mark.slow
def test_each_task_has_a_decoder_behind_one_encoder(protocol: Protocols) -> None:
    """`MultiTaskModel` of models/models.py; with ResNet-50 and `DeepLabHead` of models/aspp.py."""
    network = protocol(NAME, *scenes(8)).model.network
    assert {*network.decoders} == {"semantic", "depth"}
    rates = [
        module.dilation[0]
        for module in network.decoders["depth"].modules()
        if isinstance(module, torch.nn.Conv2d)
    ]
    assert {*rates} == {1, 12, 24, 36}
    assert network.encoder.out_channels[-1] == 2048
