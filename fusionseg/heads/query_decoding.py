"""Region maps from the masks of queries: every pixel joins the most likely one."""

import math
from collections.abc import Iterable, Sequence
from typing import TypeAlias

import cv2
import numpy as np
import numpy.typing as npt
from torch import Tensor

from fusionseg.heads.region_decoding import filled, numbered
from fusionseg.sample import Frame

Map: TypeAlias = npt.NDArray[np.float32]
Labels: TypeAlias = npt.NDArray[np.int32]
Place: TypeAlias = tuple[slice, slice]

_REACH = 2
"""How many rows and columns away pixels of a map may be that have a part in an enlarged one."""

_AROUND = np.ones((2 * _REACH + 1, 2 * _REACH + 1), np.uint8)


def query_regions(
    masks: Tensor,
    objects: Tensor,
    frame: Frame,
    threshold: float = 0.8,
    overlap: float = 0.8,
    min_area: int = 20,
) -> Labels:
    """The region map, int32 (H, W) from 1 (MaskFormer, arXiv:2107.06278, section 3.4).

    A pixel joins the query with the largest product of the probabilities to be an object and to have the
    pixel in its mask. As in the paper, unlikely objects and masks that others mostly hide do not take part;
    there their pixels are left over, here they join the others. Without any mask all pixels are region 1.

    Args:
        masks: The logits of the masks (N, h, w).
        objects: The probability of each query to be an object (N,).
        frame: The sizes of the network's input and of the wanted map.
        threshold: Less likely objects do not take part.
        overlap: Nor do masks that win a smaller share of the pixels that are more likely in them than not.
        min_area: Regions of fewer pixels of the label file are merged into the nearest one.
    """
    likely = objects >= threshold
    probability = masks[likely].sigmoid().nan_to_num(0)
    scores = (objects[likely, None, None] * probability).cpu().numpy()
    rows, columns = (
        slice(math.ceil(length * valid / padded))
        for length, valid, padded in zip(masks.shape[1:], frame.valid, frame.padded, strict=True)
    )
    inside = (probability[:, rows, columns] > 0.5).cpu().numpy()
    winner = _winners(scores[:, rows, columns], inside.shape[1:])
    scores = scores[_shares(winner, inside) >= max(overlap, np.finfo(float).tiny)]
    # Enlarged one by one, so that only one is in memory.
    places = _places(scores, frame)
    winner = _winners((_resized(score, frame) for score in scores), frame.size, places)
    return filled(numbered(winner, min_area))


def _winners(scores: Iterable[Map], size: Sequence[int], places: Sequence[Place] = ()) -> Labels:
    """The number (H, W), from 1, of the first map with the largest score of a pixel; 0 where all are 0.

    Args:
        scores: The maps (H, W).
        size: Their size.
        places: The rows and columns in which each may have the largest score; all by default.
    """
    best = np.zeros(size, np.float32)
    winner = np.zeros(size, np.int32)
    for number, score in enumerate(scores, 1):
        place = places[number - 1] if places else np.s_[:, :]
        np.copyto(winner[place], number, where=score[place] > best[place])
        np.maximum(best[place], score[place], out=best[place])
    return winner


def _places(scores: Map, frame: Frame) -> list[Place]:
    """The rows and columns at `frame.size` outside of which each of the maps (N, h, w) has no largest score.

    Where maps are enlarged twice, linearly, one of the pixels at most two rows and columns away has a
    sixteenth of the weight. So the largest score is at least a sixteenth of the largest one there, and a map
    whose scores around are all smaller does not have it.
    """
    best = scores.max(0, initial=0)
    lowest = cv2.erode(best, _AROUND) / 32  # and as much again for what is rounded
    factors = [
        padded / length * size / valid for padded, valid, size, length in zip(*frame, best.shape, strict=True)
    ]
    places = []
    for score in scores:
        possible = cv2.dilate(score, _AROUND) >= lowest
        left, top, width, height = cv2.boundingRect(possible.view(np.uint8))
        spans = [
            slice(
                max(math.floor((first - _REACH) * factor), 0), math.ceil((first + length + _REACH) * factor)
            )
            for first, length, factor in zip((top, left), (height, width), factors, strict=True)
        ]
        places.append((spans[0], spans[1]))
    return places


def _shares(winner: Labels, inside: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
    """The share (n,) of the pixels inside of a mask (n, h, w) that it wins (h, w); 0 if there are none."""
    rows, columns = np.nonzero(winner)
    numbers = winner[rows, columns]
    own = numbers[inside[numbers - 1, rows, columns]]
    won = np.bincount(own, minlength=len(inside) + 1)[1:]
    return np.asarray(won / np.maximum(inside.sum((1, 2)), 1))


def _resized(score: Map, frame: Frame) -> Map:
    """A map (h, w), without its padding, at `frame.size`: bilinear, as `fusionseg.heads.base.resized`."""
    height, width = frame.valid
    unpadded = cv2.resize(score, frame.padded[::-1], interpolation=cv2.INTER_LINEAR)[:height, :width]
    return np.asarray(cv2.resize(unpadded, frame.size[::-1], interpolation=cv2.INTER_LINEAR))
