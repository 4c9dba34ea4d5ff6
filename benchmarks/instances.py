"""Times instance scores against loops over pairs of masks, as COCO's and Boundary IoU's own code have them.

python -m benchmarks.instances [--scenes 4] [--rounds 5]
"""

from functools import partial

import cv2
import numpy as np

from benchmarks.metrics import agree
from benchmarks.scenes import Scene, scene
from benchmarks.timing import Target, command_line, ratios, show
from fusionseg.metrics.contingency import Floats
from fusionseg.metrics.detections import RECALLS, Detections, average_precision, detections
from fusionseg.metrics.instances import THRESHOLDS, instances
from fusionseg.metrics.mask_boundaries import Mask, boundary_distance


def ours(scenes: list[Scene]) -> list[float]:
    """Average precision with the IoU of masks and with that of boundaries."""
    found = []
    truths = 0
    for one in scenes:
        distance = boundary_distance(one.region.shape)
        compared = instances(one.truth.region, one.region, distance)
        found.append(detections(compared, _scores(len(compared.predictions))))
        truths += compared.truths.size
    joined = Detections(*(np.concatenate(parts) for parts in zip(*found, strict=True)))
    return [
        float(average_precision(joined.scores, iou, truths).mean())
        for iou in (joined.iou, joined.boundary_iou)
    ]


def loops(scenes: list[Scene]) -> list[float]:
    """The same, pair by pair, threshold by threshold and prediction by prediction."""
    tables = [_tables(one) for one in scenes]
    return [_loops_precision([table[kind] for table in tables]) for kind in (0, 1)]


def _scores(number: int) -> Floats:
    """Different confidences of predictions."""
    return np.random.default_rng(number).permutation(number) / number


def _tables(one: Scene) -> tuple[Floats, Floats]:
    """The IoU of each prediction with each truth, of masks and the smaller one of masks and boundaries."""
    distance = boundary_distance(one.region.shape)
    sides = [[ids == number for number in np.unique(ids[ids > 0])] for ids in (one.region, one.truth.region)]
    bands = [[_band(mask, distance) for mask in masks] for masks in sides]
    whole, narrow = (np.array([[_iou(p, t) for t in side[1]] for p in side[0]]) for side in (sides, bands))
    return whole, np.minimum(whole, narrow)


def _band(mask: Mask, distance: int) -> Mask:
    padded = cv2.copyMakeBorder(mask.astype(np.uint8), 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    inner = cv2.erode(padded, np.ones((3, 3), np.uint8), iterations=distance)[1:-1, 1:-1]
    return np.asarray(mask & (inner == 0))


def _iou(one: Mask, other: Mask) -> float:
    either = np.count_nonzero(one | other)
    return float(np.count_nonzero(one & other) / either) if either else 0.0


def _loops_precision(tables: list[Floats]) -> float:
    """COCO's average precision over all thresholds."""
    truths = sum(table.shape[1] for table in tables)
    scores = np.concatenate([_scores(len(table)) for table in tables])
    order = np.argsort(-scores, kind="stable")
    means = []
    for threshold in THRESHOLDS:
        hits = np.concatenate([_hits(table, threshold) for table in tables])[order]
        recall = np.cumsum(hits) / truths
        precision = np.cumsum(hits) / np.arange(1, len(hits) + 1)
        for i in range(len(precision) - 1, 0, -1):
            precision[i - 1] = max(precision[i - 1], precision[i])
        at = np.searchsorted(recall, RECALLS, side="left")
        means.append(np.mean([precision[i] if i < len(precision) else 0.0 for i in at]))
    return float(np.mean(means))


def _hits(table: Floats, threshold: float) -> Mask:
    """Which predictions of an image find a truth, the most confident one first."""
    hits = np.zeros(len(table), bool)
    taken = np.zeros(table.shape[1], bool)
    for prediction in np.argsort(-_scores(len(table)), kind="stable"):
        best = -1
        least = threshold
        for truth, iou in enumerate(table[prediction]):
            if not taken[truth] and iou >= least:
                least = iou
                best = truth
        if best >= 0:
            taken[best] = hits[prediction] = True
    return hits


def main() -> None:
    parser = command_line(__doc__)
    parser.add_argument("--scenes", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    cv2.setNumThreads(1)
    scenes = [scene(seed) for seed in range(args.scenes)]
    agree("instances", ours(scenes), loops(scenes))
    measured = ratios(
        {"fusionseg": partial(ours, scenes), "loops": partial(loops, scenes)}, "fusionseg", args.rounds
    )
    title = "average precision of masks and boundaries, 360x480, 60 instances"
    show(title, measured, {"loops": Target(10, at_least=True)})


if __name__ == "__main__":
    main()
