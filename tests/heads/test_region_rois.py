from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torchvision.models.detection.roi_heads import RoIHeads, fastrcnn_loss, maskrcnn_loss

from fusionseg.heads import region_rois
from fusionseg.heads.region_boxes import RegionBoxes, region_boxes
from fusionseg.heads.region_rois import PerfectReader, PooledReader, detections, roi_heads, roi_losses
from fusionseg.heads.region_samples import Samples, mask_targets, samples
from fusionseg.sample import Sample

Scenes = Callable[..., Sample]
KINDS = 3


def heads() -> RoIHeads:
    """Heads whose answers differ between boxes."""
    built = roi_heads(4, 8, KINDS, 64, threshold=0.3, nms=0.5, max_regions=20)
    torch.nn.init.normal_(built.box_predictor.cls_score.weight, std=0.5)
    return built


def maps(number: int = 2) -> list[Tensor]:
    """Feature maps of images of 64 x 96."""
    return [torch.randn(number, 8, 64 // s, 96 // s, requires_grad=True) for s in (4, 8, 16, 32)]


def boxes(number: int = 100) -> Tensor:
    """Random boxes (N, 4) in an image of 64 x 96."""
    corners = torch.rand(2, number, 2) * torch.tensor([95, 63])
    return torch.cat([corners.amin(0), corners.amax(0) + 1], 1)


def truth_of(scenes: Scenes) -> RegionBoxes:
    batch = scenes()
    return region_boxes(batch["region"], batch["semantic"] % KINDS)


def theirs(read: PooledReader, chosen: Samples, truth: RegionBoxes) -> tuple[Tensor, Tensor, Tensor]:
    """Torchvision's losses of kinds, boxes and masks of the same boxes."""
    of_kinds, of_boxes = fastrcnn_loss(*read.boxes(chosen.boxes), chosen.kinds, chosen.deltas)
    positive = [kinds > 0 for kinds in chosen.kinds]
    known = [box[p] for box, p in zip(chosen.boxes, positive, strict=True)]
    ids = [each[p] for each, p in zip(chosen.regions, positive, strict=True)]
    kinds = [each[p] for each, p in zip(chosen.kinds, positive, strict=True)]
    masks = [image == each.view(-1, 1, 1) for image, each in zip(truth.region, ids, strict=True)]
    index = [torch.arange(len(each)) for each in ids]
    of_masks = maskrcnn_loss(read.masks(known), known, [m.byte() for m in masks], kinds, index)
    share, _ = mask_targets(truth.region, ids, known)
    minimum = torch.special.entr(share) + torch.special.entr(1 - share)
    return of_kinds, of_boxes, of_masks - minimum.mean()


def test_losses_and_gradients_are_torchvision_s_for_the_same_boxes(scenes: Scenes) -> None:
    built, features, truth = heads(), maps(), truth_of(scenes)
    chosen = samples(built, [boxes(), boxes()], truth)
    read = PooledReader(built, features)
    sums, weights = roi_losses(read, chosen, truth.region)
    expected = torch.stack(theirs(read, chosen, truth))
    torch.testing.assert_close(sums / weights, expected)
    learned = [features[0], *built.parameters()]
    ours = torch.autograd.grad((sums / weights).sum(), learned, retain_graph=True)
    for gradient, other in zip(ours, torch.autograd.grad(expected.sum(), learned), strict=True):
        torch.testing.assert_close(gradient, other)
        assert other.any()


def test_heads_that_have_learned_the_truth_cost_nothing_and_find_the_regions(scenes: Scenes) -> None:
    built, truth = heads(), truth_of(scenes)
    read = PerfectReader(built, truth, KINDS)
    sums, weights = roi_losses(read, samples(built, [boxes(), boxes()], truth), truth.region)
    assert (sums / weights < 1e-5).all()
    known = [truth.objects(image)["boxes"] for image in range(2)]
    found = detections(built, read, known, (64, 96))
    for image in range(2):
        there = found.scores[image] > 0
        assert (found.scores[image][there] > 0.99).all()
        distance = torch.cdist(found.boxes[image][there], known[image]).amin(1)
        assert distance.max() < 1e-3


def test_the_same_is_found_as_by_torchvision() -> None:
    built, features = heads().eval(), maps()
    proposals = [boxes(), boxes(40)]
    expected, _ = built(dict(zip("0123", features, strict=True)), proposals, [(64, 96)] * 2)
    found = detections(built, PooledReader(built, features), proposals, (64, 96))
    assert [len(each["scores"]) for each in expected] != [0, 0]
    for i, each in enumerate(expected):
        number = len(each["scores"])
        torch.testing.assert_close(found.boxes[i, :number], each["boxes"])
        torch.testing.assert_close(found.scores[i, :number], each["scores"])
        torch.testing.assert_close(found.masks[i, :number], each["masks"][:, 0])
        assert not found.scores[i, number:].any()


@pytest.mark.parametrize("number", [0, 1])
def test_every_parameter_has_a_gradient_however_few_boxes_there_are(number: int) -> None:
    built = heads()
    read = PooledReader(built, maps(1))
    logits, deltas = read.boxes([boxes(number)])
    (logits.sum() + deltas.sum() + read.masks([boxes(number)]).sum()).backward()  # type: ignore[no-untyped-call]
    assert all(p.grad is not None for p in built.parameters())


def test_masks_are_the_same_however_many_are_computed_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    read = PooledReader(heads().eval(), maps())
    chosen = [boxes(30), boxes(9)]
    with torch.no_grad():
        whole = read.masks(chosen)
        monkeypatch.setattr(region_rois, "AT_ONCE", 7)
        torch.testing.assert_close(read.masks(chosen), whole)
        assert read.masks([boxes(0), boxes(0)]).shape == (0, 1 + KINDS, 28, 28)
