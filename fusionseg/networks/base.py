"""The base class of all networks."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

from fusionseg.balancing.branch import Branch
from fusionseg.heads.base import Head, Output
from fusionseg.networks.encoder import Encoder
from fusionseg.networks.layout import memory_format
from fusionseg.networks.necked import Necked

HeadRecipe: TypeAlias = Callable[[Any], Head]
"""Builds a head, given the number of channels of the features that it reads, for a pyramid that of each."""

Outputs: TypeAlias = dict[str, Output]
"""The output of each task's head, by task."""


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

    layout: torch.memory_format
    """The memory format of the weights."""

    def __init__(self) -> None:
        super().__init__()
        self.branch = None
        self.keeps_statistics = False
        """Whether the encoder's batch norms use their running statistics in training, and keep them."""
        self.layout = torch.contiguous_format

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

    @property
    def shares_unfrozen(self) -> bool:
        """Whether tasks share what learns beside a frozen encoder: a decoder, or the encoder's neck."""
        necked = isinstance(self.encoder, Encoder) and isinstance(self.encoder.body, Necked)
        return necked or "shared" in self.decoders

    def arrange(self, device: str, precision: str) -> None:
        """Lays weights and images out in memory as is fast on a type of device in a precision, and safe."""
        chosen = self.encoder.channels_last if isinstance(self.encoder, Encoder) else None
        self.layout = memory_format(self, device, precision, chosen)
        if isinstance(self.encoder, Encoder):
            self.encoder.layout = self.layout
        self.to(memory_format=self.layout)

    def recorded(self) -> dict[str, Any]:
        """The arguments of `Backbone` that rebuild the encoder as it is now; empty if unknown.

        Its weights are not among them, since their file or server may be gone when a checkpoint is read.
        """
        if not isinstance(self.encoder, Encoder):
            return {}
        return {
            "weights": None,
            "mean": self.encoder.mean.flatten().tolist(),
            "std": self.encoder.std.flatten().tolist(),
            "late_dilation": self.encoder.late_dilation,
        }

    def compile_parts(self, backend: str = "inductor") -> None:
        """Compiles the modules one by one, so that the branching point between them stays as it is."""
        from torch._functorch import config

        config.donated_buffer = False  # or a graph could not be gone through for one task after the other
        for part in self.parts:
            part.compile(backend=backend)

    def train(self, mode: bool = True) -> "Network":
        """As for every module, but the encoder's batch norms may keep their statistics."""
        super().train(mode)
        self._keep_statistics()
        return self

    def freeze_encoder(self, frozen: bool) -> None:
        """Freezes or unfreezes the weights and batch statistics of the encoder."""
        if isinstance(self.encoder, Encoder):
            self.encoder.frozen = frozen
        self.encoder.train(self.training)
        self._keep_statistics()

    def encoder_norms(self) -> list[Any]:
        """The layers of the encoder that have running statistics."""
        return [m for m in self.encoder.modules() if getattr(m, "running_mean", None) is not None]

    def _keep_statistics(self) -> None:
        if self.keeps_statistics:
            for norm in self.encoder_norms():
                norm.training = False

    def drop_frozen_gradients(self) -> None:
        """Removes the gradients of a frozen encoder: zeros would still decay weights and move momenta."""
        if isinstance(self.encoder, Encoder) and self.encoder.frozen:
            for parameter in self.encoder.trunk.parameters():
                parameter.grad = None

    @contextmanager
    def kept_buffers(self) -> Iterator[None]:
        """A context that restores all buffers, such as batch statistics, when it is left."""
        before = {name: value.clone() for name, value in self.named_buffers()}
        try:
            yield
        finally:
            with torch.no_grad():
                for name, value in self.named_buffers():
                    value.copy_(before[name])

    @abstractmethod
    def forward(self, image: Tensor) -> list[Outputs]:
        """The outputs of the heads.

        Args:
            image: Images (B, C, H, W), whose height and width are multiples of 32.

        Returns:
            For each refinement the output of each task's head, by task; heads define the type of their
            output.
        """
