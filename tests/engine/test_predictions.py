from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch

from fusionseg.data.synthetic import SyntheticScenes
from fusionseg.engine.predictions import padded, predictions
from fusionseg.heads import BoundaryHead, CenterOffsetHead, Head, SceneHead, SemanticHead
from fusionseg.sample import OFFSET, Frame, Sample

Scenes = Callable[..., Sample]
CLASSES = SyntheticScenes.classes


def test_padding_repeats_the_image_s_edge_and_is_void(scenes: Scenes) -> None:
    batch = scenes(2, (40, 100))
    large = padded(batch)
    assert large["image"].shape == (2, 3, 64, 128)
    assert large["image"].dtype == torch.uint8
    for key in ("image", "semantic", "region"):
        assert torch.equal(large[key][..., :40, :100], batch[key])
    assert torch.equal(large["image"][..., 40:, :100], batch["image"][..., 39:, :].expand(-1, -1, 24, -1))
    assert torch.equal(large["image"][..., 100:], large["image"][..., 99:100].expand(-1, -1, -1, 28))
    for key, void in (("semantic", 255), ("region", 0)):
        assert (large[key][:, 40:] == void).all()
        assert (large[key][..., 100:] == void).all()


def test_a_batch_of_the_right_size_is_left_alone(scenes: Scenes) -> None:
    batch = scenes(1, (64, 96))
    assert padded(batch) is batch


@pytest.mark.parametrize(("thing_area", "stuff_area"), [(0, 0), (50, 0), (0, 400), (10**6, 10**6)])
def test_panoptic_maps_have_no_smaller_segments_than_the_model_s_settings(
    thing_area: int, stuff_area: int, small: Callable[..., Any], scenes: Scenes
) -> None:
    torch.manual_seed(0)
    model = small(thing_area=thing_area, stuff_area=stuff_area).eval()
    found = model.predictions(scenes(1, (64, 96)), (64, 96))[0]
    ids, areas = np.unique(found["panoptic"], return_counts=True)
    kept = areas[ids >= 0]
    least = np.where(np.isin(ids[ids >= 0] // OFFSET, CLASSES.things), thing_area, stuff_area)
    assert (kept >= least).all()
    assert found["fused"].size == areas.sum()
    assert (kept.size == 0) == (thing_area == stuff_area == 10**6)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.uint16, torch.float32])
def test_images_of_any_kind_and_without_labels_can_be_padded(dtype: torch.dtype) -> None:
    image = torch.arange(4).mul(60).to(dtype).expand(1, 3, 20, 4)
    large = padded({"image": image, "name": ["a"]})
    assert large["image"].dtype == dtype
    assert torch.equal(large["image"].float()[0, 0, 0], torch.tensor([0.0, 60, 120, *[180] * 29]))


def test_answers_of_ideal_outputs_are_the_truth_at_the_file_s_size(scenes: Scenes) -> None:
    batch = scenes(2, (64, 96))
    heads: dict[str, Head] = {"semantic": SemanticHead(4, 6), "region": CenterOffsetHead(4)}
    outputs = {task: head.ideal(head.target(batch)) for task, head in heads.items()}
    found = predictions(outputs, heads, Frame.whole((64, 96)), batch["name"], CLASSES)
    assert [answer.name for answer in found] == batch["name"]
    for i, answer in enumerate(found):
        assert "semantic" in answer
        assert "region" in answer
        assert "panoptic" in answer
        assert "fused" in answer
        assert [a.dtype for a in (answer["semantic"], answer["fused"], answer["region"])] == [
            np.uint8,
            np.uint8,
            np.int32,
        ]
        semantic, region = batch["semantic"][i].numpy(), batch["region"][i].numpy()
        np.testing.assert_array_equal(answer["semantic"], semantic)
        np.testing.assert_array_equal(answer["fused"], semantic)
        np.testing.assert_array_equal(answer["panoptic"] // OFFSET, semantic)
        pairs = set(zip(answer["region"].ravel().tolist(), region.ravel().tolist(), strict=True))
        assert (
            len(pairs) == len({a for a, _ in pairs}) == len({b for _, b in pairs}) == len(np.unique(region))
        )
        things = np.isin(semantic, CLASSES.things)
        np.testing.assert_array_equal(answer["panoptic"] % OFFSET, np.where(things, answer["region"], 0))


@pytest.mark.parametrize(
    ("task", "head"),
    [
        ("semantic", partial(SemanticHead, num_classes=6)),
        ("region", BoundaryHead),
        ("scene", partial(SceneHead, num_classes=6)),
    ],
)
def test_a_single_head_answers_for_itself_alone(
    task: str, head: Callable[[int], Head], scenes: Scenes
) -> None:
    batch, part = scenes(1), head(4)
    outputs = {task: part.ideal(part.target(batch))}
    (answer,) = predictions(outputs, {task: part}, Frame.whole((64, 96)), batch["name"], CLASSES)
    assert set(answer.maps) == {task}


@pytest.mark.parametrize("single", [False, True])
def test_a_scene_is_answered_beside_the_maps_by_the_probability_of_each_class(
    single: bool, scenes: Scenes
) -> None:
    batch = scenes(2)
    heads: dict[str, Head] = {"semantic": SemanticHead(4, 6), "scene": SceneHead(4, 6, single)}
    outputs = {"semantic": torch.zeros(2, 6, 16, 24), "scene": torch.randn(2, 6)}
    found = predictions(outputs, heads, Frame((64, 96), (60, 90), (30, 45)), batch["name"], CLASSES)
    expected = outputs["scene"].softmax(1) if single else outputs["scene"].sigmoid()
    for answer, probabilities in zip(found, expected, strict=True):
        assert "scene" in answer
        assert answer["scene"].dtype == np.float32
        np.testing.assert_array_equal(answer["scene"], probabilities.numpy())
        assert "semantic" in answer
        assert answer["semantic"].shape == (30, 45)
