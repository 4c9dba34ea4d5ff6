"""The things of an answer in COCO's instances format."""

from collections.abc import Iterable, Mapping
from typing import Any

from fusionseg.files.atomic import Json
from fusionseg.files.coco_instances import segmentation
from fusionseg.inference.answer import Answer
from fusionseg.sample import OFFSET


def instances(answer: Answer, rows: Iterable[Mapping[str, Any]]) -> list[Json]:
    """The annotation of each thing of a panoptic map, but for the ids of annotation and image.

    These are `category_id`, `segmentation` (see `fusionseg.files.coco_instances`), `area` in pixels, `bbox`
    as [x, y, width, height], `iscrowd` (0) and `score`, the mean confidence, null where there is none.

    Args:
        answer: The answer.
        rows: The rows of its table of segments.
    """
    panoptic = answer.panoptic
    found = []
    for row in rows:
        if not row["thing"]:
            continue
        left, top, width, height = box = [row[side] for side in ("left", "top", "width", "height")]
        mask = panoptic[top : top + height, left : left + width] == row["id"]
        annotation = {
            "category_id": answer.classes.file_ids[row["id"] // OFFSET],
            "segmentation": segmentation(mask, left, top, panoptic.shape),
            "area": row["area"],
            "bbox": box,
            "iscrowd": 0,
            "score": row["score"],
        }
        found.append(annotation)
    return found
