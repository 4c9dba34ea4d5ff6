"""Prediction and distillation."""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn
from torchvision.ops import Conv2dNormActivation

from fusionseg.networks.backbone import Backbone
from fusionseg.networks.base import HeadRecipe, Network


class PADNet(Network):
    """First guesses, from which each task learns what the others know, then second guesses (PAD-Net, arXiv:1805.04409).

    Encoder and decoder are shared. The paper distills features that it computes from the maps of the first guesses.
    Here a head's output is its own business, so the features that it read are distilled: each task's own, of which the
    first guess is a linear or otherwise small function. Between distillation and second guess is a convolution, where
    the paper has its two deconvolutions.

    Args:
        heads: The recipe of each task's head, called once for the first guess and once for the second.
        backbone: What encoder and decoder to build.
        width: Channels of each task's own features; the decoder's where left out.

    Raises:
        ValueError: If the width is less than 1.
    """

    def __init__(self, heads: Mapping[str, HeadRecipe], backbone: Backbone, width: int | None = None) -> None:
        super().__init__()
        if width is not None and width < 1:
            raise ValueError(f"expected a width of 1 or more, found {width}")
        self.encoder, (decoder,) = backbone.build()
        self.decoders = nn.ModuleDict({"shared": decoder})
        width = width or decoder.out_channels
        self.features = nn.ModuleDict(
            {task: Conv2dNormActivation(decoder.out_channels, width) for task in heads}
        )
        self.first = nn.ModuleDict({task: head(width) for task, head in heads.items()})
        self.distillation = Distillation(list(heads), width)
        self.second = nn.ModuleDict({task: Conv2dNormActivation(width, width) for task in heads})
        self.heads = nn.ModuleDict({task: head(width) for task, head in heads.items()})

    def forward(self, image: Tensor) -> list[dict[str, Any]]:
        """The first guess and the second."""
        shared = self.decoders["shared"](self.encoder(image))
        own = {task: layer(shared) for task, layer in self.features.items()}
        distilled = self.distillation(own)
        return [
            {task: head(own[task]) for task, head in self.first.items()},
            {task: head(self.second[task](distilled[task])) for task, head in self.heads.items()},
        ]


class Distillation(nn.Module):
    """Attention-guided message passing between tasks (module C of the paper).

    The features of task k become `F_k + sum over t != k of sigmoid(G_t * F_t) . (W_t * F_t)`, with convolutions G and W
    of 3 x 3.

    Args:
        tasks: The tasks.
        width: Channels of each task's features.
    """

    def __init__(self, tasks: Sequence[str], width: int) -> None:
        super().__init__()
        senders = tasks if len(tasks) > 1 else []
        self.gates = nn.ModuleDict({task: nn.Conv2d(width, width, 3, padding=1) for task in senders})
        self.messages = nn.ModuleDict({task: nn.Conv2d(width, width, 3, padding=1) for task in senders})

    def forward(self, features: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Features (B, width, h, w) of each task, with the messages of all others."""
        sent = {
            task: gate(features[task]).sigmoid() * self.messages[task](features[task])
            for task, gate in self.gates.items()
        }
        return {task: sum((m for t, m in sent.items() if t != task), own) for task, own in features.items()}
