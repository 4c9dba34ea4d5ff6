"""Grad-CAM against captum and against plain loops."""

import threading
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from captum.attr import LayerGradCam
from torch import Tensor, nn

from fusionseg.config.errors import UserError
from fusionseg.inference.attribution import AttributionTarget
from fusionseg.inference.explaining import explained
from fusionseg.inference.grad_cam import captured, grad_cam
from fusionseg.inference.inputs import NamedPhoto
from fusionseg.module import FusionModule
from fusionseg.networks import CrossStitch
from fusionseg.sample import Frame

LAYERS = ["decoders.shared", "encoder.body.model.blocks.4", "encoder.body.model.blocks.1"]


class Score(nn.Module):
    """The sum of the logits of a class over the pixels that are predicted as it, as captum wants it."""

    def __init__(self, model: FusionModule, label: int, where: Tensor) -> None:
        super().__init__()
        self.model = model
        self.label = label
        self.where = where

    def forward(self, image: Tensor) -> Tensor:
        logits = self.model(image)[-1]["semantic"]
        enlarged = nn.functional.interpolate(logits, self.where.shape, mode="bilinear")
        return (enlarged[:, self.label] * self.where).sum((1, 2))


def normalized(heat: Tensor, size: tuple[int, int]) -> npt.NDArray[np.float32]:
    enlarged = nn.functional.interpolate(heat, size, mode="bilinear")[0, 0]
    found: npt.NDArray[np.float32] = (enlarged / enlarged.max()).detach().numpy()
    return found


@pytest.mark.parametrize("layer", LAYERS)
def test_the_map_of_a_class_is_captum_s(small: Any, scenes: Any, layer: str) -> None:
    model = small().eval()
    batch = scenes(1, (64, 96))
    with torch.no_grad():
        logits = nn.functional.interpolate(model(batch["image"])[-1]["semantic"], (64, 96), mode="bilinear")
    predicted = logits[0].argmax(0)
    label = int(predicted.mode().values.mode().values)
    score = Score(model, label, predicted == label)
    reference = LayerGradCam(score, model.network.get_submodule(layer)).attribute(
        batch["image"].float() / 255, relu_attributions=True
    )
    photo = NamedPhoto("scene", batch["image"][0].permute(1, 2, 0).numpy())
    target = AttributionTarget(model.classes.names[label], layer=layer)
    found = explained(model, batch, photo, target).values
    assert 0 < found.max() <= 1
    np.testing.assert_allclose(found, normalized(reference, (64, 96)), atol=1e-4)


def test_the_weights_of_channels_are_means_of_gradients() -> None:
    torch.manual_seed(1)
    maps = torch.randn(1, 3, 4, 5, requires_grad=True)
    factors = torch.randn(1, 3, 4, 5)
    found = grad_cam((maps.square() * factors).sum(), [maps], "maps")
    values, products = maps.detach().numpy(), factors.numpy()
    expected = np.zeros((4, 5))
    for channel in range(3):
        weight = 0.0
        for row in range(4):
            for column in range(5):
                weight += 2 * values[0, channel, row, column] * products[0, channel, row, column] / 20
        expected += weight * values[0, channel]
    np.testing.assert_allclose(found[0, 0], np.maximum(expected, 0), rtol=1e-4, atol=1e-6)


def test_the_default_is_the_deepest_map_of_the_encoder(small: Any, scenes: Any) -> None:
    model = small().eval()
    batch = scenes(1, (64, 96))
    photo = NamedPhoto("scene", batch["image"][0].permute(1, 2, 0).numpy())
    maps = [
        explained(model, batch, photo, AttributionTarget(pixel=(20, 30), layer=layer)).values
        for layer in (None, "encoder.body.model.blocks.4")
    ]
    np.testing.assert_array_equal(*maps)


def test_with_an_encoder_for_each_task_the_task_s_own_counts(small: Any, scenes: Any) -> None:
    model = small(network=CrossStitch).eval()
    batch = scenes(1, (64, 96))
    photo = NamedPhoto("scene", batch["image"][0].permute(1, 2, 0).numpy())
    levels = len(model.network.encoder.out_channels)
    with captured(model.network, "encoder") as maps:
        outputs = model(batch["image"])[-1]
    assert len(maps) == 2 * levels
    for number, task in enumerate(("semantic", "region")):
        found = explained(model, batch, photo, AttributionTarget(pixel=(20, 30), task=task)).values
        head: Any = model.heads[task]
        frame = Frame.whole((64, 96))
        output = outputs[task]
        label = int(head.labels(output, frame)[0, 20, 30]) if task == "semantic" else 0
        logits = nn.functional.interpolate(output, (64, 96), mode="bilinear")
        own = maps[(number + 1) * levels - 1]
        (gradient,) = torch.autograd.grad(logits[0, label, 20, 30], own, retain_graph=True)
        expected = (gradient.mean((2, 3), keepdim=True) * own).sum(1, keepdim=True).relu()
        assert expected.max() > 0
        np.testing.assert_allclose(found, normalized(expected, (64, 96)), atol=1e-4)


def test_layers_without_a_map_are_named() -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(12, 2))
    with (
        pytest.raises(UserError, match=r"expected the name of a module .* found '2'; expected one of"),
        captured(network, "2"),
    ):
        pass
    with captured(network, "0") as maps:
        score = network(torch.ones(1, 3, 2, 2)).sum()
    with pytest.raises(UserError, match=r"expected a map \(1, K, h, w\) of 0, found \(1, 12\)"):
        grad_cam(score, maps, "0")
    with pytest.raises(UserError, match="a map that the score depends on, found 0"):
        grad_cam(torch.ones(1, requires_grad=True).sum(), maps, "0")


def test_frozen_layers_have_maps_too() -> None:
    network = nn.Sequential(nn.Conv2d(1, 2, 1), nn.Conv2d(2, 1, 1)).requires_grad_(False)
    with captured(network, "0") as maps:
        score = network(torch.ones(1, 1, 2, 2)).sum()
    assert grad_cam(score, maps, "0").shape == (1, 1, 2, 2)


def test_maps_of_other_threads_are_not_kept_and_hooks_removed() -> None:
    network = nn.Sequential(nn.Conv2d(1, 2, 1))
    image = torch.ones(1, 1, 2, 2)
    with captured(network, "0") as maps:
        other = threading.Thread(target=network, args=(image,))
        other.start()
        other.join()
        assert not maps
        network(image)
        assert len(maps) == 1
    network(image)
    assert len(maps) == 1
