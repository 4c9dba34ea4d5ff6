from io import BytesIO
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest
import torch
from PIL import Image

from fusionseg.bench.images import BenchImages, Reading, bench_images, of_one_size
from fusionseg.config.errors import UsageError
from fusionseg.data.synthetic import SyntheticScenes
from fusionseg.files.archives import tree
from fusionseg.files.photos import read_image
from fusionseg.runs.sharing import shareable

RGB = Reading(3, None)


def shapes(images: BenchImages) -> set[tuple[int, ...]]:
    return {read_image(path).shape for path in images.paths}


def test_the_images_are_those_of_the_run_s_validation(trained: Path, tmp_path: Path) -> None:
    images = bench_images(trained, None, None, 3, tmp_path, RGB)
    assert (len(images.paths), images.size) == (3, (64, 64))
    assert images.source == "validation images of SyntheticScenes"
    expected = SyntheticScenes("val", 8, (64, 64)).read(1).image
    assert np.array_equal(read_image(images.paths[1]), expected)


def test_a_checkpoint_knows_them_too_and_few_images_occur_again(trained: Path, tmp_path: Path) -> None:
    images = bench_images(trained / "checkpoints" / "best.ckpt", None, None, 20, tmp_path, RGB)
    assert len(images.paths) == 20
    assert images.paths[0] == images.paths[8] != images.paths[1]


def test_images_may_be_brought_to_a_size(trained: Path, tmp_path: Path) -> None:
    images = bench_images(trained, None, (96, 32), 2, tmp_path, RGB)
    assert images.size == (96, 32)
    assert shapes(images) == {(96, 32, 3)}
    assert images.source == "validation images of SyntheticScenes, resized"


def test_given_images_of_the_size_of_the_first_are_taken_as_they_are(trained: Path, tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    for name, size in {"a": (8, 4), "b": (6, 6), "c": (8, 4)}.items():
        Image.new("RGB", size).save(folder / f"{name}.jpg")
    images = bench_images(trained, [str(folder)], None, 4, tmp_path, RGB)
    assert images == BenchImages([folder / f"{name}.jpg" for name in "acac"], (4, 8), "given images")
    resized = bench_images(trained, [str(folder)], (6, 6), 3, tmp_path, RGB)
    assert shapes(resized) == {(6, 6, 3)}
    assert folder / "b.jpg" in resized.paths  # which has that size


def test_images_in_an_archive_are_taken_as_they_are(tmp_path: Path) -> None:
    with ZipFile(tmp_path / "photos.zip", "w") as archive:
        for name in "ab":
            content = BytesIO()
            Image.new("RGB", (8, 4)).save(content, "png")
            archive.writestr(f"{name}.png", content.getvalue())
    paths = [tree(tmp_path / "photos.zip") / f"{name}.png" for name in "ab"]
    images = of_one_size(paths, "photos", 3, tmp_path, RGB)
    assert images == BenchImages([*paths, paths[0]], (4, 8), "photos")


def test_where_the_data_are_gone_scenes_have_the_size_of_training_crops(
    trained: Path, tmp_path: Path
) -> None:
    path = trained / "checkpoints" / "best.ckpt"
    content = torch.load(path, weights_only=True)
    data = content["datamodule_hyper_parameters"]
    data |= {"crop_size": [32, 64], "scale": 0.5}
    data["dataset"] = {"class_path": "fusionseg.data.CamVid", "init_args": {"root": str(tmp_path / "gone")}}
    torch.save(content, path)
    images = bench_images(trained, None, None, 2, tmp_path, RGB)
    assert images.size == (64, 128)
    assert shapes(images) == {(64, 128, 3)}
    assert images.source.startswith("synthetic scenes of the size of training crops, as ")
    assert "gone" in images.source
    assert bench_images(trained, None, (48, 32), 2, tmp_path, RGB).source.startswith(
        "synthetic scenes of that size, as"
    )


def test_data_of_a_package_that_is_not_trusted_are_not_imported(trained: Path, tmp_path: Path) -> None:
    path = trained / "checkpoints" / "best.ckpt"
    content = torch.load(path, weights_only=True)
    content["datamodule_hyper_parameters"]["dataset"] = {
        "class_path": "os.system",
        "init_args": {"command": "true"},
    }
    torch.save(content, path)
    assert "found os.system" in bench_images(trained, None, None, 1, tmp_path, RGB).source


@pytest.mark.slow
def test_a_saved_folder_does_not_know_of_data(trained: Path, tmp_path: Path) -> None:
    shareable(trained).save_pretrained(tmp_path / "saved")
    with pytest.raises(
        UsageError, match=r"does not say what its data are; name images \(--images\) or a size"
    ):
        bench_images(tmp_path / "saved", None, None, 1, tmp_path, RGB)
    assert bench_images(tmp_path / "saved", None, (32, 48), 1, tmp_path, RGB).size == (32, 48)


def test_images_that_png_does_not_hold_are_not_resized(trained: Path, tmp_path: Path) -> None:
    Image.fromarray(np.zeros((4, 6), np.float32)).save(tmp_path / "a.tiff")
    reading = Reading(3, (0.0, 1.0))
    given = [str(tmp_path / "a.tiff")]
    assert bench_images(trained, given, None, 1, tmp_path, reading).size == (4, 6)
    with pytest.raises(
        UsageError, match=r"images: expected 3 channels of 8 or 16 bits .* found 3 of float32"
    ):
        bench_images(trained, given, (8, 8), 1, tmp_path, reading)
