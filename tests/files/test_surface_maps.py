from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from fusionseg.config.errors import UserError
from fusionseg.files.surface_maps import read_depth, read_normals, with_depth


def test_depth_of_all_formats_is_in_meters(tmp_path: Path) -> None:
    millimeters = np.random.default_rng(0).integers(0, 10000, (6, 7)).astype(np.uint16)
    meters = millimeters / np.float32(1000)
    for suffix in (".png", ".TIF", ".npy"):
        path = tmp_path / f"depth{suffix}"
        if suffix == ".npy":
            np.save(path, millimeters)
        else:
            Image.fromarray(millimeters).save(path)
        found = read_depth(path)
        assert found.dtype == np.float32
        assert np.abs(found - meters).max() < 1e-6
        assert np.abs(read_depth(path, step=0.0002) - meters / 5).max() < 1e-6
    for values in (meters, meters[..., None], meters.astype(np.float64)):
        np.save(tmp_path / "meters.npy", values)
        assert np.array_equal(read_depth(tmp_path / "meters.npy", step=0.0002), meters)


def test_depth_that_is_not_known_is_zero(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.array([[np.nan, np.inf, -np.inf], [-1, 0, 2.5]]))
    assert read_depth(tmp_path / "a.npy").tolist() == [[0, 0, 0], [0, 0, 2.5]]


@pytest.mark.parametrize(
    "values", [np.zeros((4, 5), np.uint8), np.zeros((4, 5, 3)), np.zeros((0, 5)), np.zeros((4, 5), bool)]
)
def test_what_is_no_depth_is_named(values: np.ndarray, tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", values)
    with pytest.raises(UserError, match=r"expected depth \(H, W\) as floats in meters .*a\.npy, found"):
        read_depth(tmp_path / "a.npy")


def test_a_picture_in_colors_is_no_depth(tmp_path: Path) -> None:
    Image.fromarray(np.zeros((4, 5, 3), np.uint8)).save(tmp_path / "a.png")
    with pytest.raises(UserError, match=r"one integer id for each pixel in .*a\.png"):
        read_depth(tmp_path / "a.png")


def test_normals_are_vectors_as_they_are_stored_or_zero(tmp_path: Path) -> None:
    vectors = np.random.default_rng(0).normal(size=(5, 6, 3))
    vectors /= np.linalg.norm(vectors, axis=2, keepdims=True)
    vectors[2, 3] = 0
    stored = (vectors * np.array([1, 1, 0.98, 0.9, 0.4, 2])[:, None]).astype(np.float32)
    np.save(tmp_path / "a.npy", np.where(np.arange(5)[:, None, None] < 4, stored, [np.nan, 0, 1]))
    found = read_normals(tmp_path / "a.npy")
    assert found.dtype == np.float32
    assert np.array_equal(found[:4], stored[:4])
    assert not found[4].any()
    Image.fromarray(np.rint((vectors + 1) * 127.5).astype(np.uint8)).save(tmp_path / "a.png")
    found = read_normals(tmp_path / "a.png")
    assert np.abs(found - vectors).max() < 0.008
    assert found[2, 3].tolist() == [0, 0, 0]
    assert np.allclose(np.linalg.norm(np.delete(found.reshape(-1, 3), 15, 0), axis=1), 1, atol=1e-6)


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_normals_of_16_bits_fill_their_range(suffix: str, tmp_path: Path) -> None:
    vectors = np.random.default_rng(0).normal(size=(5, 6, 3))
    vectors /= np.linalg.norm(vectors, axis=2, keepdims=True)
    colors = np.rint((vectors + 1) / 2 * 65535).astype(np.uint16)
    cv2.imwrite(str(tmp_path / f"a.{suffix}"), colors[..., ::-1])
    assert np.abs(read_normals(tmp_path / f"a.{suffix}") - vectors).max() < 5e-5


@pytest.mark.parametrize("white", [255, 65535])
def test_black_and_white_pixels_of_a_picture_are_no_normals(white: int, tmp_path: Path) -> None:
    colors = np.zeros((2, 2, 3), np.uint8 if white == 255 else np.uint16)
    colors[0] = white
    colors[1, 1] = (white, white // 2, white // 2)
    cv2.imwrite(str(tmp_path / "a.png"), colors)
    assert np.abs(read_normals(tmp_path / "a.png") - [[[0, 0, 0]] * 2, [[0, 0, 0], [0, 0, 1]]]).max() < 0.01


def test_what_are_no_normals_is_named(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros((4, 5)))
    with pytest.raises(UserError, match=r"normals \(H, W, 3\) in .*a\.npy, found float64 \(4, 5\)"):
        read_normals(tmp_path / "a.npy")
    np.save(tmp_path / "a.npy", np.array([{}]), allow_pickle=True)
    with pytest.raises(UserError, match=r"a\.npy cannot be decoded"):
        read_normals(tmp_path / "a.npy")


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_depth_becomes_the_last_channel_in_steps_of_16_bits(dtype: type) -> None:
    rng = np.random.default_rng(0)
    top = 1 if dtype is np.float32 else np.iinfo(dtype).max
    image = (rng.random((8, 9, 3)) * top).astype(dtype)
    depth = np.float32(12) * rng.random((8, 9), np.float32)
    depth[3] = 0
    found = with_depth(image, depth, 8.0)
    largest = 1 if dtype is np.float32 else 65535
    assert found.dtype == (np.float32 if dtype is np.float32 else np.uint16)
    assert np.allclose(found[..., :3] / largest, image / top, atol=1e-7)
    meters = found[..., 3].astype(np.float64) / largest * 8
    assert np.abs(meters - np.minimum(depth, 8)).max() <= 8 / 65535 / 2 + 1e-6
    assert (found[3, :, 3] == 0).all()


def test_depth_of_another_size_is_named() -> None:
    with pytest.raises(UserError, match="depth of the image's size 9 x 8, found 8 x 9"):
        with_depth(np.zeros((8, 9, 3), np.uint8), np.zeros((9, 8), np.float32), 1.0)
