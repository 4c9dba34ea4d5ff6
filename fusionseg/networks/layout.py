"""Chooses the memory format of a network, which changes its speed but not what it computes."""

import torch
from torch import nn


def memory_format(
    network: nn.Module, device: str, precision: str, channels_last: bool | None = None
) -> torch.memory_format:
    """The memory format of a network's weights and images.

    Where nothing is chosen, channels-last is taken where it is faster: on a GPU, in half precision, and on a
    CPU in float32 for networks with depthwise convolutions. Ordinary convolutions are up to a tenth slower
    with it there.

    Args:
        network: The network.
        device: The type of its device, such as `cpu`.
        precision: As Lightning's, such as `bf16-mixed`.
        channels_last: The user's choice. Networks with which torch writes beyond its memory in channels-last
            are contiguous in spite of it.
    """
    convolutions = [m for m in network.modules() if isinstance(m, nn.Conv2d)]
    if any(_is_fragile(layer) for layer in convolutions):
        return torch.contiguous_format
    if channels_last is None:
        depthwise = any(layer.groups == layer.in_channels > 1 for layer in convolutions)
        channels_last = device != "cpu" or "16" in precision or depthwise
    return torch.channels_last if channels_last else torch.contiguous_format


def _is_fragile(layer: nn.Conv2d) -> bool:
    """Whether it is a strided 1 x 1 convolution of few channels, as in MobileOne.

    Of these, in channels-last memory, torch 2.15 on a CPU writes the gradient beyond its memory.
    """
    strided = layer.kernel_size == (1, 1) and layer.stride != (1, 1)
    return strided and layer.in_channels // layer.groups <= 8
