"""Strided depthwise convolutions, as mobile encoders have them, in float32 under a CPU's autocast."""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn


def keep_strided_depthwise_wide(body: nn.Module) -> None:
    """Makes the strided depthwise convolutions of an encoder ignore the autocast of CPUs.

    In bf16 oneDNN has no fast gradient for their input: it takes 10 to 30 times that of float32, a sixth of a
    training step of MobileNetV2. Their answers are rounded as those of other convolutions.
    """
    for layer in body.modules():
        if isinstance(layer, nn.Conv2d) and layer.groups == layer.in_channels > 1 and max(layer.stride) > 1:
            layer.forward = partial(_wide, layer.forward)  # type: ignore[method-assign]


def _wide(forward: Callable[[Tensor], Tensor], features: Tensor) -> Tensor:
    if features.device.type != "cpu" or not torch.is_autocast_enabled("cpu"):
        return forward(features)
    with torch.autocast("cpu", enabled=False):
        return forward(features.float()).to(torch.get_autocast_dtype("cpu"))
