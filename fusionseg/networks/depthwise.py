"""Strided depthwise convolutions, as mobile encoders have them, in float32 under a CPU's autocast."""

import torch
from torch import Tensor, nn


def keep_strided_depthwise_wide(body: nn.Module) -> None:
    """Makes the strided depthwise convolutions of an encoder ignore the autocast of CPUs.

    In bf16 oneDNN has no fast gradient for their input: it takes 10 to 30 times that of float32, a sixth of a
    training step of MobileNetV2. Their answers are rounded as those of other convolutions.
    """
    for layer in body.modules():
        if isinstance(layer, nn.Conv2d) and layer.groups == layer.in_channels > 1 and max(layer.stride) > 1:
            layer.__class__ = _wide(type(layer))


class _Wide(nn.Conv2d):
    """A convolution, which also stands before subclasses of it."""

    def forward(self, input: Tensor) -> Tensor:
        if input.device.type != "cpu" or not torch.is_autocast_enabled("cpu"):
            return super().forward(input)
        with torch.autocast("cpu", enabled=False):
            return super().forward(input.float()).to(torch.get_autocast_dtype("cpu"))


def _wide(kind: type[nn.Conv2d]) -> type[nn.Conv2d]:
    """The wide class of a class of convolutions."""
    return _Wide if kind is nn.Conv2d else type(kind.__name__, (_Wide, kind), {})
