"""From a network's outputs to answers in the size of the label files."""

from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from fusionseg.backbone import STRIDE
from fusionseg.fusion import panoptic, region_vote
from fusionseg.heads.base import Head
from fusionseg.sample import VOID, Classes, Frame, Prediction, Sample, Truth

_FILL = {"semantic": VOID, "region": 0}


def padded(batch: Sample) -> Sample:
    """The batch, extended to the right and bottom to multiples of 32: the image by its edge, labels by void."""
    height, width = batch["image"].shape[-2:]
    room = (0, -width % STRIDE, 0, -height % STRIDE)
    if not any(room):
        return batch
    kind = batch["image"].dtype
    image = F.pad(batch["image"].float(), room, mode="replicate").to(kind)
    return {**batch, "image": image, **{k: F.pad(batch[k], room, value=v) for k, v in _FILL.items() if k in batch}}


def answers(
    outputs: Mapping[str, Any], heads: Mapping[str, Head], frame: Frame, names: Sequence[str], classes: Classes
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
    single = bool(getattr(heads.get("scene"), "single", False))
    return [Prediction(name, single=single, **{key: a[i] for key, a in arrays.items()}) for i, name in enumerate(names)]


class Truths:
    """The truths of a batch, read from the label files while the network runs.

    Args:
        dataset: What has `truth(index)`; the batch's own label maps are the truth where it has not.
    """

    def __init__(self, dataset: Any) -> None:
        self.read = getattr(dataset, "truth", None)
        self.pool = ThreadPoolExecutor(2, "truth")

    def start(self, batch: Sample) -> "list[Future[Truth]]":
        """Begins to read; the results are in the order of the batch."""
        if self.read is not None and "index" in batch:
            return [self.pool.submit(self.read, int(index)) for index in batch["index"]]
        return [self.pool.submit(own_truth, batch, i) for i in range(len(batch["name"]))]


def own_truth(batch: Sample, i: int) -> Truth:
    """The truth of the i-th image as the batch itself has it."""
    semantic, region = batch["semantic"][i].cpu().numpy(), batch["region"][i].cpu().numpy()
    return Truth(semantic.astype(np.uint8), region.astype(np.int32))


def common_size(truths: Sequence[Truth]) -> tuple[int, int]:
    """The size of all label files of a batch.

    Raises:
        ValueError: If they differ.
    """
    sizes = sorted({truth.semantic.shape for truth in truths})
    if len(sizes) != 1:
        raise ValueError(f"the label files of a batch have different sizes {sizes}: set data.eval_batch_size to 1")
    height, width = sizes[0]
    return height, width
