"""The base class of all networks."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, TypeAlias

from torch import Tensor, nn

from fusionseg.balancing.branch import Branch
from fusionseg.heads.base import Head

HeadRecipe: TypeAlias = Callable[[int], Head]
"""Builds a head, given the number of channels of the features that it reads."""


class Network(nn.Module, ABC):
    """Maps an image to a list of refinements of each task's output, from first guess to final answer.

    A network defines how tasks share parameters. Subclasses keep their modules under the names below, which
    optimization, freezing, balancing and the loading of pretrained weights rely on.
    """

    encoder: nn.Module
    """Maps an image (B, C, H, W) to a pyramid of feature maps."""
    decoders: nn.ModuleDict
    """Decoders by task, or a single one named `shared`."""
    heads: nn.ModuleDict
    """The heads of the final answer, by task."""
    branch: Branch | None
    """The branching point, where gradients can be balanced and behind which tasks do not mix, if any."""

    def __init__(self) -> None:
        super().__init__()
        self.branch = None

    @property
    def parts(self) -> list[nn.Module]:
        """The modules that can be compiled one by one: all children, but for the branching point."""
        parts: list[nn.Module] = []
        for child in self.children():
            if isinstance(child, nn.ModuleDict | nn.ModuleList):
                parts += child.children()
            elif not isinstance(child, Branch):
                parts.append(child)
        return parts

    @abstractmethod
    def forward(self, image: Tensor) -> list[dict[str, Any]]:
        """The outputs of the heads.

        Args:
            image: Images (B, C, H, W), whose height and width are multiples of 32.

        Returns:
            For each refinement the output of each task's head, by task; heads define the type of their
            output.
        """
