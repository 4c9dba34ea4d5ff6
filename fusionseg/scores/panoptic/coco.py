"""COCO's panoptic files: JSON on both sides, each with a folder of PNG files."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from fusionseg.config.errors import UserError
from fusionseg.files.coco_panoptic import PanopticFile, panoptic_file, segment_map
from fusionseg.files.images import LABEL_SUFFIXES
from fusionseg.files.matching import by_stem, some
from fusionseg.sample import OFFSET, IntMap
from fusionseg.scores.pairs import matched
from fusionseg.scores.panoptic.base import ImageFiles, Options, PanopticSet


class CocoSide(NamedTuple):
    """The PNG file of an image and the segments that the JSON file lists for it."""

    path: Path
    segments: npt.NDArray[np.void]

    def codes(self, num_classes: int, crowds: bool) -> IntMap:
        """See `Side`.

        Raises:
            UserError: If an image has more segments than can be told apart.
        """
        segments = self.segments
        if len(segments) >= OFFSET:
            raise UserError(f"expected at most {OFFSET - 1} segments, found {len(segments)} in {self.path}")
        crowd = segments["crowd"] if crowds else np.zeros(len(segments), bool)
        label = segments["label"].astype(np.int64) + num_classes * crowd
        codes = np.append(0, (1 + label) * OFFSET + np.arange(1, len(segments) + 1))
        coded: IntMap = codes[segment_map(self.path, segments, complete=True)]
        return coded


def coco(options: Options) -> PanopticSet:
    """The images of two JSON files."""
    for path in (options.truth, options.prediction):
        if not path.is_file():
            raise UserError(
                f"expected a JSON file, found the folder {path}: for id files, --layout cityscapes or ade20k"
            )
    truth = panoptic_file(options.truth)
    prediction = panoptic_file(options.prediction, truth.categories)
    true = _sides(truth, options.truth_masks or options.truth.with_suffix(""))
    predicted = _sides(prediction, options.prediction_masks or options.prediction.with_suffix(""))
    names, notices = matched(true, predicted, options.truth, options.prediction, options.common)
    classes = [str(category["name"]) for category in truth.categories]
    things = [i for i, category in enumerate(truth.categories) if category["isthing"]]
    return PanopticSet(
        [ImageFiles(name, true[name], predicted[name]) for name in names], classes, things, notices
    )


def _sides(file: PanopticFile, folder: Path) -> dict[str, CocoSide]:
    """The PNG files and segments of a JSON file, by the ids of images.

    Raises:
        UserError: If a PNG file is missing.
    """
    if not folder.is_dir():
        raise UserError(
            f"expected a folder of PNG files, found no {folder}: name it with --truth-masks or "
            "--prediction-masks"
        )
    found = by_stem(folder, LABEL_SUFFIXES)
    if missing := [label for label in file.labels.values() if label not in found]:
        raise UserError(
            f"expected the PNG files that the JSON file lists in {folder}, found no {some(missing)}"
        )
    return {
        str(image): CocoSide(found[file.labels[image]], segments) for image, segments in file.segments.items()
    }
