import numpy as np
import pytest

from fusionseg.data.base import Split
from fusionseg.data.components import components
from fusionseg.data.synthetic import SyntheticScenes


def test_a_scene_is_a_function_of_seed_split_and_index() -> None:
    first, again = SyntheticScenes("train").read(3), SyntheticScenes("train").read(3)
    assert all(map(np.array_equal, first[:3], again[:3]))
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


def test_depth_and_normals_change_nothing_else_and_are_a_function_of_the_same_key() -> None:
    plain = SyntheticScenes("val")
    deep = SyntheticScenes("val", depth=True)
    both = SyntheticScenes("val", depth=True, normals=True)
    kinds = [(), ("depth",), ("depth", "normals")]
    assert [plain.kinds, deep.kinds, both.kinds] == kinds
    for index in (0, 5):
        read = [scenes.read(index) for scenes in (plain, deep, both, both)]
        assert all(all(map(np.array_equal, read[0][:3], other[:3])) for other in read[1:])
        assert [tuple(pixels.maps) for pixels in read[:3]] == kinds
        assert np.array_equal(read[1].maps["depth"], read[2].maps["depth"])
        assert np.array_equal(read[2].maps["normals"], read[3].maps["normals"])
    assert not np.array_equal(both.read(0).maps["depth"], both.read(1).maps["depth"])
    assert plain.sources() != deep.sources() != both.sources()


def test_the_sky_has_neither_depth_nor_normals_and_all_else_has_both() -> None:
    scenes = SyntheticScenes("train", depth=True, normals=True)
    for index in range(10):
        pixels = scenes.read(index)
        assert np.array_equal(pixels.maps["depth"] == 0, pixels.semantic == 0)
        assert np.array_equal(~pixels.maps["normals"].any(2), pixels.semantic == 0)


def test_impossible_arguments_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one scene, found a length of 0"):
        SyntheticScenes("train", length=0)
    with pytest.raises(ValueError, match="at least 16 x 16"):
        SyntheticScenes("train", size=(8, 64))
