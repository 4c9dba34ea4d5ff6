from collections.abc import Callable
from functools import partial
from itertools import combinations
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from fusionseg import networks
from fusionseg.balancing import MGDA
from fusionseg.balancing.branch import Branch
from fusionseg.callbacks.shared_maps import SharedMaps, tensors
from fusionseg.data.synthetic import SyntheticScenes
from fusionseg.module import FusionModule
from fusionseg.networks import HardSharing, Network
from fusionseg.networks.backbone import Backbone
from fusionseg.sample import Sample

Scenes = Callable[..., Sample]
SMALL = Backbone("tu-test_efficientnet", options={"decoder_channels": [16, 16, 8, 8, 8]})
APART = partial(HardSharing, shared_decoder=False)
BRANCHING = {"one decoder": HardSharing, "decoders": APART, "MTAN": networks.MTAN}
MIXING = {"PAD-Net": networks.PADNet, "attention": networks.CrossTaskAttention}
ONE = torch.ones((), dtype=torch.float64)


def model(**options: Any) -> FusionModule:
    torch.manual_seed(0)
    fixed: dict[str, Any] = {"alpha": 0.7, "beta": 1.3, "gamma": 0.5, "backbone": SMALL}
    return FusionModule(SyntheticScenes.classes, **fixed | options).double().eval()


def tapped(
    module: FusionModule, batch: Sample, scale: float = 1.0
) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The pairs of tasks and the Gramian at each place."""
    shared_maps = SharedMaps(module.network)
    loss = module.training_step(batch, 0)
    pairs, products = shared_maps.gramians(
        module.current_step.task_losses(), torch.tensor(scale, dtype=loss.dtype)
    )
    shared_maps.close()
    return pairs, dict(zip(pairs, products, strict=True))


def by_hand(module: FusionModule, batch: Sample, levels: int) -> dict[str, Tensor]:
    """A reference: Gramians of total derivatives, from a separate pass through the network for each task."""
    maps: list[Tensor] = []
    hook = module.network.encoder.register_forward_hook(lambda _, __, output: maps.extend(output))
    rows: list[list[Tensor]] = []
    for task in range(len(module.tasks)):
        maps.clear()
        module.training_step(batch, 0)
        learned = [m for m in maps if m.requires_grad]
        given = iter(
            torch.autograd.grad(module.current_step.task_losses()[task], learned, materialize_grads=True)
        )
        rows.append([next(given).flatten() if m.requires_grad else torch.zeros(0) for m in maps])
    hook.remove()
    found = {}
    for stage in range(levels):
        jacobian = [torch.cat([*row[stage::levels], torch.zeros(0, dtype=torch.float64)]) for row in rows]
        found[f"_stage{stage}"] = torch.stack([torch.stack([p.dot(q) for q in jacobian]) for p in jacobian])
    return found


@pytest.mark.slow
@pytest.mark.parametrize("name", [*BRANCHING, *MIXING])
def test_stages_have_the_gradients_of_a_pass_for_each_task(name: str, scenes: Scenes) -> None:
    batch, module = scenes(2, (64, 64)), model(network={**BRANCHING, **MIXING}[name])
    pairs, found = tapped(module, batch)
    expected = by_hand(module, batch, 6)
    assert set(found) - {""} == {f"_stage{i}" for i in range(1, 6)}
    assert ("" in found) == (name in BRANCHING)
    for place in found.keys() - {""}:
        assert pairs[place] == list(combinations(range(3), 2))
        assert expected[place].diagonal().min() > 0
        torch.testing.assert_close(found[place], expected[place], rtol=1e-9, atol=0)


@pytest.mark.slow
def test_encoders_side_by_side_are_one_place_for_each_stage(scenes: Scenes) -> None:
    backbone = Backbone(
        decoder="FPN", options={"decoder_pyramid_channels": 32, "decoder_segmentation_channels": 32}
    )
    batch, module = scenes(2, (64, 64)), model(network=networks.CrossStitch, backbone=backbone, gamma=0.0)
    _, found = tapped(module, batch)
    # what is mixed last is read by its own task alone
    assert list(found) == ["_stage4", "_stage3", "_stage2", "_stage1"]
    expected = by_hand(module, batch, 6)
    assert expected["_stage5"][0, 1] == 0
    for place, gramian in found.items():
        torch.testing.assert_close(gramian, expected[place], rtol=1e-9, atol=0)


@pytest.mark.parametrize("name", BRANCHING)
def test_at_the_branching_point_it_is_what_a_balancer_sees(name: str, scenes: Scenes) -> None:
    batch, module = scenes(2, (64, 64)), model(network=BRANCHING[name], balancer=partial(MGDA, double=True))
    seen: list[Tensor] = []
    weigh = module.balancer.weigh
    module.balancer.weigh = lambda products: seen.append(products) or weigh(products)  # type: ignore
    _, found = tapped(module, batch)
    assert not seen
    module.backward(module.training_step(batch, 0))
    torch.testing.assert_close(found[""], seen[0], rtol=1e-12, atol=0)


class Chain(nn.Module):
    """A pyramid of the image, the image times 2, and that times 3."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Parameter(2 * ONE), nn.Parameter(3 * ONE)

    def forward(self, image: Tensor) -> list[Tensor]:
        one = self.first * image
        return [image, one, self.second * one]


