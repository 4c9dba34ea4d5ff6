"""Temperatures of heads' probabilities, fitted to the likelihood of validation images."""

import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from fusionseg.heads import Head, RegionHead, SemanticHead
from fusionseg.metrics.boundary_calibration import observed
from fusionseg.metrics.contingency import Floats
from fusionseg.metrics.reliability import LOWEST
from fusionseg.sample import VOID
from fusionseg.tuning.measuring import KeptBatch, decoding_of, kept_batch

RANGE = (0.05, 20.0)
"""Where temperatures are looked for."""

PRECISION = 1e-4
"""How near the best one they are, relatively."""


class Likelihood(NamedTuple):
    """How likely the truth is at a temperature T, of the pixels of a set of images.

    Attributes:
        pixels: Their number.
        nll: The sum of negative log-likelihoods in nats.
        slope: The derivative of that sum by 1 / T.
    """

    pixels: float
    nll: float
    slope: float


class Fit(NamedTuple):
    """A fitted temperature.

    Attributes:
        temperature: The temperature.
        nll_before: The mean negative log-likelihood without it.
        nll_after: The same with it.
    """

    temperature: float
    nll_before: float
    nll_after: float


def fitted(measure: Callable[[float], Likelihood]) -> Fit | None:
    """The temperature at which the truth is most likely (Guo et al., arXiv:1706.04599, section 4.2).

    The likelihood has one maximum, as its logarithm is concave in 1 / T: where its slope is 0, or at an end
    of `RANGE`.

    Args:
        measure: The likelihood at a temperature.

    Returns:
        The temperature, 1 where none is better; None where no pixel has a label.
    """
    from scipy.optimize import brentq

    before = measure(1.0)
    if not before.pixels:
        return None
    known: dict[float, Likelihood] = {}

    def slope(log_temperature: float) -> float:
        known[log_temperature] = measure(math.exp(log_temperature))
        return known[log_temperature].slope

    low, high = map(math.log, RANGE)
    if slope(low) <= 0:
        best = low
    elif slope(high) >= 0:
        best = high
    else:
        best = brentq(slope, low, high, xtol=PRECISION)
        slope(best)
    after = known[best]
    if after.nll >= before.nll:
        return Fit(1.0, before.nll / before.pixels, before.nll / before.pixels)
    return Fit(math.exp(best), before.nll / before.pixels, after.nll / before.pixels)


def likelihood(log_probabilities: Tensor, true: Tensor, temperature: float) -> Likelihood:
    """How likely the truth is with tempered probabilities.

    Args:
        log_probabilities: Of each class (C, N) at a temperature of 1, up to a constant of each pixel.
        true: The true class of each pixel (N,) int64.
        temperature: The temperature T.
    """
    logs = log_probabilities.clamp_min(LOWEST)
    tempered = logs / temperature
    own = logs.gather(0, true[None])[0]
    nll = tempered.logsumexp(0) - own / temperature
    slope = (tempered.softmax(0) * logs).sum(0) - own
    return Likelihood(true.numel(), float(nll.double().sum()), float(slope.double().sum()))


def likelihood_sums(file: Path, task: str, temperature: float) -> Floats:
    """The `Likelihood` (3,) of the images of a batch, which is additive.

    Args:
        file: The batch, see `measuring.measured`.
        task: Whose probabilities are meant.
        temperature: The temperature.
    """
    head = decoding_of(file.parent).heads[task]
    pairs = _labelled(head, kept_batch(file), task)
    found = np.array([likelihood(logs, true, temperature) for logs, true in pairs])
    total: Floats = found.reshape(-1, 3).sum(0)
    return total


def _labelled(head: Head, batch: KeptBatch, task: str) -> Iterator[tuple[Tensor, Tensor]]:
    """The log-probabilities (C, N) and the truth (N,) of the labelled pixels of each image and annotator."""
    output = batch.outputs[task]
    if isinstance(head, SemanticHead):
        for logs, truth in zip(head.log_probabilities(output, batch.frame), batch.truths, strict=True):
            semantic = torch.from_numpy(truth.semantic.astype(np.int64))
            labelled = semantic != VOID
            yield logs[:, labelled], semantic[labelled]
    if isinstance(head, RegionHead) and (logits := head.contour_logits(output, batch.frame)) is not None:
        for image, truth in zip(logits, batch.truths, strict=True):
            for where, boundary in observed(truth):
                chosen = image[torch.from_numpy(where)]
                both = F.logsigmoid(torch.stack([-chosen, chosen]))
                yield both, torch.from_numpy(boundary[where].astype(np.int64))
