"""Attributions depend on what a network has learned: random weights destroy them (Adebayo et al., arXiv:1810.03292)."""

import copy
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pytest
import torch
from scipy.stats import spearmanr
from torch import Tensor

from fusionseg.data.synthetic import SyntheticScenes
from fusionseg.heads.base import resized
from fusionseg.inference.grad_cam import captured, grad_cam
from fusionseg.module import FusionModule
from fusionseg.sample import Frame

pytestmark = pytest.mark.slow

SIZE = (160, 224)
CASCADE = [("heads",), ("heads", "decoders"), ("heads", "decoders", "encoder")]
"""From the top of the network down, as the paper randomizes layers."""


class Case(NamedTuple):
    """A class that the trained model predicts in an image, the pixels of it, and its map."""

    image: Tensor
    label: int
    where: Tensor
    heat: npt.NDArray[Any]


@pytest.fixture(scope="module")
def model(small: Callable[..., FusionModule], scenes: Callable[..., Any]) -> FusionModule:
    """A model that has learned the scenes a little."""
    torch.manual_seed(0)
    model = small()
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    samples = scenes(48, (64, 64))
    for step in range(120):
        chosen = slice(4 * step % 48, 4 * step % 48 + 4)
        batch = {key: samples[key][chosen] for key in ("image", "semantic", "region")}
        outputs = model(batch["image"])[-1]
        losses = [head.loss(outputs[task], head.target(batch)) for task, head in model.heads.items()]
        optimizer.zero_grad()
        torch.stack([(sums / weights).sum() for sums, weights in losses]).sum().backward()
        optimizer.step()
    return model.eval()


def heat(model: FusionModule, image: Tensor, label: int, where: Tensor) -> npt.NDArray[Any]:
    """The map for the logits of a class over the same pixels, whatever the model predicts there."""
    frame = Frame.whole(SIZE)
    head: Any = model.heads["semantic"]
    with captured(model.network, "encoder") as maps:
        logits = head.class_logits(model(image)[-1]["semantic"], frame, label)
        found = resized(grad_cam(logits[0][where].sum(), maps, "encoder"), frame)
    return found[0, 0].detach().numpy()


@pytest.fixture(scope="module")
def cases(model: FusionModule) -> list[Case]:
    scenes = SyntheticScenes("val", 4, SIZE)
    found = []
    for number in range(4):
        image = torch.from_numpy(scenes.read(number).image).permute(2, 0, 1)[None]
        with torch.no_grad():
            labels = model.heads["semantic"].labels(model(image)[-1]["semantic"], Frame.whole(SIZE))[0]
        for label in labels.unique().tolist():
            where = labels == label
            if where.float().mean() > 0.02:
                found.append(Case(image, label, where, heat(model, image, label, where)))
    assert len({case.label for case in found}) >= 3  # it has learned something
    return found


def correlation(model: FusionModule, cases: Sequence[Case]) -> float:
    """The mean rank correlation of a model's maps with those of the cases."""
    found = []
    for image, label, where, expected in cases:
        other = heat(model, image, label, where)
        if other.std() > 0 and expected.std() > 0:
            found.append(spearmanr(expected.ravel(), other.ravel()).statistic)
    assert len(found) > len(cases) / 2
    return float(np.mean(found))


def test_random_weights_destroy_the_maps_and_small_changes_do_not(
    model: FusionModule, cases: list[Case]
) -> None:
    assert correlation(model, cases) > 0.999
    changed = copy.deepcopy(model)
    with torch.no_grad():
        for parameter in changed.parameters():
            parameter *= 1 + 0.01 * torch.randn_like(parameter)
    assert correlation(changed, cases) > 0.8
    for parts in CASCADE:
        found = []
        for seed in range(2):
            torch.manual_seed(seed)
            changed = copy.deepcopy(model)
            for name in parts:
                for module in changed.network.get_submodule(name).modules():
                    if hasattr(module, "reset_parameters"):
                        module.reset_parameters()
            found.append(correlation(changed, cases))
        assert abs(np.mean(found)) < 0.3, parts
