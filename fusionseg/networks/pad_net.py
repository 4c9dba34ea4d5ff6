"""PAD-Net: first guesses of all tasks are distilled into second ones."""

from collections.abc import Mapping, Sequence

from torch import Tensor, nn
from torchvision.ops import Conv2dNormActivation

from fusionseg.networks.backbone import Backbone
from fusionseg.networks.base import HeadRecipe, Network, Outputs
from fusionseg.networks.pyramid import refuse_readers


class PADNet(Network):
    """Prediction-and-distillation network (Xu et al., CVPR 2018, arXiv:1805.04409), with a shared decoder.

    First guesses supervise the features of each task, which are then distilled into those of the other tasks
    for the second guesses. The paper distills features that it computes from the maps of the first guesses.
    Here only a head knows its output, so the features that it reads are distilled, of which the first guess
    is a linear or otherwise small function. One convolution stands between distillation and second guess,
    where the paper has two deconvolutions.

    Args:
        heads: The recipe of each task's head, called once for the first guess and once for the second.
        backbone: Which encoder and decoder to build.
        width: Channels of each task's features; by default those of the decoder.

    Raises:
        ValueError: If the width is less than 1.
    """

    def __init__(self, heads: Mapping[str, HeadRecipe], backbone: Backbone, width: int | None = None) -> None:
        super().__init__()
        if width is not None and width < 1:
            raise ValueError(f"expected a width of 1 or more, found {width}")
        refuse_readers(heads, "PADNet", "distills between maps of one decoder")
        self.encoder, (decoder,) = backbone.build()
        self.decoders = nn.ModuleDict({"shared": decoder})
        channels = decoder.out_channels
        width = width or channels
        self.features = nn.ModuleDict({task: Conv2dNormActivation(channels, width) for task in heads})
        self.first = nn.ModuleDict({task: head(width) for task, head in heads.items()})
        self.distillation = Distillation(list(heads), width)
        self.second = nn.ModuleDict({task: Conv2dNormActivation(width, width) for task in heads})
        self.heads = nn.ModuleDict({task: head(width) for task, head in heads.items()})

    def forward(self, image: Tensor) -> list[Outputs]:
        """Two refinements for images (B, C, H, W): the outputs of the first heads and of the second ones."""
        shared = self.decoders["shared"](self.encoder(image))
        features = {task: layer(shared) for task, layer in self.features.items()}
        distilled = self.distillation(features)
        first = {task: head(features[task]) for task, head in self.first.items()}
        second = {task: head(self.second[task](distilled[task])) for task, head in self.heads.items()}
        return [first, second]


class Distillation(nn.Module):
    """Attention-guided message passing between tasks (multi-modal distillation module C of the paper).

    The features of task k become `F_k + sum over t != k of sigmoid(G_t * F_t) . (W_t * F_t)`, where G and W
    are 3 x 3 convolutions.

    Args:
        tasks: The names of the tasks.
        width: Channels of each task's features.
    """

    def __init__(self, tasks: Sequence[str], width: int) -> None:
        super().__init__()
        senders = tasks if len(tasks) > 1 else []
        self.gates = nn.ModuleDict({task: nn.Conv2d(width, width, 3, padding=1) for task in senders})
        self.messages = nn.ModuleDict({task: nn.Conv2d(width, width, 3, padding=1) for task in senders})

    def forward(self, features: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The features of each task (B, width, h, w) plus the messages of all other tasks.

        Args:
            features: The features of each task (B, width, h, w).
        """
        messages = {}
        for task, gate in self.gates.items():
            messages[task] = gate(features[task]).sigmoid() * self.messages[task](features[task])
        distilled = {}
        for task, own in features.items():
            received = (message for sender, message in messages.items() if sender != task)
            distilled[task] = sum(received, own)
        return distilled
