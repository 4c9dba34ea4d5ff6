import csv
import json
import os
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from fusionseg.inference.answer import COLUMNS
from fusionseg.inference.input_images import InputImage
from fusionseg.inference.prediction_record import PredictionRecord
from fusionseg.sample import Classes

SETTINGS = {"checkpoint": "abc", "scale": 1.0, "value_range": None}
CLASSES = Classes(("a", "b"), ((1, 1, 1), (2, 2, 2)), things=(1,))


@pytest.fixture
def photos(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / f"{i}.png" for i in range(3)]
    for path in paths:
        path.write_text("a photo")
    return paths


def entry(path: Path) -> dict[str, Any]:
    annotation = {"file_name": path.name, "segments_info": []}
    segments = [
        dict.fromkeys(COLUMNS, 0) | {"id": number, "score": score} for number, score in ((7, 0.5), (9, None))
    ]
    return {
        "file_name": path.name,
        "height": 2,
        "width": 3,
        "segments": segments,
        "instances": [{"category_id": 1, "area": 4}] * 2,
        "annotation": annotation,
        "scenes": {"a": 0.5},
        "single": False,
    }


def record(folder: Path, photos: list[Path]) -> PredictionRecord:
    made = PredictionRecord(folder, SETTINGS)
    for path in photos:
        made.add(path.stem, [path], entry(path))
    return made


def test_drafts_of_a_killed_process_are_removed(tmp_path: Path, photos: list[Path]) -> None:
    record(tmp_path / "out", photos[:1])
    draft = tmp_path / "out" / "overlay" / f".a.{10**30}.png"
    draft.parent.mkdir()
    draft.touch()
    PredictionRecord(tmp_path / "out", SETTINGS)
    assert not draft.exists()


@pytest.mark.parametrize("cut", range(0, 1900, 37))
def test_a_record_that_was_cut_anywhere_is_continued(tmp_path: Path, photos: list[Path], cut: int) -> None:
    whole = record(tmp_path / "whole", photos)
    content = whole.path.read_bytes()
    record(tmp_path / "out", []).folder.mkdir()
    (tmp_path / "out" / whole.path.name).write_bytes(content[:cut])
    made = PredictionRecord(tmp_path / "out", SETTINGS)
    done = [path for path in photos if made.has(path.stem, path)]
    assert len(done) == max(content[:cut].count(b"\n") - 1, 0)
    for path in photos[len(done) :]:
        made.add(path.stem, [path], entry(path))
    assert made.path.read_bytes() == content


def test_an_image_whose_file_changed_is_not_done(tmp_path: Path, photos: list[Path]) -> None:
    made = record(tmp_path / "out", photos)
    photos[1].write_text("another photo")
    assert [made.has(path.stem, path) for path in photos] == [True, False, True]
    made.add("1", [photos[1]], entry(photos[1]))
    again = PredictionRecord(tmp_path / "out", SETTINGS)
    assert [again.has(path.stem, path) for path in photos] == [True, True, True]


def test_an_image_that_has_no_answer_any_more_is_in_no_file(tmp_path: Path, photos: list[Path]) -> None:
    made = record(tmp_path / "out", photos)
    made.remove("1")
    made.remove("never there")
    for one in (made, PredictionRecord(tmp_path / "out", SETTINGS)):
        assert not one.has("1", photos[1])
        assert [line["name"] for line in one.entries()] == ["0", "2"]


@pytest.mark.parametrize("order", [("day1", "day2"), ("day2", "day1")])
def test_files_of_one_name_in_two_folders_are_told_apart(tmp_path: Path, order: tuple[str, str]) -> None:
    images = []
    for day in order:
        path = tmp_path / day / "a.jpg"
        path.parent.mkdir()
        path.write_text("a photo")
        os.utime(path, ns=(7, 7))
        images.append(path)
    made = record(tmp_path / "out", images[:1])
    for one in (made, PredictionRecord(tmp_path / "out", SETTINGS)):
        assert one.has("a", images[0])
        assert not one.has("a", images[1])
        assert one.named({"a": InputImage(images[0], "a.jpg")}) == {"a": InputImage(images[0], "a.jpg")}
        # the same file by another way
        assert one.has("a", images[1].parent / ".." / order[0] / "a.jpg")
        message = (
            rf"holds the answer for .*{order[0]}/a.jpg, found .*{order[1]}/a.jpg .*: choose another folder"
        )
        with pytest.raises(FileExistsError, match=message):
            one.named({"a": InputImage(images[1], "a.jpg")})


@pytest.mark.parametrize("first", ["a.jpg", "a.png"])
def test_an_image_keeps_the_name_of_its_answer_beside_one_of_another_suffix(
    tmp_path: Path, first: str
) -> None:
    images = {name: InputImage(tmp_path / name, name) for name in ("a.jpg", "a.png")}
    for image in images.values():
        image.path.write_text("a photo")
    second = next(name for name in images if name != first)
    made = record(tmp_path / "out", [images[first].path])
    # both together, then the other one alone
    expected = {"a": images[first], second: images[second]}
    assert made.named(images) == expected
    assert made.named({"a": images[second]}) == {second: images[second]}
    made.add(second, images[second][:1], entry(images[second].path))
    assert made.named(images) == expected
    assert made.named({"a": images[second]}) == {second: images[second]}


