"""Losses: each returns an unnormalized sum and its weight, and the module divides over the global batch."""

from fusionseg.losses.additive import AdditiveLoss
from fusionseg.losses.base import Loss
from fusionseg.losses.dense import AbsoluteError, BalancedBCE, CosineError, MeanSquaredError
from fusionseg.losses.depth import InverseDepthError, ScaleInvariantError
from fusionseg.losses.discriminative import Discriminative
from fusionseg.losses.mean_loss import MeanLoss
from fusionseg.losses.overlap import Dice, Lovasz
from fusionseg.losses.pixelwise import CrossEntropy, Focal

__all__ = [
    "AbsoluteError",
    "AdditiveLoss",
    "BalancedBCE",
    "CosineError",
    "CrossEntropy",
    "Dice",
    "Discriminative",
    "Focal",
    "InverseDepthError",
    "Loss",
    "Lovasz",
    "MeanLoss",
    "MeanSquaredError",
    "ScaleInvariantError",
]
