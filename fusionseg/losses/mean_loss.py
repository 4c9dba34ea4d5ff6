"""An adapter for external losses that return a mean."""

import warnings
from collections.abc import Callable
from copy import deepcopy

import torch
from torch import Tensor, nn
from typing_extensions import override

from fusionseg.config.errors import UserError, in_own_code
from fusionseg.config.remedies import is_out_of_memory
from fusionseg.losses.base import Loss
from fusionseg.sample import VOID

_SIDE = 32
"""Height and width of the images that an external loss is tried on."""


class MeanLoss(Loss):
    """An external loss of the form `loss(output, target) -> mean`, applied to one image at a time.

    The external loss gets logits (1, C, H, W) and class ids (1, H, W); one channel (1, 1, H, W) and the truth
    of class 1 as zeros and ones (1, 1, H, W); or output and target (1, K, H, W) of one shape. Before its
    first use it is tried on small random images on the CPU.

    The weight is the number of images with a labelled pixel. Images without any are passed to the external
    loss as zeros and left out of the sum, so that it may be undefined there. The external loss may wait for
    the device.

    Args:
        loss: Recipe of the external loss, for example `segmentation_models_pytorch.losses.JaccardLoss` with
            `mode: multiclass` and `ignore_index: 255`.
        ignore_index: Written into the target wherever a pixel is not labelled; the external loss must ignore
            it.

    Raises:
        UserError: If the loss is one of this package's.
    """

    def __init__(self, loss: Callable[[], nn.Module], ignore_index: int = VOID) -> None:
        super().__init__()
        self.loss = loss()
        if isinstance(self.loss, Loss):
            raise UserError(f"{type(self.loss).__name__} is no external loss: leave MeanLoss out")
        self.ignore_index = ignore_index
        self._fits: bool | None = None

    @property
    @override
    def title(self) -> str:
        return type(self.loss).__name__

    def total(self, output: Tensor, target: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """The sum of the images' losses, and the number of labelled images.

        Raises:
            UserError: If the external loss does not return a scalar, broadcasts output and target, does not
                ignore `ignore_index`, or is of a library and fails on what it is given. Other errors of it
                get a note that says what that was.
        """
        if target.ndim == 3 and output.shape[1] == 1:
            target = target.unsqueeze(1).to(output.dtype)
        if self._fits is None:
            self._fits = _try(self.loss, output, target, self.ignore_index)
        labelled = mask.flatten(1).any(1)
        output = output.where(labelled[:, None, None, None], 0)
        void = labelled[:, None, None] & ~mask
        target = target.masked_fill(void.unsqueeze(1) if target.ndim == 4 else void, self.ignore_index)
        images = zip(output.unsqueeze(1), target.unsqueeze(1), strict=True)
        try:
            losses = torch.stack([self.loss(*image) for image in images])
        except Exception as error:
            self._explain(error, output[:1], target[:1])
            raise
        return losses.where(labelled, 0).sum(), labelled.sum().to(output.dtype)

    def _explain(self, error: Exception, output: Tensor, target: Tensor) -> None:
        """Notes at an error of the external loss what it was given.

        Raises:
            UserError: In its place, if the loss is of a library and failed on small images too.
        """
        if is_out_of_memory(error):
            return
        given = (
            f"{self.title} was given an output {_shape(output)} of {output.dtype} and a target "
            f"{_shape(target)} of {target.dtype}"
        )
        if self._fits or in_own_code(error):
            error.add_note(f"({given})")
            return
        raise UserError(
            f"{given}, on which it fails, as on small images: {error}; choose one that takes "
            "these, such as those of fusionseg.losses"
        ) from error


@torch.inference_mode(False)
@torch.enable_grad()
def _try(loss: nn.Module, output: Tensor, target: Tensor, ignore_index: int) -> bool:
    """Tries an external loss on random images with the channels and the kind of target of a batch.

    A loss that fails on any such image is not judged.

    Returns:
        Whether it did not fail.

    Raises:
        UserError: If it does not return a scalar, broadcasts output and target, or does not ignore
            `ignore_index`.
    """
    name = type(loss).__name__
    loss = deepcopy(loss).cpu()
    output, target = _images(output, target)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mean = _result(loss, output[:1], target[:1])
        if not isinstance(mean, Tensor):
            return False
        if mean.ndim:
            raise UserError(f"MeanLoss expects a mean, {name} returns {_shape(mean)}: set its reduction")
        means = _result(loss, output, target)
        if isinstance(means, Exception):
            raise UserError(
                f"{name} broadcasts an output {_shape(output[:1])} and a target {_shape(target[:1])} and "
                f"fails on {len(output)} images ({means}): choose a loss of class ids, such as those of "
                "fusionseg.losses"
            ) from means
        if not _ignores(loss, output, target, ignore_index):
            raise UserError(
                f"{name} does not ignore {ignore_index}, the value of unlabelled pixels: give {name} and "
                "MeanLoss the same ignore_index, or choose a loss of fusionseg.losses"
            )
    return True


def _result(loss: nn.Module, output: Tensor, target: Tensor) -> Tensor | Exception:
    """The external loss, or the error that it raises, of whatever kind."""
    try:
        return loss(output, target)  # type: ignore[no-any-return]
    except Exception as error:
        return error


def _ignores(loss: nn.Module, output: Tensor, target: Tensor, ignore_index: int) -> bool:
    """Whether a loss, of which some pixels are unlabelled, neither fails nor learns from them."""
    target = target.clone()
    target[..., : _SIDE // 2] = ignore_index
    mean = _result(loss, output, target)
    if isinstance(mean, Exception):
        return False
    (slope,) = torch.autograd.grad(mean, output)
    return not slope[..., : _SIDE // 2].any()


def _images(output: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Random images with the channels of an output (B, K, H, W), and targets of the kind of a target.

    Their number is neither 1 nor K, so that no size fits another one by chance.
    """
    channels = output.shape[1]
    number = 3 if channels == 2 else 2
    chance = torch.Generator().manual_seed(0)
    size = (number, channels, _SIDE, _SIDE)
    images = torch.randn(size, generator=chance, dtype=output.dtype).requires_grad_()
    if target.ndim == 3:
        return images, torch.randint(channels, (number, _SIDE, _SIDE), generator=chance)
    return images, torch.rand(size, generator=chance, dtype=output.dtype)


def _shape(tensor: Tensor) -> tuple[int, ...]:
    return tuple(tensor.shape)