def test_two_links_to_one_file_have_an_answer_each(tmp_path: Path, photos: list[Path]) -> None:
    link = tmp_path / "link.png"
    link.symlink_to(photos[0])
    images = {path.stem: InputImage(path, path.name) for path in (photos[0], link)}
    for done in ([], [photos[0]], [link], [photos[0], link]):
        made = record(tmp_path / f"{len(done)} {done[:1] == [link]}", done)
        assert list(made.named(images).values()) == list(images.values())
    assert made.named(images) == images


def test_the_json_files_hold_all_images_in_order(tmp_path: Path, photos: list[Path]) -> None:
    record(tmp_path / "out", photos).finish(CLASSES)
    panoptic = json.loads((tmp_path / "out" / "panoptic.json").read_text())
    assert panoptic["images"][2] == {"id": 3, "file_name": "2.png", "height": 2, "width": 3}
    assert [a["image_id"] for a in panoptic["annotations"]] == [1, 2, 3]
    assert json.loads((tmp_path / "out" / "scenes.json").read_text()) == {
        str(i): {"a": 0.5} for i in range(3)
    }


def test_the_label_of_a_scene_is_the_likeliest_where_there_is_one_else_all_that_are_likely(
    tmp_path: Path, photos: list[Path]
) -> None:
    made = PredictionRecord(tmp_path / "out", SETTINGS)
    for path, single in zip(photos, (True, False, False), strict=True):
        likely = {"a": 0.3, "b": 0.4} if single or path is photos[2] else {"a": 0.5, "b": 0.6}
        made.add(path.stem, [path], entry(path) | {"scenes": likely, "single": single})
    made.finish(CLASSES)
    with (tmp_path / "out" / "scenes.csv").open(newline="") as file:
        assert [row["label"] for row in csv.DictReader(file)] == ["b", "a;b", ""]


def test_instances_are_numbered_over_all_images_and_the_table_has_all_segments(
    tmp_path: Path, photos: list[Path]
) -> None:
    record(tmp_path / "out", photos).finish(CLASSES)
    told = json.loads((tmp_path / "out" / "instances.json").read_text())
    assert [(a["id"], a["image_id"]) for a in told["annotations"]] == [
        (1, 1),
        (2, 1),
        (3, 2),
        (4, 2),
        (5, 3),
        (6, 3),
    ]
    assert told["categories"] == [{"id": 1, "name": "b", "isthing": 1, "color": [2, 2, 2]}]
    lines = (tmp_path / "out" / "segments.csv").read_text().splitlines()
    assert lines[0].split(",") == ["image", *COLUMNS]
    assert [line.split(",")[:2] for line in lines[1:]] == [
        [str(i), number] for i in range(3) for number in "79"
    ]
    assert [line.split(",")[-1] for line in lines[1:3]] == ["0.5", ""]


def test_an_image_that_was_answered_again_is_there_once_and_as_it_is_now(
    tmp_path: Path, photos: list[Path]
) -> None:
    made = record(tmp_path / "out", photos)
    changed = entry(photos[0]) | {"height": 99, "instances": []}
    made.add("0", [photos[0]], changed)
    for one in (made, PredictionRecord(tmp_path / "out", SETTINGS)):
        one.finish(CLASSES)
        told = json.loads((tmp_path / "out" / "instances.json").read_text())
        assert [image["height"] for image in told["images"]] == [99, 2, 2]
        assert [a["image_id"] for a in told["annotations"]] == [2, 2, 3, 3]


@pytest.mark.slow
def test_what_images_have_stays_on_the_disk(tmp_path: Path, photos: list[Path]) -> None:
    polygon = list(range(5_000))
    large = entry(photos[0]) | {"instances": [{"segmentation": [polygon]}]}
    made = PredictionRecord(tmp_path / "out", SETTINGS)
    tracemalloc.start()
    for number in range(12):
        made.add(str(number), [photos[0]], large)
    made = PredictionRecord(tmp_path / "out", SETTINGS)
    made.finish(CLASSES)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    one = len(json.dumps(large)) + 28 * len(polygon) + 8 * len(polygon)
    assert made.path.stat().st_size > 3e5
    assert peak < 5 * one


def test_other_settings_are_named(tmp_path: Path, photos: list[Path]) -> None:
    record(tmp_path / "out", photos)
    with pytest.raises(
        FileExistsError, match="predictions by another checkpoint and scale: choose another folder"
    ):
        PredictionRecord(tmp_path / "out", SETTINGS | {"scale": 2.0, "checkpoint": "b"})
