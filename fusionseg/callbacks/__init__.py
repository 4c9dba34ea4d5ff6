"""Callbacks: what happens around training."""

from fusionseg.callbacks.checkpoints import BestCheckpoint, LastCheckpoint
from fusionseg.callbacks.conflicts import Conflicts
from fusionseg.callbacks.feature_cache import FeatureCache
from fusionseg.callbacks.final_validation import FinalValidation
from fusionseg.callbacks.label_check import LabelCheck
from fusionseg.callbacks.learning_curves import LearningCurves
from fusionseg.callbacks.pictures import Pictures
from fusionseg.callbacks.progress import FusionProgress
from fusionseg.callbacks.record import RunRecord
from fusionseg.callbacks.selection_rules import SelectionRules
from fusionseg.callbacks.signals import Signals
from fusionseg.callbacks.teacher_loader import TeacherLoader
from fusionseg.callbacks.training_files import TrainingFiles

__all__ = [
    "BestCheckpoint",
    "Conflicts",
    "FeatureCache",
    "FinalValidation",
    "FusionProgress",
    "LabelCheck",
    "LastCheckpoint",
    "LearningCurves",
    "Pictures",
    "RunRecord",
    "SelectionRules",
    "Signals",
    "TeacherLoader",
    "TrainingFiles",
]
