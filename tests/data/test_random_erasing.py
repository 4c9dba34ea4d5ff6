import numpy as np
import pytest

from fusionseg.data import RandomErasing, SyntheticScenes
from fusionseg.data.base import Pixels


def view() -> Pixels:
    return SyntheticScenes("train", 1, (60, 90), depth=True, normals=True).read(0)


def test_a_rectangle_is_random_and_without_labels_and_all_else_as_it_was() -> None:
    before = view()
    areas, ratios = [], []
    for seed in range(60):
        found = RandomErasing(probability=1.0)(before, np.random.default_rng(seed), None)
        erased = (found.region == 0) & (before.region > 0)
        ys, xs = np.nonzero((found.image != before.image).any(2))
        rows, columns = np.ptp(ys) + 1, np.ptp(xs) + 1
        mask = np.zeros((60, 90), bool)
        mask[ys.min() : ys.max() + 1, xs.min() : xs.max() + 1] = True
        areas.append(mask.mean())
        ratios.append(rows / columns)
        assert not erased[~mask].any()
        assert not found.region[mask].any()
        assert (found.semantic[mask] == 255).all()
        assert not found.maps["depth"][mask].any()
        assert not found.maps["normals"][mask].any()
        for a, b in (
            (found.image, before.image),
            (found.semantic, before.semantic),
            (found.region, before.region),
        ):
            assert np.array_equal(a[~mask], b[~mask])
        assert np.array_equal(found.maps["depth"][~mask], before.maps["depth"][~mask])
        values = found.image[mask]
        assert values.std() == pytest.approx(255 / np.sqrt(12), rel=0.25)
    # a side is rounded to a pixel
    assert 0.015 < min(areas) < 0.1
    assert 0.25 < max(areas) < 0.345
    assert 0.25 < min(ratios) < 0.7
    assert 1.5 < max(ratios) < 3.7


def test_a_view_that_no_rectangle_fits_into_stays_as_it_is() -> None:
    before = view()
    thin = Pixels(before.image[:1], before.semantic[:1], before.region[:1])
    assert RandomErasing(probability=1.0)(thin, np.random.default_rng(0), None) is thin


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"area": (0.0, 0.3)}, r"^expected areas 0 < least <= greatest < 1, found \(0\.0, 0\.3\)$"),
        ({"area": (0.5, 0.3)}, "^expected areas"),
        ({"ratio": (0.0, 2.0)}, r"^expected ratios 0 < least <= greatest, found \(0\.0, 2\.0\)$"),
    ],
)
def test_impossible_arguments_are_refused(arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        RandomErasing(**arguments)
