import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from fusionseg.config.errors import UsageError, UserError
from fusionseg.files import large_tiff
from fusionseg.files.large_tiff import LargeTiff
from fusionseg.files.photos import read_image

WAYS: list[dict[str, Any]] = [
    {},
    {"rowsperstrip": 7},
    {"rowsperstrip": 7, "compression": "zlib"},
    {"tile": (32, 48)},
    {"tile": (32, 48), "compression": "zlib", "predictor": True},
    {"tile": (32, 48), "compression": "zlib", "planarconfig": "separate"},
    {"planarconfig": "separate"},
    {"byteorder": ">"},
    {"byteorder": ">", "tile": (32, 48), "bigtiff": True},
]


@pytest.fixture
def photo() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (90, 131, 3), np.uint8)


def written(path: Path, pixels: np.ndarray, **options: Any) -> Path:
    if options.get("planarconfig") == "separate":
        pixels = pixels.transpose(2, 0, 1)
    tifffile.imwrite(path, pixels, photometric="rgb", metadata=None, **options)
    return path


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("way", WAYS, ids=str)
def test_every_part_is_that_of_the_whole_image(
    tmp_path: Path, photo: np.ndarray, way: dict[str, Any], dtype: Any
) -> None:
    pixels = photo.astype(dtype) * (1 if dtype == np.uint8 else 257)
    with LargeTiff(written(tmp_path / "a.tif", pixels, **way)) as tiff:
        assert (tiff.height, tiff.width) == (90, 131)
        for top, left, height, width in [(0, 0, 90, 131), (31, 47, 3, 2), (60, 100, 30, 31), (5, 0, 1, 131)]:
            part = tiff.window(top, left, height, width)
            np.testing.assert_array_equal(part, pixels[top : top + height, left : left + width])
            assert part.dtype == dtype
            assert part.dtype.isnative


@pytest.mark.parametrize("mode", ["L", "RGBA", "LA", "I;16", "RGB"])
def test_channels_and_values_are_those_of_other_images(tmp_path: Path, photo: np.ndarray, mode: str) -> None:
    path = tmp_path / "a.tif"
    image = (
        Image.fromarray(photo[..., 0].astype(np.uint16) * 99) if mode == "I;16" else Image.fromarray(photo)
    )
    (image if mode == "I;16" else image.convert(mode)).save(path)
    value_range = (100.0, 20000.0)
    for channels in (3, 1):
        with LargeTiff(path, channels, value_range) as tiff:
            np.testing.assert_array_equal(tiff.window(0, 0, 90, 131), read_image(path, value_range, channels))


def test_an_orientation_is_not_applied(tmp_path: Path, photo: np.ndarray) -> None:
    path = written(tmp_path / "a.tif", photo, extratags=[(274, 3, 1, 6, True)])
    with LargeTiff(path) as tiff:
        np.testing.assert_array_equal(tiff.window(0, 0, 90, 131), photo)
    np.testing.assert_array_equal(read_image(path), photo)


def test_images_of_more_channels_and_of_floats_keep_them(tmp_path: Path) -> None:
    values = np.random.default_rng(0).normal(size=(40, 50, 5)).astype(np.float32)
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, values, photometric="minisblack", planarconfig="contig", tile=(16, 16))
    with LargeTiff(path, 5, (-1, 1)) as tiff:
        np.testing.assert_allclose(
            tiff.window(3, 4, 20, 30), ((values[3:23, 4:34] + 1) / 2).clip(0, 1), rtol=1e-6
        )
    with pytest.raises(UserError, match="expected 8 or 16 bits"):
        LargeTiff(path, 5)
    with pytest.raises(UserError, match=r"expected gray or RGB in .*a\.tif, found 5 channels"):
        LargeTiff(path)


def test_overviews_are_passed_over_and_further_images_are_refused(tmp_path: Path, photo: np.ndarray) -> None:
    for subfiletype in (1, 0):
        with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
            writer.write(photo, photometric="rgb", metadata=None)
            writer.write(photo[::2, ::2].copy(), photometric="rgb", subfiletype=subfiletype, metadata=None)
        if subfiletype:
            with LargeTiff(tmp_path / "a.tif") as tiff:
                assert (tiff.height, tiff.width) == (90, 131)
        else:
            with pytest.raises(UserError, match=r"expected one image in .*a\.tif, found 2 pages"):
                LargeTiff(tmp_path / "a.tif")


def test_what_cannot_be_read_is_one_line_that_names_the_file(tmp_path: Path, photo: np.ndarray) -> None:
    path = tmp_path / "a.tif"
    path.touch()
    with pytest.raises(UserError, match=r"a\.tif is no complete image file \(0 bytes\)"):
        LargeTiff(path)
    path.write_bytes(b"II*\0" + bytes(20))
    with pytest.raises(UserError, match=r"a\.tif"):
        LargeTiff(path)
    Image.fromarray(photo).save(tmp_path / "b.png")
    with pytest.raises(UserError, match=r"b\.png"):
        LargeTiff(tmp_path / "b.png")
    Image.fromarray(photo).convert("P").save(path)
    with pytest.raises(UserError, match=r"gray or RGB in .*a\.tif, found 1 channels \(PALETTE\)"):
        LargeTiff(path)
    content = written(path, photo, tile=(16, 16), compression="zlib").read_bytes()
    with LargeTiff(path) as tiff:
        path.write_bytes(content[: len(content) // 2])
        with pytest.raises(UserError, match=r"a\.tif is no complete image file"):
            tiff.window(0, 0, 90, 131)


@pytest.mark.skipif(find_spec("imagecodecs") is not None, reason="imagecodecs decodes these")
@pytest.mark.parametrize(("compression", "kind"), [("tiff_lzw", "LZW"), ("jpeg", "JPEG")])
def test_other_compressions_name_the_library_that_decodes_them(
    tmp_path: Path, photo: np.ndarray, compression: str, kind: str
) -> None:
    path = tmp_path / "a.tif"
    Image.fromarray(photo).save(path, compression=compression)
    with pytest.raises(
        UserError, match=f"compressed by {kind}, which takes imagecodecs: pip install imagecodecs"
    ):
        LargeTiff(path)


def test_a_single_compressed_strip_that_is_too_large_is_refused(
    tmp_path: Path, photo: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(large_tiff, "LARGEST", 90 * 131 * 3 - 1)
    with pytest.raises(UserError, match="rewrite it in tiles"):
        LargeTiff(written(tmp_path / "a.tif", photo, rowsperstrip=90, compression="zlib"))
    with LargeTiff(written(tmp_path / "b.tif", photo, rowsperstrip=90)) as tiff:
        np.testing.assert_array_equal(tiff.window(1, 2, 3, 4), photo[1:4, 2:6])


def test_a_missing_tifffile_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tifffile", None)
    with pytest.raises(UsageError, match=r'pip install "fusionseg\[tiff\]"'):
        LargeTiff(tmp_path / "a.tif")
