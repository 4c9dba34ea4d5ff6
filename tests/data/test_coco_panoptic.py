import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fusionseg.data.base import DataError
from fusionseg.data.coco_panoptic import CocoPanoptic


def test_classes_are_the_categories_in_the_order_of_their_ids(coco: Path) -> None:
    classes = CocoPanoptic("train", coco).classes
    assert classes.names == ("person", "grass")
    assert classes.things == (0,)
    assert classes.colors[0] == (220, 20, 60)
    assert len(set(classes.colors)) == 2


def test_regions_are_the_segments_in_the_order_of_the_file(coco: Path) -> None:
    _, semantic, region, _ = CocoPanoptic("val", coco).read(0)
    assert (semantic[2:8, 2:12] == 0).all()
    assert (region[2:8, 2:8] == 4).all()
    assert (region[2:8, 8:12] == 1).all()
    assert (semantic[0, 0], region[0, 0]) == (1, 2)
    assert (semantic[19] == 255).all()
    assert not region[19].any()


@pytest.mark.parametrize("suffix", [".PNG", ".tif", ".npy"])
def test_label_files_may_be_png_tiff_or_npy(suffix: str, coco: Path) -> None:
    expected = CocoPanoptic("val", coco).labels(0)
    path = coco / "annotations/panoptic_val2017/000000000008.png"
    with Image.open(path) as image:
        colors = np.array(image)
    path.unlink()
    if suffix == ".npy":
        np.save(path.with_suffix(suffix), colors @ np.array([1, 256, 65536]))
    else:
        Image.fromarray(colors).save(path.with_suffix(suffix))
    found = CocoPanoptic("val", coco).labels(0)
    assert np.array_equal(found.semantic, expected.semantic)
    assert np.array_equal(found.region, expected.region)


def test_a_crowd_has_a_class_and_no_region(coco: Path) -> None:
    truth = CocoPanoptic("val", coco).truth(0)
    crowd = np.zeros((20, 30), bool)
    crowd[12:16, 12:16] = True
    assert truth.crowd is not None
    assert (truth.crowd[crowd] == 0).all()
    assert (truth.crowd[~crowd] == 255).all()
    assert (truth.semantic[crowd] == 0).all()
    assert not truth.region[crowd].any()


def test_a_gray_photo_is_read_as_rgb(coco: Path) -> None:
    image = CocoPanoptic("val", coco).read(0).image
    assert image.shape == (20, 30, 3)
    assert (image == 80).all()


def test_an_unlisted_segment_is_named_with_its_file(coco: Path) -> None:
    file = coco / "annotations/panoptic_val2017/000000000008.png"
    Image.fromarray(np.full((20, 30, 3), (9, 1, 0), np.uint8)).save(file)
    with pytest.raises(DataError, match=rf"found \[265\] in {file}"):
        CocoPanoptic("val", coco).labels(0)


@pytest.mark.parametrize(
    ("file", "message"),
    [
        ("val2017/000000000008.jpg", "no images for the labels 000000000008"),
        ("annotations/panoptic_val2017/000000000008.png", "no labels in .* for 000000000008"),
        ("annotations/panoptic_val2017.json", "expected this layout"),
    ],
)
def test_a_missing_file_is_named(coco: Path, file: str, message: str) -> None:
    (coco / file).unlink()
    with pytest.raises(DataError, match=message):
        CocoPanoptic("val", coco)


def test_a_photo_without_labels_is_named(coco: Path) -> None:
    for i in range(4):
        (coco / f"val2017/extra_{i}.jpg").touch()
    with pytest.raises(DataError, match=r"no labels in .*val2017 for extra_0, extra_1, extra_2 and 1 more"):
        CocoPanoptic("val", coco)


