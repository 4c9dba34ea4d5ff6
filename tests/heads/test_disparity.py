from collections.abc import Callable

import cv2
import numpy as np
import torch

from fusionseg.heads import DisparityHead
from fusionseg.metrics import DisparityMetrics
from fusionseg.sample import Classes, Sample

CLASSES = Classes(("a",), ((0, 0, 0),))


def test_near_is_bright_where_numbers_are_large() -> None:
    disparity = np.array([[0, 1, 2, 5], [np.nan, 9, 20, np.inf]], np.float32)
    drawn = DisparityHead(4).draw(disparity, CLASSES)
    light = cv2.cvtColor(drawn, cv2.COLOR_RGB2LAB)[..., 0].astype(int)
    assert not drawn[[0, 1, 1], [0, 0, 3]].any()
    assert (np.diff(light[[0, 0, 0, 1, 1], [1, 2, 3, 1, 2]]) > 0).all()


def test_loss_is_the_mean_error_in_the_labels_unit(scenes: Callable[..., Sample]) -> None:
    head, batch = DisparityHead(8, scale=10.0), scenes()
    output = torch.randn(2, 1, 64, 96)
    (total,), (weight,) = head.loss(output, head.target(batch))
    valid = batch["depth"] > 0
    predicted = 10 * (1 + output[:, 0].exp()).log()
    torch.testing.assert_close(total / weight, (predicted - 40 / batch["depth"])[valid].abs().mean())


def test_it_is_measured_by_the_metrics_of_disparity() -> None:
    (metric,) = DisparityHead(4).metrics(CLASSES)
    assert isinstance(metric, DisparityMetrics)
