from functools import partial
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fusionseg.heads import BoundaryHead, SemanticHead
from fusionseg.networks import MTAN
from fusionseg.networks.backbone import Backbone
from fusionseg.networks.base import HeadRecipe
from fusionseg.networks.mtan import StageAttention

HEADS: dict[str, HeadRecipe] = {
    "semantic": partial(SemanticHead, num_classes=5),
    "region": BoundaryHead,
    "parts": partial(SemanticHead, num_classes=3),
}
IMAGE = torch.rand(2, 3, 64, 96)


def normalized(module: Any, features: Tensor) -> Tensor:
    """A reference for a convolution followed by a batch norm in evaluation mode."""
    convolution, norm, _ = module
    features = F.conv2d(features, convolution.weight, padding=convolution.padding)
    values = (norm.running_mean, norm.running_var, norm.weight, norm.bias)
    mean, variance, weight, bias = (value.view(1, -1, 1, 1) for value in values)
    found: Tensor = (features - mean) / (variance + norm.eps) ** 0.5 * weight + bias
    return found


def test_masks_are_those_of_the_paper() -> None:
    widths, sizes = [3, 8, 12, 16], [(32, 48), (16, 24), (8, 12), (8, 12)]  # the last stage is dilated
    attention = StageAttention(widths, 4)
    for parameter in attention.parameters():
        nn.init.normal_(parameter)
    attention.eval()
    pyramid = [torch.randn(2, width, *size) for width, size in zip(widths, sizes, strict=True)]
    masks: dict[int, Any] = {int(i): mask for i, mask in attention.masks.items()}
    taken = attention(pyramid)
    assert torch.equal(taken[0], pyramid[0])
    before: Tensor | None = None
    for i in (1, 2, 3):
        seen = pyramid[i]
        if before is not None:
            small = before.unfold(2, 2, 2).unfold(3, 2, 2).amax((-1, -2)) if i == 2 else before
            seen = torch.cat([pyramid[i], normalized(attention.onward[str(i)], small).relu()], 1)
        g, h = masks[i]
        mask = normalized(h, normalized(g, seen).relu()).sigmoid()
        torch.testing.assert_close(taken[i], mask * pyramid[i])
        before = taken[i]


def test_each_task_answers_what_it_attends_to_itself() -> None:
    network = MTAN(HEADS, Backbone(decoder="FPN")).eval()
    pyramid, (outputs,) = network.encoder(IMAGE), network(IMAGE)
    taken = {task: network.attentions[task](pyramid) for task in HEADS}
    for task in HEADS:
        assert torch.equal(outputs[task], network.heads[task](network.decoders[task](taken[task])))
    for level in range(1, 6):
        assert not torch.equal(taken["semantic"][level], taken["region"][level])
        assert not torch.equal(taken["region"][level], taken["parts"][level])


@pytest.mark.parametrize("name", ["tu-convnext_atto", "vgg11_bn"])
def test_an_entry_without_channels_and_one_of_the_image_s_size_pass_unchanged(name: str) -> None:
    network = MTAN({"region": BoundaryHead}, Backbone(name))
    pyramid = network.encoder(IMAGE)
    taken = network.attentions["region"](pyramid)
    assert [m.shape for m in taken] == [m.shape for m in pyramid]
    same = [i for i, (a, b) in enumerate(zip(taken, pyramid, strict=True)) if a is b]
    assert same == ([0, 1] if name.startswith("tu-") else [0])


@pytest.mark.parametrize("decoder", ["Unet", "DeepLabV3Plus"])
def test_the_branch_sees_the_gradient_of_each_task(decoder: str) -> None:
    network = MTAN(HEADS, Backbone(decoder=decoder)).double()
    weights = torch.tensor([0.5, 2.0, 0.0], dtype=torch.float64)
    seen: list[Tensor] = []

    def balance(gramian: Tensor) -> Tensor:
        seen.append(gramian)
        return weights

    def losses() -> Tensor:
        torch.manual_seed(1)  # the same features are dropped each time
        (outputs,) = network(IMAGE.double())
        return torch.stack([output.square().mean() for output in outputs.values()])

    # slow: a backward pass for each task, down to leaves in the place of the pyramid
    leaves: list[Tensor] = []

    def cut_off(_: nn.Module, inputs: object, pyramid: list[Tensor]) -> list[Tensor]:
        leaves.extend(m.detach().requires_grad_() for m in pyramid)
        return leaves

    with network.encoder.register_forward_hook(cut_off):
        each = losses()
    rows = [torch.autograd.grad(loss, leaves, retain_graph=True, materialize_grads=True) for loss in each]
    jacobian = torch.stack([torch.cat([part.flatten() for part in row[1:]]) for row in rows])
    # what the encoder should learn
    first = next(network.encoder.parameters())
    (expected,) = torch.autograd.grad((weights * losses()).sum(), first)

    network.branch.balance, network.branch.dtype = balance, torch.float64
    losses().sum().backward()  # type: ignore[no-untyped-call]
    torch.testing.assert_close(seen, [jacobian @ jacobian.T])
    assert first.grad is not None
    torch.testing.assert_close(first.grad, expected)
    own = network.decoders["parts"].parameters()  # which keeps its gradient, whatever its task weighs
    assert all(p.grad is not None and p.grad.any() for p in own if p.requires_grad)


def test_a_reduction_below_1_is_refused() -> None:
    with pytest.raises(ValueError, match="expected a reduction of 1 or more, found 0"):
        MTAN(HEADS, Backbone(), reduction=0)