class Linear(Network):
    """A network whose tasks are linear in what they share."""

    def __init__(self, coefficients: dict[str, Tensor]) -> None:
        super().__init__()
        self.encoder, self.branch, self.coefficients = Chain(), Branch(), coefficients

    def forward(self, image: Tensor) -> list[dict[str, Any]]:
        assert self.branch is not None
        parts = self.branch(self.encoder(image), list(self.coefficients))
        seen = {task: torch.stack(part[1:]) for task, part in parts.items()}
        return [{task: (c * seen[task]).sum() for task, c in self.coefficients.items()}]


def test_a_stage_counts_what_follows_in_the_encoder_and_the_branching_point_does_not() -> None:
    (u1, u2), (v1, v2) = first, second = torch.randn(2, 2, 7, dtype=torch.float64)
    network = Linear({"a": first, "b": second})
    shared_maps = SharedMaps(network)
    losses = list(network(torch.randn(7, dtype=torch.float64))[0].values())
    pairs, products = shared_maps.gramians(losses, ONE)
    assert list(pairs) == ["", "_stage2", "_stage1"]
    expected = [u1 @ v1 + u2 @ v2, u2 @ v2, (u1 + 3 * u2) @ (v1 + 3 * v2)]
    torch.testing.assert_close(products[:, 0, 1], torch.stack(expected))


def test_a_scale_keeps_gradients_of_half_precision_from_being_zero(scenes: Scenes) -> None:
    batch, exact = scenes(2, (64, 64)), tapped(model(), scenes(2, (64, 64)))[1]
    module = model(alpha=0.7e-5, beta=1.3e-5, gamma=0.5e-5).float()
    with torch.autocast("cpu", torch.float16):
        module.training_step(batch, 0)
    for scale, right in ((2.0**16, True), (1.0, False)):
        with torch.autocast("cpu", torch.float16):
            _, found = tapped(module, batch, scale)
        for place, gramian in found.items():
            lengths, reference = (g.diagonal().double().sqrt() for g in (gramian, exact[place]))
            close = (lengths / lengths[0] - reference / reference[0]).abs() < 0.1 * reference / reference[0]
            assert bool(close.all()) == right, place


def test_nothing_stays_behind(scenes: Scenes) -> None:
    module = model(balancer=MGDA)
    branch: Any = module.network.branch
    balance = branch.balance
    tapped(module, scenes(2, (64, 64)))
    assert branch.balance == balance
    assert not [m for m in module.modules() if m._forward_hooks or m._forward_pre_hooks]


def test_tensors_are_found_in_any_nest() -> None:
    a, b, c = torch.zeros(3)
    assert [
        t is s for t, s in zip(tensors([a, {"x": (b, None)}, "text", [[c]]]), (a, b, c), strict=True)
    ] == [True] * 3
