"""The features of a frozen encoder as one row of numbers for each image, and back to a pyramid."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from fusionseg.config.errors import UsageError
from fusionseg.engine.predictions import padded
from fusionseg.networks.backbone import STRIDE
from fusionseg.networks.base import Network
from fusionseg.networks.encoder import Encoder
from fusionseg.networks.necked import Necked


class EncoderFeatures:
    """Computes features image by image, in the precision of the weights and then rounded to bfloat16.

    Only the levels of the pyramid that decoders and heads read are computed into rows; the others are NaN
    there, in no memory of their own.

    Args:
        network: A network on its device, whose encoder is frozen.

    Attributes:
        levels: The levels that are read.
        channels: The channels of each level that the encoder gives.
        strides: The stride of each.

    Raises:
        UsageError: If the network has no `Encoder`.
    """

    def __init__(self, network: Network) -> None:
        self.encoder = encoder_of(network)
        self.channels: list[int] = []
        self.strides: list[int] = []
        self.levels = self._read_levels(network)

    @torch.no_grad()
    def of(self, image: Tensor) -> Tensor:
        """The features (B, N) of images (B, C, H, W), in bfloat16; each image is computed by itself."""
        image = padded({"image": image})["image"]
        with torch.autocast(image.device.type, enabled=False):
            found = [self.encoder(one) for one in (image[i : i + 1] for i in range(len(image)))]
        rows = [torch.cat([maps[i].bfloat16().flatten() for i in self.levels]) for maps in found]
        return torch.stack(rows)

    def count(self, size: tuple[int, int]) -> int:
        """The number N of values of an image of a height and width."""
        return sum(channels * h * w for channels, h, w in self._shapes(size, self.levels))

    def pyramid(self, rows: Tensor, size: tuple[int, int]) -> list[Tensor]:
        """The levels of the pyramid of images of a height and width, of their features (B, N)."""
        shapes = self._shapes(size, range(len(self.strides)))
        lengths = [channels * h * w for channels, h, w in (shapes[i] for i in self.levels)]
        pieces = dict(zip(self.levels, rows.split_with_sizes(lengths, 1), strict=True))
        unread = rows.new_full((1, 1, 1, 1), torch.nan)
        return [
            pieces[i].reshape(-1, *shape) if i in pieces else unread.expand(len(rows), *shape)
            for i, shape in enumerate(shapes)
        ]

    def digest(self) -> str:
        """A hash of the encoder's layers, weights and statistics, the levels, and how it computes here."""
        encoder = self.encoder
        computed = f"{_layers(encoder.body)} {self.levels} {encoder.layout} {encoder.mean.device.type}"
        found = hashlib.sha256(computed.encode())
        tensors = {"mean": encoder.mean, "std": encoder.std, **encoder.body.state_dict()}
        for name, value in tensors.items():
            found.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
            found.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
        return found.hexdigest()

    def _shapes(self, size: tuple[int, int], levels: Sequence[int]) -> list[tuple[int, int, int]]:
        """Channels, height and width of levels for an image that is extended to multiples of 32."""
        height, width = (-(-side // STRIDE) * STRIDE for side in size)
        return [(self.channels[i], height // self.strides[i], width // self.strides[i]) for i in levels]

    @torch.enable_grad()
    def _read_levels(self, network: Network) -> list[int]:
        """The levels of which outputs depend, by gradients."""
        encoder = self.encoder
        training = network.training
        network.eval()
        image = encoder.mean.new_zeros(1, encoder.mean.shape[1], *encoder.size)
        with torch.no_grad():
            features: list[Tensor] = encoder(image)
        self.channels = [level.shape[1] for level in features]
        self.strides = [encoder.size[0] // level.shape[2] for level in features]
        encoder.known = [level.detach().clone().requires_grad_() for level in features]
        total = torch.stack([output.sum() for output in _floats(network(image))]).sum()
        slopes = torch.autograd.grad(total, encoder.known, allow_unused=True)
        encoder.known = None
        network.train(training)
        return [i for i, slope in enumerate(slopes) if slope is not None and slope.numel()]


def encoder_of(network: Any) -> Encoder:
    """The encoder of a network.

    Raises:
        UsageError: If it has no `Encoder`, or one with a neck, which learns beside a frozen trunk.
    """
    encoder = getattr(network, "encoder", None)
    if not isinstance(encoder, Encoder):
        raise UsageError(
            f"expected a network with an Encoder, whose features can be kept, found {type(network).__name__}",
            "data.features",
        )
    if isinstance(encoder.body, Necked):
        raise UsageError(
            "expected an encoder without parts that learn, found a plain transformer, whose pyramid does: "
            "leave it out",
            "data.features",
        )
    return encoder


def _layers(body: nn.Module) -> list[str]:
    """The layers of an encoder with their settings; the same whether ranks share statistics or not."""
    layers = []
    for name, module in body.named_modules():
        keeps_statistics = getattr(module, "running_mean", None) is not None
        kind = "norm" if keeps_statistics else type(module).__name__
        settings = getattr(module, "eps", "") if keeps_statistics else module.extra_repr()
        layers.append(f"{name} {kind} {settings}")
    return layers


def _floats(outputs: Any) -> list[Tensor]:
    """All tensors of numbers with a gradient in the outputs of heads, whatever they are made of."""
    if isinstance(outputs, Tensor):
        return [outputs] if outputs.requires_grad else []
    if isinstance(outputs, Mapping):
        outputs = list(outputs.values())
    elif not isinstance(outputs, list | tuple):
        outputs = list(vars(outputs).values()) if hasattr(outputs, "__dict__") else []
    return [tensor for output in outputs for tensor in _floats(output)]
