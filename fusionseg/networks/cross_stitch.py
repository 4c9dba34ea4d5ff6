"""Cross-stitch networks: one encoder per task, whose features are mixed after each stage."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from fusionseg.networks.backbone import Backbone
from fusionseg.networks.base import HeadRecipe, Network, Outputs
from fusionseg.networks.encoder import Encoder
from fusionseg.networks.stages import Step, entry, stage, stages

FAMILIES = (
    "resnet",
    "resnext",
    "se_resnet",
    "se_resnext",
    "senet154",
    "timm-skresnet",
    "timm-skresnext",
    "vgg",
    "densenet",
    "inception",
    "xception",
    "mobilenet_v2",
    "mobileone",
    "efficientnet",
    "timm-efficientnet",
    "timm-tf_efficientnet_lite",
    "small_cnn",
    "most of timm's convolutional encoders (tu-resnet18, tu-convnext_tiny ...)",
)
"""The encoders that can be cut into stages, as error messages list them."""


class CrossStitch(Network):
    """Cross-stitch networks (Misra et al., CVPR 2016, arXiv:1604.03539).

    Each task has its own encoder and decoder. The features of all encoders are mixed linearly after each
    stage; the mixtures feed both the next stage and the decoders. The paper trains the mixing weights 100 to
    1000 times as fast as the rest. Here they have the learning rate of the encoder, which works well with
    optimizers such as AdamW, whose steps do not depend on the scale of a gradient.

    Args:
        heads: The recipe of each task's head.
        backbone: Which encoders and decoders to build.
        own: Initial weight of a task's own features in the mixture, in [0, 1]; the other tasks share the rest
            equally.
        per_channel: Learn a mixture for each channel instead of one per stage.

    Raises:
        ValueError: If the encoder cannot be cut into stages, or `own` is outside of [0, 1].
    """

    encoder: Encoder

    def __init__(
        self, heads: Mapping[str, HeadRecipe], backbone: Backbone, own: float = 0.9, per_channel: bool = True
    ) -> None:
        super().__init__()
        if not 0 <= own <= 1:
            raise ValueError(f"expected own, the share of a task's own features, in [0, 1], found {own}")
        encoders: dict[str, Encoder] = {}
        decoders: dict[str, nn.Module] = {}
        channels: dict[str, Any] = {}
        for task, head in heads.items():
            encoders[task], decoder = backbone.build_for({task: head})
            decoders.update(decoder)
            channels[task] = decoder[task].out_channels
        first = next(iter(encoders.values()))
        cut = stages(first.body, backbone.in_channels)
        if cut is None:
            raise ValueError(
                f"CrossStitch cannot cut {backbone.encoder!r} into stages; "
                f"it works with: {', '.join(FAMILIES)}"
            )
        bodies = {task: encoder.body for task, encoder in encoders.items()}
        stitched = StitchedEncoders(bodies, cut, own, per_channel)
        statistics = (first.mean.flatten().tolist(), first.std.flatten().tolist())
        self.encoder = Encoder(stitched, *statistics, first.channels_last)
        self.encoder.late_dilation = first.late_dilation
        self.decoders = nn.ModuleDict(decoders)
        self.heads = nn.ModuleDict({task: head(channels[task]) for task, head in heads.items()})

    def forward(self, image: Tensor) -> list[Outputs]:
        """A single refinement for images (B, C, H, W): the output of each task's head."""
        maps = self.encoder(image)
        levels = len(self.encoder.out_channels)
        outputs = {}
        for number, (task, head) in enumerate(self.heads.items()):
            pyramid = maps[number * levels : (number + 1) * levels]
            outputs[task] = head(self.decoders[task](pyramid))
        return [outputs]


class StitchedEncoders(nn.Module):
    """Encoders of the same architecture that run side by side, with a stitch after each stage.

    Args:
        bodies: An encoder of segmentation-models-pytorch for each task.
        cut: The stages of such an encoder.
        own: Initial weight of a task's own features in the mixture, in [0, 1].
        per_channel: Learn a mixture for each channel instead of one per stage.
    """

    def __init__(
        self, bodies: Mapping[str, nn.Module], cut: list[list[Step]], own: float, per_channel: bool
    ) -> None:
        super().__init__()
        first: Any = next(iter(bodies.values()))
        self.bodies = nn.ModuleDict(bodies)
        self.stages = cut
        self.out_channels: list[int] = list(first.out_channels)
        self.stitches = nn.ModuleDict()
        for i, (steps, channels) in enumerate(zip(cut, self.out_channels, strict=True)):
            if steps:
                self.stitches[str(i)] = Stitch(len(bodies), channels if per_channel else 1, own)

    def forward(self, image: Tensor) -> list[Tensor]:
        """The feature pyramids of all tasks for images (B, C, H, W), concatenated into one list."""
        maps = [image] * len(self.bodies)
        pyramids: list[list[Tensor]] = [[] for _ in self.bodies]
        for i, (steps, channels) in enumerate(zip(self.stages, self.out_channels, strict=True)):
            if steps:
                maps = [stage(body, steps, m) for body, m in zip(self.bodies.values(), maps, strict=True)]
                maps = self.stitches[str(i)](maps)
            for pyramid, m in zip(pyramids, maps, strict=True):
                pyramid.append(entry(m, channels))
        return [m for pyramid in pyramids for m in pyramid]


class Stitch(nn.Module):
    """A cross-stitch unit: a learned linear mixture of the tasks' features (eq. 1 of the paper, for T tasks).

    Args:
        tasks: Number of tasks, T.
        width: Number of mixtures: the number of channels, or 1 for one mixture of all channels.
        own: Initial weight of a task's own features; the others have equal weights, and all add up to 1.
    """

    def __init__(self, tasks: int, width: int, own: float) -> None:
        super().__init__()
        identity = torch.eye(tasks)
        mixture = identity
        if tasks > 1:
            mixture = own * identity + (1 - own) / (tasks - 1) * (1 - identity)
        self.mixture = nn.Parameter(mixture[..., None].repeat(1, 1, width))

    def forward(self, maps: list[Tensor]) -> list[Tensor]:
        """The mixtures of the tasks' features.

        Args:
            maps: The features of each task (B, C, H, W).

        Returns:
            For each task the sum of all features, weighted by its row of the mixture (T, T, C).
        """
        rows = self.mixture.to(maps[0].dtype)[..., None, None].unbind()
        return [_weighted_sum(maps, row.unbind()) for row in rows]


def _weighted_sum(maps: Sequence[Tensor], weights: Sequence[Tensor]) -> Tensor:
    """The weighted sum of maps (B, C, H, W) in their memory layout, which stacking them would change."""
    total = maps[0] * weights[0]
    for m, weight in zip(maps[1:], weights[1:], strict=True):
        total = torch.addcmul(total, m, weight)
    return total
