import io
import struct
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import ExifTags, Image

from fusionseg.config.errors import UserError
from fusionseg.files.images import read_labels, write_png
from fusionseg.files.orientation import orientation
from fusionseg.files.photos import as_gray, decoding, in_range, photo_suffixes, read_image

PHOTO = np.random.default_rng(0).integers(0, 256, (24, 32, 3), dtype=np.uint8)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK"])
def test_every_mode_becomes_the_same_rgb(tmp_path: Path, mode: str) -> None:
    gray = np.repeat(np.repeat([[0, 255, 255], [255, 0, 255]], 8, axis=0), 8, axis=1).astype(np.uint8)
    path = tmp_path / ("a.tif" if mode == "CMYK" else "a.png")
    Image.fromarray(gray).convert(mode).save(path)
    pixels = read_image(path)
    assert pixels.dtype == np.uint8
    assert pixels.flags.writeable, "or torch.from_numpy warns"
    assert np.array_equal(pixels, np.repeat(gray[..., None], 3, axis=2))


@pytest.mark.parametrize("suffix", ["png", "tif", "pgm"])
def test_gray_of_16_bits_keeps_its_bits(tmp_path: Path, suffix: str) -> None:
    values = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    Image.fromarray(values).save(tmp_path / f"a.{suffix}")
    pixels = read_image(tmp_path / f"a.{suffix}")
    assert pixels.dtype == np.uint16
    assert np.array_equal(pixels, np.repeat(values[..., None], 3, axis=2))


@pytest.mark.parametrize(("suffix", "channels"), [("png", 3), ("tif", 3), ("ppm", 3), ("png", 4), ("tif", 4)])
def test_colors_of_16_bits_keep_their_bits(tmp_path: Path, suffix: str, channels: int) -> None:
    values = np.random.default_rng(0).integers(0, 65536, (9, 12, channels), dtype=np.uint16)
    cv2.imwrite(str(tmp_path / f"a.{suffix}"), values[..., [2, 1, 0, 3][:channels]])
    assert np.array_equal(read_image(tmp_path / f"a.{suffix}"), values[..., :3])
    if channels == 4:
        assert np.array_equal(read_image(tmp_path / f"a.{suffix}", channels=4), values)


def test_a_declared_range_is_spread_over_the_16_bits(tmp_path: Path) -> None:
    values = np.array([[0, 16, 2056, 4096, 4112, 60000]], np.uint16)
    Image.fromarray(values).save(tmp_path / "a.png")
    pixels = read_image(tmp_path / "a.png", (16, 4096))
    assert pixels[0, :, 0].tolist() == [0, 0, 32768, 65535, 65535, 65535]


def test_the_range_that_a_file_declares_itself_is_used(tmp_path: Path) -> None:
    values = np.array([[[0, 2048, 4095]]], np.uint16)
    (tmp_path / "a.ppm").write_bytes(b"P6\n1 1\n4095\n" + values.astype(">u2").tobytes())
    assert read_image(tmp_path / "a.ppm").ravel().tolist() == [0, 32776, 65535]


@pytest.mark.parametrize(("kind", "bits"), [("a.jp2", 16), ("a.avif", 10), ("a.avif", 12)])
def test_colors_of_formats_of_which_pillow_keeps_8_bits_keep_theirs(
    kind: str, bits: int, tmp_path: Path
) -> None:
    top = 2**bits - 1
    values = (np.arange(32 * 48 * 3) * 14 % (top + 1)).reshape(32, 48, 3).astype(np.uint16)
    exact = [cv2.IMWRITE_AVIF_DEPTH, bits, cv2.IMWRITE_AVIF_QUALITY, 100] if kind == "a.avif" else []
    cv2.imwrite(str(tmp_path / kind), values[..., ::-1], exact)
    expected = (values.astype(np.float32) / top * 65535).round().astype(np.uint16)
    assert np.array_equal(read_image(tmp_path / kind), expected)


@pytest.mark.parametrize("kind", ["a.jp2", "a.avif"])
def test_files_of_8_bits_stay_so(kind: str, tmp_path: Path) -> None:
    values = np.random.default_rng(0).integers(0, 256, (32, 48, 3), dtype=np.uint8)
    cv2.imwrite(str(tmp_path / kind), values)
    assert read_image(tmp_path / kind).dtype == np.uint8


@pytest.mark.parametrize("dtype", [np.int32, np.float32])
def test_values_without_limits_become_floats_by_their_range(tmp_path: Path, dtype: Any) -> None:
    Image.fromarray(np.array([[-1000, 0, 1000, 9000]], dtype)).save(tmp_path / "a.tif")
    pixels = read_image(tmp_path / "a.tif", (-1000, 1000))
    assert pixels.dtype == np.float32
    assert pixels[0, :, 1].tolist() == [0, 0.5, 1, 1]
    with pytest.raises(ValueError, match=rf"a\.tif, found {np.dtype(dtype)}, which has no range: declare"):
        read_image(tmp_path / "a.tif")


