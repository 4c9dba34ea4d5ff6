"""Explains what a model predicts: the pixels that are asked for, the score of them, and its attribution."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from fusionseg.config.errors import UserError
from fusionseg.config.type_names import nearest
from fusionseg.engine.fusion import region_vote
from fusionseg.engine.passes import Passes
from fusionseg.engine.predictions import frame_of, padded
from fusionseg.heads import RegionHead, SemanticHead
from fusionseg.heads.base import resized
from fusionseg.heads.region_targets import boundaries
from fusionseg.inference.attribution import ENCODER, Attribution, AttributionTarget
from fusionseg.inference.grad_cam import captured, grad_cam
from fusionseg.inference.inputs import NamedPhoto
from fusionseg.module import FusionModule
from fusionseg.networks.base import Outputs
from fusionseg.sample import Frame, Sample


class NotPredictedError(UserError):
    """What is to be explained is not predicted in this image."""


def check_target(model: Any, passes: Passes, target: AttributionTarget) -> None:
    """Checks that a model can explain something, as far as is known without an image.

    Raises:
        UserError: If it cannot.
    """
    if not isinstance(model, FusionModule) or not passes.plain:
        found = "tiles or tta" if isinstance(model, FusionModule) else type(model).__name__
        raise UserError(f"expected one FusionModule that sees the image once to explain, found {found}")
    if target.task not in ("semantic", "region"):
        raise UserError(f"expected the task semantic or region to explain, found {target.task!r}")
    head = model.heads.get(target.task)
    if head is None:
        raise UserError(
            f"expected a head of {target.task} to explain, found heads of {', '.join(model.heads)}"
        )
    if target.region is not None and target.pixel is not None:
        raise UserError("expected a region or a pixel to explain, found both")
    if target.region is not None and "region" not in model.heads:
        raise UserError(f"expected a head of regions to explain one, found heads of {', '.join(model.heads)}")
    if target.task == "region":
        if target.cls is not None:
            raise UserError(f"expected no class where boundaries are explained, found {target.cls!r}")
        if not isinstance(head, RegionHead) or not head.predicts_boundaries:
            raise UserError(
                f"expected a head that predicts boundaries to explain, found {type(head).__name__}, whose "
                "boundaries only follow from its regions"
            )
        return
    if not isinstance(head, SemanticHead):
        raise UserError(f"expected a SemanticHead to explain, found {type(head).__name__}")
    if target.cls is None and target.region is None and target.pixel is None:
        raise UserError("expected a class, a region or a pixel to explain, found none")
    if target.cls is not None and target.cls not in model.classes.names:
        raise UserError(
            f"expected the name of a class of the model to explain, found {target.cls!r}"
            f"{nearest(str(target.cls), model.classes.names)}"
        )


def explained(
    model: FusionModule, batch: Sample, photo: NamedPhoto, target: AttributionTarget
) -> Attribution:
    """Where a network looks for something in an image, by Grad-CAM for segmentation.

    The score is the sum of the logits of the class, or of a boundary, over the pixels that are explained: all
    that are predicted as the class, those of a region or on its outline, or one (Vinogradova et al.,
    arXiv:2002.11434, eq. 3). Its attribution (see `grad_cam`) is enlarged to the image and divided by its
    highest value.

    Args:
        model: The model, in evaluation mode.
        batch: The image as the network sees it, alone in a batch.
        photo: The image.
        target: What is explained, as `check_target` accepts it.

    Raises:
        NotPredictedError: If the image has nothing of the kind.
        UserError: If the layer is none, or has no map.
    """
    frame = frame_of(batch, photo.photo.shape[:2])
    layer = target.layer or ENCODER
    with torch.enable_grad(), captured(model.network, layer) as maps:
        outputs = model(padded(batch)["image"])[-1]
        question = _Question(model, outputs, frame, photo.name)
        score, words = question.boundary(target) if target.task == "region" else question.of_class(target)
        maps = _by_level(model, maps) if layer == ENCODER else maps
        heat = resized(grad_cam(score, maps, layer), frame)[0, 0]
    values = (heat / heat.max().clamp_min(torch.finfo(heat.dtype).tiny)).cpu().numpy()
    return Attribution(photo.name, photo.photo, words, np.ascontiguousarray(values))


def _by_level(model: FusionModule, maps: list[Tensor]) -> list[Tensor]:
    """The maps of an encoder from fine to coarse, also where it gives a pyramid for each task."""
    levels = len(getattr(model.network.encoder, "out_channels", maps))
    return [m for level in range(levels) for m in maps[level::levels]]


class _Question:
    """The scores of what can be asked of one image's outputs.

    Args:
        model: The model.
        outputs: The output of each head for one image.
        frame: How they relate to the image.
        name: The image's name, for messages.
    """

    def __init__(self, model: FusionModule, outputs: Outputs, frame: Frame, name: str) -> None:
        self.model = model
        self.outputs = outputs
        self.frame = frame
        self.name = name

    def of_class(self, target: AttributionTarget) -> tuple[Tensor, str]:
        """The sum of the logits of a class over the pixels that are explained, and these in words."""
        names = self.model.classes.names
        semantic = self._labels("semantic")
        where, place = self._place(target)
        if where is None:
            label = names.index(str(target.cls))
            where = semantic == label
            if not where.any():
                found = ", ".join(names[i] for i in np.unique(semantic.cpu().numpy()))
                raise NotPredictedError(
                    f"expected {target.cls} to be predicted in {self.name}, found {found}"
                )
        elif target.cls is not None:
            label = names.index(target.cls)
        elif target.pixel is not None:
            label = int(semantic[target.pixel])
        else:
            label = int(region_vote(semantic[None], where[None].long(), len(names))[0][where][0])
        head: Any = self.model.heads["semantic"]
        logits = head.class_logits(self.outputs["semantic"], self.frame, label)[0]
        return logits[where].sum(), f"{names[label]}{place}"

    def boundary(self, target: AttributionTarget) -> tuple[Tensor, str]:
        """The sum of the logits of a boundary over the pixels that are explained, and these in words."""
        head: Any = self.model.heads["region"]
        where, place = self._place(target)
        if target.pixel is None:
            outline = boundaries(self._labels("region")[None])[0]
            where = outline if where is None else outline & where
            if not where.any():
                raise NotPredictedError(
                    f"expected boundaries to be predicted in {self.name}, found one region"
                )
        assert where is not None
        logits = head.contour_logits(self.outputs["region"], self.frame)[0]
        where = where & logits.isfinite()
        if not where.any():
            raise NotPredictedError(f"expected a logit of a boundary in {self.name}, found none{place}")
        return logits[where].sum(), f"boundary{place}"

    def _place(self, target: AttributionTarget) -> tuple[Tensor | None, str]:
        """The pixels (H, W) of the region or the pixel that is asked for, if one is, and these in words."""
        if target.region is not None:
            region = self._labels("region")
            where = region == target.region
            if not where.any():
                raise NotPredictedError(
                    f"expected a region of {self.name}, whose ids are {int(region.min())} to "
                    f"{int(region.max())}, found {target.region}"
                )
            return where, f" in region {target.region}"
        if target.pixel is None:
            return None, ""
        row, column = target.pixel
        height, width = self.frame.size
        if not 0 <= row < height or not 0 <= column < width:
            raise NotPredictedError(
                f"expected a pixel (row, column) within {height} x {width} of {self.name}, found "
                f"{(row, column)}"
            )
        where = torch.zeros(height, width, dtype=torch.bool, device=self.model.device)
        where[row, column] = True
        return where, f" at pixel {(row, column)}"

    def _labels(self, task: str) -> Tensor:
        """The predicted labels (H, W) of a task."""
        with torch.no_grad():
            head = self.model.heads[task]
            return head.labels(self.outputs[task], self.frame)[0]
