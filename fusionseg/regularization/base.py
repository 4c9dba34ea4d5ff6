"""The base class of all regularizers."""

import math
from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from typing import ClassVar

from torch import Tensor, nn


class Regularizer(ABC):
    """A penalty on the weights of a network, which is added to the loss of the tasks.

    It depends on the weights alone, so that it is the same on all ranks, and no balancer weighs it.
    """

    replaces_decay: ClassVar[bool] = False
    """Whether it is meant in place of weight decay, so that an optimizer should have none."""

    def begin(  # noqa: B027 (nothing to do for most)
        self, network: nn.Module, pretrained: Collection[str], saved: Mapping[str, Tensor]
    ) -> None:
        """Called when a training begins or goes on, with the weights on their device.

        Args:
            network: The network.
            pretrained: The names of its parameters that do not start at random.
            saved: What `state` gave when the training was interrupted; empty where it begins.
        """

    def state(self) -> dict[str, Tensor]:
        """What a training that goes on needs to know of its begin; nothing by default."""
        return {}

    @abstractmethod
    def __call__(self, network: nn.Module) -> Tensor:
        """The penalty, a scalar with a gradient, of the network's trainable parameters."""


def check_factor(name: str, value: float) -> None:
    """Raises a ValueError where the factor of a penalty is negative or not finite."""
    if not 0 <= value < math.inf:
        raise ValueError(f"expected {name} of 0 or more, found {value}")
