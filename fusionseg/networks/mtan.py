"""The multi-task attention network."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.ops import Conv2dNormActivation

from fusionseg.balancing.branch import Branch
from fusionseg.networks.backbone import Backbone
from fusionseg.networks.base import HeadRecipe, Network


class MTAN(Network):
    """One encoder for all tasks, from whose stages each task takes what it attends to (MTAN, arXiv:1803.10704).

    The paper puts masks into the blocks of a VGG SegNet, on two features u and p of each. Here any encoder will do: u
    and p are both the feature that a stage gives, a task's masked pyramid feeds a decoder of its own, and the
    convolution f, which the paper shares, is each task's own, so that nothing is shared behind the encoder.

    Args:
        heads: The recipe of each task's head.
        backbone: What encoder and decoders to build.
        reduction: A mask is made from so many times fewer channels than its stage has.

    Raises:
        ValueError: If the reduction is less than 1.
    """

    branch: Branch

    def __init__(self, heads: Mapping[str, HeadRecipe], backbone: Backbone, reduction: int = 4) -> None:
        super().__init__()
        if reduction < 1:
            raise ValueError(f"expected a reduction of 1 or more, found {reduction}")
        encoder, decoders = backbone.build(len(heads))
        self.encoder = encoder
        self.decoders = nn.ModuleDict(dict(zip(heads, decoders, strict=True)))
        self.attentions = nn.ModuleDict(
            {task: StageAttention(encoder.out_channels, reduction) for task in heads}
        )
        self.heads = nn.ModuleDict({task: head(decoders[0].out_channels) for task, head in heads.items()})
        self.branch = Branch()

    def forward(self, image: Tensor) -> list[dict[str, Any]]:
        """A single guess, which is the final answer."""
        parts = self.branch(self.encoder(image), list(self.heads))
        maps = {task: self.decoders[task](self.attentions[task](part)) for task, part in parts.items()}
        return [{task: head(maps[task]) for task, head in self.heads.items()}]


class StageAttention(nn.Module):
    """What one task takes from a shared pyramid: each stage times a mask in [0, 1] (equations 1 and 2 of the paper).

    A mask is made from the stage and from what the task took from the stage before; the latter is pooled to the stage's
    size first, and not after its convolution as in the paper, at a quarter of the cost. What has the image's own size,
    or no channels, passes unchanged.

    Args:
        widths: Channels of the pyramid.
        reduction: A mask is made from so many times fewer channels than its stage has.
    """

    def __init__(self, widths: Sequence[int], reduction: int) -> None:
        super().__init__()
        self.attended = [i for i, width in enumerate(widths) if i > 0 and width > 0]
        self.masks, self.onward = nn.ModuleDict(), nn.ModuleDict()
        before = 0
        for i in self.attended:
            width, inner = widths[i], max(widths[i] // reduction, 1)
            self.masks[str(i)] = nn.Sequential(
                Conv2dNormActivation(2 * width if before else width, inner, 1),
                Conv2dNormActivation(inner, width, 1, activation_layer=nn.Sigmoid, inplace=None),
            )
            if before:
                self.onward[str(i)] = Conv2dNormActivation(before, width, 3)
            before = width

    def forward(self, pyramid: Sequence[Tensor]) -> list[Tensor]:
        """A pyramid of the same shapes."""
        taken = list(pyramid)
        read: Tensor | None = None
        for i in self.attended:
            shared = pyramid[i]
            seen = shared
            if read is not None:
                small = F.max_pool2d(read, read.shape[-1] // shared.shape[-1])
                seen = torch.cat([shared, self.onward[str(i)](small)], 1)
            read = taken[i] = self.masks[str(i)](seen) * shared
        return taken
