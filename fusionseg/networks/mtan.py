"""Multi-task attention network: each task attends to the stages of a shared encoder."""

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.ops import Conv2dNormActivation

from fusionseg.balancing.branch import Branch
from fusionseg.networks.backbone import Backbone
from fusionseg.networks.base import HeadRecipe, Network, Outputs


class MTAN(Network):
    """Multi-task attention network (MTAN, Liu et al., CVPR 2019, arXiv:1803.10704).

    Each task applies attention masks to the stages of one shared encoder. The paper puts masks into the
    blocks of a VGG SegNet, on two features u and p of each block. Here any encoder works: u and p are both
    the output of a stage, and a task's masked pyramid feeds its own decoder. The convolution f, which the
    paper shares between tasks, is task-specific, so that nothing is shared behind the encoder.

    Args:
        heads: The recipe of each task's head.
        backbone: Which encoder and decoders to build.
        reduction: The hidden layer of a mask has this many times fewer channels than its stage.

    Raises:
        ValueError: If the reduction is less than 1.
    """

    branch: Branch

    def __init__(self, heads: Mapping[str, HeadRecipe], backbone: Backbone, reduction: int = 4) -> None:
        super().__init__()
        if reduction < 1:
            raise ValueError(f"expected a reduction of 1 or more, found {reduction}")
        encoder, decoders = backbone.build_for(heads)
        self.encoder = encoder
        self.decoders = nn.ModuleDict(decoders)
        self.attentions = nn.ModuleDict(
            {task: StageAttention(encoder.out_channels, reduction) for task in heads}
        )
        self.heads = nn.ModuleDict({task: head(decoders[task].out_channels) for task, head in heads.items()})
        self.branch = Branch()

    def forward(self, image: Tensor) -> list[Outputs]:
        """A single refinement for images (B, C, H, W): the output of each task's head."""
        pyramids = self.branch(self.encoder(image), list(self.heads))
        features = {}
        for task, pyramid in pyramids.items():
            features[task] = self.decoders[task](self.attentions[task](pyramid))
        return [{task: head(features[task]) for task, head in self.heads.items()}]


class StageAttention(nn.Module):
    """Multiplies each stage of a shared pyramid by a mask in [0, 1] (eq. 1 and 2 of the paper), for one task.

    A mask is computed from the stage and from the masked stage before it. The latter is pooled to the size of
    the stage before its convolution, not after it as in the paper, which costs a quarter. Levels at the size
    of the image, or without channels, pass unchanged.

    Args:
        widths: Channels of the levels of the pyramid.
        reduction: The hidden layer of a mask has this many times fewer channels than its stage.
    """

    def __init__(self, widths: Sequence[int], reduction: int) -> None:
        super().__init__()
        self.attended = [i for i, width in enumerate(widths) if i > 0 and width > 0]
        """The levels that have a mask."""
        self.masks = nn.ModuleDict()
        self.onward = nn.ModuleDict()
        before = 0
        for i in self.attended:
            width = widths[i]
            hidden = max(width // reduction, 1)
            self.masks[str(i)] = nn.Sequential(
                Conv2dNormActivation(2 * width if before else width, hidden, 1),
                Conv2dNormActivation(hidden, width, 1, activation_layer=nn.Sigmoid, inplace=None),
            )
            if before:
                self.onward[str(i)] = Conv2dNormActivation(before, width, 3)
            before = width

    def forward(self, pyramid: Sequence[Tensor]) -> list[Tensor]:
        """The masked pyramid, with the shapes of the given one.

        Args:
            pyramid: Feature maps (B, width, h, w), from fine to coarse.
        """
        masked = list(pyramid)
        previous: Tensor | None = None
        for i in self.attended:
            shared = pyramid[i]
            features = shared
            if previous is not None:
                small = F.max_pool2d(previous, previous.shape[-1] // shared.shape[-1])
                features = torch.cat([shared, self.onward[str(i)](small)], 1)
            masked[i] = self.masks[str(i)](features) * shared
            previous = masked[i]
        return masked
