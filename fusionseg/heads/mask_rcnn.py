"""Regions from detected boxes and the masks within them."""

from collections.abc import Mapping, Sequence
from typing import ClassVar

import torch
from torch import Tensor
from torchvision.ops import FeaturePyramidNetwork
from torchvision.ops.feature_pyramid_network import LastLevelMaxPool

from fusionseg.config.errors import UserError
from fusionseg.heads.limits import warn_of_limit
from fusionseg.heads.ranges import PROBABILITY, Range
from fusionseg.heads.region import RegionHead
from fusionseg.heads.region_boxes import RegionBoxes, region_boxes
from fusionseg.heads.region_pasting import region_maps
from fusionseg.heads.region_proposals import (
    anchor_targets,
    anchored,
    image_size,
    perfect,
    proposal_losses,
    proposal_network,
    proposals,
)
from fusionseg.heads.region_rois import (
    Detections,
    MaskRCNNOutput,
    PerfectReader,
    PooledReader,
    Reader,
    detections,
    roi_heads,
    roi_losses,
)
from fusionseg.heads.region_samples import samples
from fusionseg.sample import OFFSET, Frame, Sample


class MaskRCNNHead(RegionHead):
    """Finds the box of each region and its mask therein (Mask R-CNN, He et al., arXiv:1703.06870).

    The parts are torchvision's: a feature pyramid network, a network that proposes boxes, and heads that read
    the kind, the box and the mask of the region in each. With `kinds=90`, `nms=0.5` and
    `max_regions=100` the weights of its `maskrcnn_resnet50_fpn` load whole and find what they find there.
    Training waits for the device.

    Regions cover the image, unlike the objects that Mask R-CNN was made for, and the boxes of large ones are
    almost the same. So boxes are suppressed late, and regions that are seen twice are known by their masks.
    On COCO a perfect network reaches a covering of 0.966 so, and 0.921 with `nms=0.5`.

    Args:
        in_channels: Channels of the features at strides 4, 8 ...
        channels: Channels of each layer, 256 in torchvision; the heads of boxes have four times as many.
        kinds: How many kinds of regions are told apart. With more than 1, the kind of a region is its class.
        samples: The boxes of an image that are learned from.
        threshold: Smallest probability of what is found.
        nms: Boxes with a larger IoU with a likelier one of their kind are suppressed.
        max_regions: At most this many regions are found in an image, the likeliest, with a warning (100 in
            torchvision); never more than proposals, and by default as many.
        proposals: This many boxes of an image, the likeliest, are searched for a region each. The time that
            this takes grows with them; of more regions in an image a warning tells.
        gap: What is farther than this from all that is found, in pixels of the label file, becomes regions.
        anchor: Side of the anchors at stride 4, in pixels; half of it finds more regions in small images.

    Raises:
        ValueError: If `channels`, `kinds`, `samples`, `max_regions` or `proposals` is not positive.
    """

    reads_pyramid: ClassVar[bool] = True
    loss_waits: ClassVar[bool] = True

    def __init__(
        self,
        in_channels: Sequence[int],
        channels: int = 256,
        kinds: int = 1,
        samples: int = 512,
        threshold: float = 0.05,
        nms: float = 0.8,
        max_regions: int = OFFSET - 1,
        proposals: int = 1000,
        gap: int = 16,
        anchor: int = 32,
    ) -> None:
        super().__init__()
        if min(channels, kinds, samples, max_regions, proposals) < 1:
            raise ValueError(
                "expected channels, kinds, samples, max_regions and proposals of 1 or more, "
                f"found {channels}, {kinds}, {samples}, {max_regions} and {proposals}"
            )
        self.kinds = kinds
        self.threshold = threshold
        self.max_regions = max_regions
        self.proposals = proposals
        self.gap = gap
        levels = len(in_channels)
        self.fpn = FeaturePyramidNetwork(list(in_channels), channels, LastLevelMaxPool())
        self.rpn = proposal_network(levels + 1, channels, anchor, proposals)
        most = min(max_regions, proposals)
        self.roi_heads = roi_heads(levels, channels, kinds, samples, threshold, nms, most)

    @property
    def tunable(self) -> Mapping[str, Range]:
        """The threshold, which has no effect below the one of the training, and the gap."""
        return {"threshold": PROBABILITY, "gap": Range(1, 256, log=True)}

    def forward(self, features: Sequence[Tensor]) -> MaskRCNNOutput:
        """The output, from features (B, in_channels[i], h_i, w_i) at strides 4, 8 ..."""
        maps = self.fpn({str(level): m for level, m in enumerate(features)})
        output = MaskRCNNOutput(anchored(self.rpn, list(maps.values())))
        return output if self.training else output._replace(detections=self.detected(output))

    def target(self, batch: Sample) -> RegionBoxes:
        """The regions and the boxes around them."""
        return region_boxes(batch["region"], batch["semantic"] if self.kinds > 1 else None)

    def loss(self, output: MaskRCNNOutput, target: RegionBoxes) -> tuple[Tensor, Tensor]:
        """Sums and weights (5,) of torchvision's losses of objectness, proposals, kinds, boxes and masks.

        Raises:
            UserError: If there are more classes than kinds.
        """
        if self.kinds > 1 and (found := int(target.kinds.max())) > self.kinds:
            raise UserError(f"expected classes below {self.kinds}, found {found - 1}: set kinds to {found}")
        self._warn_of_more(target)
        wanted = anchor_targets(self.rpn, output.anchored.maps, target)
        chosen = samples(self.roi_heads, proposals(self.rpn, output.anchored), target)
        first = proposal_losses(output.anchored, wanted)
        second = roi_losses(self._reader(output), chosen, target.region)
        sums, weights = (torch.cat(each) for each in zip(first, second, strict=True))
        return sums, weights

    def labels(self, output: MaskRCNNOutput, frame: Frame) -> Tensor:
        """The region ids (B, H, W) int64 from 1; pasted on the CPU."""
        return region_maps(output.detections or self.detected(output), frame, self.threshold, self.gap)

    def kept(self, output: MaskRCNNOutput) -> MaskRCNNOutput:
        """What was found, without the feature maps."""
        found = output.detections or self.detected(output)
        return output._replace(anchored=output.anchored._replace(maps=[]), detections=found)

    def ideal(self, target: RegionBoxes) -> MaskRCNNOutput:
        """The output of a network that has learned its targets, with what it finds."""
        self._warn_of_more(target)
        output = MaskRCNNOutput(perfect(self.rpn, target), truth=target)
        return output._replace(detections=self.detected(output))

    @torch.compiler.disable  # type: ignore[untyped-decorator]
    @torch.no_grad()
    def detected(self, output: MaskRCNNOutput) -> Detections:
        """The regions that are found, whatever the output says of them."""
        boxes = proposals(self.rpn, output.anchored)
        found = detections(self.roi_heads, self._reader(output), boxes, image_size(output.anchored.maps))
        if self.proposals > self.max_regions <= found.boxes.shape[1]:
            warn_of_limit("max_regions", self.max_regions)
        return found

    def _warn_of_more(self, target: RegionBoxes) -> None:
        """Warns if an image has more regions than can be found."""
        regions = int((target.kinds != 0).sum(1).max())
        for setting in ("max_regions", "proposals"):
            if regions > getattr(self, setting):
                warn_of_limit(setting, getattr(self, setting))

    def _reader(self, output: MaskRCNNOutput) -> Reader:
        if output.truth is not None:
            return PerfectReader(self.roi_heads, output.truth, self.kinds)
        return PooledReader(self.roi_heads, output.anchored.maps[:-1])
