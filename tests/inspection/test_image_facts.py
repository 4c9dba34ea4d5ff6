import numpy as np
import numpy.typing as npt
import pytest
from scipy import ndimage

from fusionseg.data import SyntheticScenes
from fusionseg.data.base import Labels
from fusionseg.inspection.image_facts import image_facts, photo_facts, regions_of
from fusionseg.sample import VOID

Map = npt.NDArray[np.integer]


def random_maps(seed: int) -> tuple[Map, Map]:
    """Region ids with gaps and class ids, both with unlabelled pixels, that know nothing of each other."""
    rng = np.random.default_rng(seed)
    blocks = rng.integers(0, 9, (6, 8)).repeat(4, 0).repeat(5, 1) * 7000
    region = np.where(rng.random(blocks.shape) < 0.15, rng.integers(0, 9, blocks.shape) * 7000, blocks)
    semantic = np.where(rng.random(region.shape) < 0.2, VOID, rng.integers(0, 3, region.shape))
    semantic[region == 14000] = VOID
    return region.astype(np.uint16), semantic.astype(np.uint8)


def scene(seed: int) -> tuple[Map, Map]:
    labels = SyntheticScenes("train", seed + 1, (64, 64)).labels(seed)
    return labels.region, labels.semantic


def slow(region: Map, semantic: Map) -> dict[str, list[int]]:
    """The same region by region and pixel by pixel."""
    found: dict[str, list[int]] = {
        name: [] for name in ("label", "area", "parts", "height", "width", "touches")
    }
    label = {}
    for k in np.unique(region[region > 0]):
        classes = semantic[(region == k) & (semantic != VOID)]
        label[k] = int(np.bincount(classes).argmax()) if classes.size else VOID
    for k, own in label.items():
        inside = region == k
        rows, columns = ndimage.find_objects(inside.astype(int))[0]
        grown = ndimage.binary_dilation(inside)
        near = {int(other) for other in np.unique(region[grown]) if other not in (0, k)}
        found["label"].append(own)
        found["area"].append(int(inside.sum()))
        found["parts"].append(ndimage.label(inside, np.ones((3, 3)))[1])
        found["height"].append(rows.stop - rows.start)
        found["width"].append(columns.stop - columns.start)
        found["touches"].append(any(label[other] == own for other in near))
    return found


@pytest.mark.parametrize("maps", [*(random_maps(seed) for seed in range(3)), *(scene(i) for i in range(3))])
def test_regions_are_those_of_a_slow_reference(maps: tuple[Map, Map]) -> None:
    found = regions_of(*maps)
    expected = slow(*maps)
    votes = [
        np.bincount(maps[1][(maps[0] == k) & (maps[1] != VOID)], minlength=3) for k in np.unique(maps[0]) if k
    ]
    tied = np.array([(count == count.max()).sum() > 1 and count.any() for count in votes])
    assert not tied.any()
    for name, values in expected.items():
        assert getattr(found, name).tolist() == values, name
    assert len(found.area) > 2


def test_an_image_without_labels_has_no_regions() -> None:
    labels = Labels(np.full((8, 9), VOID, np.uint8), np.zeros((8, 9), np.uint16))
    facts = image_facts(labels, 4)
    assert all(column.size == 0 for column in facts.regions)
    assert facts.size == (8, 9)
    assert not facts.class_pixels.any()
    assert facts.labelled == {"semantic": 0, "region": 0}
    assert facts.photo is None


def test_labelled_pixels_are_counted_for_each_kind() -> None:
    scenes = SyntheticScenes("val", 1, (64, 64), depth=True, normals=True)
    labels = scenes.labels(0)
    facts = image_facts(labels, 6)
    sky = int((labels.semantic == 0).sum())
    assert 0 < sky < 64 * 64
    assert facts.labelled == {"semantic": 4096, "region": 4096, "depth": 4096 - sky, "normals": 4096 - sky}
    assert facts.class_pixels.tolist() == [int((labels.semantic == i).sum()) for i in range(6)]


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.float32])
def test_values_of_an_image_are_those_of_its_type(kind: type) -> None:
    image = np.arange(24, dtype=kind).reshape(2, 3, 4)
    facts = photo_facts(image)
    assert (facts.kind, facts.low, facts.high) == (np.dtype(kind).name, 0, 23)
    assert facts.mean.tolist() == [10, 11, 12, 13]
