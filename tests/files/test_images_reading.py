import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fusionseg.files.images import read_image, read_labels, write_png

PHOTO = np.random.default_rng(0).integers(0, 256, (24, 32, 3), dtype=np.uint8)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16"])
def test_every_mode_becomes_the_same_rgb(tmp_path: Path, mode: str) -> None:
    grey = np.repeat(np.repeat([[0, 255, 255], [255, 0, 255]], 8, axis=0), 8, axis=1).astype(np.uint8)
    image = (
        Image.fromarray(grey.astype(np.uint16) * 257)
        if mode == "I;16"
        else Image.fromarray(grey).convert(mode)
    )
    path = tmp_path / ("a.tif" if mode == "CMYK" else "a.png")
    image.save(path)
    pixels = read_image(path)
    assert pixels.dtype == np.uint8
    assert pixels.flags.writeable, "or torch.from_numpy warns"
    assert np.array_equal(pixels, np.repeat(grey[..., None], 3, axis=2))


def test_grey_of_16_bits_is_scaled_to_the_nearest_of_8(tmp_path: Path) -> None:
    values = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    Image.fromarray(values).save(tmp_path / "a.png")
    expected = np.rint(values / 65535 * 255)
    assert np.array_equal(read_image(tmp_path / "a.png"), np.repeat(expected[..., None], 3, axis=2))


def test_transparent_palettes_are_read_without_a_warning(tmp_path: Path) -> None:
    image = Image.fromarray(PHOTO).quantize(8)
    image.save(tmp_path / "a.png", transparency=bytes(range(0, 240, 30)))
    assert np.array_equal(read_image(tmp_path / "a.png"), np.array(image.convert("RGB")))


def test_greyscale_jpeg_has_three_equal_channels(tmp_path: Path) -> None:
    Image.fromarray(PHOTO[..., 0]).save(tmp_path / "a.jpg")
    pixels = read_image(tmp_path / "a.jpg")
    with Image.open(tmp_path / "a.jpg") as image:
        assert np.array_equal(pixels, np.repeat(np.array(image)[..., None], 3, axis=2))


def test_real_photos_are_read_like_opencv_reads_them(data: Path) -> None:
    cv2 = pytest.importorskip("cv2")
    photos = sorted((data / "coco_panoptic" / "val2017").glob("*.jpg"))[:30]
    for path in photos:
        assert np.array_equal(read_image(path), cv2.imread(str(path), cv2.IMREAD_COLOR)[..., ::-1])


def test_images_without_a_value_range_are_refused(tmp_path: Path) -> None:
    Image.fromarray(np.ones((3, 4), np.float32)).save(tmp_path / "a.tif")
    with pytest.raises(ValueError, match=r"a\.tif, found mode F"):
        read_image(tmp_path / "a.tif")


def test_orientation_is_followed_on_request_only(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # stored turned to the left: turn right to see it
    Image.fromarray(PHOTO).save(tmp_path / "a.png", exif=exif)
    assert np.array_equal(read_image(tmp_path / "a.png"), PHOTO)
    assert np.array_equal(read_image(tmp_path / "a.png", orient=True), np.rot90(PHOTO, -1))


@pytest.mark.parametrize(
    "options", [{"format": "JPEG"}, {"format": "JPEG", "progressive": True}, {"format": "PNG"}]
)
def test_truncated_files_raise_and_name_the_file(tmp_path: Path, options: dict[str, Any]) -> None:
    buffer = io.BytesIO()
    Image.fromarray(PHOTO).save(buffer, **options)
    content, path = buffer.getvalue(), tmp_path / "broken"
    for length in [0, *range(1, len(content) - 20, 41), len(content) - 21]:
        path.write_bytes(content[:length])
        with pytest.raises(
            ValueError, match=r"broken is no complete image file .*: download or copy it again"
        ):
            read_image(path)


@pytest.mark.parametrize("reader", [read_image, read_labels])
def test_a_file_that_claims_to_be_huge_is_refused_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reader: Any
) -> None:
    Image.new("L", (40, 40)).save(tmp_path / "bomb.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 40 * 40 // 3)
    with pytest.raises(
        ValueError, match=f"{tmp_path}/bomb.png is no complete image file .Image size .1600 pixels"
    ):
        reader(tmp_path / "bomb.png")


def test_what_is_no_image_is_said_so(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_text("text")
    with pytest.raises(ValueError, match=r"no complete image file .of no known format"):
        read_image(tmp_path / "a.png")


def test_failed_write_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_png(tmp_path / "sub" / "a.png", PHOTO)

    def fail(image: Image.Image, path: Path, *args: object, **kwargs: object) -> None:
        assert path.parent == tmp_path / "sub"
        path.write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(Image.Image, "save", fail)
    with pytest.raises(OSError, match="disk full"):
        write_png(tmp_path / "sub" / "a.png", np.zeros_like(PHOTO))
    assert [p.name for p in (tmp_path / "sub").iterdir()] == ["a.png"]
    assert np.array_equal(read_image(tmp_path / "sub" / "a.png"), PHOTO)
