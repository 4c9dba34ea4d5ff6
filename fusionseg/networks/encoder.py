"""The encoder of a network: an image normalized on the device, then its pyramid of features."""

import torch
from torch import Tensor, nn


class Encoder(nn.Module):
    """Computes the feature pyramid of an image, normalized on the device, in channels-last memory if safe.

    Args:
        body: An encoder of segmentation-models-pytorch.
        mean: Mean of each channel, for values in [0, 1].
        std: Standard deviation of each channel, for values in [0, 1].
    """

    mean: Tensor
    std: Tensor

    def __init__(self, body: nn.Module, mean: list[float], std: list[float]) -> None:
        super().__init__()
        self.body = body
        self.out_channels: list[int] = list(body.out_channels)  # type: ignore[arg-type]
        self.frozen = False
        self.layout = torch.contiguous_format if _is_fragile(body) else torch.channels_last
        self.register_buffer("mean", torch.tensor(mean).view(1, -1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, -1, 1, 1), persistent=False)

    def forward(self, image: Tensor) -> list[Tensor]:
        """Features at strides 1, 2, 4 ... of an image (B, C, H, W): uint8, uint16 or float in [0, 1].

        Raises:
            ValueError: If the image has another number of channels.
        """
        if image.shape[1] != self.mean.shape[1]:
            raise ValueError(
                f"the encoder expects images of {self.mean.shape[1]} channels, found {image.shape[1]}: set "
                f"model.backbone.in_channels to {image.shape[1]}"
            )
        top = 1.0 if image.is_floating_point() else float(torch.iinfo(image.dtype).max)
        image = ((image.float() - self.mean * top) / (self.std * top)).to(self.mean.dtype)
        image = image.contiguous(memory_format=self.layout)
        if not (self.frozen and torch.is_grad_enabled()):
            return self.body(image)  # type: ignore[no-any-return]
        with torch.no_grad():
            features: list[Tensor] = self.body(image)
        # zero gradients instead of none: DDP's reducer waits for every parameter, frozen or not
        anchor = torch.stack([p.sum() for p in self.body.parameters()]).sum() * 0.0
        return [*features[:-1], features[-1] + anchor.to(features[-1].dtype)]

    def train(self, mode: bool = True) -> "Encoder":
        """As for every module, but a frozen encoder keeps its batch statistics."""
        return super().train(mode and not self.frozen)


def _is_fragile(body: nn.Module) -> bool:
    """Whether there are strided 1 x 1 convolutions of few channels, as in MobileOne.

    Of these, in channels-last memory, torch 2.15 on a CPU writes the gradient beyond its memory.
    """
    layers = [
        m
        for m in body.modules()
        if isinstance(m, nn.Conv2d) and m.kernel_size == (1, 1) and m.stride != (1, 1)
    ]
    return any(layer.in_channels // layer.groups <= 8 for layer in layers)
