import torch
from torch import nn

from fusionseg.engine.task_gradients import deposit, reached


def test_a_loss_reaches_what_it_depends_on() -> None:
    first, second, third = (nn.Parameter(torch.ones(2)) for _ in range(3))
    found = reached((first * 2 + first * second).sum())
    assert {id(p) for p in found} == {id(first), id(second)}
    assert id(third) not in {id(p) for p in found}


def test_gradients_add_up_in_the_layout_of_their_parameter() -> None:
    parameter = nn.Parameter(torch.ones(2, 3, 4, 4).contiguous(memory_format=torch.channels_last))
    one, other = torch.randn(2, 3, 4, 4), torch.randn(2, 3, 4, 4)
    for gradient in (one, other):
        deposit(parameter, gradient.clone())
    assert parameter.grad is not None
    assert parameter.grad.stride() == parameter.stride()
    assert torch.equal(parameter.grad, one + other)
