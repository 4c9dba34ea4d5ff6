"""Balancers: one file per way to combine the losses or gradients of several tasks."""

from fusionseg.balancing.aligned_mtl import AlignedMTL
from fusionseg.balancing.base import Balancer, Sum
from fusionseg.balancing.cagrad import CAGrad
from fusionseg.balancing.dwa import DWA
from fusionseg.balancing.famo import FAMO
from fusionseg.balancing.gls import GLS
from fusionseg.balancing.gradient import GradientBalancer
from fusionseg.balancing.gradnorm import GradNorm
from fusionseg.balancing.gradvac import GradVac
from fusionseg.balancing.imtl_g import IMTLG
from fusionseg.balancing.imtl_l import IMTLL
from fusionseg.balancing.mgda import MGDA
from fusionseg.balancing.nash_mtl import NashMTL
from fusionseg.balancing.pcgrad import PCGrad
from fusionseg.balancing.rlw import RLW
from fusionseg.balancing.stch import STCH
from fusionseg.balancing.torchjd_weighting import TorchJDWeighting
from fusionseg.balancing.upgrad import UPGrad
from fusionseg.balancing.uw import UW

__all__ = [
    "DWA",
    "FAMO",
    "GLS",
    "IMTLG",
    "IMTLL",
    "MGDA",
    "RLW",
    "STCH",
    "UW",
    "AlignedMTL",
    "Balancer",
    "CAGrad",
    "GradNorm",
    "GradVac",
    "GradientBalancer",
    "NashMTL",
    "PCGrad",
    "Sum",
    "TorchJDWeighting",
    "UPGrad",
]
