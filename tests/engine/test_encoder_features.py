"""Which levels networks read of an encoder, and that they read them alike when these were computed before."""

from functools import partial
from typing import Any

import pytest
import torch

from fusionseg.config.errors import UsageError, UserError
from fusionseg.engine.encoder_features import EncoderFeatures
from fusionseg.engine.sync_batch_norm import HostBatchNorm
from fusionseg.heads import BoundaryHead, MaskQueryHead, SemanticHead
from fusionseg.networks import MTAN, CrossStitch, CrossTaskAttention, HardSharing, Network, PADNet
from fusionseg.networks.backbone import Backbone

UNET = Backbone("resnet18", options={"decoder_channels": [16, 16, 8, 8, 8]})


def made(kind: Any, backbone: Backbone = UNET, **heads: Any) -> Network:
    torch.manual_seed(0)
    recipes = {"semantic": lambda width: SemanticHead(width, 3), "region": BoundaryHead, **heads}
    network: Network = kind(recipes, backbone)
    network.freeze_encoder(True)
    return network


@pytest.mark.slow
@pytest.mark.parametrize("kind", [HardSharing, MTAN, CrossStitch, PADNet, CrossTaskAttention])
def test_every_network_reads_features_that_were_computed_before_as_its_own(kind: Any) -> None:
    network = made(kind).eval().bfloat16()
    features = EncoderFeatures(network)
    image = torch.randint(0, 256, (2, 3, 64, 96), dtype=torch.uint8)
    with torch.no_grad():
        own = torch.cat([_maps(network, one) for one in image.split(1)])
        network.encoder.known = features.pyramid(features.of(image), (64, 96))
        known = _maps(network, torch.zeros_like(image))
    assert torch.equal(own, known)


def _maps(network: Network, image: torch.Tensor) -> torch.Tensor:
    return network(image)[-1]["semantic"]  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("backbone", "levels"),
    [
        (UNET, [1, 2, 3, 4, 5]),
        (Backbone("resnet18", decoder="FPN"), [2, 3, 4, 5]),
        (Backbone("resnet18", decoder="LightPyramid"), [3, 4, 5]),
        (Backbone("resnet18", decoder="FCN"), [5]),
        (Backbone("tu-convnext_atto", decoder="LightPyramid"), [3, 4, 5]),
    ],
)
def test_only_the_levels_that_are_read_are_kept(backbone: Backbone, levels: list[int]) -> None:
    network = made(HardSharing, backbone)
    features = EncoderFeatures(network)
    assert features.levels == levels
    with torch.no_grad():
        maps = network.encoder(torch.zeros(1, 3, 64, 96))
    assert features.count((33, 96)) == sum(maps[i].numel() for i in levels)
    assert features.strides == [64 // level.shape[2] for level in maps]
    rows = features.of(torch.zeros(2, 3, 33, 96))
    assert rows.shape == (2, features.count((33, 96)))
    assert all(
        level.isnan().all() for i, level in enumerate(features.pyramid(rows, (33, 96))) if i not in levels
    )


def test_a_head_that_reads_the_pyramid_counts() -> None:
    network = HardSharing({"region": partial(MaskQueryHead, queries=4, width=32)}, UNET)
    network.freeze_encoder(True)
    assert EncoderFeatures(network).levels[0] == 2


@pytest.mark.slow
def test_weights_statistics_and_dilation_change_the_digest() -> None:
    network = made(HardSharing)
    digests = {EncoderFeatures(network).digest(), EncoderFeatures(made(HardSharing)).digest()}
    assert len(digests) == 1
    network.encoder_norms()[0].running_mean.add_(1)
    digests.add(EncoderFeatures(network).digest())
    network.encoder.mean.add_(0.1)
    digests.add(EncoderFeatures(network).digest())
    dilated = made(HardSharing, Backbone("resnet18", decoder="DeepLabV3"))
    digests.add(EncoderFeatures(dilated).digest())
    assert len(digests) == 4


def test_the_digest_does_not_depend_on_the_number_of_ranks() -> None:
    network = made(HardSharing, Backbone("tu-test_efficientnet", decoder="LightPyramid"))
    alone = EncoderFeatures(network).digest()
    for norm in network.encoder_norms():
        norm.__class__ = HostBatchNorm  # as BatchNormSync has it on several ranks
    assert EncoderFeatures(network).digest() == alone


def test_other_images_than_those_whose_features_are_known_are_refused() -> None:
    network = made(HardSharing)
    features = EncoderFeatures(network)
    network.encoder.known = features.pyramid(features.of(torch.zeros(2, 3, 32, 32)), (32, 32))
    with pytest.raises(UserError, match="expected the 2 images whose features are known, found 1"):
        network(torch.zeros(1, 3, 32, 32))


def test_a_network_without_an_encoder_of_ours_is_refused() -> None:
    network = made(HardSharing)
    network.encoder = torch.nn.Identity()
    with pytest.raises(
        UsageError, match=r"^data.features: expected a network with an Encoder.* found HardSharing$"
    ):
        EncoderFeatures(network)


def test_a_pyramid_that_learns_beside_a_frozen_transformer_is_not_kept() -> None:
    network = made(HardSharing, Backbone("tu-test_vit", decoder="FPN"))
    with pytest.raises(UsageError, match=r"^data.features: .* found a plain transformer.*: leave it out$"):
        EncoderFeatures(network)
