import inspect
import math
from collections import Counter

import numpy as np
import pytest

from fusionseg import heads
from fusionseg.data.input_size import InputSize
from fusionseg.inspection.image_facts import Regions
from fusionseg.inspection.region_figures import MIN_AREA, region_figures
from fusionseg.inspection.split_facts import SplitFacts


def facts(regions: Regions, numbers: list[int], size: tuple[int, int] = (100, 200)) -> SplitFacts:
    """Images of one size with these regions."""
    zeros = np.zeros(3, np.int64)
    sizes = np.array([size] * len(numbers))
    return SplitFacts(len(numbers), sizes, zeros, zeros, zeros, {}, {}, regions, np.array(numbers), [])


REGIONS = Regions(
    label=np.array([0, 1, 1, 2, 1]),
    area=np.array([9000, 19, 20, 400, 100]),
    parts=np.array([2, 1, 1, 1, 1]),
    height=np.array([90, 5, 5, 65, 10]),
    width=np.array([100, 4, 4, 20, 65]),
    touches=np.array([True, True, False, False, True]),
)


def test_figures_are_shares_of_the_regions() -> None:
    found = region_figures(facts(REGIONS, [1, 4, 0]), things=(1,), crop_size=(64, 64), seen_at=InputSize())
    assert found.regions == 5
    assert found.per_image == [0, 1, pytest.approx(5 / 3), 4]
    assert found.area == [19, 20, 100, 400, 9000]
    assert (found.small, found.apart, found.cut) == (0.2, 0.2, 0.6)
    assert found.touching == pytest.approx(2 / 3)
    assert found.crop == 0.64 * 0.32


def test_crops_are_of_images_at_the_scale_of_the_data() -> None:
    half = region_figures(facts(REGIONS, [5]), (1,), (64, 64), InputSize(0.5))
    assert half.cut == 0  # 90 x 100 at half size is 45 x 50
    assert half.crop == 0.64
    double = region_figures(facts(REGIONS, [5]), (1,), (64, 64), InputSize(2))
    assert double.cut == 0.6
    assert region_figures(facts(REGIONS, [5]), (1,), (512, 512), InputSize()).crop == 1


def test_without_regions_or_things_figures_are_nan() -> None:
    none = Regions(*(column[:0] for column in REGIONS))
    found = region_figures(facts(none, [0, 0]), (1,), (64, 64), InputSize())
    assert found.regions == 0
    assert all(
        math.isnan(value) for value in (*found.area, found.small, found.apart, found.cut, found.touching)
    )
    assert math.isnan(region_figures(facts(REGIONS, [5]), (), (64, 64), InputSize()).touching)


def test_the_smallest_area_is_the_usual_one_of_heads() -> None:
    given = [
        inspect.signature(getattr(heads, name)).parameters.get("min_area")
        for name in heads.__all__
        if name.endswith("Head")
    ]
    defaults = Counter(parameter.default for parameter in given if parameter)
    assert defaults.most_common(1)[0][0] == MIN_AREA
