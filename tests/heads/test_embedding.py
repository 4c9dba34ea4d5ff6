from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from fusionseg.heads import EmbeddingHead, region_clustering
from fusionseg.losses import Discriminative
from fusionseg.sample import Frame


def squares(rows: int, columns: int, side: int) -> Tensor:
    """Square regions (1, rows * side, columns * side), numbered from 1."""
    ids = torch.arange(1, rows * columns + 1).view(1, rows, columns)
    return ids.repeat_interleave(side, 1).repeat_interleave(side, 2)


def one_to_one(a: Tensor, b: Tensor) -> bool:
    pairs = torch.unique(torch.stack([a, b]).flatten(1), dim=1)
    return pairs.shape[1] == len(a.unique()) == len(b.unique())


def test_the_loss_is_that_of_the_enlarged_embeddings_where_regions_are_labelled() -> None:
    head = EmbeddingHead(4, dimensions=3)
    region = squares(2, 3, 8)
    region[:, 10:] = 0
    output = torch.randn(1, 3, 8, 12)
    total, weight = head.loss(output, head.target({"region": region}))
    enlarged = interpolate(output, (16, 24), mode="bilinear")[..., :10, :]
    expected, _ = Discriminative()(enlarged, region[:, :10], region[:, :10] > 0)
    torch.testing.assert_close(total, expected[None])
    assert weight.tolist() == [1]


@pytest.mark.parametrize("dimensions", [2, 3, 8, 40])
def test_ideal_embeddings_of_any_two_region_ids_are_six_bandwidths_apart(dimensions: int) -> None:
    head = EmbeddingHead(4, dimensions=dimensions, bandwidth=0.5)
    ids = torch.arange(65536).view(1, 256, 256)
    points = head.ideal(ids).flatten(2)[0].T
    steps = points / 3.0
    assert points.shape == (65536, dimensions)
    assert len(steps.unique(dim=0)) == 65536
    torch.testing.assert_close(steps - steps[:1], (steps - steps[:1]).round())


def test_consecutive_region_ids_are_far_apart_in_an_ideal_output() -> None:
    points = EmbeddingHead(4).ideal(torch.arange(1, 61).view(1, 6, 10)).flatten(2)[0].T
    distances = torch.cdist(points, points) + 99 * torch.eye(60)
    assert distances.min() > 8
    assert distances.median() > 18


@pytest.mark.parametrize(("rows", "columns", "side"), [(20, 20, 12), (20, 20, 6), (25, 48, 8)])
def test_an_ideal_output_gives_every_region_however_many(rows: int, columns: int, side: int) -> None:
    region = squares(rows, columns, side)
    head = EmbeddingHead(4)
    found = head.labels(head.ideal(head.target({"region": region})), Frame.whole(region.shape[1:]))
    assert one_to_one(region, found)


@pytest.mark.parametrize("size", [(48, 72), (96, 144), (24, 36), (48, 216)])
def test_regions_are_found_at_any_size(size: tuple[int, int]) -> None:
    head = EmbeddingHead(4, min_area=1)
    region = squares(4, 6, 12)
    found = head.labels(head.ideal(region), Frame((48, 72), (48, 72), size))
    expected = interpolate(region[None].float(), size, mode="nearest")[0].long()
    assert len(found.unique()) == 24
    best = [(found == found[expected == i].mode().values) & (expected == i) for i in range(1, 25)]
    assert torch.stack(best).any(0).float().mean() > 0.98


def test_padding_makes_no_region() -> None:
    head = EmbeddingHead(4, min_area=1)
    region = squares(2, 2, 16)
    padded = torch.nn.functional.pad(region, (0, 32, 0, 32), value=9)
    output = interpolate(head.ideal(padded), scale_factor=0.25, mode="area")
    found = head.labels(output, Frame((64, 64), (32, 32), (32, 32)))
    assert one_to_one(found, region)


@pytest.mark.parametrize(("min_area", "regions"), [(1, 2), (10, 2), (20, 1)])
def test_small_clusters_are_merged_at_the_size_of_the_file(min_area: int, regions: int) -> None:
    region = torch.ones(1, 16, 16, dtype=torch.long)
    region[:, 4:6, 4:6] = 2
    head = EmbeddingHead(4, min_area=min_area)
    found = head.labels(head.ideal(region), Frame((16, 16), (16, 16), (32, 32)))
    assert len(found.unique()) == regions


def test_bandwidth_and_number_of_clusters_are_those_of_the_clustering() -> None:
    region = squares(4, 5, 8)
    output = EmbeddingHead(4).ideal(region)
    frame = Frame.whole((32, 40))
    with pytest.warns(UserWarning, match="max_clusters allows"):
        assert len(EmbeddingHead(4, max_clusters=3).labels(output, frame).unique()) == 3
    assert len(EmbeddingHead(4, bandwidth=100.0).labels(output, frame).unique()) == 1


@pytest.mark.parametrize("value", [0.0, float("nan")])
def test_equal_embeddings_are_one_region(value: float) -> None:
    labels = EmbeddingHead(4).labels(torch.full((2, 8, 8, 12), value), Frame.whole((32, 48)))
    assert torch.equal(labels, torch.ones(2, 32, 48, dtype=torch.long))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"dimensions": 1}, "at least 2 dimensions and a positive bandwidth, found 1 and 1.0"),
        ({"bandwidth": 0.0}, "at least 2 dimensions and a positive bandwidth, found 8 and 0.0"),
        ({"min_area": -1}, "found -1 and 4096"),
        ({"max_clusters": 0}, r"max_clusters in 1\.\.65535, found 20 and 0"),
        ({"max_clusters": 65536}, r"max_clusters in 1\.\.65535, found 20 and 65536"),
    ],
)
def test_impossible_arguments_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        EmbeddingHead(4, **arguments)


@pytest.mark.parametrize(
    ("padded", "valid", "size"),
    [
        ((96, 128), (96, 128), (96, 128)),
        ((96, 128), (75, 101), (75, 101)),
        ((96, 128), (75, 101), (150, 202)),
        ((96, 128), (90, 128), (61, 77)),
        ((96, 128), (64, 96), (64, 96)),
        ((96, 128), (63, 97), (63, 97)),
    ],
)
def test_pixels_between_pixels_of_one_region_need_no_distance(
    padded: tuple[int, int], valid: tuple[int, int], size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    coarse = torch.randint(0, 5, (1, 8, 3, 4)).float()
    output = interpolate(coarse, (24, 32)) + 0.25 * torch.randn(1, 8, 24, 32)
    head = EmbeddingHead(4, min_area=1)
    frame = Frame(padded=padded, valid=valid, size=size)
    sure: list[float] = []
    unanimous = region_clustering._unanimous

    def counted(numbers: Any, reach: int) -> Any:
        found = unanimous(numbers, reach)
        sure.append((found > 0).mean())
        return found

    monkeypatch.setattr(region_clustering, "_unanimous", counted)
    found = head.labels(output, frame)
    monkeypatch.setattr(region_clustering, "_unanimous", lambda numbers, _: 0 * numbers)
    assert sure[0] > 0.2
    assert torch.equal(found, head.labels(output, frame))
