"""Hard parameter sharing."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from fusionseg.balancing.branch import Branch
from fusionseg.networks.backbone import Backbone
from fusionseg.networks.base import HeadRecipe, Network


class HardSharing(Network):
    """One encoder for all tasks, one decoder for all or one for each, one head for each (Caruana, 1997).

    The tasks part behind the shared decoder, or else behind the encoder.

    Args:
        heads: The recipe of each task's head.
        backbone: What encoder and decoders to build.
        shared_decoder: One decoder for all tasks instead of one for each.
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

    def forward(self, image: Tensor) -> list[dict[str, Any]]:
        """A single guess, which is the final answer."""
        features, tasks = self.encoder(image), list(self.heads)
        if "shared" in self.decoders:
            maps = {
                task: part
                for task, (part,) in self.branch([self.decoders["shared"](features)], tasks).items()
            }
        else:
            maps = {task: self.decoders[task](part) for task, part in self.branch(features, tasks).items()}
        return [{task: head(maps[task]) for task, head in self.heads.items()}]
