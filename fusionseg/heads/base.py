"""The base class of all heads, and the resizing of their outputs."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, TypeAlias

import torch
from torch import Tensor, nn

from fusionseg.config.errors import UserError
from fusionseg.heads.ranges import Range
from fusionseg.losses.enlarging import scaled
from fusionseg.metrics import ImageMetric
from fusionseg.sample import Array, Classes, Frame, Picture, Sample, Truth

Output: TypeAlias = Any
"""The output of a head: private to the head, which alone knows its type."""

_LARGE = 2**28
"""Bytes of an output at the label map's size from which on it is read in strips."""

Target: TypeAlias = Any
"""The target of a head, private like its output."""

Extra: TypeAlias = Callable[[Output, Frame], Tensor | None]
"""Predicts more than labels: (B, ..., H, W) from an output at `frame.size`, or None where it cannot."""


class Head(nn.Module, ABC):
    """Predicts one task from features, and is that task's codec: target, loss, decoding and drawing.

    Outputs and targets are private to the head that makes them; other code only passes them on. B is the
    batch size, (H, W) the size of the batch's label maps and (h, w) that of the features.
    """

    task: ClassVar[str]
    """The task's name and the key of its labels in a sample: `semantic`, `region`, `depth`, `normals` ...

    `scene`, what the whole image shows, has no labels of its own.
    """

    learns_from: ClassVar[str] = ""
    """The key of the label map in a sample that the target is made from; empty for anything else."""

    reads_pyramid: ClassVar[bool] = False
    """Whether the features are the encoder's pyramid instead of a decoder's map.

    They are then its maps at strides 4, 8 ..., fine to coarse, and `in_channels` the channels of each.
    """

    loss_waits: ClassVar[bool] = False
    """Whether `loss` waits for the device, and with it each training step, because the host has to decide."""

    output_options: ClassVar[tuple[str, ...]] = ()
    """Attributes that give the output its meaning, such as its unit: a teacher's head has the same ones."""

    temperature: float = 1.0
    """What the logits of probabilities are divided by, above 0; labels do not depend on it.

    `fusionseg tune` fits it where a head has probabilities (Guo et al., arXiv:1706.04599, section 4.2).
    """

    @abstractmethod
    def forward(self, features: Any) -> Output:
        """The output, usually (B, K, h, w), from features (B, in_channels, h, w)."""

    @abstractmethod
    def target(self, batch: Sample) -> Target:
        """The target from the batch's label maps (B, ..., H, W), on their device without synchronizing."""

    @abstractmethod
    def loss(self, output: Output, target: Target) -> tuple[Tensor, Tensor]:
        """The unnormalized sums and the weights of the loss's K terms, each (K,) float32.

        The task's loss is the sum over k of sum_k / weight_k. Only the module divides, after it has added
        sums and weights over the global batch. Without any label both are exactly 0, and so are all
        gradients.
        """

    @abstractmethod
    def labels(self, output: Output, frame: Frame) -> Tensor:
        """The predicted labels at `frame.size` = (H, W), in the form of the task's ground truth.

        - `semantic`: class ids (B, H, W) int64
        - `region`: region ids (B, H, W) int64, positive
        - `depth`: meters (B, H, W) float32, positive
        - `disparity`: in the labels' unit (B, H, W) float32, positive
        - `normals`: unit vectors (B, 3, H, W) float32
        - `scene`: the probability of each class to be present (B, C) float32, whatever the frame
        """

    @abstractmethod
    def ideal(self, target: Target) -> Output:
        """The output of a perfect network, at the resolution of the target."""

    @property
    def extras(self) -> Mapping[str, Extra]:
        """What `labels` leaves out and predictions have where it is asked for, by name; none by default.

        A metric of the head that scores one of them names it as its `answer`, by which it is asked for.
        """
        return {}

    def distillation(self, output: Output, taught: Output, temperature: float) -> tuple[Tensor, Tensor]:
        """The unnormalized sums and the weights (K,) of the distance to a teacher's output, as of `loss`.

        Args:
            output: This head's output.
            taught: That of the same kind of head in another network, without a gradient.
            temperature: What logits of probabilities are divided by.

        Raises:
            UserError: If outputs of two networks cannot be compared value by value, as here by default.
        """
        raise UserError(
            f"{type(self).__name__} has outputs that cannot be compared with a teacher's value by value: "
            f"leave {self.task} out of model.teacher.weight"
        )

    def kept(self, output: Output) -> Output:
        """What `labels` and probabilities need of an output, which is kept while the decoding is tuned."""
        return output

    @property
    def tunable(self) -> Mapping[str, Range]:
        """Arguments of the constructor that only `labels` depends on, and where to look for better values.

        Each is an attribute that `labels` reads when it is called. None by default.
        """
        return {}

    def check_decoding(self) -> None:
        """Raises a ValueError if `labels` cannot go by the parameters; constructors call it."""

    def set_decoding(self, **values: float) -> None:
        """Changes tunable parameters.

        Args:
            values: New values by the parameters' names.

        Raises:
            ValueError: If nothing of the name can be tuned, or the constructor would refuse a value; all
                parameters are then as they were.
        """
        for name, value in values.items():
            if name not in self.tunable:
                known = ", ".join(self.tunable) or "nothing"
                raise ValueError(f"{type(self).__name__} has {known} to tune, found {name}")
            kinds = (int,) if self.tunable[name].whole else (int, float)
            if isinstance(value, bool) or not isinstance(value, kinds):
                kind = "an integer" if self.tunable[name].whole else "a number"
                raise ValueError(f"expected {kind} as {name}, found {value!r}")
        before = {name: getattr(self, name) for name in values}
        try:
            for name, value in values.items():
                setattr(self, name, value)
            self.check_decoding()
        except ValueError:
            for name, value in before.items():
                setattr(self, name, value)
            raise

    def metrics(self, classes: Classes) -> list[ImageMetric]:
        """The metrics of the predicted labels; none by default."""
        return []

    def truth(self, truth: Truth) -> Array | None:
        """The ground truth of one image as a map for `draw`; None if the image has none for this task."""
        return truth.maps.get(self.task)

    def draw(self, labels: Array, classes: Classes) -> Picture | None:
        """The labels of one image as an RGB picture (H, W, 3) uint8; None if the task cannot be drawn.

        Args:
            labels: Predicted labels or ground truth of one image, such as (H, W) or (3, H, W).
            classes: The classes of the data set.
        """
        return None

    def draw_target(self, batch: Sample, classes: Classes) -> Picture | None:
        """The labels that a perfect network's output is decoded to.

        Heads whose target is something else than labels draw that instead, so that a wrong width or scale is
        seen before it is trained on; the first line of their documentation says what is seen.

        Args:
            batch: A batch, of whose first image the target is drawn as an RGB picture (H, W, 3) uint8.
            classes: The classes of the data set.
        """
        height, width = batch["image"].shape[-2:]
        labels = self.labels(self.ideal(self.target(batch)), Frame.whole((height, width)))
        return self.draw(labels[0].cpu().numpy(), classes)


