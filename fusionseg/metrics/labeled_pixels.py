"""What was predicted where an image has a label, and the label, for metrics of numbers and of vectors."""

import numpy as np
import numpy.typing as npt

from fusionseg.metrics.contingency import Floats


def labeled_pixels(
    prediction: npt.NDArray[np.floating],
    truth: npt.NDArray[np.floating],
    valid: npt.NDArray[np.bool_],
    kind: str,
) -> tuple[Floats, Floats]:
    """The values, predicted and true, of the N valid pixels of an image, each (N,) or (3, N) float64.

    Args:
        prediction: Depth, disparity (H, W) or normals (3, H, W); values on invalid pixels do not matter.
        truth: The same of the labels.
        valid: Which pixels (H, W) have a label.
        kind: What these are, for messages: `depth`, `disparity` or `normals`.

    Raises:
        ValueError: If the sizes differ or the prediction is not finite on valid pixels.
    """
    if prediction.shape != truth.shape or (kind == "normals" and len(truth) != 3):
        form = "normals (3, H, W)" if kind == "normals" else kind
        raise ValueError(
            f"expected {form} of the truth's shape {truth.shape}, found {prediction.shape}: "
            "resize the prediction to the label file"
        )
    p = prediction[..., valid].astype(np.float64)
    if broken := np.count_nonzero(~np.isfinite(p).all(tuple(range(p.ndim - 1)))):
        raise ValueError(
            f"expected finite {kind}, found NaN or infinity in {broken} of {p.shape[-1]} valid pixels: "
            "look for a training that diverged"
        )
    return p, truth[..., valid].astype(np.float64)
