"""Gradients of balanced tasks, held against a slow reference: a backward pass for each task and a plain sum."""

from collections.abc import Callable, Iterable
from copy import deepcopy
from functools import cache, partial
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from scipy.optimize import minimize_scalar, nnls, root
from torch import Tensor, nn
from torchjd import aggregation

from fusionseg import balancing, networks
from fusionseg.balancing import CAGrad, GradientBalancer, TorchJDWeighting
from fusionseg.data.synthetic import SyntheticScenes
from fusionseg.heads import BoundaryHead, CenterOffsetHead
from fusionseg.module import FusionModule
from fusionseg.networks import HardSharing
from fusionseg.networks.backbone import Backbone
from fusionseg.sample import Sample

Scenes = Callable[..., Sample]
OWN = [getattr(balancing, name) for name in balancing.__all__]
GRADIENT = [
    k for k in OWN if issubclass(k, GradientBalancer) and k not in (GradientBalancer, TorchJDWeighting)
]
DUAL_PROJECTION = partial(TorchJDWeighting, weighting=aggregation.MGDAWeighting)
NETWORKS: dict[str, dict[str, Any]] = {
    "U-Net, one decoder": {
        "backbone": Backbone("tu-test_efficientnet", options={"decoder_channels": [16, 16, 8, 8, 8]})
    },
    "U-Net, two decoders": {
        "backbone": Backbone("tu-test_efficientnet", options={"decoder_channels": [16, 16, 8, 8, 8]}),
        "network": partial(HardSharing, shared_decoder=False),
    },
    "FPN, two decoders": {
        "backbone": Backbone(
            "tu-test_efficientnet",
            decoder="FPN",
            options={"decoder_pyramid_channels": 32, "decoder_segmentation_channels": 32},
        ),
        "network": partial(HardSharing, shared_decoder=False),
        "region_head": CenterOffsetHead,
    },
}


SMALL = NETWORKS["U-Net, one decoder"]["backbone"]
AT_BRANCH = {**NETWORKS, "MTAN": {"backbone": SMALL, "network": networks.MTAN}}
ANYWHERE = {
    **AT_BRANCH,
    **{
        name: {"backbone": SMALL, "network": getattr(networks, name)}
        for name in ("PADNet", "CrossTaskAttention", "CrossStitch")
    },
}


def crossed(
    balancers: Iterable[Any],
    cases: Iterable[str],
    usual: Any = balancing.MGDA,
    common: str = "U-Net, two decoders",
) -> pytest.MarkDecorator:
    """Each balancer with the common network, and each network with the usual balancer.

    A balancer sees inner products of gradients and no network, so that these are enough; each balancer has one more
    network, in turn, as a slow test.
    """
    names = list(cases)
    every = []
    for number, balancer in enumerate(balancers):
        for name in names:
            fast = balancer is usual or name == common
            if fast or name == names[number % len(names)]:
                word = f"{getattr(balancer, '__name__', 'foreign')} {name}"
                every.append(pytest.param(balancer, name, id=word, marks=() if fast else pytest.mark.slow))
    return pytest.mark.parametrize(("balancer", "name"), every)


def model(name: str, **options: Any) -> FusionModule:
    torch.manual_seed(0)
    made = {"region_head": BoundaryHead, **ANYWHERE[name], **options}
    # in eval mode, or dropout would differ between the two
    return FusionModule(SyntheticScenes.classes, alpha=0.7, beta=1.3, **made).double().eval()


def gradients(module: nn.Module) -> dict[str, Tensor]:
    return {name: p.grad.clone() for name, p in module.named_parameters() if p.grad is not None}


def step(module: FusionModule, batch: Sample, factor: float = 1.0) -> dict[str, Tensor]:
    module.zero_grad()
    module.backward(module.training_step(batch, 0) * factor)
    return gradients(module)


