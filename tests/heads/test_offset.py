from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from fusionseg.engine.predictions import predictions
from fusionseg.heads import Head, OffsetHead, SemanticHead
from fusionseg.sample import VOID, Classes, Frame, Truth

CLASSES = Classes(("road", "car", "person"), ((1, 1, 1), (2, 2, 2), (3, 3, 3)), things=(1, 2))


def squares(rows: int, columns: int, side: int) -> Tensor:
    """Square regions (1, rows * side, columns * side), numbered from 1."""
    ids = torch.arange(1, rows * columns + 1).view(1, rows, columns)
    return ids.repeat_interleave(side, 1).repeat_interleave(side, 2)


def one_to_one(a: Tensor, b: Tensor) -> bool:
    pairs = torch.unique(torch.stack([a, b]).flatten(1), dim=1)
    return pairs.shape[1] == len(a.unique()) == len(b.unique())


def test_the_loss_is_kendall_s_mean_l1_norm_over_the_pixels_of_instances() -> None:
    head = OffsetHead(4, instances=[1, 2], scale=2.0)
    region = squares(2, 3, 8)
    semantic = torch.tensor([0, 1, 2, VOID, 1, 0])[region - 1]
    region[:, 10:12] = 0
    output = torch.randn(1, 2, 8, 12)
    total, weight = head.loss(output, head.target({"region": region, "semantic": semantic}))
    enlarged = interpolate(2 * output, (16, 24), mode="bilinear")[0]
    errors = []
    for one in (2, 3, 5):
        rows, columns = (region[0] == one).nonzero().T
        for y, x in zip(rows, columns, strict=True):
            down = rows.float().mean() - y
            right = columns.float().mean() - x
            errors.append((enlarged[0, y, x] - down).abs() + (enlarged[1, y, x] - right).abs())
    assert weight.item() == len(errors) == 3 * 64 - 16
    torch.testing.assert_close(total / weight, torch.stack(errors).mean()[None])


def test_regions_in_several_parts_are_one_as_their_votes_are() -> None:
    region = torch.ones(1, 40, 60, dtype=torch.long)
    region[:, 5:15, 5:15] = 2
    region[:, 5:15, 25:35] = 2
    region[:, 22:36, 10:50] = 3
    head = OffsetHead(4, bandwidth=3.0)
    found = head.labels(head.ideal(head.target({"region": region})), Frame.whole((40, 60)))
    assert one_to_one(found, region)


@pytest.mark.parametrize("size", [(48, 72), (96, 144), (24, 36), (48, 216)])
def test_regions_and_offsets_are_those_of_the_label_file_at_any_size(size: tuple[int, int]) -> None:
    region = squares(4, 6, 12)
    head = OffsetHead(4, min_area=1)
    output = head.ideal(head.target({"region": region}))
    frame = Frame((48, 72), (48, 72), size)
    expected = interpolate(region[None].float(), size, mode="nearest")[0].long()
    found = head.labels(output, frame)
    best = [(found == found[expected == i].mode().values) & (expected == i) for i in range(1, 25)]
    assert torch.stack(best).any(0).float().mean() > 0.85
    offsets = head.offsets(output, frame)[0].numpy()
    semantic = np.zeros(size, np.uint8)
    metric = head.metrics(CLASSES)[-1]
    metric.update(offsets, Truth(semantic, expected[0].numpy()))
    assert metric.compute()["instance_error"] < 3 * max(size[0] / 48, size[1] / 72)


def test_padding_has_no_votes() -> None:
    region = squares(2, 2, 16)
    head = OffsetHead(4, min_area=1)
    ideal = head.ideal(head.target({"region": region}))
    output = torch.nn.functional.pad(ideal, (0, 32, 0, 32), value=0.3)
    found = head.labels(output, Frame((64, 64), (32, 32), (32, 32)))
    assert one_to_one(found, region)


def test_predictions_have_offsets_where_they_are_asked_for() -> None:
    heads: dict[str, Head] = {"semantic": SemanticHead(4, 3), "region": OffsetHead(4)}
    outputs = {"semantic": torch.randn(1, 3, 8, 8), "region": torch.randn(1, 2, 8, 8)}
    given: Any = (outputs, heads, Frame.whole((32, 32)), ["a"], CLASSES)
    labels = {"semantic", "region", "fused", "panoptic"}
    assert predictions(*given)[0].maps.keys() == labels
    [found] = predictions(*given, extras=("offsets", "contours", "unheard of"))
    assert found.maps.keys() == {*labels, "offsets"}
    expected = interpolate(32 * outputs["region"], (32, 32), mode="bilinear")[0]
    np.testing.assert_allclose(found["offsets"], expected.numpy(), rtol=1e-5, atol=1e-5)


def test_offsets_of_a_half_precision_output_are_enlarged_in_full_precision() -> None:
    output = torch.tensor([3.0, -5.0], dtype=torch.bfloat16).view(1, 2, 1, 1).expand(1, 2, 30, 40)
    found = OffsetHead(4, scale=1.0).offsets(output, Frame((30, 40), (30, 40), (101, 123)))
    expected = torch.tensor([3 * 101 / 30, -5 * 123 / 40]).view(1, 2, 1, 1).expand(1, 2, 101, 123)
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=0)


@pytest.mark.parametrize("instances", [[], [3], [-1, 1]])
def test_classes_of_instances_that_there_are_not_are_refused(instances: list[int]) -> None:
    with pytest.raises(ValueError, match=r"region_head.instances in 0\.\.2, found \["):
        OffsetHead(4, instances=instances).metrics(CLASSES)


@pytest.mark.parametrize(
    "wrong", [{"scale": 0}, {"bandwidth": 0}, {"min_area": -1}, {"max_clusters": 0}, {"max_clusters": 65536}]
)
def test_arguments_out_of_range_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="expected a positive"):
        OffsetHead(4, **wrong)


def test_votes_are_those_of_the_pixels_of_the_input_and_not_of_a_coarser_output() -> None:
    region = squares(2, 3, 16)
    head = OffsetHead(4, bandwidth=3.0)
    output = interpolate(head.ideal(head.target({"region": region})), scale_factor=1 / 8, mode="area")
    frame = Frame((32, 48), (32, 48), (64, 96))
    enlarged = interpolate(output, (32, 48), mode="bilinear")
    assert torch.equal(head.labels(output, frame), head.labels(enlarged, frame))
    assert len(head.labels(output, frame).unique()) >= 6
