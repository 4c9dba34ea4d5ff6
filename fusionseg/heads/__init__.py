"""Heads: a file for each way to say what a pixel is or belongs to, or what the whole image shows."""

from fusionseg.heads.base import Head
from fusionseg.heads.boundary import BoundaryHead
from fusionseg.heads.center_offset import CenterOffsetHead
from fusionseg.heads.scene import SceneHead
from fusionseg.heads.semantic import SemanticHead

__all__ = ["BoundaryHead", "CenterOffsetHead", "Head", "SceneHead", "SemanticHead"]
