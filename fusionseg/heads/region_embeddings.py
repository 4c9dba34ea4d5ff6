"""The regions of a batch, from embeddings of its pixels that are clustered."""

import math

import numpy as np
import torch
from torch import Tensor

from fusionseg.heads.base import resized
from fusionseg.heads.region_clustering import clustered
from fusionseg.sample import Frame


def embedded_regions(
    embeddings: Tensor, frame: Frame, bandwidth: float, min_area: int, max_clusters: int
) -> Tensor:
    """The region ids (B, H, W) int64 from 1 at `frame.size`, clustered on the CPU as `clustered` does.

    Args:
        embeddings: Embeddings (B, E, h, w) of the network's input.
        frame: How they relate to the label map.
        bandwidth: Radius of a cluster.
        min_area: Clusters of fewer pixels of the label map are merged into their neighbors.
        max_clusters: At most this many clusters are looked for.
    """
    embeddings = embeddings.detach()
    height, width = (
        length * valid / padded
        for length, valid, padded in zip(embeddings.shape[-2:], frame.valid, frame.padded, strict=True)
    )
    unpadded = embeddings[..., : math.ceil(height), : math.ceil(width)].float().cpu().numpy()
    enlarged = resized(embeddings, frame).cpu().numpy()
    cut = (frame.valid[0] < frame.padded[0], frame.valid[1] < frame.padded[1])
    reach = 1 if frame.size == frame.valid else 2  # as it is enlarged twice
    maps = [
        clustered(*image, bandwidth, min_area, max_clusters, (height, width), reach, cut)
        for image in zip(enlarged, unpadded, strict=True)
    ]
    return torch.from_numpy(np.stack(maps).astype(np.int64)).to(embeddings.device)
