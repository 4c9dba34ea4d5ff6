from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile

import numpy as np
import pytest
from PIL import Image

from fusionseg.files.archives import tree
from fusionseg.files.image_sizes import stored_size
from fusionseg.files.photos import read_image


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.bmp", "a.tif"])
@pytest.mark.parametrize("orientation", [1, 6])
def test_a_size_is_that_of_the_pixels_that_are_read(name: str, orientation: int, tmp_path: Path) -> None:
    image = Image.fromarray(np.zeros((20, 30, 3), np.uint8))
    exif = Image.Exif()
    exif[274] = orientation
    image.save(tmp_path / name, exif=exif)
    assert stored_size(tmp_path / name) == read_image(tmp_path / name).shape[:2] == (20, 30)


@pytest.mark.parametrize("shape", [(20, 30), (20, 30, 4)])
def test_arrays_have_a_size_too(shape: tuple[int, ...], tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros(shape, np.uint8))
    assert stored_size(tmp_path / "a.npy") == (20, 30)


def test_what_is_no_image_has_none(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_text("no image")
    (tmp_path / "b.npy").write_text("no array")
    assert stored_size(tmp_path / "a.png") is None
    assert stored_size(tmp_path / "b.npy") is None
    assert stored_size(tmp_path / "c.png") is None


def test_images_in_archives_have_a_size_too(tmp_path: Path) -> None:
    Image.fromarray(np.zeros((20, 30, 3), np.uint8)).save(tmp_path / "a.png")
    np.save(tmp_path / "b.npy", np.zeros((20, 30, 4), np.uint8))
    with ZipFile(tmp_path / "all.zip", "w", ZIP_DEFLATED) as archive:
        archive.write(tmp_path / "a.png", "a.png")
        archive.write(tmp_path / "b.npy", "b.npy")
    packed = tree(tmp_path / "all.zip")
    assert [stored_size(packed / name) for name in ("a.png", "b.npy")] == [(20, 30)] * 2
