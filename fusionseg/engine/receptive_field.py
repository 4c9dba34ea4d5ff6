"""How far a network sees from a pixel, and what that means for tiles."""

from typing import Any

import torch
from torch import Tensor

from fusionseg.engine.passes import Passes
from fusionseg.engine.predictions import image_channels
from fusionseg.heads.dense import Dense
from fusionseg.networks.backbone import STRIDE


def reach(module: Any, channels: int, side: int) -> int:
    """The distance in pixels of the farthest pixel above or below that an output depends on.

    It is that of the gradient of the outputs in the middle of a narrow column of noise, which is not zero; of
    the dependences that a ReLU cuts there, nothing is known.

    Args:
        module: A LightningModule that gives the outputs of images (B, C, H, W), of which those that are
            tensors (B, K, h, w) count, at least one.
        channels: The channels of an image.
        side: The height of the column, a multiple of 32, of which no more than half is seen.

    Returns:
        The distance, `side` / 2 where the network sees as far, or farther.
    """
    training = module.training
    module.eval()
    try:
        generator = torch.Generator().manual_seed(0)
        noise = torch.rand(1, channels, side, 2 * STRIDE, generator=generator).to(module.device)
        with torch.enable_grad():
            image = noise.requires_grad_()
            outputs = [output for output in module(image)[-1].values() if _has_rows(output)]
            middle = torch.stack([_middle(output).float().sum() for output in outputs]).sum()
            [gradient] = torch.autograd.grad(middle, image)
    finally:
        module.train(training)
    rows = gradient.abs().sum((0, 1, 3)).nonzero().flatten().tolist()
    return max((abs(row - side // 2) for row in rows), default=0)


def tile_notice(module: Any, passes: Passes, windows: bool = False) -> str:
    """A line for users of tiles that are no whole image to the network; empty for whole images.

    Args:
        module: As for `reach`; of an exported graph, which has no gradients, nothing is known, and heads
            without an output for each pixel see the whole tile.
        passes: How it sees images.
        windows: Whether each tile is decoded for itself, which no evaluation measures.
    """
    heads = getattr(module, "heads", {}).values()
    is_dense = bool(heads) and all(isinstance(head, Dense) for head in heads)
    if passes.tile is None or not is_dense or not getattr(module, "has_gradients", True):
        return ""
    tile, overlap = passes.record["tile"], passes.record["overlap"]
    distance = reach(module, image_channels(module), tile)
    if distance >= tile // 2:
        measured = ", and `fusionseg evaluate` with the same --tile measures them"
        if windows:
            measured = "; `fusionseg evaluate --tile` measures tiles that are decoded as one, not windows"
        differ = "answers differ from those of whole images"
        return f"the network sees farther than a tile of {tile} pixels: {differ}{measured}"
    if 8 * distance > 3 * overlap:
        return (
            f"the network sees {distance} pixels in each direction: near the seams of tiles answers differ "
            f"from those of whole images, unless --overlap is {_enough(distance)} or more"
        )
    return ""


def _has_rows(output: Any) -> bool:
    return isinstance(output, Tensor) and output.ndim == 4


def _middle(output: Tensor) -> Tensor:
    """The values of the middle row."""
    return output[:, :, output.shape[2] // 2]


def _enough(distance: int) -> int:
    """The smallest overlap, a multiple of 32, in which a network that sees so far sees no edge."""
    overlap = -(-8 * distance // 3)
    return overlap + -overlap % STRIDE
