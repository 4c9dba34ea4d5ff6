import numpy as np
import pytest

from fusionseg.metrics import SceneMetrics
from fusionseg.sample import Truth
from fusionseg.studies.report.suites import suite_of_sums


def test_sums_of_offsets_and_of_inverse_depth_have_their_figures() -> None:
    suite = suite_of_sums({"semantic": (3, 3), "offsets": (2,), "depth": (7,), "inverse_depth": (2,)})
    assert {"miou", "instance_error", "depth_rmse", "inverse_depth_error"} <= {*suite.names}
    assert "disparity_rmse" not in suite.names


@pytest.mark.parametrize("single", [False, True])
def test_sums_of_scenes_have_the_figures_of_their_own_form(single: bool) -> None:
    metric = SceneMetrics(4, single=single)
    labels = np.zeros((2, 2), int)
    sums = metric.sums(np.full(4, 0.25, np.float32), Truth(labels, labels))
    suite = suite_of_sums({name: value.shape for name, value in sums.items()})
    [found] = suite
    assert isinstance(found, SceneMetrics)
    assert (found.single, found.main) == (single, metric.main)
    assert found.names == metric.names
    assert found.figures(sums).keys() == metric.figures(sums).keys()