class ByHand:
    """The same with the gradients of each task at the shared maps taken one by one."""

    def __init__(self, module: FusionModule, batch: Sample) -> None:
        self.module = module
        self.maps: list[Tensor] = []
        hook = module.network.branch.register_forward_pre_hook(self._tapped)  # type: ignore[union-attr]
        module.training_step(batch, 0)
        hook.remove()
        self.losses = module.current_step.task_losses()
        each = [
            torch.autograd.grad(part, self.maps, retain_graph=True, materialize_grads=True)
            for part in self.losses
        ]
        self.jacobian = torch.stack([torch.cat([g.flatten() for g in row]) for row in each])

    def _tapped(self, _: Any, args: Any) -> Any:
        # a map is also what the next stage of the encoder reads, which is no task's own
        seen = [m.view_as(m) for m in args[0]]
        self.maps.extend(m for m in seen if m.requires_grad)
        return seen, args[1]

    def gradients(self, weigh: Callable[[Tensor], Tensor]) -> dict[str, Tensor]:
        """The gradients of all parameters where a function of the inner products weighs the tasks."""
        total = weigh(self.jacobian @ self.jacobian.T) @ self.jacobian
        sizes = [m.numel() for m in self.maps]
        pieces = [piece.view(m.shape) for piece, m in zip(total.split(sizes), self.maps, strict=True)]
        shared = [p for p in self.module.network.parameters() if p.requires_grad]
        below = torch.autograd.grad(self.maps, shared, pieces, retain_graph=True, allow_unused=True)
        own = torch.autograd.grad(sum(self.losses), shared, retain_graph=True, allow_unused=True)
        names = {p: name for name, p in self.module.named_parameters()}
        # what lies behind the branch is not below it, and learns from its own loss
        return {
            names[p]: g if g is not None else h
            for p, g, h in zip(shared, below, own, strict=True)
            if g is not None or h is not None
        }


class Jacobian(NamedTuple):
    """The gradients of the tasks' losses with respect to all parameters that more than one of them reaches."""

    names: list[str]
    shapes: list[torch.Size]
    rows: Tensor


def jacobian_of(module: FusionModule, batch: Sample) -> Jacobian:
    module.training_step(batch, 0)
    named = [(name, p) for name, p in module.named_parameters() if p.requires_grad]
    rows = [
        torch.autograd.grad(part, [p for _, p in named], retain_graph=True, allow_unused=True)
        for part in module.current_step.task_losses()
    ]
    common = [i for i in range(len(named)) if all(row[i] is not None for row in rows)]
    jacobian = torch.stack([torch.cat([row[i].flatten() for i in common]) for row in rows])  # type: ignore[union-attr]
    return Jacobian([named[i][0] for i in common], [named[i][1].shape for i in common], jacobian)


@pytest.fixture(scope="module")
def batch(scenes: Scenes) -> Sample:
    return scenes(2, (64, 64))


@pytest.fixture(scope="module")
def references(batch: Sample) -> dict[str, Callable[[str], Any]]:
    """What is compared with, of each network once: it is the same for all balancers."""
    return {
        "by hand": cache(lambda name: ByHand(model(name), batch)),
        "jacobian": cache(lambda name: jacobian_of(model(name), batch)),
        "plain": cache(lambda name: step(model(name), batch)),
    }


References = dict[str, Callable[[str], Any]]


@crossed([*GRADIENT, DUAL_PROJECTION], AT_BRANCH)
def test_gradients_at_the_branch_are_those_of_a_backward_pass_for_each_task(
    balancer: Callable[..., GradientBalancer], name: str, batch: Sample, references: References
) -> None:
    ours = model(name, balancer=partial(balancer, double=True))
    found = step(ours, batch)
    again = balancer(2, double=True)
    again.loss_weights(torch.ones(2), torch.ones(2, dtype=torch.bool))
    if isinstance(again, balancing.GradNorm):
        again.losses = torch.ones(2)
    expected = references["by hand"](name).gradients(again.weigh)
    assert found.keys() == expected.keys()
    for key, gradient in expected.items():
        torch.testing.assert_close(found[key], gradient, atol=1e-10, rtol=1e-10)


def solved(weights: Callable[[Any], Any]) -> Callable[[], Any]:
    """An aggregator of two rows by their weights, which a solver finds within the plane that the rows span."""
    return lambda: lambda rows: torch.from_numpy(weights(np.linalg.qr(rows.numpy().T)[1].T)) @ rows


def projected(rows: Any) -> Any:
    return np.mean([own + nnls(rows.T, -rows.T @ own)[0] for own in np.eye(2)], 0)


