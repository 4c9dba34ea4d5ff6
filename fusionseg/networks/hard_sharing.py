"""Hard parameter sharing."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from fusionseg.backbone import Backbone
from fusionseg.networks.base import HeadRecipe, Network


class HardSharing(Network):
    """One encoder for all tasks, one decoder for all or one for each, one head for each (Caruana, 1997).

    Args:
        heads: The recipe of each task's head.
        backbone: What encoder and decoders to build.
        shared_decoder: One decoder for all tasks instead of one for each.
    """

    def __init__(self, heads: Mapping[str, HeadRecipe], backbone: Backbone, shared_decoder: bool = True) -> None:
        super().__init__()
        names = ["shared"] if shared_decoder else list(heads)
        self.encoder, decoders = backbone.build(len(names))
        self.decoders = nn.ModuleDict(dict(zip(names, decoders, strict=True)))
        self.heads = nn.ModuleDict({task: head(decoders[0].out_channels) for task, head in heads.items()})

    def forward(self, image: Tensor) -> list[dict[str, Any]]:
        """A single guess, which is the final answer."""
        features = self.encoder(image)
        maps = {name: decoder(features) for name, decoder in self.decoders.items()}
        return [{task: head(maps.get(task, maps.get("shared"))) for task, head in self.heads.items()}]
