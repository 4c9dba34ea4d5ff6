"""Regularizers: R of L + R, a penalty on the weights beside the losses of the tasks."""

from fusionseg.regularization.base import Regularizer
from fusionseg.regularization.l1 import L1
from fusionseg.regularization.l2_sp import L2SP

__all__ = ["L1", "L2SP", "Regularizer"]
