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
    winner = _winners((_resized(score, frame) for score in scores), frame.size)
    return filled(numbered(winner, min_area))


def _winners(scores: Iterable[Map], size: Sequence[int]) -> Labels:
    """The number (H, W), from 1, of the first map with the largest score of a pixel; 0 where all are 0."""
    best = np.zeros(size, np.float32)
    winner = np.zeros(size, np.int32)
    for number, score in enumerate(scores, 1):
        np.copyto(winner, number, where=score > best)
        np.maximum(best, score, out=best)
    return winner


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
