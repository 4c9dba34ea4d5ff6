"""Samples of images and the classes that they show, in place of label maps; mixed if that is wanted."""

from typing import Any

import numpy as np
import torch
from torch import Tensor
from typing_extensions import override

from fusionseg.data.batches import IMAGES, unit_floats
from fusionseg.data.samplers import Key
from fusionseg.data.samples import EvaluationSamples, TrainSamples
from fusionseg.sample import Sample

MIXING = 1
"""What keeps the random numbers of mixing apart from those of the views."""


class ClassTrainSamples(TrainSamples):
    """Random views of images with the classes that they show (`scene`), a function of seed and key.

    Args:
        mixup: The parameter alpha of mixup (Zhang et al., ICLR 2018, arXiv:1710.09412): a view is
            `share * view + (1 - share) * other`, and so is its target, with the share drawn from
            Beta(alpha, alpha) and the other view from the same epoch. 0 mixes nothing.
        arguments: As of `TrainSamples`.

    Raises:
        ValueError: If alpha is negative.
    """

    def __init__(self, *arguments: Any, mixup: float = 0.0) -> None:
        super().__init__(*arguments)
        if not 0 <= mixup < np.inf:
            raise ValueError(f"expected data.mixup of 0 or more, found {mixup}")
        self.mixup = mixup

    @override
    def __getitem__(self, key: Key | tuple[int, int] | int) -> Sample:
        sample = self._plain(key)
        if not self.mixup:
            return sample
        epoch, index, *occurrence = key if isinstance(key, tuple) else (0, key)
        # a batch has other neighbors on two ranks, so another image is drawn from all and not from the batch
        rng = np.random.default_rng((self.seed, epoch, index, 1 + sum(occurrence), MIXING))
        share = float(rng.beta(self.mixup, self.mixup))
        other = self._plain((epoch, int(rng.integers(len(self)))))
        blended = [name for name in (*IMAGES, "scene") if name in sample]
        return sample | {name: mixed(sample[name], other[name], share) for name in blended}

    def _plain(self, key: Key | tuple[int, int] | int) -> Sample:
        """A view that is not mixed."""
        return with_classes(super().__getitem__(key), len(self.dataset.classes))


class ClassEvaluationSamples(EvaluationSamples):
    """Whole images with the classes that they show (`scene`)."""

    @override
    def __getitem__(self, index: int | tuple[int, ...]) -> Sample:
        sample = super().__getitem__(index)
        # a batch was made of samples without maps
        return sample if isinstance(index, tuple) else with_classes(sample, len(self.dataset.classes))


def with_classes(sample: Sample, number: int) -> Sample:
    """A sample with the classes that it shows (C,) float32 as `scene`, without label maps.

    They are those of the image's own label, else those that have a pixel in the sample's map; NaN where no
    pixel has a label.

    Args:
        sample: A sample of a segmentation dataset.
        number: The number of classes.
    """
    kept = {name: value for name, value in sample.items() if name in (*IMAGES, "scene", "name", "index")}
    if "scene" in kept:
        return kept
    pixels = np.bincount(sample["semantic"].numpy().ravel(), minlength=number)[:number]
    seen = (pixels > 0).astype(np.float32)
    return kept | {"scene": torch.from_numpy(seen if pixels.any() else np.full_like(seen, np.nan))}


def mixed(one: Tensor, other: Tensor, share: float) -> Tensor:
    """`share * one + (1 - share) * other` in the type of the one, to which integers are rounded.

    Images of different types become floats in [0, 1] first.
    """
    if one.dtype != other.dtype:
        one, other = unit_floats(one), unit_floats(other)
    blend = torch.lerp(other.float(), one.float(), share)
    return blend.to(one.dtype) if one.is_floating_point() else blend.round().to(one.dtype)
