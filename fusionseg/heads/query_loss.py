"""The loss of mask classification: an assignment of queries to regions, and the loss of the pairs."""

from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from fusionseg.heads.limits import warn_of_limit
from fusionseg.heads.query_decoder import QueryOutput
from fusionseg.heads.query_target import QueryTarget, cells
from fusionseg.losses.enlarging import wide

_IMPOSSIBLE = 1e9
"""What a pair costs whose cost is not finite: there is an assignment then too, and the loss is not finite."""


class QueryWeights(NamedTuple):
    """The factors of the loss's terms, by default those of Mask2Former (arXiv:2112.01527, section 4.1).

    Args:
        classes: Factor of the cross-entropy of the classes.
        mask: Factor of the binary cross-entropy of the masks.
        dice: Factor of the Dice loss of the masks.
        no_object: The weight of a query without a region in the cross-entropy of the classes.
    """

    classes: float = 2.0
    mask: float = 5.0
    dice: float = 5.0
    no_object: float = 0.1


def query_loss(output: QueryOutput, target: QueryTarget, weights: QueryWeights) -> tuple[Tensor, Tensor]:
    """The sums and weights (3,) of the losses of classes, of masks and of their overlap.

    Each is the mean over the L layers, of which each has an assignment of its own. Masks and overlap weigh
    the number of regions, classes the number of queries, those without a region `no_object` each.

    Args:
        output: The answers of the queries.
        target: The regions.
        weights: The factors.
    """
    with torch.autocast(output.masks.device.type, enabled=False):
        masks = wide(output.masks)
        layers, queries = masks.shape[1:3]
        counts, labelled = (n.to(masks.dtype) for n in cells(target.slot, queries, masks.shape[-2:]))
        logits = masks.flatten(3)
        scores = class_scores(wide(output.classes))
        # The class of an unknown one is to be any.
        known = target.classes.clamp_max(scores.shape[-1] - 2)
        with torch.no_grad():
            cost = costs(logits, scores, counts, labelled, known, weights)
            answer, region = assigned(cost, target.number)
        image = region // queries
        chosen = logits.flatten(0, 2)[answer]
        mask, dice = mask_losses(chosen, counts.flatten(0, 1)[region], labelled[image])
        free = labelled.any(1)[:, None, None].expand(scores.shape[:3]).flatten().index_fill(0, answer, False)
        flat = scores.flatten(0, 2)
        right = flat[answer].gather(1, known.flatten()[region].unsqueeze(1))
        classes = -right.sum() - weights.no_object * flat[:, -1].where(free, 0).sum()
        sums = [weights.classes * classes, weights.mask * mask.sum(), weights.dice * dice.sum()]
        regions = target.number.clamp_max(queries).sum()
        weight = [regions + weights.no_object * free.sum() / layers, regions, regions]
    return torch.stack(sums) / layers, torch.stack([w.to(masks.dtype) for w in weight])


def class_scores(classes: Tensor) -> Tensor:
    """The log-probabilities (..., K + 2) of each class, of any of them, and of no object.

    Args:
        classes: Logits of the classes and of no object (..., K + 1).
    """
    scores = classes.log_softmax(-1)
    some = scores[..., :-1].logsumexp(-1, keepdim=True)
    return torch.cat([scores[..., :-1], some, scores[..., -1:]], -1)


def costs(
    logits: Tensor, scores: Tensor, counts: Tensor, labelled: Tensor, known: Tensor, weights: QueryWeights
) -> Tensor:
    """What it costs to assign each query to each region (B, L, N, N), of which DETR's eq. 1 is the sum.

    As in Mask2Former it is the mask losses of the pair, less the probability of the region's class.

    Args:
        logits: Logits of the masks (B, L, N, P).
        scores: Log-probabilities (B, L, N, K + 2), as `class_scores` gives them.
        counts: How many pixels of each region a cell stands for (B, N, P).
        labelled: How many labelled pixels a cell stands for (B, P).
        known: The index of each region's class in the scores (B, N).
        weights: The factors.
    """
    flat = logits.flatten(1, 2)
    pixels = labelled.unsqueeze(2)
    probability = flat.sigmoid()
    mask = (F.softplus(flat) @ pixels - flat @ counts.mT) / pixels.sum(1, keepdim=True).clamp_min(1)
    sizes = probability @ pixels + counts.sum(2).unsqueeze(1)
    dice = 1 - (2 * (probability @ counts.mT) + 1) / (sizes + 1)
    pairs = (weights.mask * mask + weights.dice * dice).reshape(*logits.shape[:3], -1)
    likely = scores.exp().gather(3, known[:, None, None].expand_as(pairs))
    return pairs - weights.classes * likely


def assigned(cost: Tensor, number: Tensor) -> tuple[Tensor, Tensor]:
    """The assignments of least cost, of each image and layer, that give every region a query of its own.

    They are found on the host (Hungarian matching), for which it waits for the device, once: the number of
    steps of an exact method depends on the costs.

    Args:
        cost: What each pair of a query and a region costs (B, L, N, N).
        number: The number of regions of each image (B,).

    Returns:
        The indices of the queries into (B * L * N) and those of the regions into (B * N), (M,) each.
    """
    from scipy.optimize import linear_sum_assignment  # which takes a while

    _, layers, queries, _ = cost.shape
    cost = cost.nan_to_num(_IMPOSSIBLE, _IMPOSSIBLE, -_IMPOSSIBLE)
    table = torch.cat([number.to(cost.dtype).unsqueeze(1), cost.flatten(1)], 1).cpu().double().numpy()
    if table[:, 0].max() > queries:
        warn_of_limit("queries", queries)
    answers = []
    regions = []
    for image, row in enumerate(table):
        found = min(int(row[0]), queries)
        for layer, pairs in enumerate(row[1:].reshape(layers, queries, queries)):
            answer, region = linear_sum_assignment(pairs[:, :found])
            answers.append((image * layers + layer) * queries + answer)
            regions.append(image * queries + region)
    both = torch.from_numpy(np.stack([np.concatenate(answers), np.concatenate(regions)]))
    answer, region = both.to(cost.device, non_blocking=True)
    return answer, region


def mask_losses(logits: Tensor, counts: Tensor, labelled: Tensor) -> tuple[Tensor, Tensor]:
    """The mean binary cross-entropy and the Dice loss of M masks, (M,) each.

    Both are those of the logits repeated to the labels' size, at every labelled pixel: the mask loss of
    Mask2Former (arXiv:2112.01527, section 3.3), at all points. Dice is 1 - (2 |P T| + 1) / (|P| + |T| + 1).

    Args:
        logits: Logits of the masks (M, P).
        counts: How many pixels of a mask's region a cell stands for (M, P).
        labelled: How many labelled pixels a cell stands for (M, P).
    """
    probability = logits.sigmoid()
    mask = (_dots(F.softplus(logits), labelled) - _dots(logits, counts)) / labelled.sum(1)
    sizes = _dots(probability, labelled) + counts.sum(1)
    return mask, 1 - (2 * _dots(probability, counts) + 1) / (sizes + 1)


def _dots(a: Tensor, b: Tensor) -> Tensor:
    """The inner products (M,) of the rows of two matrices (M, P)."""
    return torch.einsum("mp,mp->m", a, b)
