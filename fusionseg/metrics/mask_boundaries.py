"""The band of pixels along the inside of each mask's contour, which Boundary IoU compares."""

import cv2
import numpy as np
import numpy.typing as npt

from fusionseg.sample import IntMap

Mask = npt.NDArray[np.bool_]
"""A boolean map (H, W)."""

SHARE = 0.02
"""The width of the band as a share of the image's diagonal, by default as the paper has it for COCO."""


def boundary_distance(shape: tuple[int, ...], share: float = SHARE) -> int:
    """The width of the band in pixels, at least 1.

    >>> boundary_distance((480, 640)), boundary_distance((8, 8))
    (16, 1)

    Args:
        shape: Height and width of the image.
        share: The width as a share of the image's diagonal.

    Raises:
        ValueError: If the share is not in (0, 1).
    """
    if not 0 < share < 1:
        raise ValueError(f"expected a share of the diagonal in (0, 1), found {share}")
    height, width = shape
    return max(1, round(share * float(np.sqrt(height**2 + width**2))))


def mask_boundary(mask: Mask, distance: int) -> Mask:
    """The pixels (H, W) of one mask that are within a distance of its contour (Cheng et al., CVPR 2021).

    As in the official code these are the pixels that vanish when the mask is eroded `distance` times by 3 x 3
    pixels; there is nothing outside of the image, so its rim is contour.

    Args:
        mask: The pixels of the mask (H, W).
        distance: The width of the band in pixels, at least 1.

    Raises:
        ValueError: If the distance is less than 1.
    """
    return mask & label_boundaries(mask.astype(np.uint8), distance)


def label_boundaries(labels: IntMap, distance: int) -> Mask:
    """The pixels (H, W) of a label map that are within a distance of the contour of their own label's mask.

    The union of `mask_boundary` of the masks of all ids, at the cost of one: a pixel vanishes from its mask
    if another label or the rim is at most `distance` rows and columns away, that is if a pixel that touches
    another label or the rim is nearer than that. Every id is a label, also 0.

    Args:
        labels: Ids (H, W) of any integer type and any number.
        distance: The width of the band in pixels, at least 1.

    Raises:
        ValueError: If the distance is less than 1.
    """
    if distance < 1:
        raise ValueError(f"expected a distance of at least 1 pixel, found {distance}")
    touching = _touching(labels)
    if distance == 1 or not touching.size:
        return touching
    window = np.ones((3, 3), np.uint8)
    near = cv2.dilate(touching.view(np.uint8), window, iterations=distance - 1)
    return np.asarray(near, bool)


def _touching(labels: IntMap) -> Mask:
    """Pixels with another label among their 8 neighbors, or on the rim."""
    height, width = labels.shape
    touching = np.zeros((height, width), bool)
    touching[:1] = True
    touching[-1:] = True
    touching[:, :1] = True
    touching[:, -1:] = True
    for down, left, right in ((0, 0, 1), (1, 0, 0), (1, 0, 1), (1, 1, 0)):
        here = slice(0, height - down), slice(left, width - right)
        there = slice(down, height), slice(right, width - left)
        differs = labels[here] != labels[there]
        touching[here] |= differs
        touching[there] |= differs
    return touching
