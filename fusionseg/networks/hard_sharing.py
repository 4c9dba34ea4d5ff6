"""Hard parameter sharing: one encoder for all tasks."""

from collections.abc import Mapping

from torch import Tensor, nn

from fusionseg.balancing.branch import Branch
from fusionseg.networks.backbone import Backbone
from fusionseg.networks.base import HeadRecipe, Network, Outputs


class HardSharing(Network):
    """One encoder for all tasks, one decoder for all or one per task, and one head per task (Caruana, 1997).

    The branching point is behind the shared decoder, or behind the encoder if there is one decoder per task.

    Args:
        heads: The recipe of each task's head.
        backbone: Which encoder and decoders to build.
        shared_decoder: Use one decoder for all tasks instead of one per task.
    """

    branch: Branch

    def __init__(
        self, heads: Mapping[str, HeadRecipe], backbone: Backbone, shared_decoder: bool = True
    ) -> None:
        super().__init__()
        names = ["shared"] if shared_decoder else list(heads)
        self.encoder, decoders = backbone.build(len(names))
        self.decoders = nn.ModuleDict(dict(zip(names, decoders, strict=True)))
        self.heads = nn.ModuleDict({task: head(decoders[0].out_channels) for task, head in heads.items()})
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
