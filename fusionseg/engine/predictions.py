"""Decodes a network's outputs to predictions at the size of the label files."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from fusionseg.engine.fusion import panoptic, region_vote
from fusionseg.engine.outputs_of_image import of_image
from fusionseg.heads import Head, RegionHead, SemanticHead
from fusionseg.networks.backbone import STRIDE
from fusionseg.networks.base import Outputs
from fusionseg.sample import VOID, Classes, Frame, Prediction, Sample
from fusionseg.visualize import Drawable

COMPACT = {"semantic": torch.uint8, "fused": torch.uint8, "region": torch.int32, "panoptic": torch.int32}
"""The type of label maps on the host; the maps of other tasks keep their own."""


EXTRAS = (
    "contours",
    "contour_logits",
    "offsets",
    "probabilities",
    "log_probabilities",
    "confidence",
    "entropy",
)
"""What our heads predict besides labels where it is asked for."""


def padded(batch: Sample) -> Sample:
    """The batch, extended to the right and bottom to sides that are multiples of 32.

    The image is extended by its edge, class ids by void and all other label maps (B, ..., H, W) by 0. `valid`
    tells the size before.
    """
    height, width = batch["image"].shape[-2:]
    room = (0, -width % STRIDE, 0, -height % STRIDE)
    if not any(room):
        return batch
    extended = {**batch, "valid": (height, width)}
    for key, value in batch.items():
        if isinstance(value, Tensor) and value.ndim > 2 and value.shape[-2:] == (height, width):
            extended[key] = F.pad(value, room, value=VOID if key == "semantic" else 0)
    dtype = batch["image"].dtype
    extended["image"] = F.pad(batch["image"].float(), room, mode="replicate").to(dtype)
    return extended


def predictions(
    outputs: Outputs,
    heads: Mapping[str, Head],
    frame: Frame,
    names: Sequence[str],
    classes: Classes,
    areas: tuple[int, int] = (0, 0),
    extras: Collection[str] = (),
) -> list[Prediction]:
    """The predictions for the images of a batch, on the host.

    Args:
        outputs: The output of each task's head, of the network's last refinement.
        heads: The heads, which decode them.
        frame: How the outputs relate to the label files.
        names: The names of the images.
        classes: The classes of the data set.
        areas: The numbers of pixels that a thing and a stuff segment have at least.
        extras: What is wanted besides labels, where a head has it among its `extras`; `EXTRAS` are those of
            ours. With `outputs`, also what each head gave. Other names are ignored.
    """
    maps = {task: head.labels(outputs[task], frame) for task, head in heads.items()}
    if extras:
        maps |= _further(outputs, heads, frame, extras)
    found = fused(maps, names, classes, areas)
    if "outputs" not in extras:
        return found
    kept = {task: head.kept(outputs[task]) for task, head in heads.items()}
    return [replace(p, outputs=of_image(kept, number)) for number, p in enumerate(found)]


def _further(
    outputs: Outputs, heads: Mapping[str, Head], frame: Frame, extras: Collection[str]
) -> dict[str, Tensor]:
    """Those of the extras (B, ..., H, W) that a head predicts."""
    found = {}
    for task, head in heads.items():
        for name, predict in head.extras.items():
            values = predict(outputs[task], frame) if name in extras else None
            if values is not None:
                found[name] = values
    return found


def fused(
    labels: Mapping[str, Tensor], names: Sequence[str], classes: Classes, areas: tuple[int, int] = (0, 0)
) -> list[Prediction]:
    """The same from the labels of each task (B, ...): these, and the fusion of classes and regions."""
    maps = dict(labels)
    if "semantic" in maps and "region" in maps:
        maps["fused"] = region_vote(maps["semantic"], maps["region"], len(classes))
        maps["panoptic"] = panoptic(
            maps["semantic"],
            maps["region"],
            classes.things,
            len(classes),
            thing_area=areas[0],
            stuff_area=areas[1],
        )
    arrays = {task: labels.to(COMPACT.get(task, labels.dtype)).cpu().numpy() for task, labels in maps.items()}
    return [Prediction(name, {task: a[i] for task, a in arrays.items()}) for i, name in enumerate(names)]


def frame_of(batch: Sample, size: tuple[int, int]) -> Frame:
    """The frame of the output for a batch, padded by `padded`, and label files of a size (H, W)."""
    height, width = batch["image"].shape[-2:]
    return Frame((height + -height % STRIDE, width + -width % STRIDE), (height, width), size)


def image_channels(module: Any) -> int:
    """The channels of the images that a LightningModule takes: those of its backbone, else three."""
    backbone: Any = module.hparams.get("backbone", {})
    return int(backbone.get("in_channels", 3))


def drawables(module: object) -> Mapping[str, Drawable]:
    """Draws the tasks of a LightningModule: its heads, or those of classes and regions if it has none."""
    return getattr(module, "heads", None) or {"semantic": SemanticHead, "region": RegionHead}
