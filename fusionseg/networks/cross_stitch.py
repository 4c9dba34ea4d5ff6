"""Cross-stitch networks."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from fusionseg.networks.backbone import Backbone, Encoder
from fusionseg.networks.base import HeadRecipe, Network
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
    "most of timm's convolutional encoders (tu-resnet18, tu-convnext_tiny ...)",
)


class CrossStitch(Network):
    """An encoder and a decoder for each task; the encoders' features are mixed after each stage (arXiv:1604.03539).

    What is mixed goes on into the next stage and into the decoders. The paper lets the mixing learn 100 to 1000 times
    as fast as the rest; here it learns with the encoder, for which optimizers such as AdamW, whose steps do not depend
    on the size of a gradient, do well.

    Args:
        heads: The recipe of each task's head.
        backbone: What encoders and decoders to build.
        own: Share of a task's own features in the mixture at first; the other tasks' share the rest equally.
        per_channel: A mixture for each channel instead of one for all channels of a stage.

    Raises:
        ValueError: If the encoder cannot be cut into stages, or the share is not in [0, 1].
    """

    encoder: Encoder

    def __init__(
        self, heads: Mapping[str, HeadRecipe], backbone: Backbone, own: float = 0.9, per_channel: bool = True
    ) -> None:
        super().__init__()
        if not 0 <= own <= 1:
            raise ValueError(f"expected own, the share of a task's own features, in [0, 1], found {own}")
        pairs = {task: backbone.build() for task in heads}
        first, _ = next(iter(pairs.values()))
        cut = stages(first.body, backbone.in_channels)
        if cut is None:
            raise ValueError(
                f"CrossStitch cannot cut {backbone.encoder!r} into stages; it works with: {', '.join(FAMILIES)}"
            )
        body = StitchedEncoders(
            {task: encoder.body for task, (encoder, _) in pairs.items()}, cut, own, per_channel
        )
        self.encoder = Encoder(body, first.mean.flatten().tolist(), first.std.flatten().tolist())
        self.decoders = nn.ModuleDict({task: decoder for task, (_, (decoder,)) in pairs.items()})
        self.heads = nn.ModuleDict(
            {task: head(pairs[task][1][0].out_channels) for task, head in heads.items()}
        )

    def forward(self, image: Tensor) -> list[dict[str, Any]]:
        """A single guess, which is the final answer."""
        maps, levels = self.encoder(image), len(self.encoder.out_channels)
        pyramids = [maps[i : i + levels] for i in range(0, len(maps), levels)]
        seen = {task: decoder(p) for p, (task, decoder) in zip(pyramids, self.decoders.items(), strict=True)}
        return [{task: head(seen[task]) for task, head in self.heads.items()}]


class StitchedEncoders(nn.Module):
    """Encoders of one architecture, stage by stage side by side.

    Args:
        bodies: An encoder of segmentation-models-pytorch for each task.
        cut: The stages of such an encoder.
        own: Share of a task's own features in the mixture at first.
        per_channel: A mixture for each channel instead of one for all channels of a stage.
    """

    def __init__(
        self, bodies: Mapping[str, nn.Module], cut: list[list[Step]], own: float, per_channel: bool
    ) -> None:
        super().__init__()
        first: Any = next(iter(bodies.values()))
        self.bodies, self.stages, self.out_channels = nn.ModuleDict(bodies), cut, list(first.out_channels)
        widths = [width if per_channel else 1 for width in self.out_channels]
        self.stitches = nn.ModuleDict(
            {str(i): Stitch(len(bodies), widths[i], own) for i, steps in enumerate(cut) if steps}
        )

    def forward(self, image: Tensor) -> list[Tensor]:
        """The pyramids of the tasks, one after another."""
        maps = [image] * len(self.bodies)
        levels = []
        for i, (steps, width) in enumerate(zip(self.stages, self.out_channels, strict=True)):
            if steps:
                maps = [stage(body, steps, m) for body, m in zip(self.bodies.values(), maps, strict=True)]
                maps = self.stitches[str(i)](maps)
            levels.append([entry(m, width) for m in maps])
        return [m for pyramid in zip(*levels, strict=True) for m in pyramid]


class Stitch(nn.Module):
    """A learned linear mixture of the tasks' features (equation 1 of the paper, for any number of tasks).

    Args:
        tasks: Number of tasks.
        width: Number of mixtures: the channels, or 1 for all channels alike.
        own: What a task's own features weigh at first; the other tasks' weigh the rest, so that the sum is 1.
    """

    def __init__(self, tasks: int, width: int, own: float) -> None:
        super().__init__()
        eye = torch.eye(tasks)
        mixture = own * eye + (1 - own) / (tasks - 1) * (1 - eye) if tasks > 1 else eye
        self.mixture = nn.Parameter(mixture[..., None].repeat(1, 1, width))

    def forward(self, maps: list[Tensor]) -> list[Tensor]:
        """For each task the sum of all tasks' maps (B, C, H, W), weighted by its row of the mixture (T, T, C)."""
        rows = self.mixture.to(maps[0].dtype)[..., None, None].unbind()
        return [weighted(maps, row.unbind()) for row in rows]


def weighted(maps: Sequence[Tensor], weights: Sequence[Tensor]) -> Tensor:
    """The weighted sum of maps, in their memory layout."""
    total = maps[0] * weights[0]
    for m, weight in zip(maps[1:], weights[1:], strict=True):
        total = torch.addcmul(total, m, weight)
    return total
