"""The base of all metrics: a torchmetrics metric whose states are additive sums of images."""

from abc import ABC, abstractmethod
from typing import ClassVar, TypeAlias

import torch
from torch import Tensor

from fusionseg.metrics.contingency import Counts
from fusionseg.metrics.exact import ExactMetric, as_array
from fusionseg.sample import Array, Counted, Truth

Answer: TypeAlias = Array
"""A map of `Prediction.maps`: what a head predicts for one image."""


class ImageMetric(ExactMetric, ABC):
    """A metric that adds up sums of single images and gives figures of any set of images.

    A subclass says what it measures with two functions: `sums` of one image, in numpy, and `figures` of added
    sums. Its states have the names of the sums and are added over images, batches and processes, so that
    figures are always those of the whole set, never means over batches. Some figures are NaN where no image
    has what they need.

    Attributes:
        answer: The key of `Prediction.maps` that is scored, such as `semantic`.
        main: The figure in [0, 1], larger is better, that represents the task in a suite's score; empty for
            none.
        names: The names of the sums.
        computed: The sums of all processes at the last `compute`; also after a `reset`.

    Args:
        zeros: The sums of no image: the shape and type (int64 or float64) of each.
    """

    answer: ClassVar[str]
    main: str = ""

    def __init__(self, zeros: Counted) -> None:
        super().__init__()
        self.names = tuple(zeros)
        self.computed: Counted = {}
        for name, zero in zeros.items():
            self.add_state(name, torch.tensor(zero), dist_reduce_fx="sum")

    @abstractmethod
    def sums(self, answer: Answer, truth: Truth) -> Counted:
        """The sums of one image; zeros where the truth has no label of this kind.

        Args:
            answer: What was predicted, at the size of the label file.
            truth: The labels of the image.
        """

    @abstractmethod
    def figures(self, sums: Counted) -> dict[str, float]:
        """The figures of a set of images, by the names under which they are logged.

        Args:
            sums: The added sums of the images; other names are ignored.
        """

    def per_class(self, sums: Counted) -> dict[str, list[float]]:
        """Figures of each class, in the order of the classes; none by default.

        Args:
            sums: The added sums of the images; other names are ignored.
        """
        return {}

    def occurrences(self, sums: Counted) -> Counts | None:
        """How often each class occurs in the truth (C,), in pixels or images; None without classes.

        Args:
            sums: The added sums of the images; other names are ignored.
        """
        return None

    def add(self, sums: Counted) -> None:
        """Adds the sums of one image, or of several, to the states.

        Args:
            sums: What `sums` returned; other names are ignored.

        Raises:
            ValueError: If a sum is missing or has another shape.
        """
        for name in self.names:
            state = getattr(self, name)
            shape = tuple(state.shape)
            if name not in sums or sums[name].shape != shape:
                found = f"of shape {sums[name].shape}" if name in sums else f"only {sorted(sums)}"
                raise ValueError(
                    f"{type(self).__name__}: expected a sum '{name}' of shape {shape}, found {found}: "
                    "add what `sums` of a metric with the same arguments returns"
                )
            # not in place: a state that was reset in inference mode could not be changed outside of it
            setattr(self, name, state + torch.tensor(sums[name], dtype=state.dtype, device=state.device))

    def update(self, answer: Answer | Tensor, truth: Truth) -> None:
        """Measures one image.

        Args:
            answer: What was predicted, at the size of the label file; a tensor may be on any device.
            truth: The labels of the image.
        """
        self.add(self.sums(as_array(answer), truth))

    def compute(self) -> dict[str, Tensor]:
        """The figures of the images of all processes, float64 tensors without dimensions."""
        self.computed = {name: getattr(self, name).cpu().numpy() for name in self.names}
        figures = self.figures(self.computed)
        values = torch.tensor(list(figures.values()), dtype=torch.float64, device=self.device)
        return dict(zip(figures, values.unbind(), strict=True))
