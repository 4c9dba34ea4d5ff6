"""Checks that there are labels for all that is to be learned, and says what a score was not measured on."""

import sys
import time
from collections.abc import Callable, Mapping

import numpy as np
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback

from fusionseg.data.components import REGION
from fusionseg.data.label_statistics import LabelStatistics
from fusionseg.engine.distributed import from_first_rank
from fusionseg.engine.tasks import factor_of
from fusionseg.module import FusionModule
from fusionseg.sample import VOID, Classes

SAMPLE = 256
"""Images that are looked at before a warning is based on a part of them."""

SECONDS = 3.0
"""Time after which it is based on fewer."""

MOSTLY = 0.95
"""Share of unlabelled pixels above which there is a warning."""

SHOWN = 10
"""Classes that a message lists at most."""


class LabelCheck(Callback):
    """Looks at the labels of the training images before the first step, except where a run goes on.

    The first rank reads label files in a random order, until nothing seems to be missing, or it is time to
    warn. An error is raised only after all were read. Data that cannot count their labels are not looked at.
    """

    def __init__(self) -> None:
        self.warnings: list[str] = []

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Collects warnings.

        Raises:
            ValueError: On all ranks, if nothing can be learned from the labels.
        """
        data = getattr(trainer, "datamodule", None)
        count: Callable[..., LabelStatistics] | None = getattr(data, "label_statistics", None)
        if trainer.ckpt_path or count is None or not isinstance(pl_module, FusionModule):
            return
        weights = pl_module.objective.weights
        classes = pl_module.classes
        # what the dataset knows all labels of, and what another model teaches
        spared = {"scene"} if classes.per_image else set()
        if pl_module.distillation.mean is None:
            spared |= {task for task, weight in pl_module.distillation.weights.items() if weight}
        needed = {
            task: head.learns_from
            for task, head in pl_module.heads.items()
            if weights[task] and head.learns_from and task not in spared
        }
        start = time.monotonic()

        def enough(sample: LabelStatistics) -> bool:
            late = sample.images >= SAMPLE or time.monotonic() - start > SECONDS
            return not fault(sample, needed, classes) and (late or not warnings(sample, needed, classes))

        found = from_first_rank(lambda: count(enough))
        if wrong := fault(found, needed, classes):
            raise ValueError(wrong)
        self.warnings = warnings(found, needed, classes)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        # not earlier, so that what keeps a training from starting is all that is said then
        for line in self.warnings if trainer.is_global_zero else ():
            print(line, file=sys.stderr)

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if isinstance(pl_module, FusionModule) and trainer.is_global_zero:
            for note in pl_module.suite.notes(pl_module.classes):
                print(f"val: {note}", file=sys.stderr)


def fault(found: LabelStatistics, needed: Mapping[str, str], classes: Classes) -> str:
    """Why a task can learn nothing from the labels; empty if every task can learn something.

    Args:
        found: What the labels hold.
        needed: The kind of labels that each task learns from.
        classes: The classes of the data.
    """
    learned = set(needed.values())
    derived = "region" in learned and classes.region == REGION  # from the classes
    several = len(classes) > 1 and ("semantic" in learned or derived)
    labelled = found.labelled["semantic"]
    for task, kind in needed.items():
        if (
            found.labelled.get(kind) == 0
        ):  # a kind that the data do not have at all is missed in the first batch
            cause = f"; {_about_ids(classes)}" if several and kind == "semantic" else ""
            return (
                f"expected {kind} labels to train {task} on, found no labelled pixel in {found.images} "
                f"training images{cause}; to train without {task} set model.{factor_of(task)} to 0"
            )
    if several and found.class_pixels[0] == labelled < found.pixels:
        return (
            f"expected pixels of several classes, found only {classes.names[0]} (id 0) and void in "
            f"{found.images} training images; {_about_ids(classes)}"
        )
    return ""


def warnings(found: LabelStatistics, needed: Mapping[str, str], classes: Classes) -> list[str]:
    """What is strange about the labels, in lines; as `fault`."""
    kinds = set(needed.values())
    lines = []
    absent = [classes.names[i] for i in np.flatnonzero(found.class_pixels == 0)]
    if absent and "semantic" in kinds:
        where = (
            f"any of the {found.total}" if found.images == found.total else f"{found.images} of {found.total}"
        )
        lines.append(f"no pixel of {_listed(absent)} in {where} training images")
    for kind in ("semantic", "region"):
        unlabelled = 1 - found.labelled[kind] / found.pixels
        if kind in kinds and unlabelled > MOSTLY:
            lines.append(
                f"{100 * unlabelled:.1f} % of the pixels of {found.images} training images have no {kind} "
                "label"
            )
    return lines


def _about_ids(classes: Classes) -> str:
    """What to do where the ids in label files are not those of the classes."""
    ids = _listed([f"{i} {name}" for i, name in enumerate(classes.names)])
    return (
        f"the classes' ids are {ids}, and {VOID} is void: where {VOID} stands for a class, write the class's "
        "id in its place; another id is void where classes.yaml says so, such as `void: 254`"
    )


def _listed(names: list[str]) -> str:
    """Up to ten names, and how many there are beyond them."""
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
