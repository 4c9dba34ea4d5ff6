"""The encoder of a network: an image normalized on the device, then its pyramid of features."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from fusionseg.config.errors import UserError
from fusionseg.networks.necked import Necked


class Encoder(nn.Module):
    """Computes the feature pyramid of an image, normalized on the device.

    Args:
        body: An encoder of segmentation-models-pytorch.
        mean: Mean of each channel, for values in [0, 1].
        std: Standard deviation of each channel, for values in [0, 1].
        channels_last: Whether images are to lie channels-last in memory; `None` for what is faster.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self, body: nn.Module, mean: list[float], std: list[float], channels_last: bool | None = None
    ) -> None:
        super().__init__()
        self.body = body
        self.out_channels: list[int] = list(body.out_channels)  # type: ignore[arg-type]
        self.size: tuple[int, int] = (128, 128)
        """Height and width of an image that the body takes."""
        self.frozen = False
        self.known: list[Tensor] | None = None
        """The features of the images that come next, in place of the body's."""
        self.late_dilation = False
        """Whether the first block of a dilated stage keeps the dilation of the stage before."""
        self.channels_last = channels_last
        self.layout = torch.contiguous_format
        """The memory format of the images that the body reads (see `Network.arrange`)."""
        self.register_buffer("mean", torch.tensor(mean).view(1, -1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, -1, 1, 1), persistent=False)

    def forward(self, image: Tensor) -> list[Tensor]:
        """Features at strides 1, 2, 4 ... of an image (B, C, H, W): uint8, uint16 or float in [0, 1].

        Raises:
            ValueError: If the image has another number of channels.
        """
        if self.known is not None:
            return self._given(self.known, image)
        if image.shape[1] != self.mean.shape[1]:
            raise UserError(
                f"the encoder expects images of {self.mean.shape[1]} channels, found {image.shape[1]}: set "
                f"model.backbone.in_channels to {image.shape[1]}"
            )
        top = 1.0 if image.is_floating_point() else float(torch.iinfo(image.dtype).max)
        image = ((image.float() - self.mean * top) / (self.std * top)).to(self.mean.dtype)
        image = image.contiguous(memory_format=self.layout)
        if not (self.frozen and torch.is_grad_enabled()):
            return self.body(image)  # type: ignore[no-any-return]
        necked = self.body if isinstance(self.body, Necked) else None
        with torch.no_grad():
            features: list[Tensor] = necked.features(image) if necked else self.body(image)
        # zero gradients instead of none: DDP's reducer waits for every parameter, frozen or not
        anchor = torch.stack([p.sum() for p in self.trunk.parameters()]).sum() * 0.0
        features = [*features[:-1], features[-1] + anchor.to(features[-1].dtype)]
        return necked.neck(features) if necked else features

    @property
    def trunk(self) -> nn.Module:
        """What weights start and freezing holds: the body, without a neck."""
        return self.body.trunk if isinstance(self.body, Necked) else self.body

    def _given(self, known: list[Tensor], image: Tensor) -> list[Tensor]:
        """Features that were computed before, in the type and layout in which the body would give them."""
        if len(known[0]) != len(image):
            raise UserError(
                f"expected the {len(known[0])} images whose features are known, found {len(image)}: leave "
                "data.features out"
            )
        kind = image.device.type
        dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else self.mean.dtype
        return [level.to(dtype).contiguous(memory_format=self.layout) for level in known]

    def adopt(
        self,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
        late_dilation: bool | None = None,
    ) -> None:
        """Takes over what belongs to weights but is no tensor of theirs; what is None stays as it is.

        Args:
            mean: Mean of each channel, for values in [0, 1].
            std: Standard deviation of each channel, likewise.
            late_dilation: As of `Backbone`; one that was applied stays.

        Raises:
            ValueError: If the encoder has no stages whose dilation can be late.
        """
        for buffer, values in ((self.mean, mean), (self.std, std)):
            if values is not None and len(values) == buffer.numel():
                buffer.copy_(torch.tensor(values).view_as(buffer))
        if late_dilation:
            _dilate_late(self.body)
            self.late_dilation = True

    def train(self, mode: bool = True) -> "Encoder":
        """As for every module, but a frozen encoder keeps its batch statistics."""
        return super().train(mode and not self.frozen)


def _dilate_late(body: nn.Module) -> None:
    """Gives the first block of each dilated stage half the dilation of its other blocks.

    Raises:
        ValueError: If there are no stages of bottleneck blocks, as ResNet-50 and deeper ones have them.
    """
    names = ("layer3", "layer4")
    stages = [getattr(m, name) for m in body.modules() for name in names if hasattr(m, name)]
    if not stages or not all(hasattr(stage[0], "conv3") for stage in stages):
        raise ValueError(
            "late_dilation is for encoders of bottleneck blocks (resnet50, resnet101 ...): leave it out"
        )
    for first, second, *_ in stages:
        half = tuple(max(1, d // 2) for d in second.conv2.dilation)
        first.conv2.dilation = half
        first.conv2.padding = half