def averse(rows: Any) -> Any:
    mean, options = rows.mean(0), {"xatol": 1e-12}
    radius = 0.4 * np.linalg.norm(mean)

    def dual(w: float) -> Any:
        inner = w * rows[0] + (1 - w) * rows[1]
        return (mean @ inner + radius * np.linalg.norm(inner)) / radius**2

    w = minimize_scalar(dual, bounds=(0, 1), method="bounded", options=options).x
    return 0.5 + radius / np.linalg.norm(w * rows[0] + (1 - w) * rows[1]) * np.array([w, 1 - w])


def bargained(rows: Any) -> Any:
    lengths = np.linalg.norm(rows, axis=1)
    units = rows / lengths[:, None]
    return root(lambda x: units @ (x @ units) - 1 / x, np.ones(2), tol=1e-14).x / lengths


# torchjd solves the last three with packages that are not free enough to install by default
AGGREGATORS: dict[type[GradientBalancer], Callable[[], Any]] = {
    balancing.MGDA: partial(aggregation.MGDA, epsilon=1e-12, max_iters=10_000),
    balancing.PCGrad: aggregation.PCGrad,
    balancing.IMTLG: aggregation.IMTLG,
    balancing.AlignedMTL: aggregation.AlignedMTL,
    balancing.GradVac: partial(aggregation.GradVac, eps=0.0),
    balancing.UPGrad: solved(projected),
    CAGrad: solved(averse),
    balancing.NashMTL: solved(bargained),
}


def check_parameters(
    found: dict[str, Tensor],
    name: str,
    references: References,
    aggregator: Callable[[Tensor], Tensor],
    near: float,
) -> None:
    """What is shared has the aggregate of the tasks' gradients, and heads learn from their own loss."""
    names, shapes, jacobian = references["jacobian"](name)
    shared = aggregator(jacobian).split([shape.numel() for shape in shapes])
    expected = references["plain"](name)
    assert found.keys() == expected.keys()
    expected = expected | {
        key: row.view(shape) for key, shape, row in zip(names, shapes, shared, strict=True)
    }
    largest = jacobian.abs().max().item()
    for key, gradient in expected.items():
        torch.testing.assert_close(found[key], gradient, atol=near * largest, rtol=near)


@crossed(AGGREGATORS, ANYWHERE, common="MTAN")  # where gradients conflict
def test_gradients_of_parameters_are_torchjds(
    balancer: type[GradientBalancer], name: str, batch: Sample, references: References
) -> None:
    found = step(model(name, balancer=partial(balancer, level="parameters", double=True)), batch)
    check_parameters(found, name, references, AGGREGATORS[balancer](), 1e-6)


@crossed(GRADIENT, ANYWHERE, None, "MTAN")
def test_gradients_of_parameters_are_those_of_a_backward_pass_for_each_task(
    balancer: type[GradientBalancer], name: str, batch: Sample, references: References
) -> None:
    ours = model(name, balancer=partial(balancer, level="parameters", double=True))
    for value in ours.balancer.buffers():
        value.uniform_(0.05, 0.95)
    again: Any = deepcopy(ours.balancer)
    again(torch.ones(2), torch.tensor([True, True]))
    found = step(ours, batch)
    check_parameters(found, name, references, lambda rows: again.weigh(rows @ rows.T) @ rows, 1e-10)
    # PCGrad changes nothing where the tasks do not conflict, as chance has it
    changing = ("MTAN",) if balancer is balancing.PCGrad else ("MTAN", "PADNet")
    assert (ours.balancer.weights - 1).abs().max() > 0.01 or name not in changing


def test_every_network_is_among_them() -> None:
    ours = {kind for kind in networks.Network.__subclasses__() if kind.__name__ in networks.__all__}
    assert ours == {
        HardSharing,
        *(
            getattr(made.get("network"), "func", made.get("network", HardSharing))
            for made in ANYWHERE.values()
        ),
    }


@pytest.mark.parametrize("level", ["branch", "parameters"])
def test_the_scale_of_a_loss_is_divided_out(level: str, batch: Sample) -> None:
    for balancer in (balancing.NashMTL, balancing.GradNorm, CAGrad):
        once = step(model("U-Net, two decoders", balancer=partial(balancer, level=level, double=True)), batch)
        scaled = model("U-Net, two decoders", balancer=partial(balancer, level=level, double=True))
        for key, gradient in step(scaled, batch, 4096.0).items():
            torch.testing.assert_close(gradient / 4096, once[key], atol=1e-10, rtol=1e-10)
