from fusionseg.studies.report.suites import suite_of_sums


def test_sums_of_offsets_and_of_inverse_depth_have_their_figures() -> None:
    suite = suite_of_sums({"semantic": (3, 3), "offsets": (2,), "depth": (7,), "inverse_depth": (2,)})
    assert {"miou", "instance_error", "depth_rmse", "inverse_depth_error"} <= {*suite.names}
    assert "disparity_rmse" not in suite.names
