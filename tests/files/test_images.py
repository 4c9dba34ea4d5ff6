import json
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fusionseg.files.images import (
    coco_panoptic_json,
    read_labels,
    write_panoptic,
    write_region,
    write_semantic,
)
from fusionseg.files.photos import read_image
from fusionseg.sample import OFFSET, VOID, Classes, IntMap

CLASSES = Classes(("road", "car", "sky"), ((128, 64, 128), (0, 0, 142), (70, 130, 180)), things=(1,))


@pytest.fixture
def random() -> np.random.Generator:
    return np.random.default_rng(1)


def gray_png(values: IntMap, bits: int) -> bytes:
    """A gray PNG with the given bit depth, written by hand because Pillow writes 1, 8 and 16 bits only."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return (
            struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        )

    rows = ["".join(format(v, f"0{bits}b") for v in row) for row in values]
    content = b"".join(b"\0" + int(row, 2).to_bytes(len(row) // 8, "big") for row in rows)
    header = struct.pack(">IIBBBBB", values.shape[1], values.shape[0], bits, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(content))
        + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize(
    "classes", [CLASSES, Classes(tuple(map(str, range(255))), ((9, 8, 7),) * 255)], ids=["3", "255"]
)
def test_semantic_files_return_their_ids_and_show_their_colors(
    tmp_path: Path, classes: Classes, random: np.random.Generator
) -> None:
    semantic = random.choice([*range(len(classes)), VOID], (40, 50))
    write_semantic(tmp_path / "a.png", semantic, classes)
    assert np.array_equal(read_labels(tmp_path / "a.png"), semantic)
    expected = np.array([*classes.colors, *[(0, 0, 0)] * (256 - len(classes))])[semantic]
    assert np.array_equal(read_image(tmp_path / "a.png"), expected)


def test_region_files_return_their_ids(tmp_path: Path, random: np.random.Generator) -> None:
    region = random.integers(0, 65536, (40, 50))
    region[0, :2] = 0, 65535
    write_region(tmp_path / "a.png", region)
    assert np.array_equal(read_labels(tmp_path / "a.png"), region)
    with Image.open(tmp_path / "a.png") as image:
        assert image.mode == "I;16"


@pytest.mark.parametrize("wrong", [65536, -1])
def test_regions_that_do_not_fit_are_refused(tmp_path: Path, wrong: int) -> None:
    with pytest.raises(ValueError, match=rf"\[0, 65535\] for .*a\.png, found .*{wrong}"):
        write_region(tmp_path / "a.png", np.array([[0, wrong]]))


def test_unknown_classes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"a\.png, found \[-1, 3\]"):
        write_semantic(tmp_path / "a.png", np.array([[0, 3, VOID, -1]]), CLASSES)
    with pytest.raises(ValueError, match=rf"a\.png, found ids from 0 to {3 * OFFSET}"):
        write_panoptic(tmp_path / "a.png", np.array([[0, 3 * OFFSET]]), CLASSES)
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("has_void", [True, False])
def test_panoptic_file_and_its_annotation_describe_the_same_segments(
    tmp_path: Path, has_void: bool, random: np.random.Generator
) -> None:
    ids = [0, 2 * OFFSET, *(OFFSET + np.arange(1, 400) * 7), *([-1] if has_void else [])]
    panoptic = random.choice(ids, (60, 70))
    annotation = write_panoptic(tmp_path / "a.png", panoptic, CLASSES)
    number = read_image(tmp_path / "a.png").astype(int) @ [1, 256, 65536]
    assert annotation["file_name"] == "a.png"
    assert [s["id"] for s in annotation["segments_info"]] == list(
        range(1, len(np.unique(panoptic)) + 1 - has_void)
    )
    assert np.array_equal(number == 0, panoptic == -1)
    for segment in annotation["segments_info"]:
        y, x = np.nonzero(number == segment["id"])
        (panoptic_id,) = set(panoptic[y, x].tolist())
        assert segment["category_id"] == panoptic_id // OFFSET
        assert segment["area"] == len(y) == (panoptic == panoptic_id).sum()
        assert segment["bbox"] == [x.min(), y.min(), np.ptp(x) + 1, np.ptp(y) + 1]
        assert segment["iscrowd"] == 0


def test_coco_segments_are_written_as_coco_did(data: Path, tmp_path: Path) -> None:
    folder = data / "panoptic_sample" / "sample_data"
    for annotation in json.loads((folder / "panoptic_examples.json").read_text())["annotations"]:
        number = read_image(folder / "panoptic_examples" / annotation["file_name"]).astype(int) @ [
            1,
            256,
            65536,
        ]
        classes = Classes(tuple(map(str, range(201))), ((0, 0, 0),) * 201)
        panoptic = np.full(number.shape, -1)
        for i, segment in enumerate(annotation["segments_info"]):
            panoptic[number == segment["id"]] = segment["category_id"] * OFFSET + i
        written = write_panoptic(tmp_path / "a.png", panoptic, classes)["segments_info"]
        keys = ("category_id", "area", "bbox")
        official, found = (
            sorted([s[k] for k in keys] for s in segments)
            for segments in (annotation["segments_info"], written)
        )
        assert found == official


def test_json_has_what_coco_expects(tmp_path: Path) -> None:
    images = [{"id": 7, "file_name": "a.jpg", "width": 3, "height": 2}]
    entry = write_panoptic(tmp_path / "a.png", np.array([[-1, 0, 0], [OFFSET + 4, 0, OFFSET + 4]]), CLASSES)
    content = json.loads(json.dumps(coco_panoptic_json(images, [{"image_id": 7, **entry}], CLASSES)))
    assert content["images"] == images
    assert content["annotations"] == [
        {
            "image_id": 7,
            "file_name": "a.png",
            "segments_info": [
                {"id": 1, "category_id": 0, "area": 3, "bbox": [1, 0, 2, 2], "iscrowd": 0},
                {"id": 2, "category_id": 1, "area": 2, "bbox": [0, 1, 3, 1], "iscrowd": 0},
            ],
        }
    ]
    assert content["categories"][1] == {"id": 1, "name": "car", "isthing": 1, "color": [0, 0, 142]}
    assert [c["isthing"] for c in content["categories"]] == [0, 1, 0]


@pytest.mark.parametrize(
    ("image", "annotation", "message"),
    [
        ({"id": 1}, {}, r"in each image, \['file_name', 'height', 'width'\] not in"),
        ({}, {"image_id": 1}, r"in each annotation, \['file_name', 'segments_info'\] not in"),
        ({}, {"image_id": 5, "file_name": "a.png", "segments_info": []}, r"images \[5\], which are not"),
    ],
)
def test_incomplete_json_is_refused(image: dict[str, Any], annotation: dict[str, Any], message: str) -> None:
    full = image or {"id": 1, "file_name": "a.jpg", "width": 3, "height": 2}
    with pytest.raises(ValueError, match=message):
        coco_panoptic_json([full], [annotation] if annotation else [], CLASSES)


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_gray_labels_of_few_bits_keep_their_values(
    tmp_path: Path, bits: int, random: np.random.Generator
) -> None:
    ids = random.integers(0, 2**bits, (6, 16))
    (tmp_path / "a.png").write_bytes(gray_png(ids, bits))
    assert np.array_equal(read_labels(tmp_path / "a.png"), ids)


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_palette_labels_of_few_bits_keep_their_indices(
    tmp_path: Path, bits: int, random: np.random.Generator
) -> None:
    ids = random.integers(0, 2**bits, (6, 16)).astype(np.uint8)
    image = Image.fromarray(ids)
    image.putpalette(random.integers(0, 256, 3 * 2**bits, dtype=np.uint8).tobytes())
    image.save(tmp_path / "a.png", bits=bits)
    assert np.array_equal(read_labels(tmp_path / "a.png"), ids)


def test_colors_and_lossy_files_are_refused_as_labels(tmp_path: Path, random: np.random.Generator) -> None:
    photo = random.integers(0, 256, (24, 32, 3), dtype=np.uint8)
    Image.fromarray(photo).save(tmp_path / "colors.png")
    Image.fromarray(photo[..., 0]).save(tmp_path / "gray.jpg")
    with pytest.raises(ValueError, match=r"colors\.png .*found a PNG of mode RGB: convert"):
        read_labels(tmp_path / "colors.png")
    with pytest.raises(ValueError, match=r"gray\.jpg .*found a JPEG of mode L"):
        read_labels(tmp_path / "gray.jpg")


def test_truncated_labels_raise_and_name_the_file(tmp_path: Path, random: np.random.Generator) -> None:
    write_semantic(tmp_path / "a.png", random.integers(0, 3, (40, 50)), CLASSES)
    content = (tmp_path / "a.png").read_bytes()
    # The checksums and the end mark, about 30 bytes, are not needed to read every pixel.
    for length in [0, *range(1, len(content) - 30, 31)]:
        (tmp_path / "a.png").write_bytes(content[:length])
        with pytest.raises(ValueError, match=r"a\.png is no complete image file"):
            read_labels(tmp_path / "a.png")


def test_damaged_and_missing_files_have_different_errors(tmp_path: Path, random: np.random.Generator) -> None:
    content = bytearray(gray_png(random.integers(0, 256, (6, 16)), 8))
    content[60] ^= 255
    (tmp_path / "flipped.png").write_bytes(content)
    with pytest.raises(ValueError, match=r"flipped\.png is no complete image file"):
        read_labels(tmp_path / "flipped.png")
    with pytest.raises(FileNotFoundError, match=r"missing\.png"):
        read_image(tmp_path / "missing.png")


def test_arrays_of_yes_and_no_are_ids_0_and_1(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.eye(3) > 0)
    np.testing.assert_array_equal(read_labels(tmp_path / "a.npy"), np.eye(3))
