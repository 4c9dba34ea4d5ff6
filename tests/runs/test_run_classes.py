from collections.abc import Callable
from pathlib import Path

import pytest

from fusionseg.config.errors import UsageError
from fusionseg.data.synthetic import SyntheticScenes
from fusionseg.module import FusionModule
from fusionseg.runs.run_classes import check_start, classes_of
from fusionseg.sample import Classes


@pytest.fixture
def saved(small: Callable[..., FusionModule], tmp_path: Path) -> Path:
    small().save_pretrained(tmp_path / "saved")
    return tmp_path / "saved"


def test_a_saved_folder_knows_its_classes(saved: Path) -> None:
    assert classes_of(saved) == SyntheticScenes.classes


def test_heads_do_not_start_from_a_saved_folder_with_the_same_classes_in_another_order(
    saved: Path, small: Callable[..., FusionModule]
) -> None:
    model = small()
    check_start(model, saved)
    own = SyntheticScenes.classes
    model.classes = Classes(own.names[::-1], own.colors, own.things)
    with pytest.raises(
        UsageError, match=r"expected the run's classes in the data, .*id 0 is star and not sky"
    ):
        check_start(model, saved)


def test_folders_of_other_projects_are_not_checked(
    small: Callable[..., FusionModule], tmp_path: Path
) -> None:
    (tmp_path / "config.json").write_text('{"encoder_name": "resnet18"}')
    check_start(small(), tmp_path)
    check_start(small(), tmp_path / "nowhere")
