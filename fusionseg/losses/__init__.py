"""What an output costs: every loss gives an unnormalised sum and its weight, and leaves the division to the module."""

from fusionseg.losses.base import Loss
from fusionseg.losses.dense import AbsoluteError, BalancedBCE, MeanSquaredError
from fusionseg.losses.mean_loss import MeanLoss
from fusionseg.losses.overlap import Dice, Lovasz
from fusionseg.losses.pixelwise import CrossEntropy, Focal

__all__ = [
    "AbsoluteError",
    "BalancedBCE",
    "CrossEntropy",
    "Dice",
    "Focal",
    "Loss",
    "Lovasz",
    "MeanLoss",
    "MeanSquaredError",
]
