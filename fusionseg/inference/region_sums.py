"""Areas, boxes, classes and scores of regions that are seen in parts."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from fusionseg.files.images import boxes
from fusionseg.metrics.contingency import totals
from fusionseg.sample import VOID, Array, Classes, IntMap

Ints = npt.NDArray[np.int64]


class RegionSums:
    """What the table of segments says of the regions of an image, added part by part.

    Memory grows with the number of regions, not with the image.

    Attributes:
        has_classes: Whether parts have classes.
    """

    def __init__(self) -> None:
        self.has_classes = False
        self._parts: list[Ints] = []
        self._scores: list[npt.NDArray[np.float64]] = []
        self._votes: list[Ints] = []

    def add(
        self,
        region: IntMap,
        semantic: IntMap | None,
        confidence: Array | None,
        place: tuple[int, int],
    ) -> None:
        """Adds a part of the image.

        Args:
            region: Region ids (H, W); 0 is no region.
            semantic: Class ids (H, W), if there are classes.
            confidence: The probability (H, W) of each pixel's class, if there are classes.
            place: Its first row and column in the image.
        """
        ids, index = np.unique(region, return_inverse=True)
        index = index.reshape(region.shape)
        corners, areas = boxes(index, len(ids))
        left, top, width, height = np.array(corners).T
        top += place[0]
        left += place[1]
        rows = np.stack(
            [ids.astype(np.int64), np.array(areas), left, top, left + width, top + height], axis=1
        )
        scores = np.full(len(ids), np.nan)
        if confidence is not None:
            scores = totals(index.ravel(), confidence.ravel().astype(float), len(ids))
        self._parts.append(rows[ids > 0])
        self._scores.append(scores[ids > 0])
        if semantic is not None:
            self.has_classes = True
            codes, counts = np.unique(index.astype(np.int64) * (VOID + 1) + semantic, return_counts=True)
            number, label = np.divmod(codes, VOID + 1)
            votes = np.stack([ids[number].astype(np.int64), label, counts], axis=1)
            self._votes.append(votes[(votes[:, 0] > 0) & (label < VOID)])

    def present(self) -> Ints:
        """The ids that have pixels, ascending."""
        return np.unique(np.concatenate([rows[:, 0] for rows in self._parts]))

    def rows(self, ids: npt.NDArray[np.uint32], classes: Classes) -> Iterator[dict[str, Any]]:
        """The rows of the table of segments, in the order of the new ids.

        Args:
            ids: The new id, from 1, of each old one.
            classes: The classes.
        """
        parts = np.concatenate(self._parts)
        index = ids[parts[:, 0]].astype(np.int64) - 1
        count = int(index.max(initial=-1)) + 1
        areas = totals(index, parts[:, 1], count)
        scores = totals(index, np.concatenate(self._scores), count) / areas
        low = np.full((count, 2), np.iinfo(np.int64).max)
        high = np.zeros((count, 2), np.int64)
        np.minimum.at(low, index, parts[:, 2:4])
        np.maximum.at(high, index, parts[:, 4:6])
        labels = self._majority(ids, count)
        for i in range(count):
            label = int(labels[i])
            (left, top), (width, height) = low[i].tolist(), (high[i] - low[i]).tolist()
            yield {
                "id": i + 1,
                "class": classes.names[label] if label < VOID else None,
                "thing": label in classes.things if label < VOID else None,
                "area": int(areas[i]),
                "left": left,
                "top": top,
                "width": width,
                "height": height,
                "score": float(scores[i]),
            }

    def _majority(self, ids: npt.NDArray[np.uint32], count: int) -> Ints:
        """The class of most pixels of each region, of equally frequent ones the smaller id; else `VOID`."""
        labels = np.full(count, VOID)
        if not self.has_classes:
            return labels
        votes = np.concatenate(self._votes)
        codes, index = np.unique(
            (ids[votes[:, 0]].astype(np.int64) - 1) * (VOID + 1) + votes[:, 1], return_inverse=True
        )
        number, label = np.divmod(codes, VOID + 1)
        pixels = totals(index, votes[:, 2], len(codes))
        # the last one that is written counts: that of most votes, of these the smallest class
        order = np.lexsort((-label, pixels))
        labels[number[order]] = label[order]
        return labels
