import numpy as np
import pytest

from fusionseg.data import Augmentation, CopyPaste, SyntheticScenes
from fusionseg.data.base import DataError, Pixels
from fusionseg.data.bsds500 import BSDS500
from fusionseg.data.samples import TrainSamples
from fusionseg.sample import Classes


class Source:
    """One other view, and which classes are things."""

    def __init__(self, other: Pixels, things: tuple[int, ...]) -> None:
        self.other = other
        self.things = things

    def another(self, rng: np.random.Generator) -> Pixels:
        return self.other


def scene(index: int) -> Pixels:
    return SyntheticScenes("train", 4, (60, 90), depth=True, normals=True).read(index)


@pytest.mark.parametrize("share", [0.3, 1.0])
def test_things_come_with_the_labels_of_all_tasks_and_all_else_stays(share: float) -> None:
    things = SyntheticScenes.classes.things
    below, other = scene(0), scene(1)
    pasted_counts = []
    for seed in range(20):
        found = CopyPaste(share, 1.0)(below, np.random.default_rng(seed), Source(other, things))
        of_other = {int(i) for i in np.unique(other.region[np.isin(other.semantic, things)])} - {0}
        new = {int(i) for i in np.unique(found.region)} - {int(i) for i in np.unique(below.region)}
        mask = np.isin(found.region, list(new))
        pasted_counts.append(len(new))
        # a plain loop over the other image's things: each is pasted as a whole, or not at all
        whole = 0
        for thing in of_other:
            place = other.region == thing
            inside = np.unique(found.region[place])
            if len(inside) == 1 and int(inside[0]) in new:
                assert np.array_equal(found.region == inside[0], place)
                whole += 1
            else:
                assert not set(inside.tolist()) & new
        assert whole == len(new)
        for a, above, under in (
            (found.image, other.image, below.image),
            (found.semantic, other.semantic, below.semantic),
            (found.maps["depth"], other.maps["depth"], below.maps["depth"]),
            (found.maps["normals"], other.maps["normals"], below.maps["normals"]),
        ):
            assert a.dtype == under.dtype
            assert np.array_equal(a[mask], above[mask])
            assert np.array_equal(a[~mask], under[~mask])
        assert np.array_equal(found.region[~mask], below.region[~mask])
        assert found.region.dtype == np.uint16
    if share == 1.0:
        assert set(pasted_counts) == {len(of_other)}
    else:
        assert np.mean(pasted_counts) == pytest.approx(share * len(of_other), rel=0.5)


def test_ids_that_are_used_up_are_numbered_anew() -> None:
    below, other = scene(0), scene(1)
    high = below._replace(region=(below.region + np.uint16(65530 - below.region.max())).astype(np.uint16))
    high.region[:3] = 0
    source = Source(other, SyntheticScenes.classes.things)
    many = np.arange(60 * 90).reshape(60, 90) % 40 + 1
    wide = Source(
        other._replace(region=many.astype(np.uint16), semantic=np.full((60, 90), source.things[0], np.uint8)),
        source.things,
    )
    found = CopyPaste(0.5, 1.0)(high, np.random.default_rng(1), wide)
    mask = found.semantic == source.things[0]
    mask &= (found.image == other.image).all(2)
    outside = ~mask & (high.region > 0)
    pairs = set(zip(high.region[outside].tolist(), found.region[outside].tolist(), strict=True))
    assert len(pairs) == len({a for a, _ in pairs}) == len({b for _, b in pairs})
    assert not found.region[~mask & (high.region == 0)].any()
    assert not set(found.region[mask].tolist()) & {b for _, b in pairs}


def test_images_of_another_type_are_pasted_as_they_look() -> None:
    below, other = scene(0), scene(1)
    deep = other._replace(image=other.image.astype(np.uint16) * np.uint16(257))
    things = SyntheticScenes.classes.things
    expected = CopyPaste(1.0, 1.0)(below, np.random.default_rng(0), Source(other, things))
    found = CopyPaste(1.0, 1.0)(below, np.random.default_rng(0), Source(deep, things))
    assert np.array_equal(found.image, expected.image)


def test_a_view_onto_which_nothing_is_pasted_stays_as_it_is() -> None:
    below = scene(0)
    empty = below._replace(region=np.zeros_like(below.region))
    source = Source(empty, SyntheticScenes.classes.things)
    assert CopyPaste(1.0, 1.0)(below, np.random.default_rng(0), source) is below


def test_the_other_image_is_drawn_from_the_dataset_with_a_geometry_of_its_own() -> None:
    scenes = SyntheticScenes("train", 6, (80, 100))
    samples = TrainSamples(scenes, Augmentation(), (64, 64))
    views = [samples.another(np.random.default_rng(seed)).image for seed in range(8)]
    assert all(view.shape == (64, 64, 3) for view in views)
    assert len({view.tobytes() for view in views}) == 8


def test_data_without_things_are_refused_before_training() -> None:
    class Stuff(SyntheticScenes):
        classes = Classes(("a", "b"), ((0, 0, 0), (9, 9, 9)))

    with pytest.raises(
        DataError,
        match=r"^expected data with things \(countable classes\) for CopyPaste, found none among a, b",
    ):
        TrainSamples(Stuff("train", 2), Augmentation(changes=[CopyPaste]), (64, 64))
    assert not BSDS500.classes.things


@pytest.mark.parametrize("share", [0.0, 1.1])
def test_an_impossible_share_is_refused(share: float) -> None:
    with pytest.raises(ValueError, match=rf"^expected a share in \(0, 1\], found {share}$"):
        CopyPaste(share)
