"""Puts the outputs for overlapping tiles together."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from fusionseg.losses.enlarging import wide


def starts(side: int, tile: int, overlap: int) -> list[int]:
    """Where the tiles of one side begin, the last one at its end.

    >>> starts(320, 128, 32)
    [0, 96, 192]
    >>> starts(96, 128, 32)
    [0]

    Args:
        side: The length of the side in pixels.
        tile: That of a tile, larger than the overlap.
        overlap: How many pixels two neighboring tiles share at least.
    """
    return [*range(0, max(side - tile, 0), tile - overlap), max(side - tile, 0)]


class Canvas:
    """The output for an image, on which those for its tiles are blended.

    Of the pixels that two tiles share, each has those that are far from its edge: three eighths of them alone
    and a quarter in the middle together, by weights of a Hann window. A network that sees no further than
    three eighths of the overlap in each direction has the output of the whole image. Where tiles agree, their
    value stays as it is to the last bit.

    Args:
        output: The output (B, K, h, w) for a tile.
        tile: Height and width of the tile in pixels.
        size: Those of the image, in whole numbers of the pixels that a value of the output stands for.
        overlap: How many pixels two neighboring tiles share at least.

    Attributes:
        values: The output for the image.

    Raises:
        ValueError: If the output's side is no divisor of the tile's.
    """

    def __init__(self, output: Tensor, tile: Sequence[int], size: Sequence[int], overlap: int) -> None:
        height, width = output.shape[-2:]
        if tile[0] % height or tile[1] % width:
            raise ValueError(f"expected an output whose sides divide {tuple(tile)}, found {(height, width)}")
        self.strides = (tile[0] // height, tile[1] // width)
        self.overlap = overlap
        rows, columns = (side // stride for side, stride in zip(size, self.strides, strict=True))
        self.values = wide(output).new_zeros(*output.shape[:2], rows, columns)
        self.weights = torch.zeros(rows, columns, device=output.device)

    def add(self, output: Tensor, top: int, left: int) -> None:
        """Blends the output for a tile.

        Args:
            output: The output (B, K, h, w).
            top: The tile's first row in the image.
            left: The tile's first column in the image.
        """
        ramps = []
        for axis, first in enumerate((top, left)):
            length = output.shape[2 + axis]
            begin = first // self.strides[axis]
            end = begin + length == self.weights.shape[axis]
            ramps.append(_ramp(length, self.overlap // self.strides[axis], begin > 0, not end))
        weight = (ramps[0][:, None] * ramps[1]).to(self.weights.device)
        rows = slice(top // self.strides[0], top // self.strides[0] + output.shape[2])
        columns = slice(left // self.strides[1], left // self.strides[1] + output.shape[3])
        total = self.weights[rows, columns]
        total += weight
        share = torch.where(total > 0, weight / total, 0)
        values = self.values[:, :, rows, columns]
        values += (output - values) * share


def _ramp(length: int, shared: int, before: bool, behind: bool) -> Tensor:
    """The weights of the rows or columns of a tile, with neighbors before and behind it."""
    margin = 3 * shared // 8
    band = shared - 2 * margin
    distance = torch.arange(length) + 0.5 - margin
    rising = torch.sin(math.pi / 2 * (distance / max(band, 1)).clamp(0, 1)) ** 2
    weights = torch.ones(length)
    if before:
        weights *= rising
    if behind:
        weights *= rising.flip(0)
    return weights
