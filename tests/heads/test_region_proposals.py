from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torchvision.models.detection._utils import BalancedPositiveNegativeSampler
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.rpn import RegionProposalNetwork
from torchvision.ops import box_iou

from fusionseg.heads.region_boxes import RegionBoxes, region_boxes
from fusionseg.heads.region_proposals import (
    Anchored,
    anchor_targets,
    anchored,
    anchors,
    perfect,
    proposal_losses,
    proposal_network,
    proposals,
)
from fusionseg.sample import Sample

Scenes = Callable[..., Sample]


def network() -> RegionProposalNetwork:
    """A network whose answers differ between anchors."""
    built = proposal_network(5, channels=8, side=16)
    for layer in (built.head.cls_logits, built.head.bbox_pred):
        torch.nn.init.normal_(layer.weight, std=0.3)
    return built


def maps(number: int = 2) -> list[Tensor]:
    """Feature maps of images of 64 x 96."""
    return [torch.randn(number, 8, 64 // stride, 96 // stride) for stride in (4, 8, 16, 32)] + [
        torch.randn(number, 8, 1, 2)
    ]


def images(number: int = 2) -> ImageList:
    return ImageList(torch.zeros(number, 3, 64, 96), [(64, 96)] * number)


def sampled(built: RegionProposalNetwork, answer: Anchored, truth: RegionBoxes, number: int) -> Tensor:
    """Torchvision's losses (2,) of a random sample of so many anchors of each image."""
    built.fg_bg_sampler = BalancedPositiveNegativeSampler(number, 0.5)
    every = [anchors(built, answer.maps)] * len(truth.region)
    objects = [truth.objects(image) for image in range(len(truth.region))]
    labels, matched = built.assign_targets_to_anchors(every, objects)
    wanted = built.box_coder.encode(matched, every)
    losses = built.compute_loss(answer.objectness.reshape(-1), answer.deltas.reshape(-1, 4), labels, wanted)
    return torch.stack(losses)


@pytest.mark.parametrize("training", [True, False])
def test_the_same_boxes_are_proposed_as_by_torchvision(training: bool, scenes: Scenes) -> None:
    built, features, truth = network().train(training), maps(), region_boxes(scenes()["region"])
    targets = [truth.objects(image) for image in range(2)]
    expected, _ = built(images(), dict(enumerate(features)), targets)
    found = proposals(built, anchored(built, features))
    assert all(len(boxes) > 900 for boxes in found)
    for boxes, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(boxes, theirs)


def test_anchors_of_maps_in_bf16_are_those_of_maps_in_full_precision() -> None:
    built, features = network(), maps()
    found = anchors(built, [m.bfloat16() for m in features])
    assert found.dtype == torch.float32
    assert torch.equal(found, anchors(built, features))


def test_losses_are_torchvision_s_where_its_sample_takes_all_anchors(scenes: Scenes) -> None:
    built, features, truth = network(), maps(), region_boxes(scenes()["region"])
    answer = anchored(built, features)
    number = 4 * answer.objectness.shape[1]
    sums, weights = proposal_losses(answer, anchor_targets(built, features, truth), number)
    torch.testing.assert_close(sums / weights, sampled(built, answer, truth, number))


def test_losses_are_the_expectation_of_torchvision_s_over_its_samples(scenes: Scenes) -> None:
    built, features, truth = network(), maps(), region_boxes(scenes()["region"])
    answer = anchored(built, features)
    sums, weights = proposal_losses(answer, anchor_targets(built, features, truth), number=32)
    assert weights.tolist() == [64, 64]
    with torch.no_grad():
        drawn = torch.stack([sampled(built, answer, truth, 32) for _ in range(200)])
    error = drawn.std(0) / len(drawn) ** 0.5
    assert (error < 0.07 * drawn.mean(0)).all()
    assert ((sums / weights - drawn.mean(0)).abs() < 4 * error).all()


def test_nothing_is_learned_where_most_of_an_anchor_is_void(scenes: Scenes) -> None:
    built, features = network(), maps(1)
    region = scenes(1)["region"]
    region[:, :, 48:] = 0
    every = anchors(built, features)
    labels = anchor_targets(built, features, region_boxes(region)).labels[0]
    in_void = every[:, 0] >= 48
    assert in_void.sum() > 500
    assert (labels[in_void] == -1).all()
    in_labels = (every[:, 2] <= 48) & (labels == 0)
    assert in_labels.sum() > 100


def test_a_network_that_has_learned_its_targets_proposes_the_regions_and_costs_nothing(
    scenes: Scenes,
) -> None:
    built, truth = network(), region_boxes(scenes()["region"])
    answer = perfect(built, truth)
    sums, weights = proposal_losses(answer, anchor_targets(built, answer.maps, truth))
    assert (sums / weights < 1e-6).all()
    for image, boxes in enumerate(proposals(built, answer)):
        overlap = box_iou(truth.objects(image)["boxes"], boxes).amax(1)
        assert (overlap > 0.5).float().mean() > 0.9
