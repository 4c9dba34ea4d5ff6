"""What can be asked of a model, over which pixels the score is summed, and what cannot be asked."""

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from fusionseg.config.errors import UserError
from fusionseg.data.synthetic import SyntheticScenes
from fusionseg.engine.passes import Passes
from fusionseg.heads import AffinityHead, BoundaryHead, DistanceHead
from fusionseg.heads.region_targets import boundaries
from fusionseg.inference.attribution import Attribution, AttributionTarget
from fusionseg.inference.ensemble import Ensemble
from fusionseg.inference.explaining import NotPredictedError, check_target, explained
from fusionseg.inference.grad_cam import captured, grad_cam
from fusionseg.inference.inputs import NamedPhoto
from fusionseg.module import FusionModule

SIZE = (64, 96)


@pytest.fixture(scope="module")
def model(small: Callable[..., FusionModule]) -> FusionModule:
    torch.manual_seed(0)
    return small().eval()


@pytest.fixture(scope="module")
def batch(scenes: Callable[..., Any]) -> Any:
    return scenes(1, SIZE)


@pytest.fixture(scope="module")
def answer(model: FusionModule, batch: Any) -> dict[str, Any]:
    """The maps that are predicted."""
    return dict(model.predictions(batch, SIZE)[0].maps)


def asked(model: FusionModule, batch: Any, **target: Any) -> Attribution:
    photo = NamedPhoto("scene", batch["image"][0].permute(1, 2, 0).numpy())
    wanted = AttributionTarget(**target)
    check_target(model, Passes(), wanted)
    return explained(model, batch, photo, wanted)


def by_hand(model: FusionModule, batch: Any, task: str, channel: int, where: Any) -> Any:
    """The map for the logits of a channel over pixels, without what decides on them."""
    with captured(model.network, "encoder") as maps:
        logits = model(batch["image"])[-1][task]
        logits = torch.nn.functional.interpolate(logits, SIZE, mode="bilinear")
        heat = grad_cam(logits[0, channel][torch.as_tensor(where)].sum(), maps, "encoder")
    heat = torch.nn.functional.interpolate(heat, SIZE, mode="bilinear")[0, 0]
    return (heat / heat.max().clamp_min(1e-30)).numpy()


def test_a_class_is_explained_over_its_predicted_pixels(
    model: FusionModule, batch: Any, answer: dict[str, Any]
) -> None:
    for label in np.unique(answer["semantic"]):
        found = asked(model, batch, cls=model.classes.names[label])
        expected = by_hand(model, batch, "semantic", label, answer["semantic"] == label)
        np.testing.assert_allclose(found.values, expected, atol=1e-4)
        assert found.target == model.classes.names[label]
        assert found.values.dtype == np.float32


def test_a_compiled_model_is_explained_as_it_is_without(
    model: FusionModule, batch: Any, answer: dict[str, Any]
) -> None:
    cls = model.classes.names[int(answer["semantic"][0, 0])]
    expected = asked(model, batch, cls=cls)
    compiled = copy.deepcopy(model)
    compiled.network.compile_parts(backend="eager")
    compiled.predictions(batch, SIZE)  # compiled before anything is to be kept of it
    np.testing.assert_array_equal(asked(compiled, batch, cls=cls).values, expected.values)


def test_a_pixel_is_explained_by_its_predicted_class_or_another_one(
    model: FusionModule, batch: Any, answer: dict[str, Any]
) -> None:
    where = np.zeros(SIZE, bool)
    where[10, 70] = True
    own = int(answer["semantic"][10, 70])
    other = (own + 1) % len(model.classes)
    found = asked(model, batch, pixel=(10, 70))
    np.testing.assert_allclose(found.values, by_hand(model, batch, "semantic", own, where), atol=1e-4)
    assert found.target == f"{model.classes.names[own]} at pixel (10, 70)"
    found = asked(model, batch, pixel=(10, 70), cls=model.classes.names[other])
    np.testing.assert_allclose(found.values, by_hand(model, batch, "semantic", other, where), atol=1e-4)


def test_a_region_is_explained_by_the_class_of_its_vote(
    model: FusionModule, batch: Any, answer: dict[str, Any]
) -> None:
    number = int(answer["region"][30, 40])
    where = answer["region"] == number
    label = int(answer["fused"][30, 40])
    found = asked(model, batch, region=number)
    np.testing.assert_allclose(found.values, by_hand(model, batch, "semantic", label, where), atol=1e-4)
    assert found.target == f"{model.classes.names[label]} in region {number}"


