import inspect
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor, nn

from fusionseg import heads
from fusionseg.heads import AffinityHead, BoundaryHead, RegionHead
from fusionseg.sample import VOID, Classes, Frame, Sample, Truth
from fusionseg.visualize import region_colors


class OneRegion(RegionHead):
    """Says that every image is one region."""

    def __init__(self, in_channels: int) -> None:
        super().__init__()
        self.layers = nn.Conv2d(in_channels, 1, 1)

    def forward(self, features: Tensor) -> Tensor:
        return self.layers(features)  # type: ignore[no-any-return]

    def target(self, batch: Sample) -> Tensor:
        return batch["region"]  # type: ignore[no-any-return]

    def loss(self, output: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        return output.square().sum()[None], output.new_ones(1)

    def labels(self, output: Tensor, frame: Frame) -> Tensor:
        return torch.ones(len(output), *frame.size, dtype=torch.long, device=output.device)

    def ideal(self, target: Tensor) -> Tensor:
        return torch.zeros_like(target)[:, None].float()


def test_a_region_head_of_one_s_own_knows_its_task_its_truth_and_how_it_is_drawn() -> None:
    head = OneRegion(4)
    region = np.array([[1, 1, 0], [5, 5, 0]])
    assert head.task == "region"
    assert head.truth(Truth(np.full((2, 3), VOID), region)) is region
    np.testing.assert_array_equal(head.draw(region, Classes(("a",), ((9, 9, 9),))), region_colors(region))


PREDICTING: list[type[Any]] = [
    head
    for head in vars(heads).values()
    if inspect.isclass(head)
    and issubclass(head, RegionHead)
    and head.contour_logits is not RegionHead.contour_logits
]


def test_heads_that_predict_no_boundaries_have_no_contours() -> None:
    assert {BoundaryHead, AffinityHead} <= set(PREDICTING)
    assert OneRegion(4).contours(torch.zeros(1, 1, 4, 4), Frame.whole((4, 4))) is None


@pytest.mark.parametrize("head", PREDICTING, ids=lambda head: head.__name__)
def test_contours_of_the_ideal_output_are_the_boundaries(
    head: Callable[[int], RegionHead], scenes: Callable[..., Sample]
) -> None:
    batch = scenes(2, (64, 96))
    whole = batch | {"region": torch.where(batch["region"] == 0, 9999, batch["region"])}
    built = head(4)
    output = built.ideal(built.target(whole))
    contours = built.contours(output, Frame.whole((64, 96)))
    assert contours is not None
    assert (contours.shape, contours.dtype) == ((2, 64, 96), torch.float32)
    assert contours.min() >= 0
    assert contours.max() <= 1
    for region, contour in zip(whole["region"].numpy(), contours.numpy(), strict=True):
        cut = np.zeros(region.shape, bool)
        cut[:, :-1] |= region[:, :-1] != region[:, 1:]
        cut[:-1] |= region[:-1] != region[1:]
        assert (contour[cut] > 0.5).all()
        near = cv2.dilate(cut.astype(np.uint8), np.ones((5, 5), np.uint8)).astype(bool)
        assert (contour[~near] < 0.5).all()
        assert near.any()
        assert not near.all()
    doubled = built.contours(output, Frame((64, 96), (64, 96), (128, 192)))
    assert doubled is not None
    assert doubled.shape == (2, 128, 192)


@pytest.mark.parametrize("head", PREDICTING, ids=lambda head: head.__name__)
def test_a_temperature_changes_contours_and_no_label(
    head: Callable[[int], RegionHead], scenes: Callable[..., Sample]
) -> None:
    built = head(4)
    output = built.ideal(built.target(scenes(1, (64, 96))))
    output = output / 10 + torch.randn(output.shape)
    frame = Frame.whole((64, 96))
    labels, logits = built.labels(output, frame), built.contour_logits(output, frame)
    assert logits is not None
    assert torch.equal(built.contours(output, frame), logits.sigmoid())
    built.temperature = 2.5
    assert torch.equal(built.labels(output, frame), labels)
    tempered = built.contours(output, frame)
    assert tempered is not None
    torch.testing.assert_close(tempered, (logits / 2.5).sigmoid())
    assert not torch.equal(tempered, logits.sigmoid())
