"""Copies of images at other sizes or mirrored, and where their outputs lie on those of the images."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from fusionseg.networks.backbone import STRIDE


def aligned(pixels: int) -> int:
    """A multiple of 32 that is no less."""
    return pixels + -pixels % STRIDE


def enlarged(image: Tensor, scale: float) -> Tensor:
    """Images of any type at another size, of at least one pixel.

    Args:
        image: The images (B, C, H, W).
        scale: Their new height and width, relative to what they are.
    """
    if scale == 1:
        return image
    size = [max(1, round(side * scale)) for side in image.shape[-2:]]
    resized = F.interpolate(image.float(), size, mode="bilinear", align_corners=False, antialias=True)
    if not image.is_floating_point():
        resized = resized.round().clamp(0, torch.iinfo(image.dtype).max)
    return resized.to(image.dtype)


def resampled(
    output: Tensor, size: Sequence[int], image: Sequence[int], seen: Sequence[int], mirrored: bool
) -> Tensor:
    """The values of an output at the places of another one.

    Args:
        output: The output (B, K, ...) for a copy of an image.
        size: Height and width (h, w) of the output for the image.
        image: Height and width of the image, before it was padded.
        seen: Those of the copy.
        mirrored: Whether the copy is mirrored.

    Returns:
        The values (B, K, h, w), interpolated.
    """
    height, width = (aligned(side) for side in image)
    # sides of the padded image, of which both outputs are in [-1, 1], in those of the padded copy
    down = seen[0] / image[0] * height / aligned(seen[0])
    right = seen[1] / image[1] * width / aligned(seen[1])
    across = [right, 0.0, right - 1]
    if mirrored:
        across = [-right, 0.0, 2 * seen[1] / aligned(seen[1]) - 1 - right]
    matrix = output.new_tensor([across, [0.0, down, down - 1]])
    places = F.affine_grid(matrix.expand(len(output), 2, 3), [len(output), 1, *size], align_corners=False)
    return F.grid_sample(output, places, padding_mode="border", align_corners=False)
