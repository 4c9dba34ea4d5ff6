"""Multi-task fusion of semantic segmentation and region segmentation."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fusionseg.classification import ClassificationModule
    from fusionseg.data.classification_datamodule import ClassificationDataModule
    from fusionseg.data.datamodule import SegmentationDataModule
    from fusionseg.inference.inputs import PhotoWithDepth
    from fusionseg.inference.predictor import Predictor
    from fusionseg.module import FusionModule
    from fusionseg.trainer import Trainer

__all__ = [
    "ClassificationDataModule",
    "ClassificationModule",
    "FusionModule",
    "PhotoWithDepth",
    "Predictor",
    "SegmentationDataModule",
    "Trainer",
]

_HOMES = {
    "ClassificationDataModule": "data.classification_datamodule",
    "ClassificationModule": "classification",
    "FusionModule": "module",
    "PhotoWithDepth": "inference.inputs",
    "Predictor": "inference.predictor",
    "SegmentationDataModule": "data.datamodule",
    "Trainer": "trainer",
}


def __getattr__(name: str) -> Any:
    """Imported on demand, so that a part can be used without Lightning."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
