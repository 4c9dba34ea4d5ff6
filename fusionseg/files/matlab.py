"""Reads the MATLAB files of the Berkeley benchmark: ground truth, ultrametric contour maps, segmentations."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt
from scipy.io import loadmat
from scipy.sparse import issparse

from fusionseg.config.errors import UserError
from fusionseg.files.readable_path import ReadablePath
from fusionseg.sample import Array, IntMap

Value = TypeVar("Value", np.uint16, np.bool_)


def drawn_regions(path: ReadablePath) -> list[npt.NDArray[np.uint16]]:
    """The region ids (H, W) of each annotator, `Segmentation` in the cells `groundTruth`; 0 is unlabeled.

    Raises:
        UserError: If the file has another content, or no annotator.
    """
    return _annotations(path, "Segmentation", _ids)


def drawn_boundaries(path: ReadablePath) -> list[npt.NDArray[np.bool_]]:
    """The boundary pixels (H, W) of each annotator, `Boundaries` in the cells `groundTruth`.

    Raises:
        UserError: If the file has another content, or no annotator.
    """
    return _annotations(path, "Boundaries", _drawn)


def _annotations(
    path: ReadablePath, name: str, read: Callable[[Any], npt.NDArray[Value]]
) -> list[npt.NDArray[Value]]:
    """The maps of one name of each annotator; at least one, all of one size."""
    wanted = f"expected BSDS500's cell array groundTruth with {name} from each annotator"
    try:
        with path.open("rb") as file:
            content = loadmat(file)
        if "groundTruth" not in content:
            raise UserError(f"{wanted}, found {_names(content)} alone: it may be a prediction,")
        people = [person for cell in np.ravel(content["groundTruth"]) for person in np.ravel(cell)]
        maps = [read(person[name]) for person in people]
    except UserError as error:
        raise UserError(f"{error} in {path}") from error
    except Exception as error:  # the reader of MATLAB's formats does not document what it raises
        raise UserError(
            f"{wanted}, found {error!r} in {path}{_remedy(path) or ': download it again'}"
        ) from error
    if not maps:
        raise UserError(f"expected at least one annotator in groundTruth, found none in {path}")
    if len(shapes := {map_.shape for map_ in maps}) > 1:
        raise UserError(f"expected maps of one size, found {sorted(shapes)} in {path}")
    return maps


def _names(content: Mapping[str, object]) -> str:
    """The names of what a file holds."""
    return ", ".join(name for name in content if not name.startswith("_")) or "nothing"


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


def _ids(region: Any) -> npt.NDArray[np.uint16]:
    """A label map of MATLAB, which often keeps ids as floats, as 16-bit ids.

    Raises:
        UserError: If it is none.
    """
    ids = np.asarray(region)
    if ids.ndim != 2 or not ids.size or not _is_whole(ids) or ids.min() < 0 or ids.max() > 65535:
        found = f"{ids.min()}..{ids.max()}" if ids.size and ids.dtype.kind in "biuf" else "no numbers"
        raise UserError(
            f"expected label maps of whole region ids 0..65535, found {ids.dtype} {ids.shape} with {found}"
        )
    return np.ascontiguousarray(ids, np.uint16)


def _is_whole(values: Array) -> bool:
    """Whether all values are integers, of whatever type."""
    return values.dtype.kind in "iu" or (
        values.dtype.kind == "f" and bool(np.isfinite(values).all() and (values == np.floor(values)).all())
    )


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
        raise UserError(f"{wanted}, found {_names(content)} in {path}")
    if any(map_.ndim != 2 or map_.shape != partitions[0].shape for map_ in partitions):
        raise UserError(
            f"expected partitions of one size, found {sorted({m.shape for m in partitions})[:5]} in {path}"
        )
    return Segmentation(None, [_whole(map_, path) for map_ in partitions])


def _whole(map_: Array, path: ReadablePath) -> IntMap:
    """The ids of a partition, which MATLAB often keeps as floats."""
    if not _is_whole(map_) or map_.min(initial=0) < 0 or map_.max(initial=0) >= 2**53:
        raise UserError(f"expected whole region ids that are not negative in segs, found others in {path}")
    ids: IntMap = map_.astype(np.int64)
    return ids
