from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import nn

from fusionseg.heads import SemanticHead, TrinaryHead
from fusionseg.networks.backbone import Backbone
from fusionseg.networks.hard_sharing import HardSharing

Vit = Callable[..., Backbone]

NAME = "vit_small_patch16_dinov3.lvd1689m"
IMAGE = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))


def has_slope(parameter: nn.Parameter) -> bool:
    return parameter.grad is not None and bool(parameter.grad.any())


def test_a_frozen_trunk_gives_the_same_pyramid_and_only_the_neck_learns(tiny_vit: Vit) -> None:
    encoder, (decoder,) = tiny_vit(NAME, drop_path_rate=0.9).build()
    expected = [feature.detach() for feature in encoder.eval()(IMAGE)]
    encoder.frozen = True
    features = encoder.train()(IMAGE)
    for ours, theirs in zip(features, expected, strict=True):
        assert torch.equal(ours, theirs)
    decoder(features).square().sum().backward()
    body: Any = encoder.body
    # zero, not none: DDP waits for every parameter
    assert all(p.grad is not None and not p.grad.any() for p in body.trunk.parameters())
    assert all(has_slope(p) for p in body.neck.parameters())


def network(backbone: Backbone, shared: bool = False) -> HardSharing:
    heads: dict[str, Any] = {"semantic": partial(SemanticHead, num_classes=3), "region": TrinaryHead}
    return HardSharing(heads, backbone, shared_decoder=shared)


def test_the_optimizer_finds_no_gradients_of_a_frozen_trunk(tiny_vit: Vit) -> None:
    made = network(tiny_vit(NAME))
    made.freeze_encoder(True)
    [outputs] = made(IMAGE)
    total: Any = torch.stack([output.square().sum() for output in outputs.values()]).sum()
    total.backward()
    made.drop_frozen_gradients()
    body: Any = made.encoder.body
    assert all(p.grad is None for p in body.trunk.parameters())
    assert all(has_slope(p) for p in body.neck.parameters())


@pytest.mark.parametrize("shared", [True, False])
def test_tasks_share_a_neck_that_learns_beside_a_frozen_trunk(shared: bool, tiny_vit: Vit) -> None:
    assert network(tiny_vit(NAME), shared).shares_unfrozen
    assert network(Backbone("small_cnn", decoder="FPN"), shared).shares_unfrozen == shared
