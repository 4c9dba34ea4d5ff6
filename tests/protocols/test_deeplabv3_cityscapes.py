"""The script that this project began with: DeepLabV3 with ResNet-50 on Cityscapes at 224 x 224, Adam at 1e-3."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torchvision.models.segmentation import deeplabv3_resnet50

NAME = "deeplabv3_cityscapes"
SIZE = (224, 224)
SMALL = ["--model.backbone.encoder", "resnet18", "--model.backbone.late_dilation", "false"]
TRAINING = 2975

Protocols = Callable[..., Any]


def scenes(length: int) -> list[str]:
    return ["--data.dataset", "SyntheticScenes", "--data.dataset.length", str(length)]


@pytest.mark.slow
def test_the_rate_stays_in_all_epochs_of_371_batches(
    protocol: Protocols, rates: Callable[[Any], list[float]]
) -> None:
    given = protocol(NAME, *SMALL, *scenes(TRAINING))
    assert given.batches() == TRAINING // 8 == 371
    found = rates(given)
    assert len(found) == given.trainer["max_epochs"]
    assert {found[iteration // 371] for iteration in (0, 370, 371, 3_709)} == {1e-3}


@pytest.mark.slow
def test_images_are_brought_to_224_x_224_whatever_their_proportions(protocol: Protocols) -> None:
    """`torchvision.transforms.Resize((224, 224))`."""
    for crop in protocol(NAME, *SMALL, *scenes(8)).crops((256, 512), 10):
        assert crop.size == SIZE
        assert crop.rows == pytest.approx((0, 1), abs=1e-3)
        assert crop.columns == pytest.approx((0, 1), abs=1e-3)
        assert (crop.zoom, crop.turned) == (1, False)


@pytest.mark.slow
def test_the_loss_of_a_batch_is_the_cross_entropy_that_ignores_void(
    protocol: Protocols, cityscapes: Path
) -> None:
    args = ["--data.dataset.root", str(cityscapes), "--data.batch_size", "2"]
    sizes = ["--data.crop_size", "[64, 64]", "--data.resize", "[64, 64]"]
    with torch.no_grad():
        loss, outputs, batch = protocol(NAME, *SMALL, *args, *sizes).step()
    assert outputs["semantic"].shape == (2, 19, 8, 8)
    logits = F.interpolate(outputs["semantic"], (64, 64), mode="bilinear", align_corners=False)
    assert (batch["semantic"] == 255).any()
    criterion = torch.nn.CrossEntropyLoss(ignore_index=255)
    assert float(loss) == pytest.approx(float(criterion(logits, batch["semantic"])), rel=1e-5)


@pytest.mark.slow
def test_the_network_has_the_parameters_of_torchvisions(protocol: Protocols) -> None:
    network = protocol(NAME, *scenes(8)).model.network
    theirs = deeplabv3_resnet50(weights=None, weights_backbone=None, num_classes=6)

    def shapes(module: torch.nn.Module) -> list[tuple[int, ...]]:
        return sorted(tuple(parameter.shape) for parameter in module.parameters())

    assert shapes(network) == shapes(theirs)
