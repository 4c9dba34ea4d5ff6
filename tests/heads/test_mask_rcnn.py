from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor

from fusionseg.config.errors import UserError
from fusionseg.heads import MaskRCNNHead
from fusionseg.heads.region_proposals import proposals
from fusionseg.sample import VOID, Frame, Sample

Scenes = Callable[..., Sample]
small = partial(MaskRCNNHead, [8] * 4, channels=8, samples=32, proposals=20, anchor=16)


def features(number: int = 2) -> list[Tensor]:
    """A pyramid of images of 64 x 96."""
    return [torch.randn(number, 8, 64 // s, 96 // s) for s in (4, 8, 16, 32)]


@pytest.mark.parametrize("name", ["channels", "kinds", "samples", "max_regions", "proposals"])
def test_a_number_that_is_not_positive_is_refused(name: str) -> None:
    with pytest.raises(
        ValueError, match=r"expected channels, kinds, samples, max_regions and proposals of 1 or more, found"
    ):
        small(**{name: 0})


def test_regions_are_found_in_evaluation_alone() -> None:
    head, pyramid = small(), features()
    training, evaluating = head(pyramid), head.eval()(pyramid)
    assert training.detections is None
    assert evaluating.detections.boxes.shape == (2, 20, 4)
    assert not evaluating.detections.masks.requires_grad
    frame = Frame.whole((64, 96))
    assert torch.equal(head.labels(training, frame), head.labels(evaluating, frame))


def test_regions_found_are_the_same_compiled() -> None:
    head, pyramid = small().eval(), features()
    expected = head(pyramid).detections
    head.compile(backend="eager")
    for found, theirs in zip(head(pyramid).detections, expected, strict=True):
        assert torch.equal(found, theirs)


def test_proposals_and_boxes_of_regions_are_not_learned_through() -> None:
    head = small()
    assert not any(boxes.requires_grad for boxes in proposals(head.rpn, head(features()).anchored))


def test_of_more_classes_than_kinds_one_says_so(scenes: Scenes) -> None:
    head, batch = small(kinds=3), scenes()
    batch["semantic"] = torch.full_like(batch["semantic"], 4)
    with pytest.raises(UserError, match=r"expected classes below 3, found 4: set kinds to 5"):
        head.loss(head(features()), head.target(batch))
    # which do not matter where all regions are of one kind
    small().loss(head(features()), small().target(batch))


def test_without_classes_regions_of_several_kinds_teach_only_where_regions_are(scenes: Scenes) -> None:
    head, batch = small(kinds=3), scenes()
    batch["semantic"] = torch.full_like(batch["semantic"], VOID)
    sums, weights = head.loss(head(features()), head.target(batch))
    assert (weights[:2] > 0).all()
    assert weights[4] == sums[4] == 0


def test_a_step_learns_the_same_whatever_was_drawn_before(scenes: Scenes) -> None:
    head, pyramid, batch = small(), features(), scenes()
    first = head.loss(head(pyramid), head.target(batch))[0]
    torch.rand(7)
    assert torch.equal(head.loss(head(pyramid), head.target(batch))[0], first)
