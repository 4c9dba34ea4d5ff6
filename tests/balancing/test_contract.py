"""What holds for every balancer."""

import math
from collections.abc import Callable, Iterator
from typing import Any
from unittest.mock import patch

import pytest
import torch
from torch import Tensor
from torchjd import scalarization

from fusionseg import balancing
from fusionseg.balancing import (
    DWA,
    FAMO,
    GLS,
    IMTLL,
    RLW,
    STCH,
    UW,
    Balancer,
    GradientBalancer,
    TorchJDWeighting,
)

EVERY = [
    kind
    for kind in (getattr(balancing, name) for name in balancing.__all__)
    if kind not in (Balancer, GradientBalancer, TorchJDWeighting)
]
LOSSES = torch.tensor([[0.8, 2.5], [0.7, 2.9], [0.75, 1.0], [0.3, 0.9]])
FALL = torch.tensor([0.9, 0.7, 1.0, 1.0])
BOTH = torch.tensor([True, True])


def gramians(tasks: int) -> Iterator[Tensor]:
    rows = torch.randn(4, tasks, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    yield from rows @ rows.mT


def step(balancer: Balancer, losses: Tensor, active: Tensor, gramian: Tensor, **told: Any) -> Tensor:
    """What a step of training asks of a balancer, and the weights that it answers."""
    torch.manual_seed(0)
    balancer(losses, active)
    balancer.begin()
    if isinstance(balancer, GradientBalancer):
        balancer.weigh(gramian)
    weights = balancer.weights.double()
    balancer.stepped(again=losses * FALL[: len(losses)] if balancer.looks_again else None, **told)
    return weights


@pytest.mark.parametrize("tasks", [3, 4])
@pytest.mark.parametrize("kind", [kind for kind in EVERY if kind is not RLW], ids=lambda k: k.__name__)
def test_tasks_without_labels_are_balanced_as_if_they_did_not_exist(kind: type[Balancer], tasks: int) -> None:
    """Two tasks of three or four do what two alone do, in every step, and the others' state stays as it was."""
    more, two = kind(tasks), kind(2)
    start = {name: value.clone() for name, value in more.named_buffers()}
    for losses, gramian in zip(LOSSES, gramians(tasks), strict=True):
        # what an unlabelled task's loss and gradients happen to be is nobody's business
        wide = torch.cat([losses, torch.zeros(tasks - 2)])
        found = step(more, wide, torch.arange(tasks) < 2, gramian)
        torch.testing.assert_close(found[:2], step(two, losses, BOTH, gramian[:2, :2]))
        assert not found[2:].any()
        more.epoch_ended(), two.epoch_ended()
    for name, value in two.named_buffers():
        wide, pad = (
            more.get_buffer(name),
            (slice(0, 2),) * value.ndim if value.shape == (2, 2) else (..., slice(0, 2)),
        )
        if name == "means":
            pad = (..., slice(0, 2))
        torch.testing.assert_close(wide[pad], value)
        assert torch.equal(wide[..., 2:], start[name][..., 2:])


@pytest.mark.parametrize("kind", EVERY, ids=lambda k: k.__name__)
def test_what_is_remembered_of_a_task_moves_in_steps_with_its_labels_alone(kind: type[Balancer]) -> None:
    balancer, chance, moved = kind(3), torch.Generator().manual_seed(1), set()
    for number in range(12):
        before = {name: value.clone() for name, value in balancer.named_buffers()}
        losses, rows = (
            torch.rand(3, generator=chance) + 0.5,
            torch.randn(3, 5, generator=chance, dtype=torch.float64),
        )
        step(balancer, losses, torch.tensor([True, True, number % 3 != 2]), rows @ rows.T)
        if number % 6 == 4:
            balancer.epoch_ended()
        for name, value in balancer.named_buffers():
            old, new = (torch.cat([v[..., 2].flatten(), v[2:].flatten()]) for v in (before[name], value))
            assert number % 3 != 2 or torch.equal(old, new)
            moved |= set() if torch.equal(old, new) else {name}
    assert moved == {name for name, _ in balancer.named_buffers()}


@pytest.mark.parametrize("kind", EVERY, ids=lambda k: k.__name__)
def test_a_step_that_was_left_out_changes_nothing(kind: type[Balancer]) -> None:
    balancer, moves = kind(2), bool(list(kind(2).named_buffers()))
    (first, second, *_), (one, other, *_) = gramians(2), LOSSES
    step(balancer, one, BOTH, first)
    before = {name: value.clone() for name, value in balancer.named_buffers()}
    step(balancer, other, BOTH, second * math.inf, skipped=torch.tensor(1.0))
    assert all(torch.equal(value, before[name]) for name, value in balancer.named_buffers())
    step(balancer, other, BOTH, second, skipped=torch.tensor(0.0))
    assert moves == any(not torch.equal(value, before[name]) for name, value in balancer.named_buffers())


@pytest.mark.parametrize("kind", EVERY, ids=lambda k: k.__name__)
def test_what_is_remembered_is_in_the_checkpoint(kind: type[Balancer]) -> None:
    whole, first, second = kind(2), kind(2), kind(2)
    for number, (losses, gramian) in enumerate(zip(LOSSES, gramians(2), strict=True)):
        expected = step(whole, losses, BOTH, gramian)
        if number == 2:
            second.load_state_dict(first.state_dict())
        found = step(first if number < 2 else second, losses, BOTH, gramian)
        assert torch.equal(found, expected)
        whole.epoch_ended(), (first if number < 2 else second).epoch_ended()


@pytest.mark.parametrize("kind", EVERY, ids=lambda k: k.__name__)
def test_weights_are_finite_for_gradients_of_any_kind(kind: type[Balancer]) -> None:
    for gramian in (
        torch.tensor([[4.0, 0.0], [0.0, 0.0]]),
        torch.zeros(2, 2),
        torch.ones(2, 2),
        torch.tensor([[1.0, -1.0], [-1.0, 1.0]]),
        torch.tensor([[1e-20, 0.0], [0.0, 1e20]]),
    ):
        balancer = kind(2)
        found = step(balancer, torch.tensor([1.0, 2.0]), BOTH, gramian.double())
        assert found.isfinite().all(), gramian
        assert all(value.isfinite().all() for value in balancer.buffers())
    if issubclass(kind, GradientBalancer):
        assert step(
            kind(2), torch.tensor([1.0, 2.0]), BOTH, torch.tensor([[4.0, 0.0], [0.0, 0.0]])
        ).tolist() == [1, 0]


@pytest.mark.parametrize("kind", EVERY, ids=lambda k: k.__name__)
def test_no_balancer_waits_for_the_device(kind: type[Balancer]) -> None:
    def waiting(*_: Any, **__: Any) -> Any:
        raise AssertionError("the host waits for the device")

    balancer, gramian = kind(3), next(gramians(3))
    losses, active = torch.tensor([1.0, 2.0, 3.0]), torch.ones(3, dtype=torch.bool)
    readers = ["item", "cpu", "numpy", "nonzero", "__bool__", "__float__", "__int__", "__index__"]
    if kind not in (balancing.PCGrad, balancing.GradVac):  # whose random order is drawn on the host
        readers.append("tolist")
    with patch.multiple(Tensor, **dict.fromkeys(readers, waiting)):  # type: ignore[call-overload]
        for _ in range(2):
            step(balancer, losses, active, gramian, skipped=torch.zeros(()))
            balancer.epoch_ended()


NORMALIZED = [kind for kind in EVERY if issubclass(kind, GradientBalancer)]
DEPENDENT = [
    [1, -1, 0],
    [1, -3, 0],
    [1, 2, -3],
    [1j, 1, -1 - 1j],
    [1, -1, 2j],
    [1 + 0.3j, 1j - 0.7, 2j],
    [0, 0, 0],
]
"""Three gradients each, in the complex plane."""


@pytest.mark.parametrize("kind", NORMALIZED, ids=lambda k: k.__name__)
def test_normalized_weights_add_up_to_the_number_of_tasks(kind: Callable[..., GradientBalancer]) -> None:
    (gramian, *_) = gramians(3)
    plain = step(kind(3), torch.ones(3), torch.ones(3) > 0, gramian)
    found = step(kind(3, normalize=True), torch.ones(3), torch.ones(3) > 0, gramian)
    torch.testing.assert_close(found, plain * 3 / plain.sum())


@pytest.mark.parametrize("kind", NORMALIZED, ids=lambda k: k.__name__)
@pytest.mark.parametrize("tasks", [0, 2, 3])
def test_normalized_weights_are_bounded(kind: Callable[..., GradientBalancer], tasks: int) -> None:
    for numbers in DEPENDENT:
        rows = torch.view_as_real(torch.tensor(numbers, dtype=torch.complex128))
        found = step(kind(3, normalize=True), torch.ones(3), torch.arange(3) < tasks, rows @ rows.T)
        assert found.abs().sum() <= 100 * tasks  # which NaN is not


def derivatives(scalarizer: Any, losses: Tensor) -> Tensor:
    values = losses.clone().requires_grad_()
    torch.manual_seed(0)
    return torch.autograd.grad(scalarizer(values), values)[0].double()


SCALARIZERS: list[tuple[Callable[[], Balancer], Any]] = [
    (lambda: balancing.Sum(2), scalarization.Sum()),
    (lambda: STCH(2, mu=0.5), scalarization.STCH(0.5)),
    (lambda: GLS(2), scalarization.GeometricMean()),
    (lambda: RLW(2), scalarization.Random()),
    (lambda: DWA(2), scalarization.DWA()),
    (lambda: FAMO(2), scalarization.FAMO(2)),
]


@pytest.mark.parametrize(("ours", "theirs"), SCALARIZERS, ids=lambda x: type(x).__name__)
def test_weights_are_the_derivatives_of_torchjds_scalarizers(
    ours: Callable[[], Balancer], theirs: Any
) -> None:
    balancer, theirs = ours().double(), theirs.double()
    for losses in torch.cat([LOSSES, LOSSES.flip(0)]).double():
        found, expected = step(balancer, losses, BOTH, torch.eye(2)), derivatives(theirs, losses)
        torch.testing.assert_close(found, expected, atol=1e-8, rtol=1e-7)
        if isinstance(balancer, FAMO):
            theirs.update(losses * FALL[:2])
            torch.testing.assert_close(balancer.logits.value, theirs._w.detach(), atol=1e-8, rtol=1e-7)
        if isinstance(balancer, DWA):
            balancer.epoch_ended(), theirs.step()


@pytest.mark.parametrize("kind", [UW, IMTLL])
def test_learned_weights_are_torchjds_under_adam(kind: Any) -> None:
    balancer, theirs = (
        kind(2, lr=0.05).double(),
        {UW: scalarization.UW, IMTLL: scalarization.IMTLL}[kind](2).double(),
    )
    optimizer = torch.optim.Adam(theirs.parameters(), lr=0.05)
    for losses in LOSSES.repeat(5, 1).double():
        expected = derivatives(theirs, losses)
        torch.testing.assert_close(
            step(balancer, losses, BOTH, torch.eye(2)), expected, atol=1e-10, rtol=1e-10
        )
        optimizer.zero_grad()
        theirs(losses).backward()
        optimizer.step()


def test_the_micro_batches_of_a_step_count_together() -> None:
    one, two = UW(2), UW(2)
    one(LOSSES[:2].mean(0), BOTH)
    one.stepped()
    two(LOSSES[3], BOTH)  # of a step that was never made
    for number in range(2):
        two(LOSSES[number], BOTH)
        if not number:
            two.begin()
    two.stepped()
    assert torch.equal(one.log_variance.value, two.log_variance.value)


def test_gradnorm_takes_the_steps_of_its_algorithm() -> None:
    """Against the algorithm written out, with Adam of torch for the weights."""
    balancer, weights = balancing.GradNorm(2, asymmetry=1.5, lr=0.1), torch.ones(2, requires_grad=True)
    optimizer = torch.optim.Adam([weights], lr=0.1)
    for losses, gramian in zip(LOSSES, gramians(2), strict=True):
        found = step(balancer, losses, BOTH, gramian)
        torch.testing.assert_close(found, weights.detach().double(), atol=1e-6, rtol=1e-6)
        lengths = weights * gramian.diagonal().sqrt().float()
        rates = losses / LOSSES[0]
        goal = (lengths.mean() * (rates / rates.mean()) ** 1.5).detach()
        optimizer.zero_grad()
        (lengths - goal).abs().sum().backward()
        optimizer.step()
        with torch.no_grad():
            weights *= 2 / weights.sum()


def test_a_foreign_weighting_must_take_a_gramian_and_remember_nothing() -> None:
    from torchjd import aggregation

    with pytest.raises(ValueError, match=r"takes a Gramian.*RandomWeighting"):
        TorchJDWeighting(2, aggregation.RandomWeighting)
    with pytest.raises(ValueError, match="GradVacWeighting remembers"):
        TorchJDWeighting(2, aggregation.GradVacWeighting)


def test_a_foreign_weighting_that_answers_nonsense_is_refused_before_the_first_step() -> None:
    from torchjd.aggregation import MGDAWeighting

    class Broken(MGDAWeighting):
        def forward(self, gramian: Any, /) -> Tensor:
            return torch.full((len(gramian),), torch.nan)

    with pytest.raises(ValueError, match=r"Broken: expected 2 finite weights.*found \[nan, nan\]"):
        TorchJDWeighting(2, Broken)
