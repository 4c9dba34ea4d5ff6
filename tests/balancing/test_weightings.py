"""The weights of gradients, held against torchjd and against slow solvers."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from scipy.optimize import minimize, nnls
from torch import Tensor
from torchjd import aggregation

from fusionseg.balancing import (
    IMTLG,
    MGDA,
    AlignedMTL,
    CAGrad,
    GradientBalancer,
    GradVac,
    NashMTL,
    PCGrad,
    UPGrad,
)

GRADIENTS = {
    "agreeing": [[1.0, 0.2, 0.5], [0.8, 0.9, 0.1]],
    "conflicting": [[1.0, 0.2, 0.5], [-0.8, 0.9, 0.1]],
    "one far longer": [[100.0, 0.2, 0.5], [-0.8, 0.9, 0.1]],
    "nearly opposite": [[1.0, 0.2, 0.5], [-1.0, -0.2, -0.49]],
    "three": [[1.0, 0.2, 0.5, 0.1], [-0.8, 0.9, 0.1, 0.0], [0.3, -1.5, 0.7, 0.2]],
    "three, two conflicts": [[1.0, 0.2, 0.5, 0.1], [-0.8, 0.9, 0.1, 0.0], [-0.3, -1.5, -0.7, 0.2]],
}
TWO = [name for name, rows in GRADIENTS.items() if len(rows) == 2]


def gramian_of(name: str) -> Tensor:
    rows = torch.tensor(GRADIENTS[name], dtype=torch.float64)
    return rows @ rows.T


def weights(balancer: GradientBalancer, gramian: Tensor) -> Tensor:
    balancer(torch.ones(len(gramian)), torch.ones(len(gramian), dtype=torch.bool))
    return balancer.weigh(gramian)


def projected(gramian: Tensor) -> Tensor:
    """UPGrad by non-negative least squares."""
    factor = np.linalg.cholesky(gramian.numpy()).T
    rows = [own + nnls(factor, -factor @ own)[0] for own in np.eye(len(gramian))]
    return torch.from_numpy(np.mean(rows, 0))


def averse(gramian: Tensor, c: float = 0.4) -> Tensor:
    """CAGrad by a general solver."""
    matrix, count = gramian.numpy(), len(gramian)
    mean = np.ones(count) / count
    radius = c * np.sqrt(mean @ matrix @ mean)

    def dual(w: Any) -> float:
        return float(mean @ matrix @ w + radius * np.sqrt(w @ matrix @ w))

    simplex = {"type": "eq", "fun": lambda w: w.sum() - 1}
    starts = [mean, *(0.9 * own + 0.1 * mean for own in np.eye(count))]
    options = {"ftol": 1e-15, "maxiter": 1000}
    found = [minimize(dual, s, bounds=[(0, 1)] * count, constraints=simplex, options=options) for s in starts]
    w = min(found, key=lambda result: result.fun).x
    return torch.from_numpy(mean + radius / np.sqrt(w @ matrix @ w) * w)


def jd(weighting: Callable[[], Any]) -> Callable[[Tensor], Tensor]:
    return lambda gramian: weighting()(gramian)


REFERENCES: list[tuple[type[GradientBalancer], Callable[[Tensor], Tensor], float]] = [
    (MGDA, jd(lambda: aggregation.MGDAWeighting(epsilon=1e-9, max_iters=100_000)), 1e-4),
    (IMTLG, jd(aggregation.IMTLGWeighting), 1e-10),
    (AlignedMTL, jd(aggregation.AlignedMTLWeighting), 1e-10),
    (UPGrad, projected, 1e-10),
    (CAGrad, averse, 1e-5),
]


@pytest.mark.parametrize("name", GRADIENTS)
@pytest.mark.parametrize(
    ("kind", "reference", "tolerance"), REFERENCES, ids=[k.__name__ for k, _, _ in REFERENCES]
)
def test_weights_are_those_of_a_reference(
    kind: type[GradientBalancer], reference: Callable[[Tensor], Tensor], tolerance: float, name: str
) -> None:
    gramian = gramian_of(name)
    rows = torch.tensor(GRADIENTS[name], dtype=torch.float64)
    found, expected = weights(kind(len(gramian)), gramian), reference(gramian)
    scale = (expected @ rows).norm()
    assert ((found - expected) @ rows).norm() <= tolerance * max(scale, 1e-3)


@pytest.mark.parametrize("name", TWO)
def test_two_tasks_have_closed_forms(name: str) -> None:
    (a, c), (_, b) = gramian = gramian_of(name)
    share = ((b - c) / (a + b - 2 * c)).clamp(0, 1)
    torch.testing.assert_close(weights(MGDA(2), gramian), torch.stack([share, 1 - share]), atol=1e-10, rtol=0)
    kept = torch.stack([1 - min(c / a, c * 0), 1 - min(c / b, c * 0)])
    torch.testing.assert_close(weights(PCGrad(2), gramian), kept, atol=1e-12, rtol=1e-12)
    torch.testing.assert_close(weights(UPGrad(2), gramian), kept / 2, atol=1e-10, rtol=1e-10)


@pytest.mark.parametrize("name", GRADIENTS)
@pytest.mark.parametrize("seed", range(3))
def test_pcgrad_and_gradvac_are_torchjds(name: str, seed: int) -> None:
    gramian = gramian_of(name)
    pairs: list[tuple[GradientBalancer, Any]] = [
        (PCGrad(len(gramian)), aggregation.PCGradWeighting()),
        (GradVac(len(gramian), beta=0.3), aggregation.GradVacWeighting(beta=0.3, eps=0.0)),
    ]
    for ours, theirs in pairs:
        for step in range(3):
            turned = gramian if step != 1 else gramian.flip(0).flip(1)
            # both draw an order of the others, in their own way: with three tasks take the order of theirs
            torch.manual_seed(seed)
            expected = theirs(turned)
            torch.manual_seed(seed)
            found = weights(ours, turned)
            ours.stepped()
            if len(gramian) == 2 or isinstance(ours, PCGrad):
                torch.testing.assert_close(found, expected, atol=1e-10, rtol=1e-10)


@pytest.mark.parametrize("name", GRADIENTS)
def test_nash_weights_solve_the_bargaining_equation(name: str) -> None:
    gramian = gramian_of(name)
    found = weights(NashMTL(len(gramian)), gramian)
    assert (found > 0).all()
    torch.testing.assert_close(gramian @ found, 1 / found, atol=1e-9, rtol=1e-9)


@pytest.mark.parametrize("name", TWO)
def test_names_that_coincide_for_two_tasks(name: str) -> None:
    rows = torch.tensor(GRADIENTS[name], dtype=torch.float64)
    gramian = rows @ rows.T

    def direction(w: Tensor) -> Tensor:
        return w @ rows / (w @ rows).norm()

    pcgrad, imtl = direction(weights(PCGrad(2), gramian)), direction(weights(IMTLG(2), gramian))
    torch.testing.assert_close(direction(weights(UPGrad(2), gramian)), pcgrad, atol=1e-8, rtol=0)
    torch.testing.assert_close(direction(weights(NashMTL(2), gramian)), imtl, atol=1e-8, rtol=0)
    config = aggregation.ConFIG()(rows)
    torch.testing.assert_close(config / config.norm(), imtl, atol=1e-6, rtol=0)


def random_gramians(tasks: int, number: int) -> Tensor:
    """Gramians (number, T, T) of gradients of T + 1 normal numbers."""
    rows = torch.randn(number, tasks, tasks + 1, dtype=torch.float64)
    return rows @ rows.mT


@pytest.mark.parametrize("tasks", [3, 4, 5])
def test_imtl_g_can_step_uphill_for_all_tasks_unless_it_descends(tasks: int) -> None:
    gramians = random_gramians(tasks, 300)

    def uphill(balancer: IMTLG) -> list[bool]:
        return [bool((g @ weights(balancer, g) < 0).all()) for g in gramians]

    plain, oriented = uphill(IMTLG(tasks)), uphill(IMTLG(tasks, descends=True))
    assert 0 < sum(plain) < 30 * tasks
    assert plain == [bool((g @ aggregation.IMTLGWeighting()(g) < 0).all()) for g in gramians]
    assert not any(oriented)


@pytest.mark.parametrize("normalize", [False, True])
def test_imtl_g_that_descends_only_changes_the_sign(normalize: bool) -> None:
    reversed_ones = 0
    for gramian in random_gramians(3, 100):
        plain = weights(IMTLG(3), gramian)
        found = weights(IMTLG(3, descends=True, normalize=normalize), gramian)
        sign = 1.0 if (gramian @ plain > 0).all() else -1.0
        reversed_ones += sign < 0
        cancels = plain.sum().abs() <= 0.01 * plain.abs().sum()
        torch.testing.assert_close(found, sign * plain * (3.0 if normalize and not cancels else 1.0))
    assert reversed_ones
