from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fusionseg.networks.simple_pyramid import SimplePyramid


def normalized(values: Tensor, norm: Any) -> Tensor:
    """Layer normalization over the channels of a map (B, C, h, w), as written."""
    centered = values - values.mean(1, keepdim=True)
    scaled = centered / (centered.square().mean(1, keepdim=True) + 1e-6).sqrt()
    found: Tensor = scaled * norm.weight[:, None, None] + norm.bias[:, None, None]
    return found


def enlarged(values: Tensor, layer: Any) -> Tensor:
    """A transposed convolution of 2 x 2 pixels and stride 2: each pixel becomes four."""
    b, _, h, w = values.shape
    out = torch.zeros(b, layer.weight.shape[1], 2 * h, 2 * w)
    for row in range(2):
        for column in range(2):
            pixels = torch.einsum("bcij,cd->bdij", values, layer.weight[:, :, row, column])
            out[:, :, row::2, column::2] = pixels + layer.bias[:, None, None]
    return out


def finished(values: Tensor, layers: list[Any]) -> Tensor:
    one, first, three, second = layers
    values = normalized(torch.einsum("bcij,dc->bdij", values, one.weight[:, :, 0, 0]), first)
    wide = F.pad(values, (1, 1, 1, 1))
    h, w = values.shape[2:]
    total = torch.zeros_like(values)
    for y in range(3):
        for x in range(3):
            part = wide[:, :, y : y + h, x : x + w]
            total = total + torch.einsum("bcij,dc->bdij", part, three.weight[:, :, y, x])
    return normalized(total, second)


def test_its_levels_are_those_of_the_paper_as_plain_loops_compute_them() -> None:
    pyramid = SimplePyramid(12, 16, [4, 8, 16, 32], width=6)
    for parameter in pyramid.parameters():
        nn.init.normal_(parameter)
    image, last = torch.rand(2, 3, 64, 96), torch.randn(2, 12, 4, 6)
    layers: list[Any] = [list(level.children()) for level in pyramid.levels]
    twice = F.gelu(normalized(enlarged(last, layers[0][0]), layers[0][1]))
    expected = [
        finished(enlarged(twice, layers[0][3]), layers[0][4:]),
        finished(enlarged(last, layers[1][0]), layers[1][1:]),
        finished(last, layers[2]),
        finished(last.reshape(2, 12, 2, 2, 3, 2).amax((3, 5)), layers[3][1:]),
    ]
    found = pyramid([image, last])
    assert found[0] is image
    assert found[1].shape == (2, 0, 32, 48)
    assert [f.shape[1:] for f in found[2:]] == [(6, 16, 24), (6, 8, 12), (6, 4, 6), (6, 2, 3)]
    for ours, theirs in zip(found[2:], expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("stride", [8, 16, 32])
def test_maps_of_any_stride_make_the_same_strides(stride: int) -> None:
    pyramid = SimplePyramid(16, stride, [4, 8, 16, 16], width=5)
    found = pyramid([torch.rand(1, 1, 64, 96), torch.rand(1, 16, 64 // stride, 96 // stride)])
    assert [f.shape[2:] for f in found[2:]] == [(16, 24), (8, 12), (4, 6), (4, 6)]
