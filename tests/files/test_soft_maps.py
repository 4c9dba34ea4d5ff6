from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fusionseg.config.errors import UserError
from fusionseg.files.soft_maps import read_soft_map

VALUES = np.array([[0.0, 0.25], [0.5, 1.0]])


@pytest.mark.parametrize("name", ["8.png", "16.png", "float.tif", "float.npy", "mask.png", "colors.png"])
def test_values_are_shares_of_the_largest_of_their_type(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    expected = VALUES
    if name == "8.png":
        Image.fromarray(np.array([[0, 51], [102, 255]], np.uint8)).save(path)
        expected = np.array([[0, 0.2], [0.4, 1]])
    elif name == "16.png":
        Image.fromarray((VALUES * 65535).round().astype(np.uint16)).save(path)
    elif name == "float.tif":
        Image.fromarray(VALUES.astype(np.float32)).save(path)
    elif name == "float.npy":
        np.save(path, VALUES)
    elif name == "mask.png":
        Image.fromarray(VALUES > 0.3).save(path)
        expected = (VALUES > 0.3).astype(float)
    else:
        Image.fromarray(np.repeat((VALUES * 255).round().astype(np.uint8)[..., None], 3, 2)).save(path)
    assert read_soft_map(path) == pytest.approx(expected, abs=0.003)


def test_values_of_8_bits_are_exactly_at_thresholds(tmp_path: Path) -> None:
    Image.fromarray(np.array([[51, 102]], np.uint8)).save(tmp_path / "a.png")
    assert read_soft_map(tmp_path / "a.png").tolist() == [[51 / 255, 102 / 255]]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.array([[0.5, 1.5]]), r"floats in \[0, 1\]"),
        (np.array([[0.5, np.nan]]), r"floats in \[0, 1\]"),
        (np.array([[-1, 3]]), r"8 or 16 bits or floats in \[0, 1\] in .*, found int64"),
        (np.array([["a", "b"]]), "found <U1"),
        (np.array([[1j, 0]]), "found complex128"),
        (np.zeros((2, 3, 0)), "one gray value"),
        (np.array([[0, 1]], np.uint8), r"values up to 255 .* found 0\.\.1"),
        (np.array([[0, 255]], np.uint16), r"values up to 65535 .* found 0\.\.255"),
        (np.ones((2, 2, 2)) * [0, 1], "one gray value for each pixel"),
        (np.zeros((0, 3)), "one gray value for each pixel"),
    ],
)
def test_other_values_are_refused(values: np.ndarray, message: str, tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    np.save(path, values)
    with pytest.raises(UserError, match=message) as caught:
        read_soft_map(path)
    assert str(path) in str(caught.value)


def test_palettes_colors_and_damaged_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(np.zeros((2, 2), np.uint8)).convert("P").save(path)
    with pytest.raises(UserError, match="found a palette"):
        read_soft_map(path)
    Image.fromarray(np.arange(12, dtype=np.uint8).reshape(2, 2, 3)).save(path)
    with pytest.raises(UserError, match="one gray value"):
        read_soft_map(path)
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(UserError, match=r"a\.png"):
        read_soft_map(path)
