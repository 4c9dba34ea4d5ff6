"""A model of a few layers, which is exported in a second."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest
from torch import Tensor, nn

from fusionseg.data.synthetic import SyntheticScenes
from fusionseg.inference.export import ExportSource
from fusionseg.module import FusionModule
from fusionseg.networks import Network
from fusionseg.networks.encoder import Encoder
from fusionseg.networks.pyramid import readers


class Body(nn.Module):
    """Two levels of features, at strides 4 and 8."""

    out_channels = (8, 8)

    def __init__(self) -> None:
        super().__init__()
        self.fine = nn.Conv2d(3, 8, 5, stride=4, padding=2)
        self.coarse = nn.Conv2d(8, 8, 3, stride=2, padding=1)

    def forward(self, image: Tensor) -> list[Tensor]:
        fine = self.fine(image).relu()
        return [fine, self.coarse(fine).relu()]


class TinyNetwork(Network):
    """Heads that read the levels of `Body`, or the first one."""

    def __init__(self, heads: Mapping[str, Any], backbone: Any) -> None:
        super().__init__()
        self.encoder = Encoder(Body(), [0.4, 0.5, 0.6], [0.2, 0.3, 0.4])
        self.decoders = nn.ModuleDict()
        reading = readers(heads)
        built = {task: head([8, 8] if task in reading else 8) for task, head in heads.items()}
        self.heads = nn.ModuleDict(built)

    def forward(self, image: Tensor) -> list[dict[str, Any]]:
        pyramid = self.encoder(image)
        heads: Any = self.heads
        return [{task: head(pyramid if head.reads_pyramid else pyramid[0]) for task, head in heads.items()}]


@pytest.fixture(scope="session")
def tiny_source() -> Callable[..., ExportSource]:
    """Such a model, as from a run, with any arguments of a FusionModule."""

    def source(network: Any = TinyNetwork, **options: Any) -> ExportSource:
        model = FusionModule(SyntheticScenes.classes, network=network, **options).eval()
        return ExportSource(model, "digest", 3, 0.5, (0.0, 4095.0))

    return source
