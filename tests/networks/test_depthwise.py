"""Strided depthwise convolutions under a CPU's autocast."""

from copy import deepcopy

import pytest
import torch
from torch import Tensor, nn

from fusionseg.networks.backbone import Backbone
from fusionseg.networks.depthwise import keep_strided_depthwise_wide

IMAGE = torch.randn(2, 8, 12, 10, generator=torch.Generator().manual_seed(0))


def layer(stride: int = 2, groups: int = 8) -> nn.Conv2d:
    torch.manual_seed(0)
    return nn.Conv2d(8, 8, 3, stride=stride, padding=1, groups=groups, bias=False)


def step(convolution: nn.Conv2d, dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
    """The answer, and the gradients of the image and of the kernel, under autocast."""
    image = IMAGE.to(dtype).requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        answer = convolution(image)
    kernel = convolution.weight
    return (answer, *torch.autograd.grad(answer.float().square().sum(), [image, kernel]))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_answer_and_gradients_are_those_of_float32_in_the_types_of_autocast(dtype: torch.dtype) -> None:
    plain = layer()
    image = IMAGE.to(dtype).float().requires_grad_()
    expected = plain(image).bfloat16()
    gradients = torch.autograd.grad(expected.float().square().sum(), [image, plain.weight])
    wide = layer()
    keep_strided_depthwise_wide(nn.Sequential(wide))
    answer, of_image, of_kernel = step(wide, dtype)
    assert (answer.dtype, of_image.dtype, of_kernel.dtype) == (torch.bfloat16, dtype, torch.float32)
    assert torch.equal(answer, expected)
    assert torch.equal(of_image, gradients[0].to(dtype))
    assert torch.equal(of_kernel, gradients[1])


@pytest.mark.parametrize("convolution", [layer(stride=1), layer(groups=1)])
def test_other_convolutions_are_left_alone(convolution: nn.Conv2d) -> None:
    expected = step(convolution, torch.float32)
    keep_strided_depthwise_wide(nn.Sequential(convolution))
    for value, before in zip(step(convolution, torch.float32), expected, strict=True):
        assert torch.equal(value, before)


def test_nothing_changes_without_autocast() -> None:
    wide = layer().double()
    keep_strided_depthwise_wide(wide)
    assert torch.equal(wide(IMAGE.double()), layer().double()(IMAGE.double()))


def test_a_copy_answers_by_its_own_weights() -> None:
    original = layer()
    keep_strided_depthwise_wide(original)
    copy = deepcopy(original)
    nn.init.zeros_(copy.weight)
    assert not copy(IMAGE).any()
    assert original(IMAGE).any()


@pytest.mark.parametrize("encoder", ["mobilenet_v2", "efficientnet-b0", "tu-test_efficientnet"])
def test_none_of_an_encoder_is_computed_in_half_precision(encoder: str) -> None:
    network, _ = Backbone(encoder).build()
    seen: list[tuple[bool, torch.dtype]] = []
    convolve = torch.nn.functional.conv2d

    class Watch(torch.overrides.TorchFunctionMode):
        def __torch_function__(self, function, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
            kwargs = kwargs or {}
            if function is convolve:
                image, _, _, stride, *_, groups = args
                strided = groups == image.shape[1] > 1 and max(stride) > 1
                seen.append((strided, image.dtype))
            return function(*args, **kwargs)

    with torch.autocast("cpu", torch.bfloat16), Watch():
        network(torch.zeros(1, 3, 64, 64, dtype=torch.uint8))
    assert {dtype for strided, dtype in seen if strided} == {torch.float32}


@pytest.mark.parametrize("encoder", ["mobilenet_v2", "efficientnet-b0"])
def test_an_encoder_is_compiled_in_one_graph_under_autocast(encoder: str) -> None:
    torch.manual_seed(0)
    built, _ = Backbone(encoder).build()
    built.eval()
    compiled = torch.compile(built, backend="eager", fullgraph=True)
    image = torch.randint(0, 256, (1, 3, 64, 64), dtype=torch.uint8)
    with torch.autocast("cpu", torch.bfloat16):
        for value, expected in zip(compiled(image), built(image), strict=True):
            assert torch.equal(value, expected)
