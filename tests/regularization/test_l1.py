import torch
from torch import nn

from fusionseg.regularization import L1


def test_the_gradient_is_the_sign_of_each_weight() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    penalty = L1(0.01)(model)
    total = sum(abs(value) for p in model.parameters() for value in p.flatten().tolist())
    torch.testing.assert_close(penalty.item(), 0.01 * total)
    penalty.backward()  # type: ignore[no-untyped-call]
    for parameter in model.parameters():
        assert parameter.grad is not None
        torch.testing.assert_close(parameter.grad, 0.01 * parameter.detach().sign())
