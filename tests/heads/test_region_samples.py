from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torchvision.models.detection.roi_heads import RoIHeads, project_masks_on_boxes
from torchvision.ops import box_iou

from fusionseg.heads.region_boxes import region_boxes
from fusionseg.heads.region_rois import roi_heads
from fusionseg.heads.region_samples import EvenSampler, mask_targets, matched, samples
from fusionseg.sample import Sample

Scenes = Callable[..., Sample]


def heads(number: int = 64) -> RoIHeads:
    return roi_heads(4, 8, 1, number, threshold=0.05, nms=0.5, max_regions=20)


def boxes(number: int = 200, height: int = 64, width: int = 96) -> Tensor:
    """Random boxes (N, 4) in an image."""
    corners = torch.rand(2, number, 2) * torch.tensor([width - 1, height - 1])
    return torch.cat([corners.amin(0), corners.amax(0) + 1], 1)


def test_boxes_are_taken_at_even_distances_in_their_order() -> None:
    kinds = torch.tensor([2, 0, 0, -1, 1, 0, 3, 0, 0, 1, 0, 0, 0, -1, 0])
    (positive,), (negative,) = EvenSampler(8, 0.25)([kinds])
    assert positive.nonzero().flatten().tolist() == [0, 6]
    assert negative.nonzero().flatten().tolist() == [1, 2, 7, 8, 11, 12]


@pytest.mark.parametrize(
    ("kinds", "taken"),
    [
        ([1] * 20, (4, 0)),
        ([0] * 20, (0, 16)),
        ([1] * 2 + [0] * 20, (2, 14)),
        ([-1] * 5, (0, 0)),
        ([], (0, 0)),
    ],
)
def test_as_many_boxes_are_taken_as_by_torchvision(kinds: list[int], taken: tuple[int, int]) -> None:
    (positive,), (negative,) = EvenSampler(16, 0.25)([torch.tensor(kinds, dtype=torch.long)])
    assert (positive.sum(), negative.sum()) == taken


def test_each_box_is_taken_with_what_torchvision_matches_it_with(scenes: Scenes) -> None:
    built, truth = heads(256), region_boxes(scenes()["region"])
    proposals = [boxes(), boxes()]
    found = samples(built, proposals, truth)
    for image in range(2):
        own = truth.objects(image)
        overlap, best = box_iou(own["boxes"], found.boxes[image]).max(0)
        kinds, ids = found.kinds[image], found.regions[image]
        assert torch.equal(kinds > 0, overlap >= 0.5)
        assert torch.equal(ids[kinds > 0], own["masks"][best][kinds > 0])
        wanted = built.box_coder.decode(found.deltas[image], [found.boxes[image]])[:, 0]
        torch.testing.assert_close(wanted[kinds > 0], own["boxes"][best][kinds > 0], rtol=0, atol=1e-3)
        # among them are those of the regions themselves
        assert (box_iou(own["boxes"], found.boxes[image]).amax(1) == 1).all()


def test_proposals_of_which_most_is_void_are_left_out(scenes: Scenes) -> None:
    region = scenes(1)["region"]
    region[:, :, 40:] = 0
    known = torch.tensor([[0.0, 0, 30, 60], [20, 0, 50, 30], [30, 0, 70, 30], [50, 0, 90, 60]])
    found = samples(heads(), [known], region_boxes(region))
    taken = (found.boxes[0].unsqueeze(1) == known).all(2).any(0)
    assert taken.tolist() == [True, True, False, False]


def test_an_image_without_regions_has_nothing_to_learn_from() -> None:
    nothing = region_boxes(torch.zeros(1, 64, 96, dtype=torch.long))
    found = samples(heads(), [boxes()], nothing)
    assert [len(each[0]) for each in found] == [0, 0, 0, 0]
    assert matched(heads(), [boxes()], nothing).regions[0].eq(0).all()


def test_a_region_of_unknown_kind_teaches_nothing() -> None:
    region = torch.ones(1, 64, 96, dtype=torch.long)
    region[:, :, 48:] = 2
    semantic = torch.where(region == 1, 0, 255)
    known = torch.tensor([[0.0, 0, 48, 64], [48, 0, 96, 64], [0, 0, 9, 9]])
    found = samples(heads(), [known], region_boxes(region, semantic))
    assert set(zip(found.boxes[0][:, 0].tolist(), found.kinds[0].tolist(), strict=True)) == {(0, 1), (0, 0)}


def test_masks_are_torchvision_s_where_all_is_labelled(scenes: Scenes) -> None:
    region = scenes()["region"]
    truth = region_boxes(region)
    found = matched(heads(), [boxes(40), boxes(60)], truth)
    share, part = mask_targets(region, found.regions, found.boxes)
    expected = []
    for image, ids, box in zip(region, found.regions, found.boxes, strict=True):
        masks = (image == ids.view(-1, 1, 1)).byte()
        expected.append(project_masks_on_boxes(masks, box, torch.arange(len(ids)), 28))
    torch.testing.assert_close(share, torch.cat(expected))
    torch.testing.assert_close(part, torch.ones_like(part))


def test_void_is_no_part_of_a_mask() -> None:
    region = torch.zeros(1, 56, 56, dtype=torch.long)
    region[:, :20, :28] = 3
    region[:, 30:, :28] = 4
    share, part = mask_targets(region, [torch.tensor([3])], [torch.tensor([[0.0, 0, 56, 56]])])
    # the middle of a row of cells: the region, void, another region
    assert share[0, [4, 12, 24], 5].tolist() == [1, 0, 0]
    assert part[0, [4, 12, 24], 5].tolist() == [1, 0, 1]
    assert part[0, :, 20].sum() == 0
