from typing import Any

import pytest
import segmentation_models_pytorch as smp
import torch
from torch import Tensor, nn

from fusionseg.networks.stages import entry, stage, stages

CUT = {
    "resnet18": 5,
    "resnext50_32x4d": 5,
    "se_resnet50": 5,
    "timm-skresnet18": 5,
    "vgg11_bn": 6,
    "densenet121": 5,
    "inceptionv4": 5,
    "xception": 5,
    "mobilenet_v2": 5,
    "mobileone_s0": 5,
    "efficientnet-b0": 5,
    "tu-resnet18": 5,
    "tu-convnext_atto": 4,
    "tu-mobilenetv3_small_100": 5,
}
"""One encoder of each family, and its number of stages."""


def encoder(name: str) -> Any:
    torch.manual_seed(0)
    return smp.encoders.get_encoder(name, weights=None)


@pytest.mark.filterwarnings("ignore:`timm-` encoders are deprecated")
@pytest.mark.parametrize(("name", "number"), CUT.items())
def test_the_stages_one_after_another_are_the_encoder(name: str, number: int) -> None:
    body = encoder(name)
    cut = stages(body, 3)
    assert cut is not None
    assert sum(bool(steps) for steps in cut) == number
    assert body.training
    image = torch.randn(2, 3, 64, 96)
    torch.manual_seed(1)
    expected = body(image.clone())  # in training: batch statistics, dropped paths
    torch.manual_seed(1)
    features = image.clone()
    for steps, width, whole in zip(cut, body.out_channels, expected, strict=True):
        features = stage(body, steps, features)
        torch.testing.assert_close(entry(features, width), whole, rtol=1e-4, atol=1e-4)


def test_the_stages_of_a_dilated_and_of_a_shallow_encoder_are_its_own() -> None:
    for body in (
        smp.encoders.get_encoder("mobilenet_v2", output_stride=8),
        smp.encoders.get_encoder("vgg11", depth=3),
    ):
        cut = stages(body, 3)
        assert cut is not None
        features = image = torch.randn(1, 3, 64, 64)
        for steps, whole in zip(cut, body.eval()(image), strict=True):
            features = stage(body, steps, features)
            torch.testing.assert_close(features, whole)


@pytest.mark.parametrize("name", ["mit_b0", "dpn68", "tu-hrnet_w18_small"])
def test_an_encoder_that_is_no_chain_is_not_cut(name: str) -> None:
    assert stages(encoder(name), 3) is None


class Chain(nn.Module):
    """Two layers; a subclass has an operation between them that is not a layer."""

    out_channels = (3, 4, 5)

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Conv2d(3, 4, 1), nn.Conv2d(4, 5, 1)

    def forward(self, image: Tensor) -> list[Tensor]:
        between = self.between(self.one(image))
        return [image, between, self.two(between)]

    def between(self, features: Tensor) -> Tensor:
        return features


class InPlace(Chain):
    def between(self, features: Tensor) -> Tensor:
        return features.relu_()


class Apart(Chain):
    def between(self, features: Tensor) -> Tensor:
        return features + 1


def test_what_an_encoder_does_between_its_layers_is_noticed() -> None:
    assert stages(Chain(), 3) is not None
    assert stages(InPlace(), 3) is None
    assert stages(Apart(), 3) is None