def test_values_of_8_bits_have_no_other_range(tmp_path: Path) -> None:
    Image.fromarray(PHOTO).save(tmp_path / "a.png")
    assert np.array_equal(read_image(tmp_path / "a.png", (0, 4095)), PHOTO)


def test_values_that_are_no_numbers_are_refused(tmp_path: Path) -> None:
    Image.fromarray(np.array([[np.nan, 1]], np.float32)).save(tmp_path / "a.tif")
    with pytest.raises(ValueError, match=r"finite values in .*a\.tif, found NaN"):
        read_image(tmp_path / "a.tif", (0, 1))


def test_transparent_palettes_are_read_without_a_warning(tmp_path: Path) -> None:
    image = Image.fromarray(PHOTO).quantize(8)
    image.save(tmp_path / "a.png", transparency=bytes(range(0, 240, 30)))
    assert np.array_equal(read_image(tmp_path / "a.png"), np.array(image.convert("RGB")))


def test_grayscale_jpeg_has_three_equal_channels(tmp_path: Path) -> None:
    Image.fromarray(PHOTO[..., 0]).save(tmp_path / "a.jpg")
    pixels = read_image(tmp_path / "a.jpg")
    with Image.open(tmp_path / "a.jpg") as image:
        assert np.array_equal(pixels, np.repeat(np.array(image)[..., None], 3, axis=2))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_one_channel_has_exactly_the_values_of_a_gray_file(dtype: type, tmp_path: Path) -> None:
    values = np.random.default_rng(0).integers(0, np.iinfo(dtype).max, (64, 64), dtype, endpoint=True)
    Image.fromarray(values).save(tmp_path / "a.png")
    assert np.array_equal(read_image(tmp_path / "a.png", channels=1), values[..., None])
    np.save(tmp_path / "a.npy", values[..., None])
    assert np.array_equal(read_image(tmp_path / "a.npy", channels=1), values[..., None])


@pytest.mark.parametrize("dtype", [np.int32, np.float32])
def test_one_channel_of_a_file_of_wide_values_is_exactly_its_own(dtype: type, tmp_path: Path) -> None:
    values = np.random.default_rng(0).integers(0, 2**24, (16, 16)).astype(dtype)
    Image.fromarray(values).save(tmp_path / "a.tif")
    found = read_image(tmp_path / "a.tif", (0.0, 2.0**24), channels=1)
    assert np.array_equal(found[..., 0], (values / 2**24).astype(np.float32))


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int32, np.uint32, np.float16, np.float64])
def test_colors_of_any_numbers_have_the_luma_of_bt_601(dtype: type) -> None:
    colors = np.random.default_rng(0).integers(0, 100, (8, 9, 3)).astype(dtype)
    found = as_gray(colors)
    assert found.shape == (8, 9, 1)
    assert found.dtype == (np.uint8 if dtype is np.uint8 else np.float32)
    expected = colors.astype(float) @ [0.299, 0.587, 0.114]
    assert np.abs(found[..., 0] - expected).max() <= (0.51 if dtype is np.uint8 else 1e-3)


def test_one_channel_of_colors_is_their_luma(tmp_path: Path) -> None:
    colors = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8))
    colors.save(tmp_path / "a.png")
    found = read_image(tmp_path / "a.png", channels=1)
    assert found.shape == (64, 64, 1)
    assert np.abs(found[..., 0].astype(int) - np.asarray(colors.convert("L"))).max() <= 1


def test_real_photos_are_read_like_opencv_reads_them(data: Path) -> None:
    photos = sorted((data / "coco_panoptic" / "val2017").glob("*.jpg"))[:30]
    for path in photos:
        assert np.array_equal(read_image(path), cv2.imread(str(path), cv2.IMREAD_COLOR)[..., ::-1])


@pytest.mark.parametrize("turned", range(1, 9))
@pytest.mark.parametrize("suffix", ["png", "tif", "tif of 16 bits", "tif of 16 bits in color"])
def test_the_grid_is_that_of_the_stored_pixels(tmp_path: Path, turned: int, suffix: str) -> None:
    path = tmp_path / f"a.{suffix[:3]}"
    expected = PHOTO.astype(np.uint16) * 256 + 7 if "16" in suffix else PHOTO
    if "color" in suffix:
        cv2.imwrite(str(path), expected[..., ::-1], [cv2.IMWRITE_TIFF_COMPRESSION, 1])
        _tag(path, 274, turned)
    else:
        exif = Image.Exif()
        exif[ExifTags.Base.Orientation] = turned
        expected = expected[..., :1].repeat(3, axis=2) if "16" in suffix else expected
        Image.fromarray(expected[..., 0] if "16" in suffix else expected).save(path, exif=exif)
    assert orientation(path) == turned
    assert np.array_equal(read_image(path), expected)
    if suffix == "tif":
        Image.fromarray(PHOTO[..., 0]).save(path, exif=exif)
        assert np.array_equal(read_labels(path), PHOTO[..., 0])


