import numpy as np
import pytest

from fusionseg.data.base import Split
from fusionseg.data.components import components
from fusionseg.data.synthetic import SyntheticScenes


def test_a_scene_is_a_function_of_seed_split_and_index() -> None:
    first, again = SyntheticScenes("train").read(3), SyntheticScenes("train").read(3)
    assert all(np.array_equal(first[i], again[i]) for i in range(3))
    for other in (
        SyntheticScenes("val").read(3),
        SyntheticScenes("train", seed=1).read(3),
        SyntheticScenes("train").read(4),
    ):
        assert not np.array_equal(first.image, other.image)


def test_all_classes_occur_and_things_are_a_fifth_of_the_pixels() -> None:
    scenes = SyntheticScenes("train")
    counts = sum(np.bincount(scenes.labels(i).semantic.ravel(), minlength=6) for i in range(40))
    assert isinstance(counts, np.ndarray)
    assert (counts / counts.sum() > 0.02).all()
    assert 0.15 < counts[list(scenes.classes.things)].sum() / counts.sum() < 0.4


def test_a_region_has_one_class_and_every_pixel_a_label() -> None:
    for index in range(20):
        _, semantic, region, _ = SyntheticScenes("val").read(index)
        assert region.all()
        assert semantic.max() < 6
        for identity in np.unique(region):
            assert len(np.unique(semantic[region == identity])) == 1


def test_things_of_a_class_touch_so_that_components_are_not_the_regions() -> None:
    scenes = SyntheticScenes("train")
    touching = 0
    for index in range(20):
        _, semantic, region, _ = scenes.read(index)
        parts = components(np.where(semantic < 2, 255, semantic), 1)
        touching += any(len(np.unique(region[parts == part])) > 1 for part in range(1, parts.max() + 1))
    assert touching >= 15


@pytest.mark.parametrize(("split", "length"), [("train", 512), ("val", 64), ("test", 64)])
def test_lengths_and_sizes_are_as_asked(split: Split, length: int) -> None:
    assert len(SyntheticScenes(split)) == length
    scenes = SyntheticScenes(split, length=3, size=(48, 80))
    assert len(scenes) == 3
    assert scenes.read(2).image.shape == (48, 80, 3)


def test_an_index_beyond_the_end_is_refused() -> None:
    with pytest.raises(IndexError, match=r"0\.\.2, found 3"):
        SyntheticScenes("train", length=3).read(3)


def test_impossible_arguments_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one scene, found a length of 0"):
        SyntheticScenes("train", length=0)
    with pytest.raises(ValueError, match="at least 16 x 16"):
        SyntheticScenes("train", size=(8, 64))
