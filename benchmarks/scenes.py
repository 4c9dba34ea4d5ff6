"""Label maps of scenes with predictions, for timing metrics."""

from typing import NamedTuple

import cv2
import numpy as np
import torch

from fusionseg.sample import VOID, Classes, IntMap, Sample, Truth

SIZE = (360, 480)
CLASSES = Classes(tuple("abcdefghijk"), ((0, 0, 0),) * 11, things=(2, 6, 8, 9, 10))


class Scene(NamedTuple):
    """The ground truth of an image, and a prediction whose outlines are off by some pixels."""

    truth: Truth
    semantic: IntMap
    region: IntMap
    panoptic: IntMap


def scene(seed: int) -> Scene:
    """A scene of 60 Voronoi cells of one class each, some void; a tenth of the predictions are wrong."""
    random = np.random.default_rng(seed)
    points = random.random((60, 2)) * SIZE
    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]]
    region = ((rows[..., None] - points[:, 0]) ** 2 + (columns[..., None] - points[:, 1]) ** 2).argmin(-1) + 1
    classes = random.integers(0, len(CLASSES), 61)
    guesses = np.where(random.random(61) < 0.1, random.integers(0, len(CLASSES), 61), classes)
    classes[:4] = VOID
    # smooth random displacements of the outlines
    y = rows + cv2.GaussianBlur(random.normal(0, 60, SIZE), (0, 0), 9)
    x = columns + cv2.GaussianBlur(random.normal(0, 60, SIZE), (0, 0), 9)
    y = np.clip(y, 0, rows.max()).astype(int)
    x = np.clip(x, 0, columns.max()).astype(int)
    warped = region[y, x]
    truth = Truth(
        classes[region].astype(np.uint8), np.where(classes[region] == VOID, 0, region).astype(np.uint16)
    )
    answer = Truth(guesses[warped].astype(np.uint8), warped.astype(np.uint16))
    return Scene(truth, answer.semantic, answer.region, answer.panoptic(CLASSES.things))


def sample(semantic: IntMap, region: IntMap) -> Sample:
    """A batch of one random image with class ids (H, W) and region ids (H, W)."""
    maps = {"semantic": semantic, "region": region}
    labels = {name: torch.from_numpy(labels.astype(np.int64))[None] for name, labels in maps.items()}
    return {"image": torch.randint(0, 256, (1, 3, *SIZE), dtype=torch.uint8), **labels, "name": ["scene"]}
