import numpy as np
import pytest
import torch
from torch import Tensor

from fusionseg.heads.query_target import cells, query_target
from fusionseg.sample import VOID


@pytest.fixture
def region() -> Tensor:
    """Two images of up to nine regions with large ids, and pixels without a label."""
    ids = torch.tensor([0, 3, 4, 77, 500, 9000, 40000, 65534, 65535, 65533])
    return ids[torch.randint(len(ids), (2, 12, 16), generator=torch.Generator().manual_seed(1))]


def by_size(image: Tensor) -> list[int]:
    """The region ids by falling size, smaller ids first among equals."""
    ids, sizes = np.unique(image[image > 0].numpy(), return_counts=True)
    return [int(i) for i in ids[np.argsort(-sizes, kind="stable")]]


@pytest.mark.parametrize("slots", [1, 4, 9, 20])
def test_regions_are_numbered_by_falling_size_and_the_smallest_share_the_last_number(
    slots: int, region: Tensor
) -> None:
    found = query_target(region, slots)
    for image, numbers, count in zip(region, found.slot, found.number, strict=True):
        order = by_size(image)
        assert count == len(order)
        for number, label in enumerate(order, 1):
            assert set(numbers[image == label].tolist()) == {min(number, slots + 1)}
        assert not numbers[image == 0].any()


def test_an_image_without_labels_has_no_regions() -> None:
    found = query_target(torch.zeros(1, 4, 4, dtype=torch.long), 3)
    assert not found.slot.any()
    assert found.number.tolist() == [0]


def test_the_class_of_a_region_is_its_most_frequent_one_if_any_is_known(region: Tensor) -> None:
    generator = torch.Generator().manual_seed(2)
    semantic = torch.tensor([0, 1, 2, VOID])[torch.randint(4, region.shape, generator=generator)]
    semantic[region == 3] = VOID
    found = query_target(region, 12, semantic, num_classes=3)
    for image, classes, answers in zip(region, semantic, found.classes, strict=True):
        expected = []
        for label in by_size(image):
            votes = np.bincount(classes[image == label].numpy(), minlength=256)[:3]
            expected.append(int(votes.argmax()) if votes.any() else VOID)
        assert answers.tolist() == expected + [VOID] * (12 - len(expected))
        assert VOID in expected


def test_classes_are_unknown_without_a_semantic_map(region: Tensor) -> None:
    assert query_target(region, 4).classes.tolist() == [[VOID] * 4] * 2


@pytest.mark.parametrize("size", [(3, 4), (12, 16), (5, 7)])
def test_cells_count_the_pixels_of_each_region_and_the_labelled_ones(
    size: tuple[int, int], region: Tensor
) -> None:
    slot = query_target(region, 4).slot
    counts, labelled = cells(slot, 4, size)
    expected = torch.zeros(2, 6, *size)
    for image, row, column in np.ndindex(2, 12, 16):
        place = (row * size[0] // 12, column * size[1] // 16)
        expected[image, slot[image, row, column], *place] += 1
    assert torch.equal(counts, expected[:, 1:5].flatten(2))
    assert torch.equal(labelled, expected[:, 1:].sum(1).flatten(1))