@pytest.mark.parametrize("text", ["{", "[]", '{"images": []}'])
def test_a_foreign_json_file_is_named(coco: Path, text: str) -> None:
    (coco / "annotations/panoptic_val2017.json").write_text(text)
    with pytest.raises(
        DataError, match=r"expected the JSON file of COCO panoptic, found .* in .*panoptic_val2017.json"
    ):
        CocoPanoptic("val", coco)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"categories": [{"id": 1, "name": "person"}]}, "found no isthing in the category .*person"),
        ({"segments": [{"id": 5}]}, "found no category_id in the segment .*5"),
        ({"segments": [{"id": 5, "category_id": 1}] * 2}, "found segment id 5 twice in image 8"),
        (
            {"categories": [{"id": 1, "name": name, "isthing": 0} for name in "ab"]},
            r"found a category id twice among \[1, 1\]",
        ),
    ],
)
def test_a_json_file_that_lacks_something_says_what(coco: Path, change: dict[str, Any], message: str) -> None:
    rewrite(coco, **change)
    with pytest.raises(DataError, match=message):
        CocoPanoptic("val", coco)


def test_an_image_that_is_annotated_twice_is_refused(coco: Path) -> None:
    path = coco / "annotations/panoptic_val2017.json"
    content = json.loads(path.read_text())
    content["annotations"] *= 2
    path.write_text(json.dumps(content))
    with pytest.raises(DataError, match=r"found annotations of image 000000000008 twice in .*val2017.json"):
        CocoPanoptic("val", coco)


def rewrite(coco: Path, **changes: Any) -> dict[str, Any]:
    """Replaces the categories, the segments of the image, or other keys of its entries in the JSON file."""
    path = coco / "annotations/panoptic_val2017.json"
    content: dict[str, Any] = json.loads(path.read_text())
    content["categories"] = changes.pop("categories", content["categories"])
    entry = content["annotations"][0]
    entry["segments_info"] = changes.pop("segments", entry["segments_info"])
    for kind, values in changes.items():
        content[kind][0] |= values
    path.write_text(json.dumps(content))
    return content


def test_segments_are_no_crowds_unless_it_is_said(coco: Path) -> None:
    segments = rewrite(coco)["annotations"][0]["segments_info"]
    rewrite(coco, segments=[{"id": s["id"], "category_id": s["category_id"]} for s in segments])
    truth = CocoPanoptic("val", coco).truth(0)
    assert truth.crowd is not None
    assert (truth.crowd == 255).all()
    assert len(np.unique(truth.region)) == 5


def test_files_have_the_names_that_the_json_file_says(coco: Path) -> None:
    expected = CocoPanoptic("val", coco).read(0)
    (coco / "val2017/day").mkdir()
    with Image.open(coco / "val2017/000000000008.jpg") as photo:
        photo.save(coco / "val2017/day/street.PNG", "PNG")
    (coco / "val2017/000000000008.jpg").unlink()
    labels = coco / "annotations/panoptic_val2017"
    (labels / "000000000008.png").rename(labels / "street labels.png")
    rewrite(coco, images={"file_name": "day/street.png"}, annotations={"file_name": "street labels.png"})
    dataset = CocoPanoptic("val", coco)
    assert dataset.name(0) == "day/street"
    assert all(map(np.array_equal, dataset.read(0)[:3], expected[:3]))


def test_there_is_no_test_split(coco: Path) -> None:
    with pytest.raises(DataError, match="has the splits train, val, found 'test'"):
        CocoPanoptic("test", coco)


@pytest.mark.slow
def test_real_segments_have_the_areas_that_the_file_states() -> None:
    if (root := os.environ.get("FUSIONSEG_DATA")) is None:
        pytest.skip("FUSIONSEG_DATA is not set: no COCO to read")
    dataset = CocoPanoptic("val", f"{root}/coco_panoptic")
    content: dict[str, Any] = json.loads(
        Path(f"{root}/coco_panoptic/annotations/panoptic_val2017.json").read_text()
    )
    stated = {entry["file_name"][:-4]: entry["segments_info"] for entry in content["annotations"]}
    assert len(dataset) == 100
    assert len(dataset.classes) == 133
    assert len(dataset.classes.things) == 80
    crowds = 0
    for index in range(100):
        truth, segments = dataset.truth(index), stated[dataset.name(index)]
        areas = np.bincount(truth.region.ravel(), minlength=len(segments) + 1)[1:]
        assert areas.tolist() == [0 if s["iscrowd"] else s["area"] for s in segments]
        assert truth.crowd is not None
        assert (truth.crowd != 255).sum() == sum(s["area"] for s in segments if s["iscrowd"])
        crowds += sum(s["iscrowd"] for s in segments)
    assert crowds == 5
