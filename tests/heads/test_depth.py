from collections.abc import Callable
from functools import partial
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from torch.nn.functional import interpolate

from fusionseg.heads import DepthHead
from fusionseg.losses import AbsoluteError, InverseDepthError, ScaleInvariantError
from fusionseg.sample import Classes, Frame, Sample

Scenes = Callable[..., Sample]
CLASSES = Classes(("a",), ((0, 0, 0),))


@pytest.mark.parametrize("scale", [1.0, 10.0])
def test_labels_of_the_ideal_output_are_the_depth_itself(scale: float) -> None:
    head = DepthHead(4, scale=scale)
    depth = scale * torch.logspace(-6, 6, 600).view(1, 20, 30)
    labels = head.labels(head.ideal(depth), Frame.whole((20, 30)))
    torch.testing.assert_close(labels, depth, rtol=2e-6, atol=0)


def test_the_ideal_output_of_invalid_pixels_is_finite() -> None:
    ideal = DepthHead(4).ideal(torch.tensor([[[0.0, 2.0]]]))
    assert ideal.isfinite().all()
    assert ideal[0, 0, 0, 0] == 0


def test_labels_are_positive_whatever_the_output() -> None:
    output = torch.tensor([-1e4, -200.0, 0.0, 1e4]).view(1, 1, 1, 4)
    labels = DepthHead(4).labels(output, Frame.whole((1, 4)))
    assert (labels > 0).all()
    assert labels.isfinite().all()


@pytest.mark.parametrize("size", [(10, 20), (7, 45), (80, 160)])
def test_another_size_changes_no_meters(size: tuple[int, int]) -> None:
    head = DepthHead(4)
    ideal = head.ideal(torch.full((2, 20, 40), 3.5))
    labels = head.labels(ideal, Frame((20, 40), (18, 36), size))
    torch.testing.assert_close(labels, torch.full((2, *size), 3.5))


def test_loss_is_that_of_mtan_and_libmtl(scenes: Scenes) -> None:
    head, batch = DepthHead(8), scenes()
    output = head(torch.randn(2, 8, 16, 24))
    (total,), (weight,) = head.loss(output, head.target(batch))
    predicted = (1 + interpolate(output, (64, 96), mode="bilinear").exp()).log()
    true = batch["depth"].unsqueeze(1)
    mask = (true != 0).float()
    expected = ((predicted - true).abs() * mask).sum() / len(mask.nonzero())
    torch.testing.assert_close(total / weight, expected, rtol=1e-6, atol=0)


def test_losses_are_a_term_each_of_depths_in_meters(scenes: Scenes) -> None:
    recipes = [AbsoluteError, InverseDepthError, partial(ScaleInvariantError, 0.85)]
    head, batch = DepthHead(8, recipes, scale=5.0), scenes()
    output = torch.randn(2, 1, 64, 96)
    sums, weights = head.loss(output, batch["depth"])
    depth = 5 * (1 + output.exp()).log()
    mask = batch["depth"] > 0
    alone = [recipe()(depth, batch["depth"].unsqueeze(1), mask) for recipe in recipes]
    torch.testing.assert_close(sums, torch.stack([total for total, _ in alone]))
    assert weights.tolist() == [mask.sum(), mask.sum(), 2]


def test_near_is_bright_and_invalid_is_black() -> None:
    depth = np.array([[0, 1, 2, 5], [np.nan, 9, 20, np.inf]], np.float32)
    drawn = DepthHead(4).draw(depth, CLASSES)
    light = cv2.cvtColor(drawn, cv2.COLOR_RGB2LAB)[..., 0].astype(int)
    assert not drawn[[0, 1, 1], [0, 0, 3]].any()
    valid = light[[0, 0, 0, 1, 1], [1, 2, 3, 1, 2]]
    assert (np.diff(valid) < 0).all()
    assert valid.min() > 10
    assert drawn[0, 1].argmin() == 2, "the nearest pixel is yellow"


def test_maps_of_one_depth_or_none_are_drawn() -> None:
    head = DepthHead(4)
    assert head.draw(np.full((3, 4), 2.0, np.float32), CLASSES).any(-1).all()
    nothing = head.draw(np.zeros((3, 4), np.float32), CLASSES)
    assert nothing.shape == (3, 4, 3)
    assert not nothing.any()


@pytest.mark.parametrize(
    ("arguments", "message"), [({"losses": []}, "at least one loss"), ({"scale": 0.0}, "scale.*found 0.0")]
)
def test_impossible_arguments_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        DepthHead(4, **arguments)
