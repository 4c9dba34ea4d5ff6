import json
from pathlib import Path
from typing import Any

import pytest

from fusionseg.inference.prediction_record import PredictionRecord
from fusionseg.sample import Classes

SETTINGS = {"checkpoint": "abc", "scale": 1.0, "value_range": None}
CLASSES = Classes(("a", "b"), ((1, 1, 1), (2, 2, 2)))


@pytest.fixture
def photos(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / f"{i}.png" for i in range(3)]
    for path in paths:
        path.write_text("a photo")
    return paths


def entry(path: Path) -> dict[str, Any]:
    annotation = {"file_name": path.name, "segments_info": []}
    return {"file_name": path.name, "height": 2, "width": 3, "annotation": annotation, "scenes": {"a": 0.5}}


def record(folder: Path, photos: list[Path]) -> PredictionRecord:
    made = PredictionRecord(folder, SETTINGS)
    for path in photos:
        made.add(path.stem, path, entry(path))
    return made


@pytest.mark.parametrize("cut", range(0, 400, 7))
def test_a_record_that_was_cut_anywhere_is_continued(tmp_path: Path, photos: list[Path], cut: int) -> None:
    whole = record(tmp_path / "whole", photos)
    content = whole.path.read_bytes()
    record(tmp_path / "out", []).folder.mkdir()
    (tmp_path / "out" / whole.path.name).write_bytes(content[:cut])
    made = PredictionRecord(tmp_path / "out", SETTINGS)
    done = [path for path in photos if made.has(path.stem, path)]
    assert len(done) == max(content[:cut].count(b"\n") - 1, 0)
    for path in photos[len(done) :]:
        made.add(path.stem, path, entry(path))
    assert made.path.read_bytes() == content


def test_an_image_whose_file_changed_is_not_done(tmp_path: Path, photos: list[Path]) -> None:
    made = record(tmp_path / "out", photos)
    photos[1].write_text("another photo")
    assert [made.has(path.stem, path) for path in photos] == [True, False, True]
    made.add("1", photos[1], entry(photos[1]))
    again = PredictionRecord(tmp_path / "out", SETTINGS)
    assert [again.has(path.stem, path) for path in photos] == [True, True, True]


def test_the_json_files_hold_all_images_in_order(tmp_path: Path, photos: list[Path]) -> None:
    record(tmp_path / "out", photos).finish(CLASSES)
    panoptic = json.loads((tmp_path / "out" / "panoptic.json").read_text())
    assert panoptic["images"][2] == {"id": 3, "file_name": "2.png", "height": 2, "width": 3}
    assert [a["image_id"] for a in panoptic["annotations"]] == [1, 2, 3]
    assert json.loads((tmp_path / "out" / "scenes.json").read_text()) == {
        str(i): {"a": 0.5} for i in range(3)
    }


def test_other_settings_are_named(tmp_path: Path, photos: list[Path]) -> None:
    record(tmp_path / "out", photos)
    with pytest.raises(
        FileExistsError, match="predictions by another checkpoint and scale: choose another folder"
    ):
        PredictionRecord(tmp_path / "out", SETTINGS | {"scale": 2.0, "checkpoint": "b"})
