import numpy as np
import pytest

from fusionseg.corruptions import CORRUPTIONS, fog
from fusionseg.data import RandomCorruption, SyntheticScenes
from fusionseg.data.corrupting import corrupted


def test_a_view_is_a_corruption_of_those_that_are_named_at_their_severities() -> None:
    view = SyntheticScenes("train", 1, (48, 64), depth=True).read(0)
    change = RandomCorruption(["fog", "occlusion"], (2, 4), 1.0)
    found = set()
    for seed in range(40):
        rng = np.random.default_rng(seed)
        rng.random()  # whether the view is changed
        place, _, severity = rng.integers(2), rng.integers(1), rng.integers(2, 5)
        corruption = next(c for c in CORRUPTIONS if c.name == ("fog", "occlusion")[place])
        expected = corrupted(view, corruption, int(severity), int(rng.integers(2**63)))
        result = change(view, np.random.default_rng(seed), None)
        assert np.array_equal(result.image, expected.image)
        assert np.array_equal(result.region, expected.region)
        assert np.array_equal(result.maps["depth"], expected.maps["depth"])
        found.add((corruption.name, int(severity)))
    assert len(found) == 6


def test_what_needs_colors_leaves_further_channels_alone() -> None:
    view = SyntheticScenes("train", 1, (48, 64)).read(0)
    wide = view._replace(image=np.dstack([view.image, view.image]))
    assert RandomCorruption(["color_temperature"], (5, 5), 1.0)(wide, np.random.default_rng(0), None) is wide
    changed = RandomCorruption(["fog"], (5, 5), 1.0)(wide, np.random.default_rng(0), None)
    assert changed.image.shape == wide.image.shape


def test_the_given_image_is_corrupted_by_the_functions_that_evaluate_uses() -> None:
    view = SyntheticScenes("train", 1, (48, 64)).read(0)
    weather = next(c for c in CORRUPTIONS if c.name == "fog")
    assert np.array_equal(corrupted(view, weather, 3, 9).image, fog(view.image, 3, 9))
    assert corrupted(view, weather, 3, 9).region is view.region


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"corruptions": ["nois"]}, r"^no corruption 'nois'; did you mean noise\?$"),
        ({"corruptions": []}, "^expected at least one corruption, found none$"),
        ({"severities": (0, 3)}, r"^expected severities 1 <= least <= greatest <= 5, found \(0, 3\)$"),
        ({"severities": (4, 3)}, r"^expected severities 1 <= least <= greatest <= 5, found \(4, 3\)$"),
    ],
)
def test_impossible_arguments_are_refused(arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        RandomCorruption(**arguments)
