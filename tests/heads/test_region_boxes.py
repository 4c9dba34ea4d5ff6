import numpy as np
import pytest
import torch
from torch import Tensor

from fusionseg.heads.region_boxes import labelled_share, region_boxes
from fusionseg.sample import VOID


def maps(seed: int = 0) -> Tensor:
    """Blocky region maps (2, 18, 23) with void, large ids and ids that both images use."""
    chance = torch.Generator().manual_seed(seed)
    ids = torch.tensor([0, 1, 7, 300, 65535, 12])[torch.randint(6, (2, 6, 8), generator=chance)]
    return ids.repeat_interleave(3, 1).repeat_interleave(3, 2)[:, :, :23].contiguous()


def test_a_box_encloses_the_pixels_of_its_region() -> None:
    region = maps()
    found = region_boxes(region)
    for image, ids in enumerate(region):
        objects = found.objects(image)
        assert objects["masks"].tolist() == [number for number in ids.unique().tolist() if number]
        for number, box in zip(objects["masks"], objects["boxes"], strict=True):
            rows, columns = (ids == number).nonzero(as_tuple=True)
            assert box.tolist() == [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]


def test_all_regions_are_of_one_kind_without_classes() -> None:
    found = region_boxes(maps())
    for image in range(2):
        assert set(found.objects(image)["labels"].tolist()) == {1}


def test_the_kind_of_a_region_is_its_class_and_unknown_where_it_has_none() -> None:
    region = torch.tensor([[[5, 5, 5, 9, 9, 2, 0]]])
    semantic = torch.tensor([[[3, VOID, 3, VOID, VOID, 0, 4]]])
    objects = region_boxes(region, semantic).objects(0)
    assert objects["masks"].tolist() == [2, 5, 9]
    assert objects["labels"].tolist() == [1, 4, -1]


def test_an_image_without_labels_has_no_regions() -> None:
    objects = region_boxes(torch.zeros(1, 4, 5, dtype=torch.long)).objects(0)
    assert objects["boxes"].shape == (0, 4)
    assert objects["labels"].shape == objects["masks"].shape == (0,)


def test_boxes_have_the_precision_that_is_asked_for() -> None:
    assert region_boxes(maps()).objects(0, torch.float64)["boxes"].dtype == torch.float64


@pytest.mark.parametrize("seed", range(3))
def test_the_labelled_share_of_a_box_is_that_of_its_pixels_in_the_image(seed: int) -> None:
    chance = torch.Generator().manual_seed(seed)
    labelled = torch.rand(18, 23, generator=chance) > 0.4
    corners = torch.randint(-5, 28, (50, 4), generator=chance)
    boxes = torch.cat([corners[:, :2].minimum(corners[:, 2:]), corners[:, :2].maximum(corners[:, 2:])], 1)
    found = labelled_share(boxes + 0.3, labelled)
    for box, share in zip(boxes.tolist(), found, strict=True):
        left, top, right, bottom = (max(edge, 0) for edge in box)
        inside = labelled[top:bottom, left:right].numpy()
        assert share.item() == pytest.approx(inside.mean() if inside.size else 1)


def test_a_box_with_a_pixel_s_fraction_counts_as_labelled() -> None:
    nothing = torch.zeros(8, 8, dtype=torch.bool)
    assert labelled_share(torch.tensor([[2.1, 2.1, 2.3, 2.3]]), nothing).tolist() == [1]
    assert labelled_share(torch.tensor([[2.1, 2.1, 3.3, 3.3]]), nothing).tolist() == [0]
    assert np.isclose(labelled_share(torch.tensor([[0.0, 0.0, 8.0, 8.0]]), ~nothing).item(), 1)
