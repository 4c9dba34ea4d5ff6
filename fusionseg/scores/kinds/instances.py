"""Instances of one class by the Data Science Bowl's score, COCO's average precision, AJI and Boundary IoU."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from fusionseg.config.errors import UserError
from fusionseg.files.images import LABEL_SUFFIXES
from fusionseg.files.matching import some
from fusionseg.metrics.boundary_curve import f_measure
from fusionseg.metrics.contingency import Counts
from fusionseg.metrics.detections import Detections, detections, precision_curve, precision_figures
from fusionseg.metrics.instances import (
    THRESHOLDS,
    dsb_counts,
    dsb_scores,
    instance_figures,
    instance_sums,
    instances,
)
from fusionseg.metrics.mask_boundaries import SHARE, boundary_distance
from fusionseg.sample import Counted, IntMap
from fusionseg.scores.confidences import Confidences, check_images, in_order, read_confidences
from fusionseg.scores.instance_maps import InstanceMap, has_masks, instance_files, read_instances
from fusionseg.scores.pairs import matched, pairs
from fusionseg.scores.result import Curve, Scores, Value
from fusionseg.scores.workers import mapped

ABOUT = """Scores instances of one class: dsb_ap is the score of the Data Science Bowl 2018, coco_ap COCO's
average precision, boundary_ap the same with the smaller one of mask and Boundary IoU, aji the aggregated
Jaccard index. Truths and predictions are id maps (PNG, TIFF, NPY; 0 is background), or folders
<image>/masks/<mask>.png with one mask for each instance."""

POINTS = 1000
"""At most so many confidences are shown in a curve, and the best one."""


@dataclass
class Options:
    """The arguments of the command.

    Args:
        truth: Folder of the true instances, or one id map.
        prediction: Folder of the predictions, or one id map; names match up to the suffix.
        out: JSON file to write to, beside which the rows are written, and with confidences the curve.
        background: The id of the background in id maps.
        scores: JSON file with the confidence of each predicted instance, {image: {id: confidence}}; all are
            equal without it.
        max_detections: How many of an image's most confident predictions count in coco_ap and boundary_ap,
            100 for COCO; all where left out.
        boundary_share: Width of the bands of Boundary IoU as a share of the image's diagonal.
        common: Whether images that only one side has are left out.
        jobs: Number of processes; one for each core where left out.
    """

    truth: Path
    prediction: Path
    out: Path | None = None
    background: int = 0
    scores: Path | None = None
    max_detections: int | None = None
    boundary_share: float = SHARE
    common: bool = False
    jobs: int | None = None


class _Image(NamedTuple):
    """What a worker needs to know of an image; no confidences where all are equal."""

    name: str
    truth: Path
    prediction: Path
    confidences: Confidences | None


class _Measured(NamedTuple):
    """What a worker measures of an image; `full` says of both sides whether they have no background."""

    truths: int
    predictions: int
    sums: Counted
    counts: Counts
    detections: Detections
    full: tuple[bool, bool]


def score(options: Options) -> Scores:
    """Scores two folders.

    Raises:
        UserError: If files are missing, cannot be read, or do not fit together.
    """
    _check(options)
    images, notices = _images(options)
    measured = mapped(partial(_measure, options=options), images, options.jobs)
    names = [image.name for image in images]
    total = {name: np.sum([one.sums[name] for one in measured], 0) for name in measured[0].sums}
    truths = sum(one.truths for one in measured)
    predictions = sum(one.predictions for one in measured)
    found = Detections(
        *(np.concatenate(parts) for parts in zip(*(m.detections for m in measured), strict=True))
    )
    metrics = {
        **instance_figures(total),
        **precision_figures(found, truths),
        "instances": truths,
        "predictions": predictions,
    }
    return Scores(
        metrics=metrics,
        rows=_rows(names, measured),
        images=len(names),
        curve=_curve(found, truths) if options.scores and truths and found.scores.size else None,
        notices=[*notices, *_notices(names, measured, metrics, options)],
    )


def _check(options: Options) -> None:
    """Checks the numbers among the arguments."""
    if not 0 <= options.background < 2**63:
        raise UserError(f"expected a background of 0 or a positive id, found {options.background}")
    if options.max_detections is not None and options.max_detections < 1:
        raise UserError(f"expected max_detections of at least 1, found {options.max_detections}")
    if not 0 < options.boundary_share < 1:
        raise UserError(
            f"expected boundary_share in (0, 1), a share of the diagonal, found {options.boundary_share}"
        )


def _images(options: Options) -> tuple[list[_Image], list[str]]:
    """The files of each image, sorted by name, and what is said of those that are left out."""
    if has_masks(options.truth) or has_masks(options.prediction):
        true = instance_files(options.truth)
        predicted = instance_files(options.prediction)
        names, notices = matched(true, predicted, options.truth, options.prediction, options.common)
        found = {name: (true[name], predicted[name]) for name in names}
    else:
        for folder in (options.truth, options.prediction):
            instance_files(folder)  # which names what is no folder of images
        found, notices = pairs(
            options.truth, options.prediction, LABEL_SUFFIXES, LABEL_SUFFIXES, options.common
        )
    if options.scores is None:
        return [_Image(name, *files, None) for name, files in found.items()], notices
    confidences = read_confidences(options.scores)
    if not options.common:
        check_images(confidences, list(found), options.scores)
    images = [_Image(name, *files, confidences.get(name, {})) for name, files in found.items()]
    return images, notices


def _measure(image: _Image, options: Options) -> _Measured:
    """Reads and measures one image."""
    read = [read_instances(path, options.background) for path in (image.truth, image.prediction)]
    true, predicted = _maps(*read)
    if true.shape != predicted.shape:
        raise UserError(
            f"expected instances of one size, found {true.shape} in {image.truth} and {predicted.shape} in "
            f"{image.prediction} (height, width): write predictions at the size of the photos"
        )
    found = instances(true, predicted, boundary_distance(true.shape, options.boundary_share))
    confidences = np.ones(found.predictions.size)
    if image.confidences is not None:
        named = read[1].names(found.predictions)
        confidences = in_order(image.confidences, named, image.name, options.scores)
    return _Measured(
        found.truths.size,
        found.predictions.size,
        instance_sums(found),
        dsb_counts(found),
        detections(found, confidences, options.max_detections),
        (bool(true.all()), bool(predicted.all())),
    )


def _maps(truth: InstanceMap, prediction: InstanceMap) -> tuple[IntMap, IntMap]:
    """The ids of both sides; one without masks is all background, at the size of the other one."""
    sizes = [side.ids.shape for side in (truth, prediction) if side.ids is not None] or [(1, 1)]
    true, predicted = (
        np.zeros(sizes[0], np.int32) if side.ids is None else side.ids for side in (truth, prediction)
    )
    return true, predicted


def _rows(names: Sequence[str], measured: Sequence[_Measured]) -> list[dict[str, Value]]:
    """What each image has at each threshold."""
    rows: list[dict[str, Value]] = []
    for name, image in zip(names, measured, strict=True):
        scores = dsb_scores(image.counts).tolist()
        for threshold, counts, dsb in zip(THRESHOLDS.tolist(), image.counts.tolist(), scores, strict=True):
            numbers = dict(zip(("tp", "fp", "fn"), counts, strict=True))
            rows.append({"image": name, "threshold": threshold, **numbers, "dsb": dsb})
    return rows


def _curve(found: Detections, truths: int) -> Curve:
    """Precision and recall at an IoU of 0.5, at some of the confidences where there are many."""
    thresholds, precision, recall = precision_curve(found.scores, found.iou, truths)
    f = f_measure(precision, recall)
    best = int(f.argmax())
    shown = np.unique([*np.linspace(0, thresholds.size - 1, POINTS).astype(int), best])
    values = zip(*(values[shown].tolist() for values in (thresholds, precision, recall, f)), strict=True)
    points = [dict(zip(("threshold", "precision", "recall", "f"), point, strict=True)) for point in values]
    return Curve("Instances at IoU 0.5", points, {"best f": (float(precision[best]), float(recall[best]))})


def _notices(
    names: Sequence[str], measured: Sequence[_Measured], metrics: Mapping[str, float], options: Options
) -> list[str]:
    """What may be wrong with some images, and which figures are undefined."""
    both = list(zip(names, measured, strict=True))
    notices = []
    if options.scores is None and metrics["instances"]:
        notices.append(
            "no confidences (--scores): coco_ap and boundary_ap depend on the order of images and ids, as in "
            "COCO's own evaluation of equal ones; dsb_ap and aji do not"
        )
    if empty := [name for name, one in both if not one.truths]:
        notices.append(
            f"no true instance in {some(empty)}: dsb and aji are 1 there if nothing is predicted, otherwise 0"
        )
    if silent := [name for name, one in both if one.truths and not one.predictions]:
        notices.append(f"no predicted instance in {some(silent)}: what is there counts as missed")
    if not metrics["instances"]:
        notices.append("no true instance in any image: coco_ap and boundary_ap are undefined")
    if np.isnan(metrics["boundary_iou"]):
        notices.append("no prediction has an IoU greater than 0.5 with a truth: boundary_iou is undefined")
    for side, path, most in (
        (0, options.truth, max(one.truths for one in measured)),
        (1, options.prediction, max(one.predictions for one in measured)),
    ):
        if full := [name for name, one in both if one.full[side]]:
            notices.append(
                f"no background ({options.background}) in {some(full)} of {path}: name another --background "
                "if what surrounds the instances has an id"
            )
        if most == 1:
            notices.append(f"one instance at most in each image of {path}: it may be a map of classes")
    return notices
