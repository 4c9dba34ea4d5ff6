"""The loss of pixel embeddings: near within a region, apart between regions."""

import torch
from torch import Tensor

from fusionseg.losses.base import Loss
from fusionseg.sample import OFFSET


class Discriminative(Loss):
    """Pulls embeddings to the mean of their region and pushes the means apart (arXiv:1708.02551, eq. 1-4).

    The loss of an image with regions c of N_c pixels, embeddings x_i and means mu_c, where [x]+ = max(0, x):

    - L_var, mean over c of 1 / N_c sum_i [|mu_c - x_i| - delta_v]+^2
    - L_dist, mean over pairs a != b of [2 delta_d - |mu_a - mu_b|]+^2
    - L_reg, mean over c of |mu_c|
    - L = alpha L_var + beta L_dist + gamma L_reg

    The output is embeddings (B, E, H, W), the target region ids (B, H, W) in [0, 65536). An image of one
    region has no pairs. The weight is the number of images with a labelled pixel.

    Args:
        delta_v: A pixel at most this far from its region's mean is not pulled.
        delta_d: Means at least twice this far apart are not pushed. With delta_d > 2 delta_v, every pixel
            that is not pulled is nearer to all others of its region than to those of any other.
        alpha: Factor of the pull.
        beta: Factor of the push.
        gamma: Factor of the means' length.
        max_regions: Only pairs of this many regions of an image, those of the most pixels, are pushed; it
            bounds the memory, E floats for each pair. Pull and length are those of all regions.

    Raises:
        ValueError: If a margin is not positive, a factor negative or `max_regions` not in 2..65536.
    """

    def __init__(
        self,
        delta_v: float = 0.5,
        delta_d: float = 1.5,
        alpha: float = 1.0,
        beta: float = 1.0,
        gamma: float = 0.001,
        max_regions: int = 256,
    ) -> None:
        super().__init__()
        if delta_v <= 0 or delta_d <= 0:
            raise ValueError(f"expected positive margins, found delta_v {delta_v} and delta_d {delta_d}")
        if min(alpha, beta, gamma) < 0:
            raise ValueError(f"expected factors of at least 0, found {alpha}, {beta} and {gamma}")
        if not 2 <= max_regions <= OFFSET:
            raise ValueError(f"expected max_regions in 2..{OFFSET}, found {max_regions}")
        self.delta_v = delta_v
        self.delta_d = delta_d
        self.alpha = alpha
        self.beta = beta
        self.gamma = gamma
        self.max_regions = max_regions

    def total(self, output: Tensor, target: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """The sum of the images' losses, and the number of labelled images."""
        labelled = mask.flatten(1)
        region = _renumbered(target.flatten(1))
        embeddings = output.flatten(2).where(labelled.unsqueeze(1), 0)
        counts = _totals(labelled.long().unsqueeze(1), region).squeeze(1)
        means = _totals(embeddings, region) / counts.clamp_min(1).unsqueeze(1)
        regions = (counts > 0).sum(1).clamp_min(1)
        pull = self._pull(embeddings, region, means).where(labelled, 0)
        pull = pull / counts.gather(1, region).clamp_min(1)
        length = torch.linalg.vector_norm(means, dim=1)
        losses = (self.alpha * pull.sum(1) + self.gamma * length.sum(1)) / regions
        losses = losses + self.beta * self._push(means, counts)
        return losses.sum(), labelled.any(1).sum().to(output.dtype)

    def _pull(self, embeddings: Tensor, region: Tensor, means: Tensor) -> Tensor:
        """The squared hinge (B, P) of every pixel's distance to its region's mean."""
        own = means.gather(2, region.unsqueeze(1).expand_as(embeddings))
        distance = torch.linalg.vector_norm(embeddings - own, dim=1)
        hinge: Tensor = (distance - self.delta_v).relu()
        return hinge.square()

    def _push(self, means: Tensor, counts: Tensor) -> Tensor:
        """The mean (B,) of the squared hinges over the pairs of an image's largest regions."""
        counts, largest = counts.topk(min(self.max_regions, counts.shape[1]))
        means = means.gather(2, largest.unsqueeze(1).expand(-1, means.shape[1], -1))
        distance = torch.linalg.vector_norm(means.unsqueeze(3) - means.unsqueeze(2), dim=1)
        hinge: Tensor = (2 * self.delta_d - distance).relu()
        exists = counts > 0
        pairs = (exists.unsqueeze(1) & exists.unsqueeze(2)).triu(1)
        return hinge.square().where(pairs, 0).sum((1, 2)) / pairs.sum((1, 2)).clamp_min(1)


def _renumbered(region: Tensor) -> Tensor:
    """The region ids (B, P) in [0, 65536) numbered from 0 in each image, so that all are below P."""
    occurs = torch.zeros(len(region), OFFSET, dtype=torch.bool, device=region.device)
    occurs = occurs.scatter(1, region, True)
    return occurs.cumsum(1, dtype=torch.int32).gather(1, region).long() - 1


def _totals(values: Tensor, region: Tensor) -> Tensor:
    """The sums (B, K, N) of values (B, K, P) over the pixels of each region number (B, P).

    N is the most regions that an image of P pixels can have, so that no shape depends on the data.
    """
    totals = values.new_zeros(*values.shape[:2], min(values.shape[2], OFFSET))
    return totals.scatter_add(2, region.unsqueeze(1).expand_as(values), values)
