from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
import torch
from torch import Tensor, nn

from fusionseg import regularization
from fusionseg.regularization import L1, L2SP, Regularizer

KINDS: list[Callable[[], Regularizer]] = [
    kind
    for kind in vars(regularization).values()
    if isinstance(kind, type) and issubclass(kind, Regularizer) and kind is not Regularizer
]


def network() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Conv2d(4, 2, 1))


@pytest.mark.parametrize("kind", KINDS)
def test_a_penalty_is_a_scalar_that_the_weights_lower(kind: Callable[[], Regularizer]) -> None:
    model, regularizer = network(), kind()
    regularizer.begin(model, {"0.weight"}, {})
    with torch.no_grad():
        model[0].weight += 1
    before = regularizer(model)
    assert before.shape == ()
    before.backward()  # type: ignore[no-untyped-call]
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.grad is not None:
                parameter -= 5 * parameter.grad
    assert regularizer(model) < before


@pytest.mark.parametrize("kind", KINDS)
def test_a_training_that_goes_on_has_the_same_penalty_to_the_bit(kind: Callable[[], Regularizer]) -> None:
    model, first, second = network(), kind(), kind()
    first.begin(model, {"0.weight"}, {})
    with torch.no_grad():
        model[0].weight.mul_(1.3)
    second.begin(model, set(), first.state())
    assert torch.equal(first(model), second(model))
    assert first(model) > 0


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_not_trained_is_not_penalized(kind: Callable[[], Regularizer]) -> None:
    model, regularizer = network(), kind()
    model[2].weight.requires_grad_(False)
    regularizer.begin(model, {"0.weight"}, {})
    before = regularizer(model)
    with torch.no_grad():
        model[2].weight += 1
    assert torch.equal(regularizer(model), before)


@pytest.mark.parametrize("kind", KINDS)
def test_a_penalty_never_waits_for_the_device(kind: Callable[[], Regularizer]) -> None:
    model, regularizer = network(), kind()
    regularizer.begin(model, {"0.weight"}, {})

    def waiting(*_: Any, **__: Any) -> Any:
        raise AssertionError("the host waits for the device")

    readers = ("item", "tolist", "cpu", "numpy", "nonzero", "__bool__", "__float__", "__int__", "new_tensor")
    with patch.multiple(Tensor, **dict.fromkeys(readers, waiting)), patch("torch.tensor", waiting):  # type: ignore[call-overload]
        regularizer(model).backward()  # type: ignore[no-untyped-call]


@pytest.mark.parametrize("value", [-1.0, float("nan"), float("inf")])
def test_a_factor_is_a_finite_number_of_0_or_more(value: float) -> None:
    for build in (lambda: L1(value), lambda: L2SP(alpha=value), lambda: L2SP(beta=value)):
        with pytest.raises(ValueError, match="of 0 or more, found"):
            build()


def test_the_example_of_the_guide_is_a_penalty() -> None:
    guide = (Path(__file__).parents[2] / "docs" / "transfer.md").read_text()
    code = guide.split("```python\n")[1].split("```")[0]
    scope: dict[str, Any] = {}
    exec(code, scope)
    model = network()
    penalty = scope["Orthogonality"](weight=1.0)(model)
    expected = 0.0
    for layer in (model[0], model[2]):
        rows = layer.weight.detach().flatten(1)
        for i, one in enumerate(rows):
            for j, other in enumerate(rows):
                expected += float((one @ other - float(i == j)) ** 2)
    assert penalty.item() == pytest.approx(expected, rel=1e-4)
