"""The network of mask classification: queries that read a feature pyramid and become masks."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from fusionseg.losses.enlarging import scaled

HEADS = 8
"""Heads of every attention, and groups of every normalization of maps."""


class QueryOutput(NamedTuple):
    """What N queries answer after each of L layers, the last one at the end.

    Args:
        masks: The logit of a pixel to be of a query's region (B, L, N, h, w).
        classes: Logits of the K classes, and last of no object (B, L, N, K + 1).
    """

    masks: Tensor
    classes: Tensor


class QueryDecoder(nn.Module):
    """The decoders of Mask2Former (arXiv:2112.01527, section 3.2), with a simple one for pixels.

    A feature pyramid network in place of deformable attention gives all levels one width. The finest level
    becomes the pixels' embeddings; the queries read the others in turn, coarse to fine, each within the mask
    that it has so far (eq. 2 and 3), or everywhere where that is empty.

    Args:
        in_channels: Channels of the maps of the pyramid, fine to coarse.
        num_classes: The number of classes K.
        queries: The number of queries N.
        width: Channels of everything within.
        layers: How often the queries read a level.
    """

    def __init__(
        self, in_channels: Sequence[int], num_classes: int, queries: int, width: int, layers: int
    ) -> None:
        super().__init__()
        levels = min(layers, len(in_channels) - 1)
        self.pixels = PixelDecoder(in_channels, width)
        self.embed_pixels = nn.Conv2d(width, width, 1)
        self.content = nn.Parameter(torch.randn(queries, width))
        self.place = nn.Parameter(torch.randn(queries, width))
        self.level = nn.Parameter(torch.randn(levels, width))
        self.layers = nn.ModuleList([QueryLayer(width) for _ in range(layers)])
        self.norm = nn.LayerNorm(width)
        self.classify = nn.Linear(width, num_classes + 1)
        self.embed = nn.Sequential(
            *(nn.Linear(width, width), nn.ReLU()),
            *(nn.Linear(width, width), nn.ReLU()),
            nn.Linear(width, width),
        )

    def forward(self, pyramid: Sequence[Tensor]) -> QueryOutput:
        """The answers before the first layer and after each one; only the last one in evaluation."""
        *maps, finest = self.pixels(pyramid)
        pixels = self.embed_pixels(finest)
        queries = self.content.expand(pixels.shape[0], -1, -1)
        answers = [self._answer(queries)]
        for number, layer in enumerate(self.layers):
            level = number % len(self.level)
            memory = maps[level].flatten(2).mT + self.level[level]
            position = sine_positions(maps[level])
            # A mask of smaller embeddings is the smaller mask, since both are linear.
            smaller = scaled(pixels, maps[level].shape[-2:]).detach()
            blocked = torch.einsum("bne,behw->bnhw", answers[-1][0].detach(), smaller).flatten(2) < 0
            blocked = blocked & ~blocked.all(-1, keepdim=True)
            queries = layer(queries, self.place, memory, position, blocked)
            answers.append(self._answer(queries))
        if not self.training:
            answers = answers[-1:]
        embeddings, classes = (torch.stack(values, 1) for values in zip(*answers, strict=True))
        return QueryOutput(torch.einsum("blne,behw->blnhw", embeddings, pixels), classes)

    def _answer(self, queries: Tensor) -> tuple[Tensor, Tensor]:
        """The embedding of the mask of each query (B, N, width), and its class logits (B, N, K + 1)."""
        normed = self.norm(queries)
        return self.embed(normed), self.classify(normed)


class QueryLayer(nn.Module):
    """Queries attend to pixels, then to each other (Mask2Former, figure 2)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.cross = nn.MultiheadAttention(width, HEADS, batch_first=True)
        self.mutual = nn.MultiheadAttention(width, HEADS, batch_first=True)
        self.feed = nn.Sequential(nn.Linear(width, 4 * width), nn.ReLU(), nn.Linear(4 * width, width))
        self.norms = nn.ModuleList([nn.LayerNorm(width) for _ in range(3)])

    def forward(
        self, queries: Tensor, place: Tensor, memory: Tensor, position: Tensor, blocked: Tensor
    ) -> Tensor:
        """The queries (B, N, width) after the layer.

        Args:
            queries: Queries (B, N, width).
            place: Their own embeddings (N, width), added wherever they are compared.
            memory: The pixels of a level (B, P, width).
            position: The embeddings of their positions (P, width).
            blocked: Which pixels a query does not see (B, N, P) bool.
        """
        mask = blocked.repeat_interleave(HEADS, 0)
        read, _ = self.cross(queries + place, memory + position, memory, attn_mask=mask, need_weights=False)
        queries = self.norms[0](queries + read)
        placed = queries + place
        read, _ = self.mutual(placed, placed, queries, need_weights=False)
        queries = self.norms[1](queries + read)
        return self.norms[2](queries + self.feed(queries))  # type: ignore[no-any-return]


class PixelDecoder(nn.Module):
    """A feature pyramid network (arXiv:1612.03144) with group normalization, as in MaskFormer."""

    def __init__(self, in_channels: Sequence[int], width: int) -> None:
        super().__init__()
        self.lateral = nn.ModuleList([_normed(nn.Conv2d(c, width, 1, bias=False)) for c in in_channels])
        self.smooth = nn.ModuleList(
            [_normed(nn.Conv2d(width, width, 3, padding=1, bias=False), nn.ReLU()) for _ in in_channels]
        )

    def forward(self, pyramid: Sequence[Tensor]) -> list[Tensor]:
        """The maps (B, width, h_i, w_i), coarse to fine, of a pyramid that is given fine to coarse."""
        maps: list[Tensor] = []
        for level, lateral, smooth in zip(pyramid[::-1], self.lateral[::-1], self.smooth[::-1], strict=True):
            here = lateral(level)
            if maps:
                here = here + nn.functional.interpolate(maps[-1], here.shape[-2:])
            maps.append(smooth(here))
        return maps


def sine_positions(like: Tensor) -> Tensor:
    """Sines and cosines of the row and column of each pixel of a map (B, C, h, w), (h * w, C).

    The encodings of DETR (arXiv:2005.12872): rows and columns run from 0 to 2 pi, so that sizes of images do
    not matter. C is a multiple of 4.
    """
    _, channels, height, width = like.shape
    number = torch.arange(channels // 4, device=like.device)
    frequency = 10000.0 ** (-number / (channels // 4))
    angles = []
    for size in (height, width):
        place = (torch.arange(size, device=like.device) + 0.5) * (2 * math.pi / size)
        angle = place[:, None] * frequency
        angles.append(torch.cat([angle.sin(), angle.cos()], 1))
    rows, columns = angles
    grid = [rows[:, None].expand(-1, width, -1), columns.expand(height, -1, -1)]
    return torch.cat(grid, 2).flatten(0, 1).to(like.dtype)


def _normed(layer: nn.Conv2d, *after: nn.Module) -> nn.Sequential:
    return nn.Sequential(layer, nn.GroupNorm(HEADS, layer.out_channels), *after)
