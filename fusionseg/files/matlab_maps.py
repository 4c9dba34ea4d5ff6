"""Reads a label map from a MATLAB file that holds one, as SBD and PASCAL-Context distribute theirs."""

import numpy as np
from scipy.io import loadmat

from fusionseg.config.errors import UserError
from fusionseg.files.readable_path import ReadablePath
from fusionseg.sample import IntMap


def matlab_map(path: ReadablePath, variable: str, field: str | None = None) -> IntMap:
    """The ids (H, W) in a variable of a MATLAB file, or in a field of one that is a struct.

    Args:
        path: The file.
        variable: The name of the variable.
        field: The name of the field.

    Raises:
        UserError: The file has another content.
    """
    wanted = f"the label map {variable}.{field}" if field else f"the label map {variable}"
    try:
        with path.open("rb") as file:
            values = loadmat(file, variable_names=[variable])[variable]
        ids = np.asarray(values if field is None else values[field].item())
    except OSError:
        raise
    except Exception as error:  # the reader of MATLAB's formats does not document what it raises
        raise UserError(f"expected {wanted} in {path}, found {error!r}: download it again") from error
    if ids.ndim != 2 or not ids.size or ids.dtype.kind not in "iu":
        raise UserError(f"expected {wanted} of integers (H, W) in {path}, found {ids.dtype} {ids.shape}")
    return np.ascontiguousarray(ids)
