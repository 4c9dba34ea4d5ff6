import copy

import pytest
import torch
from torch import nn

from fusionseg.config.errors import UsageError
from fusionseg.regularization import L2SP

PRETRAINED = {"0.weight", "0.bias", "1.weight", "1.bias"}


def network() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Conv2d(4, 2, 1))


def moved(model: nn.Sequential) -> dict[str, torch.Tensor]:
    """Moves all weights; gives what they were."""
    before = copy.deepcopy(dict(model.state_dict()))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += torch.randn_like(parameter)
    return before


def test_penalty_and_gradient_are_those_of_the_paper() -> None:
    model, regularizer = network(), L2SP(alpha=0.3, beta=0.02)
    regularizer.begin(model, PRETRAINED, {})
    start = moved(model)
    penalty = regularizer(model)
    penalty.backward()  # type: ignore[no-untyped-call]
    expected = 0.0
    for name, parameter in model.named_parameters():
        slopes = []
        for value, before in zip(parameter.flatten().tolist(), start[name].flatten().tolist(), strict=True):
            if name == "0.weight":
                expected += 0.3 / 2 * (value - before) ** 2
                slopes.append(0.3 * (value - before))
            elif name == "2.weight":
                expected += 0.02 / 2 * value**2
                slopes.append(0.02 * value)
        if slopes:
            assert parameter.grad is not None
            torch.testing.assert_close(parameter.grad.flatten(), torch.tensor(slopes), rtol=1e-5, atol=1e-7)
        else:  # biases, and scale and shift of normalization
            assert parameter.grad is None
    assert penalty.item() == pytest.approx(expected, rel=1e-5)


def test_at_the_start_only_new_weights_are_penalized() -> None:
    model = network()
    regularizer = L2SP(alpha=5.0, beta=0.0)
    regularizer.begin(model, PRETRAINED, {})
    assert regularizer(model) == 0


def test_the_start_is_a_copy_in_the_layout_of_the_weights_and_never_moves() -> None:
    model = network().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    regularizer = L2SP()
    regularizer.begin(model, PRETRAINED, {})
    start = moved(model)
    (kept,) = regularizer.state().values()
    assert torch.equal(kept, start["0.weight"])
    assert kept.stride() == model[0].weight.stride()
    assert not kept.requires_grad


def test_the_start_of_half_precision_is_kept_and_compared_in_float32() -> None:
    model = network().to(torch.float16)
    regularizer = L2SP(alpha=1.0)
    regularizer.begin(model, PRETRAINED, {})
    with torch.no_grad():
        model[0].weight += 400  # the square of which float16 has no number for
    assert regularizer.state()["0.weight"].dtype == torch.float32
    assert regularizer(model).isfinite()


def test_nothing_pretrained_is_refused() -> None:
    with pytest.raises(UsageError, match=r"model.regularizer: .* all start at random: name some"):
        L2SP().begin(network(), set(), {})
    with pytest.raises(UsageError, match="train with it"):
        L2SP()(network())


def test_the_start_of_another_network_is_refused() -> None:
    with pytest.raises(UsageError, match=r"the start of 7.weight, which this network does not train"):
        L2SP().begin(network(), set(), {"7.weight": torch.ones(2, 2)})
