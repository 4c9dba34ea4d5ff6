"""Reads the MATLAB files of the Berkeley benchmark: ground truth, ultrametric contour maps, segmentations."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.io import loadmat
from scipy.sparse import issparse

from fusionseg.config.errors import UserError
from fusionseg.files.readable_path import ReadablePath
from fusionseg.sample import Array, IntMap


class Annotation(NamedTuple):
    """What one person drew.

    Args:
        region: Region ids (H, W), 0 where unlabeled.
        boundaries: Boundary pixels (H, W).
    """

    region: npt.NDArray[np.uint16]
    boundaries: npt.NDArray[np.bool_]


def annotations(path: ReadablePath) -> list[Annotation]:
    """The annotations of an image, the cell array `groundTruth`; at least one.

    Raises:
        UserError: If the file has another content.
    """
    try:
        with path.open("rb") as file:
            cells = np.ravel(loadmat(file)["groundTruth"])
        people = [person for cell in cells for person in np.ravel(cell)]
        regions = [person["Segmentation"] for person in people]
        boundaries = [_drawn(person["Boundaries"]) for person in people]
    except UserError as error:
        raise UserError(f"{error} in {path}") from error
    except Exception as error:  # the reader of MATLAB's formats does not document what it raises
        raise UserError(
            "expected BSDS500's cell array groundTruth with Segmentation and Boundaries from each annotator, "
            f"found {error!r} in {path}{_remedy(path) or ': download it again'}"
        ) from error
    if not people:
        raise UserError(f"expected at least one annotator in groundTruth, found none in {path}")
    shapes = {map_.shape for map_ in [*regions, *boundaries]}
    if len(shapes) > 1:
        raise UserError(f"expected maps of one size, found {sorted(shapes)} in {path}")
    return [Annotation(_ids(region, path), drawn) for region, drawn in zip(regions, boundaries, strict=True)]


def _drawn(boundaries: Any) -> npt.NDArray[np.bool_]:
    """A map of MATLAB as boundary pixels.

    Raises:
        UserError: If it is none.
    """
    values = np.asarray(boundaries.toarray() if issparse(boundaries) else boundaries)
    if values.ndim != 2 or values.dtype.kind not in "biuf" or not np.isfinite(values).all():
        raise UserError(f"expected Boundaries of finite numbers, found {values.dtype} {values.shape}")
    drawn = values > 0
    if drawn.size and drawn.mean() > 0.5:
        raise UserError(
            f"expected Boundaries, 0 where there is none, found {drawn.mean():.0%} of the pixels to be "
            "boundary: they may be inverted,"
        )
    return drawn


def _remedy(path: ReadablePath) -> str:
    """What to do with a file of MATLAB's newer format, which is not read."""
    with path.open("rb") as file:
        return ": save it with -v7" if file.read(10) == b"MATLAB 7.3" else ""


def _ids(region: Array, path: ReadablePath) -> npt.NDArray[np.uint16]:
    """A label map of MATLAB as 16-bit ids."""
    low = region.min(initial=0)
    high = region.max(initial=0)
    if region.ndim != 2 or not region.size or region.dtype.kind not in "iu" or low < 0 or high > 65535:
        raise UserError(
            f"expected label maps of integer region ids 0..65535, found {region.dtype} {region.shape} "
            f"with {low}..{high} in {path}"
        )
    return np.ascontiguousarray(region, np.uint16)


class Segmentation(NamedTuple):
    """What a method answered for one image; one of the two.

    Args:
        ultrametric: A contour map of double resolution (2H + 1, 2W + 1), not negative.
        partitions: Region ids (H, W), one map for each threshold or setting.
    """

    ultrametric: npt.NDArray[np.float64] | None
    partitions: Sequence[IntMap]


def segmentation(path: ReadablePath) -> Segmentation:
    """The ultrametric map `ucm2` or the partitions `segs` of a file.

    Raises:
        UserError: If the file has neither, or they cannot be such.
    """
    wanted = "expected ucm2, a contour map of 2H + 1 x 2W + 1 values, or segs, a cell array of partitions"
    try:
        with path.open("rb") as file:
            content = loadmat(file)
    except Exception as error:
        raise UserError(f"{wanted}, found {error!r} in {path}{_remedy(path)}") from error
    if "ucm2" in content:
        contours = np.asarray(content["ucm2"])
        odd = contours.ndim == 2 and all(side % 2 for side in contours.shape) and min(contours.shape) > 2
        if not odd or contours.dtype.kind not in "fiu":
            raise UserError(f"{wanted}, found ucm2 of {contours.dtype} {contours.shape} in {path}")
        contours = contours.astype(np.float64)
        if not np.isfinite(contours).all() or contours.min() < 0 or contours.max() > 1:
            raise UserError(
                f"expected contours in [0, 1] in {path}, found {contours.min()}..{contours.max()}"
            )
        return Segmentation(contours, [])
    partitions = [np.asarray(map_) for map_ in np.ravel(content.get("segs", []))]
    if not partitions:
        names = ", ".join(name for name in content if not name.startswith("_")) or "nothing"
        raise UserError(f"{wanted}, found {names} in {path}")
    if any(map_.ndim != 2 or map_.shape != partitions[0].shape for map_ in partitions):
        raise UserError(
            f"expected partitions of one size, found {sorted({m.shape for m in partitions})[:5]} in {path}"
        )
    return Segmentation(None, [_whole(map_, path) for map_ in partitions])


def _whole(map_: Array, path: ReadablePath) -> IntMap:
    """The ids of a partition, which MATLAB often keeps as floats."""
    whole = map_.dtype.kind in "fiu" and bool(np.isfinite(map_).all() and (map_ == np.floor(map_)).all())
    if not whole or map_.min(initial=0) < 0 or map_.max(initial=0) >= 2**53:
        raise UserError(f"expected whole region ids that are not negative in segs, found others in {path}")
    ids: IntMap = map_.astype(np.int64)
    return ids
