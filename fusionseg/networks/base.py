"""The contract of a network."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, TypeAlias

from torch import Tensor, nn

from fusionseg.balancing.branch import Branch
from fusionseg.heads.base import Head

HeadRecipe: TypeAlias = Callable[[int], Head]
"""A head from the number of channels that it reads."""


class Network(nn.Module, ABC):
    """How tasks share: from an image to a list of refinements, first guess to final answer.

    It keeps its parts under these names, which optimization, freezing, balancing and weights from elsewhere rely on.
    """

    encoder: nn.Module
    decoders: nn.ModuleDict
    heads: nn.ModuleDict
    branch: Branch | None
    """The point behind which no path of one task meets another's, if there is one: gradients can be balanced there."""

    def __init__(self) -> None:
        super().__init__()
        self.branch = None

    @abstractmethod
    def forward(self, image: Tensor) -> list[dict[str, Any]]:
        """For each refinement the output of each task's head; the image's sides are multiples of 32."""
