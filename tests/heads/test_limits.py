import warnings
from functools import partial

import pytest
import torch
from torch import Tensor

from fusionseg.heads import CenterOffsetHead, EmbeddingHead, MaskQueryHead, MaskRCNNHead
from fusionseg.heads.limits import warn_of_limit
from fusionseg.heads.region import RegionHead
from fusionseg.sample import Frame

small = partial(MaskRCNNHead, [4] * 4, channels=4, samples=8, anchor=16)


def squares(rows: int, columns: int, side: int) -> Tensor:
    """Square regions (1, rows * side, columns * side), numbered from 1."""
    ids = torch.arange(1, rows * columns + 1).view(1, rows, columns)
    return ids.repeat_interleave(side, 1).repeat_interleave(side, 2)


def found(head: RegionHead, region: Tensor) -> Tensor:
    """What a perfect network finds."""
    ideal = head.ideal(head.target({"region": region}))
    return head.labels(ideal, Frame.whole((region.shape[1], region.shape[2])))


@pytest.mark.parametrize(
    "head",
    [
        CenterOffsetHead(4, sigma=2.0),
        EmbeddingHead(4),
        MaskRCNNHead([4] * 4, channels=4),
        MaskQueryHead([4] * 4, queries=401),
    ],
    ids=lambda head: type(head).__name__,
)
def test_each_of_400_regions_is_found_without_a_setting(head: RegionHead) -> None:
    region = squares(20, 20, 16)
    pairs = torch.unique(torch.stack([region, found(head, region)]).flatten(1), dim=1)
    assert pairs.shape[1] == len(pairs[0].unique()) == len(pairs[1].unique()) == 400


@pytest.mark.parametrize(
    ("setting", "head"),
    [
        ("max_centers", CenterOffsetHead(4, sigma=2.0, max_centers=3)),
        ("max_clusters", EmbeddingHead(4, max_clusters=3)),
        ("max_regions", small(max_regions=3)),
        ("proposals", small(proposals=3)),
        ("queries", MaskQueryHead([4] * 4, queries=3)),
    ],
)
def test_what_a_limit_leaves_out_is_reported_once(setting: str, head: RegionHead) -> None:
    region = squares(2, 2, 16)
    line = rf"more regions than model\.region_head\.{setting} allows \(3\)"
    with pytest.warns(UserWarning, match=line) as warned:
        assert len(found(head, region).unique()) == 3
    assert len(warned) == 1
    found(head, region)  # a warning would be an error


def test_learning_from_more_regions_than_can_be_found_is_reported() -> None:
    head = small(max_regions=3)
    pyramid = [torch.randn(1, 4, 32 // stride, 32 // stride) for stride in (4, 8, 16, 32)]
    target = head.target({"region": squares(2, 2, 16)})
    with pytest.warns(UserWarning, match="max_regions allows"):
        head.loss(head(pyramid), target)


def test_another_limit_is_another_warning() -> None:
    for limit in (3, 4):
        with pytest.warns(UserWarning, match=rf"allows \({limit}\)"):
            warn_of_limit("queries", limit)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_of_limit("queries", 3)
