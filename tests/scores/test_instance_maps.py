from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fusionseg.config.errors import UserError
from fusionseg.scores.instance_maps import has_masks, instance_files, read_instances


def write(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def write_masks(folder: Path, *masks: tuple[str, np.ndarray]) -> Path:
    for name, mask in masks:
        write(folder / "masks" / f"{name}.png", np.uint8(255) * mask.astype(np.uint8))
    return folder


def strip(*columns: int) -> np.ndarray:
    """A mask of some columns."""
    mask = np.zeros((3, 6), bool)
    mask[:, columns] = True
    return mask


def test_masks_become_ids_in_the_order_of_their_names(tmp_path: Path) -> None:
    folder = write_masks(tmp_path / "image", ("b", strip(4, 5)), ("a", strip(0)), ("c", strip(2)))
    found = read_instances(folder, background=0)
    assert found.ids is not None
    assert found.ids[0].tolist() == [1, 0, 3, 0, 2, 2]
    assert found.names(np.array([1, 3])) == ["a", "c"]


def test_an_id_map_keeps_its_ids(tmp_path: Path) -> None:
    ids = np.array([[0, 70_000, 3]], np.int32)
    np.save(tmp_path / "a.npy", ids)
    found = read_instances(tmp_path / "a.npy", background=0)
    np.testing.assert_array_equal(found.ids, ids)
    assert found.names(np.array([3, 70_000])) == ["3", "70000"]


def test_any_id_may_be_background(tmp_path: Path) -> None:
    write(tmp_path / "a.png", np.array([[255, 0, 0, 3]], np.uint8))
    found = read_instances(tmp_path / "a.png", background=255)
    np.testing.assert_array_equal(found.ids, [[0, 255, 255, 3]])
    assert found.names(np.array([3, 255])) == ["3", "0"]


def test_images_of_masks_are_known_by_their_folder(tmp_path: Path) -> None:
    for name in ("image.1", "image.2", ".hidden"):
        write_masks(tmp_path / name, ("a", strip(1)))
    write(tmp_path / "other" / "photo.png", np.zeros((3, 6), np.uint8))
    assert has_masks(tmp_path)
    assert instance_files(tmp_path) == {name: tmp_path / name for name in ("image.1", "image.2")}


def test_without_masks_the_files_are_id_maps(tmp_path: Path) -> None:
    write(tmp_path / "part" / "a.png", np.zeros((3, 6), np.uint8))
    assert not has_masks(tmp_path)
    assert instance_files(tmp_path) == {"part/a": tmp_path / "part" / "a.png"}
    assert instance_files(tmp_path / "part" / "a.png") == {"a": tmp_path / "part" / "a.png"}


def test_an_image_without_masks_has_no_size(tmp_path: Path) -> None:
    (tmp_path / "image" / "masks").mkdir(parents=True)
    assert read_instances(tmp_path / "image", background=0) == (None, [], 0)


def test_masks_that_do_not_fit_together_are_refused_by_name(tmp_path: Path) -> None:
    folder = write_masks(tmp_path / "one", ("a", strip(1, 2)), ("b", strip(2, 3)))
    with pytest.raises(
        UserError, match=r"do not overlap, found 3 pixels of .*one/masks/b.png in .* such as a.png"
    ):
        read_instances(folder, 0)
    folder = write_masks(tmp_path / "two", ("a", strip(1)), ("b", strip(2).T))
    with pytest.raises(UserError, match=r"\(3, 6\) in .*a.png and \(6, 3\) in .*b.png"):
        read_instances(folder, 0)


def test_what_is_no_mask_is_refused_by_name(tmp_path: Path) -> None:
    write_masks(tmp_path / "one", ("a", strip()))
    with pytest.raises(UserError, match=r"0 and 255, found nothing in .*one/masks/a.png"):
        read_instances(tmp_path / "one", 0)
    write(tmp_path / "two" / "masks" / "a.png", np.arange(6, dtype=np.uint8).reshape(2, 3))
    with pytest.raises(UserError, match=r"found the values 1, 2, 3 and 2 more in .*a.png"):
        read_instances(tmp_path / "two", 0)


def test_negative_ids_and_missing_files_are_refused_by_name(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.array([[0, -4]]))
    with pytest.raises(UserError, match=r"not negative, found -4 in .*a.npy"):
        read_instances(tmp_path / "a.npy", 0)
    with pytest.raises(UserError, match=r"found no .*nowhere"):
        instance_files(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"masks/<mask>.png in .*empty, found none"):
        instance_files(tmp_path / "empty")


def test_the_folder_above_that_of_the_images_is_refused(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / "train" / name / "masks").mkdir(parents=True)
        Image.fromarray(np.full((2, 3), 255, np.uint8)).save(tmp_path / "train" / name / "masks" / "1.png")
    assert sorted(instance_files(tmp_path / "train")) == ["a", "b"]
    with pytest.raises(
        UserError, match="found train/a/masks/1: name the folder that holds the folders of the images"
    ):
        instance_files(tmp_path)
