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

    @property
    def parts(self) -> list[nn.Module]:
        """What can be compiled one by one: all but the branching point."""
        whole = [part for part in self.children() if not isinstance(part, Branch)]
        apart = (nn.ModuleDict, nn.ModuleList)
        return [m for part in whole for m in (part.children() if isinstance(part, apart) else [part])]

    @abstractmethod
    def forward(self, image: Tensor) -> list[dict[str, Any]]:
        """For each refinement the output of each task's head; the image's sides are multiples of 32."""
