"""Balancers where gradients are extreme, missing or not finite, and in low precision."""

from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torchjd.aggregation import MGDAWeighting

from fusionseg import balancing
from fusionseg.balancing import DWA, UW, CAGrad, GradientBalancer, GradNorm, GradVac, TorchJDWeighting, UPGrad
from fusionseg.balancing.branch import combined, gramian

TorchJDMGDA = partial(TorchJDWeighting, weighting=MGDAWeighting)
GRADIENT = {
    name: kind
    for name, kind in vars(balancing).items()
    if name in balancing.__all__ and issubclass(kind, GradientBalancer) and kind is not GradientBalancer
} | {"TorchJDWeighting": TorchJDMGDA}

every_one = pytest.mark.parametrize("kind", GRADIENT.values(), ids=GRADIENT.keys())


class Reads(TorchDispatchMode):
    """Counts the operations that synchronize the host with a device."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += func in (torch.ops.aten._local_scalar_dense.default, torch.ops.aten.nonzero.default)
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("tasks", [2, 3])
@every_one
def test_only_what_says_so_waits_for_the_device(kind: Any, tasks: int) -> None:
    balancer, rows = kind(tasks), torch.randn(tasks, 5)
    with Reads() as reads:
        balancer(torch.rand(tasks) + 0.5, torch.ones(tasks, dtype=torch.bool))
        balancer.begin()
        balancer.weigh(rows @ rows.T)
        balancer.stepped(torch.zeros(()))
    assert (reads.count > 0) == (isinstance(balancer, TorchJDWeighting))


@pytest.mark.parametrize("tasks", [2, 3])
@every_one
def test_what_is_not_finite_is_left_to_the_gradient_scaler(kind: Any, tasks: int) -> None:
    for wrong in (torch.nan, torch.inf):
        balancer = kind(tasks)
        before = {name: value.clone() for name, value in balancer.named_buffers()}
        balancer(torch.rand(tasks) + 0.5, torch.ones(tasks, dtype=torch.bool))
        found = balancer.weigh(torch.full((tasks, tasks), wrong))
        assert found.shape == (tasks,)
        balancer.stepped(skipped=torch.ones(()))
        assert all(torch.equal(value, before[name]) for name, value in balancer.named_buffers())


@pytest.mark.parametrize("c", [0.0, 1e-9, 1e-6])
def test_cagrad_near_the_mean_is_the_mean(c: float) -> None:
    products = torch.diag(torch.tensor([4.0, 1.0], dtype=torch.float64))
    found = CAGrad(2, c).gradient_weights(products, torch.ones(2, dtype=torch.bool))
    torch.testing.assert_close(found, torch.full((2,), 0.5, dtype=torch.float64), atol=1e-5, rtol=0)


@pytest.mark.parametrize("ratio", [1.0, 1e3, 1e5, 1e8])
@pytest.mark.parametrize("cosine", [-0.5, -0.99])
def test_upgrad_conflicts_with_no_gradient_however_short(ratio: float, cosine: float) -> None:
    long, short = ratio, 1.0
    products = torch.tensor(
        [[long**2, cosine * long * short], [cosine * long * short, short**2]], dtype=torch.float64
    )
    found = UPGrad(2).gradient_weights(products, torch.ones(2, dtype=torch.bool))
    # the projections of both onto the plane that is normal to the other, by hand, and their mean
    expected = torch.tensor([1 - cosine * short / long, 1 - cosine * long / short], dtype=torch.float64) / 2
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=0)


def test_gradvac_forgets_nothing_where_gradients_are_exactly_opposite() -> None:
    rows = torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 2.0]])
    for seed in range(6):
        torch.manual_seed(seed)
        balancer = GradVac(3, beta=1.0)
        for _ in range(3):
            balancer(torch.ones(3), torch.ones(3, dtype=torch.bool))
            assert balancer.weigh(rows @ rows.T).isfinite().all()
            balancer.stepped()
        assert balancer.cosines.isfinite().all()


def test_gradnorms_weights_add_up_to_the_number_of_tasks_also_after_steps_without_one_of_them() -> None:
    balancer = GradNorm(3, lr=0.5)
    for missing in (None, 2, 2, 0, None, 1):
        active = torch.tensor([task != missing for task in range(3)])
        balancer(torch.rand(3) + 0.5, active)
        balancer.weigh(torch.diag(torch.tensor([4.0, 1.0, 0.25])) * active)
        before = balancer.learned.value.clone()
        balancer.stepped()
        assert balancer.learned.value.sum().item() == pytest.approx(3, rel=1e-5)
        assert torch.equal(balancer.learned.value[~active], before[~active])
        assert not torch.equal(balancer.learned.value[active], before[active])


@pytest.mark.parametrize("kind", [UW, DWA, GradNorm])
def test_what_is_remembered_is_exact_in_a_model_of_half_precision(kind: Any) -> None:
    whole, half = kind(2), kind(2).to(torch.bfloat16)
    for _ in range(300):
        for balancer in (whole, half):
            losses = torch.tensor([1.0, 0.25])
            balancer(losses, torch.ones(2, dtype=torch.bool))
            if isinstance(balancer, GradientBalancer):
                balancer.weigh(torch.diag(losses))
            balancer.stepped()
    for name, value in whole.named_buffers():
        torch.testing.assert_close(half.get_buffer(name), value)
    assert kind(2).double().state_dict().keys() == whole.state_dict().keys()
    assert all(b.dtype == torch.float64 for b in kind(2).double().buffers() if b.is_floating_point())


def test_weights_beyond_the_range_of_half_precision_keep_its_gradients_finite() -> None:
    short = torch.full((4,), 2e-5, dtype=torch.float16)
    found = combined([short, short], torch.tensor([1e5, 1e5]))
    assert found is not None
    assert found.dtype == torch.float16
    torch.testing.assert_close(found.float(), short.float() * 2e5, rtol=1e-3, atol=0)


def test_tasks_that_share_nothing_have_inner_products_of_zero() -> None:
    nothing: list[list[Tensor | None]] = [[], []]
    assert torch.equal(gramian(nothing), torch.zeros(2, 2))


def test_squares_of_short_gradients_of_half_precision_are_not_lost() -> None:
    short = torch.full((1000,), 1e-5, dtype=torch.float16)
    torch.testing.assert_close(
        gramian([[short], [-short]])[0, 1], -(short.double() ** 2).sum().float(), rtol=1e-5, atol=0
    )
