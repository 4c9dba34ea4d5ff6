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

    Raises:
        UsageError: If several tasks would share a decoder beside one whose head reads the pyramid.
    """

    branch: Branch

    def __init__(
        self, heads: Mapping[str, HeadRecipe], backbone: Backbone, shared_decoder: bool = True
    ) -> None:
        super().__init__()
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
        self.heads = nn.ModuleDict()
        for task, head in heads.items():
            self.heads[task] = head(decoders["shared" if "shared" in decoders else task].out_channels)
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
        return [{task: head(features[task]) for task, head in self.heads.items()}]
