"""Balancing while parameters are frozen, and after they were."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch

from fusionseg import networks
from fusionseg.balancing import CAGrad, GradNorm
from fusionseg.data.synthetic import SyntheticScenes
from fusionseg.module import FusionModule
from fusionseg.networks import HardSharing
from fusionseg.networks.backbone import Backbone
from fusionseg.sample import Sample

Scenes = Callable[..., Sample]
EVERY = [
    HardSharing,
    partial(HardSharing, shared_decoder=False),
    *(
        k
        for k in networks.Network.__subclasses__()
        if k.__name__ in networks.__all__ and k is not HardSharing
    ),
]

SMALL = Backbone(
    "tu-test_efficientnet",
    decoder="FPN",
    options={"decoder_pyramid_channels": 32, "decoder_segmentation_channels": 32},
)

every_network = pytest.mark.parametrize(
    "network", EVERY, ids=lambda n: getattr(n, "__name__", "HardSharing, two decoders")
)


def model(network: Any) -> FusionModule:
    torch.manual_seed(0)
    level = partial(CAGrad, level="parameters", double=True)
    built = FusionModule(SyntheticScenes.classes, network=network, balancer=level, backbone=SMALL)
    return built.double().eval()


def step(module: FusionModule, batch: Sample) -> dict[str, torch.Tensor]:
    module.zero_grad()
    module.backward(module.training_step(batch, 0))
    return {name: p.grad.clone() for name, p in module.named_parameters() if p.grad is not None}


@every_network
def test_what_is_thawed_learns_as_if_it_had_never_been_frozen(network: Any, scenes: Scenes) -> None:
    batch, never, thawed = scenes(2, (64, 64)), model(network), model(network)
    thawed.network.encoder.requires_grad_(False)
    held = step(thawed, batch)
    assert held
    assert not any(".encoder." in name for name in held)
    thawed.network.encoder.requires_grad_(True)
    found, expected = step(thawed, batch), step(never, batch)
    assert found.keys() == expected.keys()
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name], gradient, rtol=1e-9, atol=1e-12)


def hold(module: FusionModule, frozen: bool) -> None:
    """Starts an epoch with a frozen encoder, or without."""
    module.fine_tuning.frozen_epochs = int(frozen)
    module.on_train_epoch_start()


@pytest.mark.parametrize("network", [HardSharing, partial(HardSharing, shared_decoder=False), networks.MTAN])
def test_weights_of_gradients_are_learned_where_something_shared_learns(network: Any, scenes: Scenes) -> None:
    module = FusionModule(SyntheticScenes.classes, network=network, balancer=GradNorm, backbone=SMALL)
    moved = []
    for frozen in (True, False):
        hold(module, frozen)
        before = module.balancer.state_dict()["learned.value"].clone()
        step(module, scenes(2, (64, 64)))
        module.balancer.stepped()
        moved.append(not torch.equal(module.balancer.state_dict()["learned.value"], before))
    assert moved == ["shared" in module.network.decoders, True]


@every_network
def test_a_held_encoder_keeps_no_task_from_learning(network: Any, scenes: Scenes) -> None:
    batch, module = scenes(2, (64, 64)), model(network)
    hold(module, True)
    held = step(module, batch)
    rest = {name for name, p in module.named_parameters() if ".encoder." not in name and p.requires_grad}
    assert rest <= held.keys()
    assert all(not gradient.any() for name, gradient in held.items() if ".encoder." in name)
    hold(module, False)
    module.eval()
    expected = step(model(network), batch)
    for name, gradient in step(module, batch).items():
        torch.testing.assert_close(gradient, expected[name], rtol=1e-9, atol=1e-12)
