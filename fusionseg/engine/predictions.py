"""From a network's outputs to answers in the size of the label files."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from fusionseg.engine.fusion import panoptic, region_vote
from fusionseg.heads.base import Head
from fusionseg.networks.backbone import STRIDE
from fusionseg.sample import VOID, Classes, Frame, Prediction, Sample

_FILL = {"semantic": VOID, "region": 0}


def padded(batch: Sample) -> Sample:
    """The batch, extended to the right and bottom to multiples of 32: the image by its edge, labels by void."""
    height, width = batch["image"].shape[-2:]
    room = (0, -width % STRIDE, 0, -height % STRIDE)
    if not any(room):
        return batch
    kind = batch["image"].dtype
    image = F.pad(batch["image"].float(), room, mode="replicate").to(kind)
    return {
        **batch,
        "image": image,
        **{k: F.pad(batch[k], room, value=v) for k, v in _FILL.items() if k in batch},
    }


def answers(
    outputs: Mapping[str, Any],
    heads: Mapping[str, Head],
    frame: Frame,
    names: Sequence[str],
    classes: Classes,
) -> list[Prediction]:
    """What the network says of each image of a batch, on the host.

    Args:
        outputs: The last refinement of the network.
        heads: The heads that made and can read it.
        frame: How the outputs relate to the label files.
        names: The images' names.
        classes: The classes of the data set.
    """
    maps: dict[str, Tensor] = {task: head.labels(outputs[task], frame) for task, head in heads.items()}
    if "semantic" in maps and "region" in maps:
        maps["fused"] = region_vote(maps["semantic"], maps["region"], len(classes))
        maps["panoptic"] = panoptic(maps["semantic"], maps["region"], classes.things, len(classes))
    kinds = {"semantic": torch.uint8, "fused": torch.uint8, "scene": torch.float32}
    arrays = {key: labels.to(kinds.get(key, torch.int32)).cpu().numpy() for key, labels in maps.items()}
    return [Prediction(name, {key: a[i] for key, a in arrays.items()}) for i, name in enumerate(names)]
