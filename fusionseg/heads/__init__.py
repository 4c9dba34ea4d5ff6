"""Heads: one file per way to predict a task from features and to turn the prediction into labels."""

from fusionseg.heads.affinity import AffinityHead
from fusionseg.heads.base import ExtraHead, Head
from fusionseg.heads.boundary import BoundaryHead
from fusionseg.heads.center_offset import CenterOffsetHead
from fusionseg.heads.classifier import ClassifierHead
from fusionseg.heads.depth import DepthHead
from fusionseg.heads.disparity import DisparityHead
from fusionseg.heads.distance import DistanceHead
from fusionseg.heads.embedding import EmbeddingHead
from fusionseg.heads.mask_query import MaskQueryHead
from fusionseg.heads.mask_rcnn import MaskRCNNHead
from fusionseg.heads.normals import NormalsHead
from fusionseg.heads.offset import OffsetHead
from fusionseg.heads.ranges import Range
from fusionseg.heads.region import RegionHead
from fusionseg.heads.scene import SceneHead
from fusionseg.heads.semantic import SemanticHead
from fusionseg.heads.trinary import TrinaryHead

__all__ = [
    "AffinityHead",
    "BoundaryHead",
    "CenterOffsetHead",
    "ClassifierHead",
    "DepthHead",
    "DisparityHead",
    "DistanceHead",
    "EmbeddingHead",
    "ExtraHead",
    "Head",
    "MaskQueryHead",
    "MaskRCNNHead",
    "NormalsHead",
    "OffsetHead",
    "Range",
    "RegionHead",
    "SceneHead",
    "SemanticHead",
    "TrinaryHead",
]
