"""Steps of four tasks (classes, regions, depth and normals), held against a backward pass for each task."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from scipy.optimize import nnls
from torch import Tensor
from torchjd import aggregation

from fusionseg import balancing, networks
from fusionseg.balancing import Balancer, GradientBalancer, TorchJDWeighting
from fusionseg.data.synthetic import SyntheticScenes
from fusionseg.heads import DepthHead, ExtraHead, NormalsHead
from fusionseg.module import FusionModule
from fusionseg.networks import Network
from fusionseg.networks.backbone import Backbone
from fusionseg.sample import Sample

Scenes = Callable[..., Sample]
TASKS = ["semantic", "region", "depth", "normals"]
SMALL = Backbone("tu-test_efficientnet", options={"decoder_channels": [16, 16, 8, 8, 8]})
OWN = [getattr(balancing, name) for name in balancing.__all__]
EVERY = [kind for kind in OWN if kind not in (Balancer, GradientBalancer, TorchJDWeighting)]
LEVELS = [
    pytest.param(partial(kind, level=level, double=True), id=f"{kind.__name__} {level}")
    for kind in EVERY
    if issubclass(kind, GradientBalancer)
    for level in ("branch", "parameters")
]
LOSSES = [pytest.param(kind, id=kind.__name__) for kind in EVERY if not issubclass(kind, GradientBalancer)]
NETWORKS = [kind for kind in Network.__subclasses__() if kind.__name__ in networks.__all__]


def model(**options: Any) -> FusionModule:
    torch.manual_seed(0)
    further = {"depth": ExtraHead(DepthHead, 0.5), "normals": ExtraHead(NormalsHead, 2.0)}
    given = {"backbone": SMALL, "extra_heads": further, **options}
    # in eval mode, or dropout would differ between two models
    return FusionModule(SyntheticScenes.classes, alpha=0.7, beta=1.3, **given).double().eval()


def step(module: FusionModule, batch: Sample) -> dict[str, Tensor]:
    """The gradients after a step."""
    module.backward(module.training_step(batch, 0))
    return {name: p.grad for name, p in module.named_parameters() if p.grad is not None}


def each(module: FusionModule, batch: Sample) -> list[dict[str, Tensor]]:
    """The gradients of each task's weighted loss, of all parameters that it reaches."""
    module.training_step(batch, 0)
    named = {name: p for name, p in module.named_parameters() if p.requires_grad}
    rows = [
        torch.autograd.grad(loss, list(named.values()), retain_graph=True, allow_unused=True)
        for loss in module.current_step.task_losses()
    ]
    return [{name: g for name, g in zip(named, row, strict=True) if g is not None} for row in rows]


@pytest.fixture(scope="module")
def gradients(scenes: Scenes) -> list[dict[str, Tensor]]:
    """The gradients of each task's weighted loss of two scenes."""
    return each(model(), scenes(2, (64, 64), surfaces=True))


@pytest.mark.parametrize("balancer", [*LEVELS, *LOSSES])
def test_shared_parameters_have_the_weighted_sum_of_four_gradients(
    balancer: Callable[[int], Balancer], gradients: list[dict[str, Tensor]], scenes: Scenes
) -> None:
    ours = model(balancer=balancer)
    found = step(ours, scenes(2, (64, 64), surfaces=True))
    weights = ours.balancer.weights.double()
    assert ours.tasks == TASKS
    assert len(weights) == 4
    assert weights.isfinite().all()
    by_gradient = isinstance(ours.balancer, GradientBalancer)
    for name, gradient in found.items():
        own = [i for i, row in enumerate(gradients) if name in row]
        # heads learn from their own loss where gradients are weighed, and from the weighted one where losses are
        factors = [1.0] if by_gradient and len(own) == 1 else weights[own].tolist()
        expected = sum(w * gradients[i][name] for w, i in zip(factors, own, strict=True))
        torch.testing.assert_close(gradient, expected, rtol=1e-6, atol=1e-9)


def shortest(jacobian: Tensor) -> Tensor:
    """The shortest vector of the convex hull of the rows, by non-negative least squares; torchjd's MGDA only nears it.

    What minimizes |x J|^2 + (sum of x - 1)^2 is the weights of that vector, times a number.
    """
    plane = np.linalg.qr(jacobian.numpy().T)[1]
    scale = np.abs(plane).max()
    goal = np.append(np.zeros(len(plane)), scale)
    found = nnls(np.vstack([plane, np.full(len(jacobian), scale)]), goal)[0]
    return torch.from_numpy(found / found.sum()) @ jacobian


@pytest.mark.parametrize(
    ("balancer", "aggregator"),
    [
        (balancing.MGDA, shortest),
        (balancing.IMTLG, aggregation.IMTLG()),
        (balancing.AlignedMTL, aggregation.AlignedMTL()),
    ],
    ids=["MGDA", "IMTLG", "AlignedMTL"],
)
def test_gradients_of_four_tasks_are_those_of_an_independent_aggregator(
    balancer: Any, aggregator: Any, gradients: list[dict[str, Tensor]], scenes: Scenes
) -> None:
    batch = scenes(2, (64, 64), surfaces=True)
    found = step(model(balancer=partial(balancer, level="parameters", double=True)), batch)
    shared = [name for name in gradients[0] if all(name in row for row in gradients)]
    jacobian = torch.stack([torch.cat([row[name].flatten() for name in shared]) for row in gradients])
    expected = aggregator(jacobian)
    near = 1e-6 * jacobian.abs().max().item()
    together = torch.cat([found[name].flatten() for name in shared])
    torch.testing.assert_close(together, expected, atol=near, rtol=1e-5)


@pytest.mark.parametrize("network", NETWORKS, ids=lambda kind: kind.__name__)
def test_four_tasks_learn_in_every_network(network: Any, scenes: Scenes) -> None:
    module = model(network=network, balancer=partial(balancing.MGDA, level="parameters"))
    found = step(module, scenes(1, (64, 64), surfaces=True))
    learned = {name for name, p in module.named_parameters() if p.requires_grad}
    assert found.keys() == learned
    assert all(gradient.isfinite().all() for gradient in found.values())
    assert all(any(found[name].any() for name in found if f"heads.{task}." in name) for task in TASKS)


@pytest.mark.parametrize("balancer", [balancing.Sum, balancing.UW, balancing.MGDA])
def test_of_images_with_depth_alone_depth_alone_is_learned(balancer: Any, scenes: Scenes) -> None:
    batch = scenes(2, (64, 64), surfaces=True)
    batch["semantic"][:] = 255
    batch["region"][:] = 0
    batch["normals"][:] = 0
    module = model(balancer=balancer)
    found = step(module, batch)
    losses = dict(zip(TASKS, module.current_step.losses.tolist(), strict=True))
    assert losses.pop("depth") > 0
    assert set(losses.values()) == {0.0}
    assert all(gradient.isfinite().all() for gradient in found.values())
    moved = {task for task in TASKS for name, g in found.items() if f"heads.{task}." in name and g.any()}
    assert moved == {"depth"}
    assert any(gradient.any() for name, gradient in found.items() if ".encoder." in name)