def _tag(path: Path, tag: int, value: int) -> None:
    """Puts a tag into a TIFF file, in the place of its `PlanarConfiguration`."""
    content = bytearray(path.read_bytes())
    start = struct.unpack("<I", content[4:8])[0]
    for i in range(struct.unpack("<H", content[start : start + 2])[0]):
        place = start + 2 + 12 * i
        if content[place : place + 2] == struct.pack("<H", 284):
            content[place : place + 12] = struct.pack("<HHIHH", tag, 3, 1, value, 0)
            path.write_bytes(content)
            return
    raise AssertionError("expected a tag to replace")


@pytest.mark.parametrize("suffix", ["tif", "gif", "webp", "png"])
def test_several_pages_are_refused(tmp_path: Path, suffix: str) -> None:
    pages = [Image.new("L", (20, 10), value) for value in (0, 90, 180)]
    pages[0].save(tmp_path / f"a.{suffix}", save_all=True, append_images=pages[1:])
    for reader in (read_image, read_labels):
        with pytest.raises(ValueError, match=rf"one image in .*a\.{suffix}, found 3 pages: write each"):
            reader(tmp_path / f"a.{suffix}")


def test_the_further_frames_of_a_phone_are_no_pages(tmp_path: Path) -> None:
    Image.fromarray(PHOTO).save(
        tmp_path / "a.jpg", "MPO", save_all=True, append_images=[Image.new("RGB", (8, 8))]
    )
    assert read_image(tmp_path / "a.jpg").shape == PHOTO.shape


def test_the_suffixes_are_those_of_the_formats_that_pillow_decodes_itself() -> None:
    suffixes = photo_suffixes()
    assert {".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp", ".webp", ".ppm", ".jp2", ".tga"} <= suffixes
    assert (
        not {".h5", ".hdf", ".mpg", ".mpeg", ".eps", ".ps", ".wmf", ".emf", ".grib", ".bufr", ".pdf"}
        & suffixes
    )


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
        ValueError, match=rf"{tmp_path}/bomb\.png is too large .*\(Image size .1600 pixels.*: make it smaller"
    ):
        reader(tmp_path / "bomb.png")


@pytest.mark.parametrize(
    ("content", "reported"),
    [
        (b"a text that is no image", "is no image of a known format: convert"),
        (b"\0\0\0\x1cftypheic\0\0\0\0mif1heic\0\0\0\x2ameta", "is no image of a known format: convert"),
        (b"\x89HDF\r\n\x1a\n" + bytes(90), r"cannot be decoded \(.*\): convert"),
        (b"\0\0\1\xba" + bytes(90), "is no|cannot be decoded"),
        (
            b"\xff\xd8\xff\xe0\0\x10JFIF\0\1\1\0\0\1",
            r"is no complete image file \(.*\): download or copy it again",
        ),
        (b"", r"is no complete image file \(0 bytes\): download"),
    ],
    ids=["text", "HEIC", "HDF5", "MPEG", "a cut JPEG", "nothing"],
)
def test_only_missing_bytes_are_to_be_downloaded_again(tmp_path: Path, content: bytes, reported: str) -> None:
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(ValueError, match=rf"a\.png ({reported})"):
        read_image(tmp_path / "a.png")


def test_no_memory_is_no_fault_of_the_file(tmp_path: Path) -> None:
    with pytest.raises(MemoryError), decoding(tmp_path / "a.png"):
        raise MemoryError


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


def test_an_array_that_is_none_has_to_be_converted_and_a_shortened_one_copied(tmp_path: Path) -> None:
    file = tmp_path / "a.npy"
    file.write_bytes(b"a text that is no array")
    with pytest.raises(ValueError, match=r"a\.npy cannot be decoded \(This file contains pickled.*: convert"):
        read_image(file)
    np.save(file, PHOTO)
    file.write_bytes(file.read_bytes()[:-50])
    with pytest.raises(ValueError, match=r"a\.npy is no complete image file .*: download or copy it again"):
        read_image(file)


def test_values_of_either_byte_order_are_the_same(tmp_path: Path) -> None:
    values = np.random.default_rng(0).integers(0, 65536, (4, 5, 3)).astype(np.uint16)
    for name, kind in (("little", "<u2"), ("big", ">u2")):
        np.save(tmp_path / f"{name}.npy", values.astype(kind))
    for channels in (3, 1):
        little, big = (read_image(tmp_path / f"{name}.npy", None, 3) for name in ("little", "big"))
        if channels == 1:
            little, big = (as_gray(photo) for photo in (values, values.astype(">u2")))
        assert big.dtype == np.uint16
        assert big.dtype.isnative
        np.testing.assert_array_equal(big, little)


@pytest.mark.parametrize("strange", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_are_refused_and_not_clipped(strange: float) -> None:
    with pytest.raises(UserError, match=r"expected finite values in a, found (NaN|infinity)"):
        in_range(np.array([0.5, strange], np.float32), (0, 1), "a")