@dataclass(frozen=True)
class ExtraHead:
    """A further task: its head and the weight of its loss.

    Args:
        head: Recipe of the head, whose `task` names the task.
        weight: Weight of its loss in the sum.
    """

    head: Callable[[int], Head]
    weight: float = 1.0


def by_rows(function: Callable[[Tensor], Tensor], output: Tensor, frame: Frame) -> Tensor:
    """A function of the output at `frame.size`, in strips of rows where that would be large.

    Outputs whose pixels stand for a whole number of the image's can be enlarged in strips to the same bits.

    Args:
        function: From the output (B, K, rows, W), float32, to values (B, ..., rows, W) of each pixel alone.
        output: The output (B, K, h, w).
        frame: How it relates to the label map.

    Returns:
        The values (B, ..., H, W).
    """
    height, width = frame.padded
    rows = _LARGE // (4 * len(output) * output.shape[1] * width)
    factor = height / output.shape[2]
    if rows >= frame.valid[0] or frame.size != frame.valid or not factor.is_integer():
        return function(resized(output, frame))
    found = []
    step = max(1, rows // int(factor))
    for top in range(0, output.shape[2], step):
        source = slice(max(top - 1, 0), top + step + 1)
        part = output[:, :, source].float()
        enlarged = scaled(part, (part.shape[2] * int(factor), width))
        first = (top - source.start) * int(factor)
        last = min(first + step * int(factor), first + frame.valid[0] - top * int(factor))
        found.append(function(enlarged[..., first : max(first, last), : frame.valid[1]]))
    return torch.cat(found, -2)


def resized(output: Tensor, frame: Frame) -> Tensor:
    """The output (B, K, h, w), without its padding, at `frame.size`: bilinear, float32."""
    height, width = frame.valid
    unpadded = scaled(output.float(), frame.padded)[..., :height, :width]
    return scaled(unpadded, frame.size)
