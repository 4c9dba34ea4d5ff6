"""Losses of semantic logits that are sums over pixels: cross-entropy and focal loss.

Logits have shape (B, C, H, W), targets are class ids (B, H, W). With one channel (B, 1, H, W), it is the
logit of class 1 against class 0.
"""

from collections.abc import Sequence
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor
from typing_extensions import override

from fusionseg.config.errors import UserError
from fusionseg.losses.additive import AdditiveLoss, per_image
from fusionseg.losses.enlarging import by_rows
from fusionseg.losses.parts import Stage, in_stages
from fusionseg.sample import VOID


class CrossEntropy(AdditiveLoss):
    """Cross-entropy; sum over weight equals PyTorch's mean with class weights, label smoothing and void.

    `hardest` mines hard pixels: of each image only those with the largest losses are kept (bootstrapped
    cross-entropy, arXiv:1902.05093; OHEM, arXiv:1604.03540). The weight is the number of kept pixels, or the
    sum of their class weights. Pixels of a class that weighs 0 count as unlabelled.

    Args:
        class_weights: One weight for each class (two if there is one channel), or "balanced":
            median-frequency balancing (Eigen & Fergus, arXiv:1411.4734), the median share of a class over
            the class's share of the labelled pixels of the training data; classes that do not occur weigh 0.
        label_smoothing: Share of the target that is spread over all classes, in [0, 1].
        hardest: Fraction of the labelled pixels of each image that is kept, rounded up to whole pixels, in
            (0, 1].

    Raises:
        ValueError: If `label_smoothing` is not in [0, 1], `hardest` not in (0, 1], or a class weight is
            negative or all are 0.
    """

    weight: Tensor | None

    def __init__(
        self,
        class_weights: list[float] | Literal["balanced"] | None = None,
        label_smoothing: float = 0.0,
        hardest: float = 1.0,
    ) -> None:
        super().__init__()
        if not 0 <= label_smoothing <= 1:
            raise ValueError(f"label_smoothing must lie in [0, 1], found {label_smoothing}")
        if not 0 < hardest <= 1:
            raise ValueError(f"hardest must lie in (0, 1], found {hardest}")
        self.label_smoothing = label_smoothing
        self.hardest = hardest
        self.balanced = class_weights == "balanced"
        self._counted = False
        # The number of classes is not known yet, but loading a checkpoint needs a buffer of the stored
        # shape: it has a slot for every possible class.
        weight = torch.zeros(VOID) if self.balanced else _class_weights("class_weights", class_weights)
        self.register_buffer("weight", weight, persistent=self.balanced)

    @property
    def needs_counts(self) -> bool:
        """Whether the class weights come from the training data."""
        return self.balanced

    def balance(self, counts: Tensor) -> None:
        """Sets the class weights from the classes' frequencies, if they are "balanced".

        Args:
            counts: Labelled pixels of each class in the training data, shape (C,).

        Raises:
            UserError: If no pixel is labelled.
        """
        if not self.balanced or self.weight is None:
            return
        counts = counts.to(self.weight.device, self.weight.dtype)
        present = counts > 0
        if not present.any():
            raise UserError(
                f"cannot balance {len(counts)} classes: the training data has no labelled pixel: "
                "leave class_weights out"
            )
        weights = (counts[present].quantile(0.5) / counts).where(present, 0)
        self.weight.zero_()[: len(counts)] = weights
        self._counted = True

    def sums(self, output: Tensor, target: Tensor, mask: Tensor) -> Tensor:
        """The sums (B, 2) of the labelled pixels' losses, and their number or their class weights.

        Raises:
            RuntimeError: If the class weights are "balanced", and neither `balance` was called nor a
                checkpoint loaded.
            UserError: If the number of class weights is not that of the classes.
        """
        return per_image(*self._maps(output, target, mask))

    @override
    def total(self, output: Tensor, target: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        if self.hardest == 1:
            return super().total(output, target, mask)
        losses, weights = self._maps(output, target, mask)
        kept = self._hardest(losses.masked_fill(weights == 0, -torch.inf))
        return losses.where(kept, 0).sum(), weights.where(kept, 0).sum()

    @override
    def in_parts(self, output: Tensor, target: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        if self.hardest < 1:
            with torch.no_grad():
                parts = by_rows(self._ranked, output, target, mask, maps=True)
                mask = self._hardest(in_stages(output, [Stage(parts, mask.shape[1:])]))
        return super().in_parts(output, target, mask)

    def _maps(self, output: Tensor, target: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """The loss of every pixel, 0 where nothing is labelled, and its weight, both (B, H, W)."""
        logits = _two_classes(output)
        weight = self._weight(logits)
        weights = mask.to(logits.dtype) if weight is None else weight[target].where(mask, 0)
        # Summed by us, because PyTorch's own reduction is not deterministic on CUDA.
        losses = F.cross_entropy(
            logits,
            target.where(weights > 0, VOID),
            weight,
            ignore_index=VOID,
            reduction="none",
            label_smoothing=self.label_smoothing,
        )
        return losses, weights

    def _ranked(self, output: Tensor, target: Tensor, mask: Tensor) -> Tensor:
        """The loss of every pixel (B, H, W), minus infinity where it has no weight."""
        losses, weights = self._maps(output, target, mask)
        return losses.masked_fill(weights == 0, -torch.inf)

    def _weight(self, logits: Tensor) -> Tensor | None:
        """The class weights (C,) in the precision of the logits, or None if all classes weigh the same."""
        if self.weight is None:
            return None
        if not self.balanced:
            return _for_classes("class_weights", self.weight, logits)
        if not self._counted:
            raise RuntimeError(
                "CrossEntropy(class_weights='balanced') does not know the classes' frequencies: "
                "call balance(counts) with the pixel counts of the training data, or load a checkpoint"
            )
        return self.weight[: logits.shape[1]].to(logits.dtype)

    def _hardest(self, losses: Tensor) -> Tensor:
        """The hardest pixels of each image (B, H, W) bool, from losses that are minus infinity elsewhere."""
        flat = losses.flatten(1)
        order = flat.sort(descending=True, stable=True).indices
        number = (self.hardest * (flat > -torch.inf).sum(1, keepdim=True)).ceil()
        first = torch.arange(flat.shape[1], device=flat.device) < number
        return torch.zeros_like(first).scatter(1, order, first).view_as(losses)

    def _load_from_state_dict(self, *args: Any) -> None:
        super()._load_from_state_dict(*args)
        if self.balanced and self.weight is not None:
            self._counted = bool(self.weight.any())


class Focal(AdditiveLoss):
    """Focal loss: cross-entropy that fades where the truth is already likely (arXiv:1708.02002, eq. 5).

    With p the probability of the true class, a pixel costs alpha * (1 - p)^gamma * -log(p). The weight is
    the number of labelled pixels.

    Args:
        gamma: How fast easy pixels fade; 0 is cross-entropy.
        alpha: One factor for each class; the paper's single alpha, of two classes, is [1 - alpha, alpha].

    Raises:
        ValueError: If `gamma` or a factor is negative, or all factors are 0.
    """

    alpha: Tensor | None

    def __init__(self, gamma: float = 2.0, alpha: list[float] | None = None) -> None:
        super().__init__()
        if gamma < 0:
            raise ValueError(f"gamma must not be negative, found {gamma}")
        self.gamma = gamma
        self.register_buffer("alpha", _class_weights("alpha", alpha), persistent=False)

    def sums(self, output: Tensor, target: Tensor, mask: Tensor) -> Tensor:
        """The sums (B, 2) of the labelled pixels' losses, and their number.

        Raises:
            UserError: If the number of factors `alpha` is not that of the classes.
        """
        logits = _two_classes(output)
        log_p = -F.cross_entropy(logits, target, reduction="none")
        # Kept away from 0, where the derivative of a power below 1 is infinite.
        rest = (-log_p.expm1()).clamp_min(torch.finfo(log_p.dtype).tiny)
        losses = -log_p * rest**self.gamma
        if self.alpha is not None:
            losses = losses * _for_classes("alpha", self.alpha, logits)[target]
        return per_image(losses.where(mask, 0), mask)


def _two_classes(logits: Tensor) -> Tensor:
    """The logits (B, C, H, W) unchanged, or those of class 0 and 1 (B, 2, H, W) if there is one channel."""
    return F.pad(logits, (0, 0, 0, 0, 1, 0)) if logits.shape[1] == 1 else logits


def _class_weights(name: str, values: Sequence[float] | str | None) -> Tensor | None:
    """A constructor's list as a tensor (C,); refuses negative weights and a list without a positive one."""
    if values is None:
        return None
    if isinstance(values, str) or min(values, default=-1) < 0 or max(values) == 0:
        raise ValueError(
            f"{name} must be non-negative numbers, one for each class and not all 0, found {values!r}"
        )
    return torch.tensor(values, dtype=torch.float32)


def _for_classes(name: str, weights: Tensor, logits: Tensor) -> Tensor:
    """The weights (C,) in the precision of the logits (B, C, H, W); refuses another number of classes."""
    if len(weights) != logits.shape[1]:
        raise UserError(f"expected {name} for {logits.shape[1]} classes, found {len(weights)} values")
    return weights.to(logits.dtype)
