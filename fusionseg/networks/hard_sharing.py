"""Hard parameter sharing: one encoder for all tasks."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from fusionseg.balancing.branch import Branch
from fusionseg.config.errors import UsageError
from fusionseg.networks.backbone import Backbone
from fusionseg.networks.base import HeadRecipe, Network, Outputs
from fusionseg.networks.pyramid import readers


class HardSharing(Network):
    """One encoder for all tasks, one decoder for all or one per task, and one head per task (Caruana, 1997).

    The branching point is behind the shared decoder, or behind the encoder if there is one decoder per task
    or a head reads the encoder's pyramid.

    Args:
        heads: The recipe of each task's head.
        backbone: Which encoder and decoders to build.
        shared_decoder: Use one decoder for all tasks instead of one per task.
        task_channels: Channels of a layer of each task's own between a decoder's map and the task's head: a
            1 x 1 convolution, batch normalization and ReLU; 0 for none.

    Raises:
        UsageError: If several tasks would share a decoder beside one whose head reads the pyramid, or
            `task_channels` is negative.
    """

    branch: Branch

    def __init__(
        self,
        heads: Mapping[str, HeadRecipe],
        backbone: Backbone,
        shared_decoder: bool = True,
        task_channels: int = 0,
    ) -> None:
        super().__init__()
        if task_channels < 0:
            raise UsageError(f"expected 0 or more, found {task_channels}", "model.network.task_channels")
        reading = readers(heads)
        if shared_decoder and reading and len(heads) > len(reading) + 1:
            raise UsageError(
                f"expected false beside a head that reads the encoder's pyramid ({', '.join(reading)}): "
                "the other tasks would share a decoder behind the branching point",
                "model.network.shared_decoder",
            )
        decoders: dict[str, Any]
        if shared_decoder and not reading:
            self.encoder, (shared,) = backbone.build()
            decoders = {"shared": shared}
        else:
            self.encoder, decoders = backbone.build_for(heads)
        self.decoders = nn.ModuleDict(decoders)
        self.task_layers = nn.ModuleDict()
        """The layer of `task_channels` of each task whose head reads a decoder's map; none without them."""
        self.heads = nn.ModuleDict()
        for task, head in heads.items():
            channels: Any = decoders["shared" if "shared" in decoders else task].out_channels
            if task_channels and task not in reading:
                self.task_layers[task] = _layer(channels, task_channels)
                channels = task_channels
            self.heads[task] = head(channels)
        self.branch = Branch()

    def forward(self, image: Tensor) -> list[Outputs]:
        """A single refinement for images (B, C, H, W): the output of each task's head."""
        pyramid = self.encoder(image)
        tasks = list(self.heads)
        if "shared" in self.decoders:
            copies = self.branch([self.decoders["shared"](pyramid)], tasks)
            features = {task: maps[0] for task, maps in copies.items()}
        else:
            copies = self.branch(pyramid, tasks)
            features = {task: self.decoders[task](maps) for task, maps in copies.items()}
        features |= {task: layer(features[task]) for task, layer in self.task_layers.items()}
        return [{task: head(features[task]) for task, head in self.heads.items()}]


def _layer(channels: int, task_channels: int) -> nn.Sequential:
    """A 1 x 1 convolution, batch normalization and ReLU."""
    convolution = nn.Conv2d(channels, task_channels, 1, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(task_channels), nn.ReLU())
