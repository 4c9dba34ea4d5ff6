"""Panoptic quality by COCO's rules, from the files of COCO, Cityscapes or ADE20K."""

from functools import partial

import numpy as np

from fusionseg.config.errors import UserError
from fusionseg.metrics.contingency import Floats, overlaps
from fusionseg.metrics.panoptic import outcomes, panoptic_figures, quality
from fusionseg.scores.panoptic.ade20k import ade20k
from fusionseg.scores.panoptic.base import ImageFiles, Options, PanopticSet
from fusionseg.scores.panoptic.cityscapes import cityscapes
from fusionseg.scores.panoptic.coco import coco
from fusionseg.scores.result import Scores, Value
from fusionseg.scores.workers import mapped

ABOUT = """Scores panoptic segmentations by COCO's rules (Kirillov et al., CVPR 2019; panopticapi). With
--layout coco truth and prediction are JSON files, each with a folder of PNG files beside it that has its
name; the prediction needs annotations alone. With --layout cityscapes both are folders of 16-bit id files
(class * 1000 + instance, or class). With --layout ade20k both are folders of class ids, 1 to 150, each
with one of instances (red is the category, green the number) in annotations_instance beside annotations."""

LAYOUTS = {"coco": coco, "cityscapes": cityscapes, "ade20k": ade20k}


def score(options: Options) -> Scores:
    """Scores two sets of segments.

    Raises:
        UserError: If files are missing, cannot be read, or do not fit together.
    """
    for path in (options.truth, options.prediction):
        if not path.exists():
            raise UserError(f"expected files to score, found no {path}")
    found = LAYOUTS[options.layout](options)
    sums = np.stack(mapped(partial(_outcomes, num_classes=len(found.classes)), found.images, options.jobs))
    total = sums.sum(0)
    if not total[:, [0, 2]].any():
        raise UserError(f"expected true segments, found none in {options.truth}: everything is void")
    per_class = quality(total)
    counted = total[:, :3].sum(1) > 0
    return Scores(
        metrics=panoptic_figures(total, found.things),
        rows=_rows(found, sums),
        images=len(found.images),
        classes={
            name: {figure: float(values[i]) for figure, values in per_class.items()}
            for i, name in enumerate(found.classes)
            if counted[i]
        },
        notices=found.notices,
    )


def _outcomes(image: ImageFiles, num_classes: int) -> Floats:
    """True positives, false positives, false negatives and sum of IoU of one image, by class."""
    truth = image.truth.codes(num_classes, crowds=True)
    prediction = image.prediction.codes(num_classes, crowds=False)
    if truth.shape != prediction.shape:
        raise UserError(
            f"expected segments of one size, found {truth.shape} in {image.truth.path}, {prediction.shape} "
            f"in {image.prediction.path} (height, width)"
        )
    return outcomes(overlaps(truth, prediction), num_classes)


def _rows(found: PanopticSet, sums: Floats) -> list[dict[str, Value]]:
    """What each image has of each of its classes."""
    return [
        {
            "image": image.name,
            "class": found.classes[number],
            "tp": int(hits),
            "fp": int(wrong),
            "fn": int(missed),
            "iou": float(iou),
        }
        for image, own in zip(found.images, sums, strict=True)
        for number, (hits, wrong, missed, iou) in enumerate(own)
        if hits or wrong or missed
    ]
