"""What holds for every change of a view."""

import inspect
from functools import partial
from typing import Any

import numpy as np
import pytest
from torchvision.transforms import v2

import fusionseg.data as public
from fusionseg.corruptions import CORRUPTIONS
from fusionseg.data import Augmentation, SyntheticScenes, TorchvisionTransform, ViewChange
from fusionseg.data.base import Pixels
from fusionseg.data.samples import TrainSamples

KINDS = [
    kind
    for name in public.__all__
    if inspect.isclass(kind := getattr(public, name))
    and issubclass(kind, ViewChange)
    and kind is not ViewChange
]
NEEDED: dict[str, dict[str, Any]] = {
    "TorchvisionTransform": {"transform": partial(v2.ColorJitter, 0.5, 0.5, 0.5, 0.1)}
}
every = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)


def made(kind: type[ViewChange], probability: float = 1.0) -> ViewChange:
    return kind(probability=probability, **NEEDED.get(kind.__name__, {}))


def samples(*changes: Any, seed: int = 0, **options: Any) -> TrainSamples:
    scenes = SyntheticScenes("train", 6, (80, 100), depth=True, normals=True)
    return TrainSamples(scenes, Augmentation(changes=list(changes), **options), (64, 64), seed=seed)


def recipe(kind: type[ViewChange], probability: float = 1.0) -> Any:
    return partial(kind, probability=probability, **NEEDED.get(kind.__name__, {}))


def same(a: dict[str, Any], b: dict[str, Any]) -> bool:
    return all(np.array_equal(a[key], b[key]) for key in ("image", "semantic", "region", "depth", "normals"))


def test_there_are_changes() -> None:
    assert {kind.__name__ for kind in KINDS} == {
        "CopyPaste",
        "RandomCorruption",
        "RandomErasing",
        "TorchvisionTransform",
    }


@every
def test_a_view_is_a_function_of_seed_epoch_and_index(kind: type[ViewChange]) -> None:
    first, again = samples(recipe(kind)), samples(recipe(kind))
    np.random.seed(5)
    views = [first[1, index] for index in range(6)]
    np.random.seed(6)
    assert all(same(again[1, index], views[index]) for index in reversed(range(6)))
    assert not same(first[2, 0], views[0])
    assert not same(samples(recipe(kind), seed=1)[1, 0], views[0])


@every
def test_views_keep_their_shapes_and_types(kind: type[ViewChange]) -> None:
    plain, changed = samples(), samples(recipe(kind))
    for index in range(6):
        before, after = plain[0, index], changed[0, index]
        for key in ("image", "semantic", "region", "depth", "normals"):
            assert (after[key].shape, after[key].dtype) == (before[key].shape, before[key].dtype), key


@every
def test_it_happens_as_often_as_its_probability_says_and_never_changes_what_it_is_given(
    kind: type[ViewChange],
) -> None:
    source = samples()
    view = source.augmentation.plain_view(source.dataset.read(0), (64, 64), 1.0, np.random.default_rng(0))
    kept = Pixels(
        *(plane.copy() for plane in view[:3]), {kind: plane.copy() for kind, plane in view.maps.items()}
    )
    for plane in (*view[:3], *view.maps.values()):
        plane.setflags(write=False)
    change = made(kind, 0.3)
    results = [change(view, np.random.default_rng(seed), source) for seed in range(200)]
    share = np.mean([result is not view for result in results])
    assert 0.15 < share < 0.45
    assert all(np.array_equal(a, b) for a, b in zip(kept[:3], view[:3], strict=True))
    assert made(kind, 0.0)(view, np.random.default_rng(0), source) is view


@every
def test_views_without_changes_are_what_they_were_before_there_were_any(kind: type[ViewChange]) -> None:
    """A change draws after the view, so that the same view is changed."""
    assert all(same(samples()[1, i], samples(recipe(kind, 0.0))[1, i]) for i in range(3))


@every
def test_families_are_those_of_corruptions_and_are_told_by_the_augmentation(kind: type[ViewChange]) -> None:
    families = made(kind).families
    assert set(families) <= {corruption.family for corruption in CORRUPTIONS}
    none = {
        "scale": (1.0, 1.0),
        "rotation": 0.0,
        "flip": 0.0,
        "brightness": 0.0,
        "contrast": 0.0,
        "saturation": 0.0,
    }
    assert Augmentation(**none, hue=0.0, changes=[recipe(kind)]).families == families  # type: ignore[arg-type]


@every
@pytest.mark.parametrize("probability", [-0.1, 1.1])
def test_an_impossible_probability_is_refused(kind: type[ViewChange], probability: float) -> None:
    with pytest.raises(ValueError, match=rf"^expected a probability in \[0, 1\], found {probability}$"):
        made(kind, probability)


def test_changes_follow_one_another_in_their_order() -> None:
    invert = partial(TorchvisionTransform, partial(v2.RandomInvert, p=1.0))
    solarize = partial(TorchvisionTransform, partial(v2.RandomSolarize, threshold=100, p=1.0))
    image = samples()[0, 0]["image"].numpy().astype(int)
    inverted = 255 - image
    expected = np.where(inverted >= 100, 255 - inverted, inverted)
    assert np.array_equal(samples(invert, solarize)[0, 0]["image"], expected)
    assert not np.array_equal(samples(solarize, invert)[0, 0]["image"], expected)


class Unnamed(ViewChange):
    """Does nothing, and says nothing of itself."""

    families: tuple[str, ...] = ()  # type: ignore[assignment]

    def changed(self, view: Pixels, rng: np.random.Generator, others: Any) -> Pixels:
        return view


class Hazy(Unnamed):
    families = ("weather",)


def test_what_names_no_family_may_move_pixels() -> None:
    assert Unnamed().moves
    assert not Hazy().moves
    assert [kind.__name__ for kind in KINDS if made(kind).moves] == ["CopyPaste"]


@every
def test_labels_stay_where_nothing_moves(kind: type[ViewChange]) -> None:
    if made(kind).moves:
        return
    changed, plain = samples(recipe(kind)), samples()
    for index in range(6):
        found, own = changed[1, index], plain[1, index]
        kept = (found["semantic"] == own["semantic"]) | (found["semantic"] == 255)
        assert kept.all()
