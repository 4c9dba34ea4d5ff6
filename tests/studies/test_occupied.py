from pathlib import Path
from typing import Any

import pytest
import yaml

from fusionseg.runs import resume
from fusionseg.studies.identity import settings_of
from fusionseg.studies.occupied import MOVABLE, another_run

CONFIG: dict[str, Any] = {
    "seed_everything": 1,
    "trainer": {"precision": "32-true", "devices": 1},
    "model": {"init_args": {"beta": 1.0, "limit": float("inf")}},
    "data": {"init_args": {"dataset": {"init_args": {"root": "data/CamVid"}}}},
}


def written(folder: Path, **model: Any) -> Path:
    model = {**CONFIG["model"]["init_args"], **model}
    (folder / "config.yaml").write_text(yaml.safe_dump({**CONFIG, "model": {"init_args": model}}))
    return folder


def settings(**changes: Any) -> dict[str, Any]:
    return settings_of(yaml.safe_dump(CONFIG)) | changes


def test_a_run_is_told_from_another_by_its_settings_and_its_seed(tmp_path: Path) -> None:
    assert another_run(written(tmp_path), settings(), 1) == ""
    assert another_run(tmp_path, settings(), 2) == "seed 1 there, 2 here"
    assert another_run(written(tmp_path, beta=9.0), settings(), 1) == "model.beta: 9.0 there, 1.0 here"


@pytest.mark.parametrize(
    "changes", [{"data.dataset.root": "/moved"}, {"trainer.precision": 32}, {"model.limit": None}]
)
def test_data_that_moved_and_other_spellings_are_the_same_run(changes: dict, tmp_path: Path) -> None:
    assert another_run(written(tmp_path), settings(**changes), 1) == ""


@pytest.mark.parametrize("text", [None, "", "{", "a: [", "\x00"])
def test_what_cannot_be_read_is_taken_for_the_run(text: str | None, tmp_path: Path) -> None:
    if text is not None:
        (tmp_path / "config.yaml").write_text(text)
    assert another_run(tmp_path, settings(), 1) == ""


@pytest.mark.parametrize(
    "key", ["data.dataset.root", "data.table", "data.unlabelled.photos", "model.teacher.run"]
)
def test_what_may_have_moved_is_what_a_run_resumes_with(key: str) -> None:
    assert MOVABLE.match(key)
    assert resume.FREE.match(key)
