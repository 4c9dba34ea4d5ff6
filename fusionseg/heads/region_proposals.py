"""Boxes that are proposed for regions by torchvision's region proposal network (RPN), and their loss."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.rpn import RegionProposalNetwork, RPNHead, concat_box_prediction_layers

from fusionseg.heads.region_boxes import RegionBoxes, labelled_share
from fusionseg.losses.enlarging import wide

CERTAIN = 20.0
"""The logit of what a perfect network is certain of."""


class Anchored(NamedTuple):
    """What is said of the A anchors of each image.

    Args:
        maps: The feature maps (B, C, h, w) that it is read from, at strides 4, 8 ...
        objectness: Logits of a region there (B, A).
        deltas: From each anchor to the box of its region (B, A, 4), as torchvision encodes it.
    """

    maps: list[Tensor]
    objectness: Tensor
    deltas: Tensor


class AnchorTargets(NamedTuple):
    """What is to be said of the anchors.

    Args:
        labels: 1 where a region is, 0 where none is, -1 where nothing is learned (B, A).
        deltas: From each anchor to the box of its region (B, A, 4), with any values where there is none.
    """

    labels: Tensor
    deltas: Tensor


def proposal_network(levels: int, channels: int, side: int = 32, number: int = 1000) -> RegionProposalNetwork:
    """An RPN with torchvision's settings.

    Args:
        levels: Number of feature maps, the first at stride 4.
        channels: Channels of each map.
        side: Side of the anchors of the first map, in pixels; those of each further map are twice as large.
        number: At most this many boxes are proposed in evaluation, and before suppression for each map.
    """
    sizes = tuple((side * 2**level,) for level in range(levels))
    generator = AnchorGenerator(sizes, ((0.5, 1.0, 2.0),) * levels)
    return RegionProposalNetwork(
        generator,
        RPNHead(channels, generator.num_anchors_per_location()[0]),
        fg_iou_thresh=0.7,
        bg_iou_thresh=0.3,
        batch_size_per_image=256,
        positive_fraction=0.5,
        pre_nms_top_n={"training": 2000, "testing": number},
        post_nms_top_n={"training": 2000, "testing": number},
        nms_thresh=0.7,
    )


def image_size(maps: Sequence[Tensor]) -> tuple[int, int]:
    """Height and width of the image that feature maps (B, C, h, w) are of, the first of them at stride 4."""
    height, width = maps[0].shape[-2:]
    return 4 * height, 4 * width


def anchors(network: RegionProposalNetwork, maps: Sequence[Tensor]) -> Tensor:
    """The anchors (A, 4) of feature maps (B, C, h, w): left, top, right and bottom edges in pixels."""
    size = image_size(maps)
    grids = [wide(m[:1, :0]) for m in maps]  # of whose numbers only the precision matters
    (found,) = network.anchor_generator(ImageList(maps[0].new_empty(1, 0, *size), [size]), grids)
    return found  # type: ignore[no-any-return]


def anchored(network: RegionProposalNetwork, maps: list[Tensor]) -> Anchored:
    """What the network says of the anchors of feature maps (B, C, h, w)."""
    objectness, deltas = concat_box_prediction_layers(*network.head(maps))
    return Anchored(maps, objectness.view(len(maps[0]), -1), deltas.view(len(maps[0]), -1, 4))


@torch.no_grad()
def proposals(network: RegionProposalNetwork, answer: Anchored) -> list[Tensor]:
    """The likeliest boxes (N_i, 4) of each image, the likeliest first, after non-maximum suppression."""
    deltas = wide(answer.deltas)
    every = [anchors(network, answer.maps)] * len(deltas)
    boxes = network.box_coder.decode(deltas.flatten(0, 1), every).view_as(deltas)
    each = network.anchor_generator.num_anchors_per_location()
    counts = [number * m.shape[-2] * m.shape[-1] for number, m in zip(each, answer.maps, strict=True)]
    sizes = [image_size(answer.maps)] * len(deltas)
    found: list[Tensor]
    found, _ = network.filter_proposals(boxes, wide(answer.objectness), sizes, counts)
    return found


@torch.no_grad()
def anchor_targets(
    network: RegionProposalNetwork, maps: Sequence[Tensor], target: RegionBoxes
) -> AnchorTargets:
    """Torchvision's targets of the anchors, but nothing is learned where most of an anchor is void.

    Waits for the device, as torchvision does.

    Args:
        network: The network.
        maps: The feature maps (B, C, h, w).
        target: The regions.
    """
    every = anchors(network, maps)
    images = range(len(target.region))
    objects = [target.objects(image, every.dtype) for image in images]
    repeated = [every] * len(images)
    found, matched = network.assign_targets_to_anchors(repeated, objects)
    deltas = network.box_coder.encode(matched, repeated)
    labels = []
    for region, label in zip(target.region, found, strict=True):
        void = labelled_share(every, region > 0) < 0.5
        labels.append(label.masked_fill(void & (label == 0), -1))
    return AnchorTargets(torch.stack(labels), torch.stack(list(deltas)))


def proposal_losses(
    answer: Anchored, target: AnchorTargets, number: int = 256, share: float = 0.5
) -> tuple[Tensor, Tensor]:
    """The sums and weights (2,) of torchvision's losses of objectness and of boxes.

    Torchvision takes the mean over a random sample of each image's anchors. This is the expectation over all
    such samples, so that it depends on the image alone: an anchor counts with the probability to be drawn.

    Args:
        answer: What is said of the anchors.
        target: What is to be said of them.
        number: Size of the sample of an image.
        share: At most this share of it are anchors with a region.
    """
    positive = target.labels == 1
    negative = target.labels == 0
    positives = positive.sum(1, keepdim=True)
    negatives = negative.sum(1, keepdim=True)
    drawn = positives.clamp_max(int(number * share))
    others = negatives.minimum(number - drawn)
    of_positive = positive * (drawn / positives.clamp_min(1))
    of_negative = negative * (others / negatives.clamp_min(1))
    objectness = wide(answer.objectness)
    losses = F.binary_cross_entropy_with_logits(objectness, positive.to(objectness), reduction="none")
    wanted = target.deltas.where(positive.unsqueeze(2), 0)
    distances = F.smooth_l1_loss(wide(answer.deltas), wanted, beta=1 / 9, reduction="none").sum(2)
    sums = [(losses * (of_positive + of_negative)).sum(), (distances * of_positive).sum()]
    weight = (drawn + others).sum().to(sums[0].dtype)
    return torch.stack(sums), torch.stack([weight, weight])


def perfect(network: RegionProposalNetwork, truth: RegionBoxes) -> Anchored:
    """What a network that has learned its targets says of the anchors; its maps have no channels.

    It is a little more certain of one anchor of each region than of the others, so that of the likeliest
    anchors none is of a region that has one already while another region has none.
    """
    batch, *size = truth.region.shape
    strides = [4 * 2**level for level in range(len(network.anchor_generator.sizes))]
    maps = [truth.boxes.new_empty(batch, 0, *(-(-length // s) for length in size)) for s in strides]
    target = anchor_targets(network, maps, truth)
    positive = target.labels == 1
    deltas = target.deltas.where(positive.unsqueeze(2), 0)
    boxes = network.box_coder.decode(deltas.flatten(0, 1), [anchors(network, maps)] * batch)
    objectness = CERTAIN * (2 * positive.to(deltas) - 1)
    objectness[positive] -= _repeated(boxes.view_as(deltas), positive).to(deltas)
    return Anchored(maps, objectness, deltas)


def _repeated(boxes: Tensor, positive: Tensor) -> Tensor:
    """Which of the positive boxes (N,), in pixels, an earlier one of the same image is equal to.

    Args:
        boxes: Left, top, right and bottom edges (B, A, 4).
        positive: Which of them to compare (B, A), bool.
    """
    image = positive.nonzero()[:, :1]
    rows = torch.cat([image, boxes[positive].round().long()], 1)
    _, number = torch.unique(rows, dim=0, return_inverse=True)
    position = torch.arange(len(number), device=number.device)
    first = torch.full_like(position, len(position)).scatter_reduce(0, number, position, "amin")
    return first[number] < position
