import numpy as np
import pytest

from fusionseg.metrics import DisparityMetrics, ImageMetric, LibMTLDisparityMetrics, MTANDisparityMetrics
from fusionseg.sample import Truth


@pytest.mark.parametrize("kind", [DisparityMetrics, LibMTLDisparityMetrics, MTANDisparityMetrics])
def test_messages_call_disparity_disparity(kind: type[ImageMetric]) -> None:
    labels = np.zeros((1, 3), int)
    truth = Truth(labels, labels, maps={"disparity": np.ones((1, 3), np.float32)})
    with pytest.raises(ValueError, match="expected disparity of the truth's shape"):
        kind().sums(np.ones((3, 1)), truth)  # type: ignore[call-arg]
    with pytest.raises(ValueError, match="expected finite disparity, found NaN or infinity in 1 of 3"):
        kind().sums(np.array([[1.0, np.nan, 1.0]]), truth)  # type: ignore[call-arg]
