import pytest

from fusionseg.config.errors import UsageError
from fusionseg.corruptions import CORRUPTIONS
from fusionseg.robustness.choice import corruptions, severities


def names(text: str, channels: int = 3) -> list[str]:
    return [corruption.name for corruption in corruptions(text, channels)]


def test_all_are_all_and_families_and_names_may_be_mixed() -> None:
    assert corruptions("all") == CORRUPTIONS
    assert names("noise, fog") == ["gaussian_noise", "shot_noise", "fog"]
    assert names("fog,weather,fog") == ["fog"]
    assert names("occlusion") == ["occlusion"]


def test_images_of_more_channels_leave_out_what_needs_colors_unless_it_is_named() -> None:
    assert set(names("all")) - set(names("all", 4)) == {"color_temperature"}
    assert "color_temperature" not in names("photometric", 4)
    with pytest.raises(
        UsageError, match=r"^corruptions: color_temperature takes images of 3 channels, found 4$"
    ):
        names("all,color_temperature", 4)


def test_a_misspelt_corruption_is_named_with_the_nearest() -> None:
    with pytest.raises(
        UsageError, match=r"^corruptions: no corruption 'brigtness'; did you mean brightness\?$"
    ):
        names("fog,brigtness")
    with pytest.raises(
        UsageError, match=r"^corruptions: no corruption ''; expected one of all, brightness, photo"
    ):
        names("fog,")


def test_severities_are_ranges_and_numbers() -> None:
    assert severities("1..5") == (1, 2, 3, 4, 5)
    assert severities("5, 1..2, 2") == (1, 2, 5)
    assert severities("3") == (3,)


@pytest.mark.parametrize("wrong", ["0", "6", "1..6", "4..2", "", "1;2", "1...3", "one", "-1", "1.5"])
def test_other_severities_are_refused(wrong: str) -> None:
    with pytest.raises(
        UsageError, match=r"^severities: expected severities in 1\.\.5, such as 1\.\.5 or 1,3,5, found "
    ):
        severities(wrong)
