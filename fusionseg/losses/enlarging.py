"""Enlarging outputs to the size of the labels, as a whole or in strips of rows."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from fusionseg.losses.parts import Part, numbers_at_once


def scaled(output: Tensor, size: Sequence[int]) -> Tensor:
    """The output (B, K, h, w) at the given height and width: bilinear, in its own precision."""
    if tuple(output.shape[-2:]) == tuple(size):
        return output
    return F.interpolate(output, tuple(size), mode="bilinear", align_corners=False)


def wide(output: Tensor) -> Tensor:
    """The output in float32, or in float64 if it is."""
    return output.to(torch.promote_types(output.dtype, torch.float32))


def labelled(target: Tensor, mask: Tensor) -> Tensor:
    """The target (B, H, W) or (B, K, H, W), 0 where nothing is labelled."""
    return target.where(mask.unsqueeze(1) if target.ndim == 4 else mask, 0)


class Strip(NamedTuple):
    """Rows of the labels of some images, and the rows of the output that they are enlarged from.

    Args:
        images: The images.
        rows: The rows of the labels.
        source: The rows of the output, with one more on each side.
        height: The height of the enlarged source.
        above: The rows of the enlarged source above those of the strip.
    """

    images: slice
    rows: slice
    source: slice
    height: int
    above: int

    def enlarged(self, source: Tensor, width: int) -> Tensor:
        """The output at the strip's labels (b, K, rows, width), from its source (b, K, h, w)."""
        rows = slice(self.above, self.above + self.rows.stop - self.rows.start)
        return scaled(source, (self.height, width))[:, :, rows]

    def of(self, labels: Tensor) -> Tensor:
        """The strip of a label map (B, ..., H, W)."""
        return labels[self.images][..., self.rows, :]


def strips(output: Tensor, size: Sequence[int]) -> list[Strip]:
    """Cuts images at the labels' size (H, W) into strips of about `numbers_at_once`.

    Images stay whole where a row of the output (B, K, h, w) is no whole number of the labels' rows.
    """
    number, channels, height, _ = output.shape
    factor = size[0] / height
    pixels = numbers_at_once(output) // channels
    images_at_once = max(1, pixels // (size[0] * size[1]))
    rows_at_once = max(1, int(pixels / (factor * size[1])))
    if not factor.is_integer():
        rows_at_once = height
    found = []
    for image in range(0, number, images_at_once):
        for top in range(0, height, rows_at_once):
            bottom = min(top + rows_at_once, height)
            source = slice(max(top - 1, 0), min(bottom + 1, height))
            strip = Strip(
                images=slice(image, image + images_at_once),
                rows=slice(round(top * factor), round(bottom * factor)),
                source=source,
                height=round((source.stop - source.start) * factor),
                above=round((top - source.start) * factor),
            )
            found.append(strip)
    return found


def by_rows(
    function: Callable[[Tensor, Tensor, Tensor], Tensor],
    output: Tensor,
    target: Tensor,
    mask: Tensor,
    maps: bool = False,
) -> list[Part]:
    """The parts of a function of output, target and mask, in strips.

    Args:
        function: Takes rows of the enlarged output in float32 or float64, of the target, 0 where nothing is
            labelled, and of the mask. Returns sums over them (b, S), or a map of them (b, rows, W).
        output: Predictions (B, K, h, w).
        target: Ground truth (B, H, W) or (B, K, H, W).
        mask: Labelled pixels (B, H, W) bool.
        maps: Whether the function returns maps.
    """

    def compute(strip: Strip, source: Tensor) -> Tensor:
        rows = strip.of(mask)
        return function(wide(strip.enlarged(source, mask.shape[2])), labelled(strip.of(target), rows), rows)

    return [
        Part(
            compute=partial(compute, strip),
            reads=((strip.images, slice(None), strip.source),),
            writes=(strip.images, strip.rows) if maps else (strip.images,),
        )
        for strip in strips(output, mask.shape[1:])
    ]