def test_boundaries_are_explained_over_the_outlines_of_regions(
    model: FusionModule, batch: Any, answer: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    regions = torch.arange(64 * 96).view(1, *SIZE) // (96 * 16) + 1
    monkeypatch.setattr(BoundaryHead, "labels", lambda *_: regions)
    outline = boundaries(regions)[0].numpy()
    found = asked(model, batch, task="region")
    np.testing.assert_allclose(found.values, by_hand(model, batch, "region", 0, outline), atol=1e-4)
    found = asked(model, batch, task="region", region=2)
    only = outline & (regions[0] == 2).numpy()
    np.testing.assert_allclose(found.values, by_hand(model, batch, "region", 0, only), atol=1e-4)
    found = asked(model, batch, task="region", pixel=(3, 4))
    pixel = np.zeros(SIZE, bool)
    pixel[3, 4] = True
    np.testing.assert_allclose(found.values, by_hand(model, batch, "region", 0, pixel), atol=1e-4)
    assert found.target == "boundary at pixel (3, 4)"
    monkeypatch.setattr(BoundaryHead, "labels", lambda *_: torch.ones_like(regions))
    with pytest.raises(
        NotPredictedError, match="expected boundaries to be predicted in scene, found one region"
    ):
        asked(model, batch, task="region")


def test_cut_edges_are_explained_but_at_the_last_pixel(small: Any, batch: Any) -> None:
    model = small(region_head=AffinityHead).eval()
    assert np.isfinite(asked(model, batch, task="region", pixel=(63, 90)).values).all()
    with pytest.raises(
        UserError, match=r"expected a logit of a boundary in scene, found none at pixel \(63, 95\)"
    ):
        asked(model, batch, task="region", pixel=(63, 95))


def test_an_image_of_any_size_is_explained_on_its_own_grid(model: FusionModule) -> None:
    image = SyntheticScenes("val", 1, (50, 70)).read(0).image
    batch = {"image": torch.from_numpy(image).permute(2, 0, 1)[None], "name": ["scene"]}
    found = explained(model, batch, NamedPhoto("scene", image), AttributionTarget(pixel=(49, 69)))
    assert found.values.shape == (50, 70)
    assert found.overlay().shape == (50, 70, 3)


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ({}, "expected a class, a region or a pixel to explain, found none"),
        ({"cls": 2}, "expected the name of a class of the model to explain, found 2"),
        (
            {"cls": "disc"},
            r"expected the name of a class of the model to explain, found 'disc'; did you mean disk\?",
        ),
        ({"region": 1, "pixel": (0, 0)}, "expected a region or a pixel to explain, found both"),
        ({"task": "depth"}, "expected the task semantic or region to explain, found 'depth'"),
        ({"task": "region", "cls": "disk"}, "expected no class where boundaries are explained, found 'disk'"),
        ({"pixel": (64, 0)}, r"expected a pixel \(row, column\) within 64 x 96 of scene, found \(64, 0\)"),
        ({"pixel": (0, -1)}, r"expected a pixel \(row, column\) within 64 x 96 of scene, found \(0, -1\)"),
        ({"region": 9999}, "expected a region of scene, whose ids are 1 to .*, found 9999"),
        ({"pixel": (0, 0), "layer": "encodr"}, "expected the name of a module .* did you mean encoder"),
    ],
)
def test_what_cannot_be_asked_is_one_clear_line(
    model: FusionModule, batch: Any, target: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError, match=message) as error:
        asked(model, batch, **target)
    assert "\n" not in str(error.value)


def test_a_class_that_is_not_predicted_is_named_with_those_that_are(
    model: FusionModule, batch: Any, answer: dict[str, Any]
) -> None:
    missing = set(range(len(model.classes))) - set(np.unique(answer["semantic"]).tolist())
    name = model.classes.names[min(missing)]
    found = ", ".join(model.classes.names[i] for i in np.unique(answer["semantic"]))
    with pytest.raises(NotPredictedError, match=f"expected {name} to be predicted in scene, found {found}"):
        asked(model, batch, cls=name)


def test_models_that_have_nothing_of_the_kind_say_so(small: Any) -> None:
    disk = AttributionTarget("disk")
    alone = small(semantic_head=None).eval()
    with pytest.raises(UserError, match="expected a head of semantic to explain, found heads of region"):
        check_target(alone, Passes(), disk)
    with pytest.raises(UserError, match="expected a head of regions to explain one"):
        check_target(small(region_head=None), Passes(), AttributionTarget(region=1))
    with pytest.raises(UserError, match="DistanceHead, whose boundaries only follow from its regions"):
        check_target(small(region_head=DistanceHead), Passes(), AttributionTarget(task="region"))
    with pytest.raises(UserError, match="sees the image once to explain, found tiles or tta"):
        check_target(small(), Passes(flip=True), disk)
    with pytest.raises(UserError, match="sees the image once to explain, found Ensemble"):
        check_target(Ensemble([small(), small()]), Passes(), disk)
