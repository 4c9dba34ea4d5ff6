"""Heads: a file for each way to say what a pixel is or belongs to."""

from fusionseg.heads.base import Head
from fusionseg.heads.boundary import BoundaryHead
from fusionseg.heads.center_offset import CenterOffsetHead
from fusionseg.heads.semantic import SemanticHead

__all__ = ["BoundaryHead", "CenterOffsetHead", "Head", "SemanticHead"]
