import math
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn.functional import cross_entropy

from fusionseg.metrics import BoundaryCalibration, ClassCalibration
from fusionseg.metrics.suite import total
from fusionseg.tuning.outputs import kept_outputs
from fusionseg.tuning.plan import planned
from fusionseg.tuning.temperature import RANGE, Likelihood, fitted, likelihood, likelihood_sums


def sample(number: int = 4000, sharpness: float = 1.0) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits (C, N) that are too sharp by a factor, and classes that are drawn from their softmax."""
    logits = 2 * torch.randn(5, number)
    return sharpness * logits, torch.multinomial(logits.softmax(0).T, 1)[:, 0]


@pytest.mark.parametrize("sharpness", [0.5, 1.0, 3.0])
def test_the_temperature_is_that_of_a_gradient_descent_on_the_cross_entropy(sharpness: float) -> None:
    logits, classes = sample(sharpness=sharpness)
    temperature = torch.ones((), dtype=torch.float64, requires_grad=True)
    options: dict[str, Any] = {"tolerance_grad": 1e-12, "tolerance_change": 1e-15, "max_iter": 200}
    optimizer = torch.optim.LBFGS([temperature], line_search_fn="strong_wolfe", **options)

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = cross_entropy(logits.T.double() / temperature, classes)
        loss.backward()
        return loss

    optimizer.step(closure)
    found = fitted(partial(likelihood, logits.log_softmax(0), classes))
    assert found is not None
    assert found.temperature == pytest.approx(temperature.item(), rel=1e-3)
    assert found.temperature == pytest.approx(sharpness, rel=0.1)
    assert found.nll_before == pytest.approx(float(cross_entropy(logits.T, classes)), rel=1e-5)
    assert found.nll_after == pytest.approx(closure().item(), rel=1e-5)


@pytest.mark.parametrize("temperature", [0.3, 1.0, 5.0])
def test_the_slope_is_the_derivative_by_the_inverse_temperature(temperature: float) -> None:
    logits, classes = sample(100)
    inverse = torch.tensor(1 / temperature, requires_grad=True)
    nll = cross_entropy(logits.T * inverse, classes, reduction="sum")
    nll.backward()
    assert inverse.grad is not None
    found = likelihood(logits.log_softmax(0), classes, temperature)
    assert found.pixels == 100
    assert found.nll == pytest.approx(nll.item(), rel=1e-5)
    assert found.slope == pytest.approx(inverse.grad.item(), rel=1e-4, abs=1e-3)


def test_classes_that_are_always_or_never_right_take_the_ends_of_the_range() -> None:
    logits, _ = sample(50)
    right, wrong = logits.argmax(0), logits.argmin(0)
    for classes, end in ((right, RANGE[0]), (wrong, RANGE[1])):
        found = fitted(partial(likelihood, logits.log_softmax(0), classes))
        assert found is not None
        assert found.temperature == pytest.approx(end)
        assert found.nll_after < found.nll_before


def test_where_no_temperature_is_better_it_is_one() -> None:
    found = fitted(partial(likelihood, torch.zeros(3, 10), torch.zeros(10, dtype=torch.long)))
    assert found == (1.0, pytest.approx(math.log(3)), pytest.approx(math.log(3)))


def test_nothing_is_fitted_without_labels() -> None:
    assert fitted(lambda temperature: Likelihood(0, 0, 0)) is None


@pytest.mark.parametrize("temperature", [1.0, 2.0])
def test_the_likelihood_of_kept_outputs_is_that_of_the_evaluation(
    temperature: float, small: Callable[..., Any], datamodule: Callable[..., Any], tmp_path: Path
) -> None:
    model, data = small().eval(), datamodule()
    plan = planned(model.heads, model.suite, "val/covering")
    kept = kept_outputs(model, data, "32-true", plan, tmp_path)
    for task, metric in (
        ("semantic", ClassCalibration(len(model.classes))),
        ("region", BoundaryCalibration()),
    ):
        sums = sum(likelihood_sums(file, task, temperature) for file in kept.files)
        model.heads[task].temperature = temperature
        data.setup("validate")
        measured = []
        for batch in data.val_dataloader():
            truth = data.dataset("val").truth(int(batch["index"][0]))
            [answer] = model.predictions(
                data.on_after_batch_transfer(batch, 0), truth.semantic.shape, [metric.answer]
            )
            measured.append(metric.sums(answer[metric.answer], truth))
        prefix = "boundary_" if task == "region" else ""
        assert sums[1] / sums[0] == pytest.approx(metric.figures(total(measured))[f"{prefix}nll"], rel=1e-5)
        assert sums[0] == total(measured)[f"{prefix}pixel_scores"][0]
