"""Class ids against true ones: mean IoU by every definition in use, each named, and Boundary IoU."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from fusionseg.config.errors import UserError
from fusionseg.files.images import LABEL_SUFFIXES, read_labels
from fusionseg.files.matching import some
from fusionseg.metrics.contingency import Counts
from fusionseg.metrics.mask_boundaries import SHARE
from fusionseg.metrics.mean_ious import (
    ABSENT,
    SemanticTable,
    class_figures,
    image_means,
    mean_iou_figures,
    semantic_sums_of,
    semantic_table,
)
from fusionseg.sample import Counted, IntMap
from fusionseg.scores.class_names import class_names
from fusionseg.scores.pairs import pairs
from fusionseg.scores.result import Scores, Value
from fusionseg.scores.workers import mapped

ABOUT = """Scores label maps of class ids (PNG, TIFF, NPY). Papers and toolboxes mean different things by
mIoU: over the set or as a mean over images, and classes that do not occur left out, as 0 or as 1. All are
computed and named."""


MOST = 1024
"""Ids from here on are hardly classes, but instances or several void ids."""


@dataclass
class Options:
    """The arguments of the command.

    Args:
        truth: Folder of the true label maps, or one file.
        prediction: Folder of the predictions, or one file; names match up to the suffix.
        out: JSON file to write to, beside which the rows are written.
        classes: Number of classes, or a file with the name of one class in each line; where left out as many
            as the ids that occur.
        first: The id of the first class; 1 where 0 is void, as in ADE20K.
        void: Id of unlabeled pixels, or a list of them.
        boundary_share: Width of the bands of Boundary IoU as a share of the image's diagonal.
        common: Whether images that only one side has are left out.
        jobs: Number of processes; one for each core where left out.
    """

    truth: Path
    prediction: Path
    out: Path | None = None
    classes: int | Path | None = None
    first: int = 0
    void: int | list[int] = 255
    boundary_share: float = SHARE
    common: bool = False
    jobs: int | None = None


class _Measured(NamedTuple):
    """What a worker measures of an image.

    Args:
        cells: Which cells of the table of classes, flattened, are not 0.
        pixels: What they hold.
        sums: The other sums.
        means: Mean IoU by each definition.
        accuracy: The share of labeled pixels that are right.
    """

    cells: Counts
    pixels: Counts
    sums: Counted
    means: tuple[float, ...]
    accuracy: float


def score(options: Options) -> Scores:
    """Scores two folders.

    Raises:
        UserError: If files are missing, cannot be read, do not fit together, or hold other ids.
    """
    if not 0 < options.boundary_share < 1:
        raise UserError(
            f"expected boundary_share in (0, 1), a share of the diagonal, found {options.boundary_share}"
        )
    found, notices = pairs(options.truth, options.prediction, LABEL_SUFFIXES, LABEL_SUFFIXES, options.common)
    names = class_names(options.classes, options.first, partial(_highest, options, list(found.values())))
    measured = mapped(
        partial(_measure, options=options, num_classes=len(names)), list(found.values()), options.jobs
    )
    total = _total(measured, len(names))
    if not total["table"].any():
        raise UserError(f"expected labeled pixels, found none in {options.truth}: everything is void")
    each = class_figures(total["table"], total["boundary"])
    occurs = ~np.isnan(each["iou"])
    return Scores(
        metrics=mean_iou_figures(total),
        rows=_rows(list(found), measured),
        images=len(found),
        classes={
            name: {figure: float(values[i]) for figure, values in each.items()}
            for i, name in enumerate(names)
            if occurs[i]
        },
        notices=[*notices, *_notices(names, total, found, measured)],
    )


def _void(options: Options) -> list[int]:
    """The ids of unlabeled pixels."""
    return [options.void] if isinstance(options.void, int) else options.void


def _highest(options: Options, files: Sequence[tuple[Path, Path]]) -> int:
    """The highest id in all files.

    Raises:
        UserError: If it is hardly that of a class.
    """
    highest = max(mapped(partial(_own_highest, void=_void(options)), files, options.jobs, "reading ids"))
    if highest - options.first >= MOST:
        raise UserError(
            f"expected class ids below {MOST} in {options.truth} and {options.prediction}, found {highest}: "
            "say how many classes there are with --classes"
        )
    return highest


def _own_highest(files: tuple[Path, Path], void: Sequence[int]) -> int:
    """The highest id of a pair of label maps that is not void."""
    ids = [np.setdiff1d(np.unique(read_labels(path)).astype(np.int64), void) for path in files]
    return max(int(own.max(initial=-1)) for own in ids)


def _measure(files: tuple[Path, Path], options: Options, num_classes: int) -> _Measured:
    """Reads and measures one image."""
    truth_file, prediction_file = files
    truth = _classes(truth_file, options, num_classes)
    prediction = _classes(prediction_file, options, num_classes)
    if truth.shape != prediction.shape:
        raise UserError(
            f"expected label maps of one size, found {truth.shape} in {truth_file} and {prediction.shape} in "
            f"{prediction_file} (height, width)"
        )
    found = semantic_table(prediction, truth, num_classes, options.boundary_share)
    sums = dict(semantic_sums_of(found))
    table = sums.pop("table").ravel()
    cells = np.flatnonzero(table)
    return _Measured(cells, table[cells], sums, tuple(image_means(found).tolist()), _accuracy(found))


def _total(measured: Sequence[_Measured], num_classes: int) -> Counted:
    """The sums of all images, as `semantic_sums_of` gives them."""
    total = {name: np.sum([one.sums[name] for one in measured], 0) for name in measured[0].sums}
    table = np.zeros((num_classes, num_classes + 1), np.int64)
    for one in measured:
        table.reshape(-1)[one.cells] += one.pixels
    return {**total, "table": table}


def _accuracy(found: SemanticTable) -> float:
    """The share of labeled pixels that are right."""
    labeled = int(found.table.sum())
    return float(found.table.trace() / labeled) if labeled else float("nan")


def _classes(path: Path, options: Options, num_classes: int) -> IntMap:
    """The classes of a label map counted from 0, the number of classes where void.

    Raises:
        UserError: If an id is neither a class nor void.
    """
    ids = read_labels(path)
    values, place = np.unique(ids, return_inverse=True)
    void = np.isin(values, _void(options))
    position = np.where(void, num_classes, values.astype(np.int64) - options.first)
    if (strange := ~void & ((position < 0) | (position >= num_classes))).any():
        last = options.first + num_classes - 1
        raise UserError(
            f"expected class ids {options.first}..{last} or {', '.join(map(str, _void(options)))} for void, "
            f"found {values[strange][:5].tolist()} in {path}: mind --classes, --first and --void"
        )
    return position[place].reshape(ids.shape)


def _rows(names: Sequence[str], measured: Sequence[_Measured]) -> list[dict[str, Value]]:
    """The figures of each image."""
    rows: list[dict[str, Value]] = []
    for name, one in zip(names, measured, strict=True):
        means = dict(zip(ABSENT, one.means, strict=True))
        rows.append({"image": name, "accuracy": one.accuracy, **means})
    return rows


def _notices(
    names: Sequence[str], total: Counted, found: Mapping[str, object], measured: Sequence[_Measured]
) -> list[str]:
    """What the figures leave out."""
    notices = []
    table = total["table"]
    true = table.sum(1) > 0
    predicted = table.sum(0)[:-1] > 0
    seen = true | predicted
    if absent := [name for name, here in zip(names, seen, strict=True) if not here]:
        notices.append(
            f"{len(absent)} of {len(names)} classes occur in no map ({some(absent)}): miou leaves them out, "
            "miou_absent_zero counts them as 0"
        )
    if invented := [name for name, here, real in zip(names, seen, true, strict=True) if here and not real]:
        notices.append(f"predicted, but without a true pixel, so that their IoU is 0: {some(invented)}")
    if blank := int(table[:, -1].sum()):
        share = blank / table.sum()
        notices.append(f"{share:.1%} of the labeled pixels have no predicted class (void): they are wrong")
    if never := [
        name for name, real, given in zip(names, true, predicted, strict=True) if real and not given
    ]:
        notices.append(f"never predicted, so that their precision is undefined: {some(never)}")
    if true.sum() == 1:
        notices.append(
            "one class alone has true pixels: a prediction of that class everywhere would be perfect"
        )
    if void := [name for name, one in zip(found, measured, strict=True) if not one.sums["images"].any()]:
        notices.append(f"no labeled pixel in {some(void)}: left out")
    return notices
