"""Classical segmentation without training: what a learned region head must beat."""

from fusionseg.untrained.base import Method
from fusionseg.untrained.canny import Canny
from fusionseg.untrained.felzenszwalb import Felzenszwalb
from fusionseg.untrained.k_means import KMeans
from fusionseg.untrained.module import UntrainedModule
from fusionseg.untrained.region_growing import RegionGrowing
from fusionseg.untrained.sobel_watershed import SobelWatershed

__all__ = [
    "Canny",
    "Felzenszwalb",
    "KMeans",
    "Method",
    "RegionGrowing",
    "SobelWatershed",
    "UntrainedModule",
]
