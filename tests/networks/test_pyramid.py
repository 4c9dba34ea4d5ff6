from collections.abc import Sequence
from functools import partial
from typing import ClassVar

import pytest
import torch
from torch import Tensor, nn

from fusionseg.config.errors import UsageError
from fusionseg.heads import BoundaryHead, DepthHead, SemanticHead
from fusionseg.networks import MTAN, CrossStitch, CrossTaskAttention, HardSharing, PADNet
from fusionseg.networks.backbone import Backbone
from fusionseg.networks.base import HeadRecipe, Network
from fusionseg.networks.decoder import Decoder

IMAGE = torch.randint(0, 256, (2, 3, 64, 96), dtype=torch.uint8)


class PyramidBoundaryHead(BoundaryHead):
    """A boundary head of the sum of all levels."""

    reads_pyramid: ClassVar[bool] = True

    def __init__(self, in_channels: Sequence[int]) -> None:
        super().__init__(8)
        self.lateral = nn.ModuleList([nn.Conv2d(channels, 8, 1) for channels in in_channels])

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        maps = [layer(m) for layer, m in zip(self.lateral, features, strict=True)]
        size = maps[0].shape[-2:]
        return super().forward(torch.stack([nn.functional.interpolate(m, size) for m in maps]).sum(0))


class StrideEight(Decoder):
    """The map at stride 8 alone."""

    def __init__(self, encoder_channels: Sequence[int]) -> None:
        super().__init__()
        self.out_channels = 16
        self.layer = nn.Conv2d(encoder_channels[3], 16, 1)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        return self.layer(features[3])  # type: ignore[no-any-return]


SEMANTIC: dict[str, HeadRecipe] = {"semantic": partial(SemanticHead, num_classes=5)}
HEADS: dict[str, HeadRecipe] = {**SEMANTIC, "region": PyramidBoundaryHead}
GIVING = [HardSharing, partial(HardSharing, shared_decoder=False), MTAN, CrossStitch]


@pytest.mark.parametrize("network", GIVING, ids=["shared", "separate", "mtan", "cross-stitch"])
def test_a_head_that_reads_the_pyramid_gets_its_maps_from_stride_4_on(network: type[Network]) -> None:
    built = network(HEADS, Backbone(decoder="FPN"))  # type: ignore[call-arg]
    assert [layer.in_channels for layer in built.heads["region"].lateral] == [64, 128, 256, 512]
    (outputs,) = built(IMAGE)
    assert outputs["semantic"].shape == (2, 5, 16, 24)
    assert outputs["region"].shape == (2, 1, 16, 24)


@pytest.mark.parametrize("network", GIVING, ids=["shared", "separate", "mtan", "cross-stitch"])
def test_every_parameter_beside_such_a_head_is_learned(network: type[Network]) -> None:
    built = network(HEADS, Backbone(decoder="FPN"))  # type: ignore[call-arg]
    (outputs,) = built(IMAGE)
    (outputs["semantic"].sum() + outputs["region"].sum()).backward()
    assert [n for n, p in built.named_parameters() if p.requires_grad and p.grad is None] == []


def test_a_single_task_that_reads_the_pyramid_has_no_decoder() -> None:
    built = HardSharing({"region": PyramidBoundaryHead}, Backbone(decoder="FPN"))
    assert not list(built.decoders.parameters())
    built(IMAGE)[0]["region"].sum().backward()
    assert all(p.grad is not None for p in built.parameters())


def test_stages_that_only_the_pyramid_s_head_reads_are_learned() -> None:
    alone = HardSharing(SEMANTIC, Backbone(decoder="StrideEight"))
    beside = HardSharing(HEADS, Backbone(decoder="StrideEight"))
    frozen = [n for n, p in alone.encoder.named_parameters() if not p.requires_grad]
    assert any("layer4" in name for name in frozen)
    assert all(p.requires_grad for p in beside.encoder.parameters())


def test_gradients_are_balanced_behind_the_encoder_then() -> None:
    built = HardSharing(HEADS, Backbone(decoder="FPN"))
    found = []

    def balance(products: Tensor) -> Tensor:
        found.append(products)
        return torch.ones(2)

    built.branch.balance = balance
    (outputs,) = built(IMAGE)
    (outputs["semantic"].sum() + outputs["region"].sum()).backward()
    assert len(found) == 1
    assert (found[0].diagonal() > 0).all()


@pytest.mark.parametrize("network", [PADNet, CrossTaskAttention])
def test_networks_that_mix_the_maps_of_decoders_refuse_such_a_head(network: type[Network]) -> None:
    with pytest.raises(
        UsageError, match=r"PyramidBoundaryHead reads the encoder's pyramid, but .* choose Har"
    ):
        network(HEADS, Backbone(decoder="FPN"))  # type: ignore[call-arg]


def test_a_decoder_cannot_be_shared_by_others_beside_such_a_head() -> None:
    three = {**HEADS, "depth": DepthHead}
    with pytest.raises(UsageError, match=r"shared_decoder: expected false beside .* \(region\)"):
        HardSharing(three, Backbone(decoder="FPN"))
    built = HardSharing(three, Backbone(decoder="FPN"), shared_decoder=False)
    assert set(built(IMAGE)[0]) == set(three)
