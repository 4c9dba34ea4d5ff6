import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from fusionseg.commands.predict import main
from fusionseg.config.errors import UsageError, UserError
from fusionseg.data.synthetic import SyntheticScenes
from fusionseg.inference.predictor import Predictor
from fusionseg.module import FusionModule


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Two TIFF files, the larger one of 3 x 4 windows of 64 pixels."""
    folder = tmp_path / "images"
    folder.mkdir()
    large, small = (SyntheticScenes("test", 1, size).read(0).image for size in ((110, 140), (40, 50)))
    tifffile.imwrite(folder / "large.tif", large, photometric="rgb", tile=(32, 32), compression="zlib")
    tifffile.imwrite(folder / "small.tiff", small, photometric="rgb")
    return folder


def answers(out: Path) -> dict[str, bytes]:
    files = [path for path in out.rglob("*") if path.is_file() and path.suffix != ".jsonl"]
    return {path.relative_to(out).as_posix(): path.read_bytes() for path in files}


def command(run: Path, images: Path, out: Path) -> list[str]:
    windows = ["--tile", "64", "--overlap", "32", "--windows"]
    return ["--run", str(run), "--images", str(images), "--out", str(out), *windows]


@pytest.mark.slow
def test_images_that_are_no_larger_than_a_window_are_answered_as_whole(
    trained: Path, images: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    main([*command(trained, images, out), "--precision", "32-true"])
    answer = Predictor(trained, precision="32-true")(images / "small.tiff")
    np.testing.assert_array_equal(tifffile.imread(out / "semantic" / "small.tif"), answer.semantic)
    region = tifffile.imread(out / "region" / "small.tif")
    pairs = np.unique(np.stack([region.ravel(), answer.region.ravel()]), axis=1)
    assert pairs.shape[1] == len(np.unique(answer.region)) == region.max()


@pytest.mark.slow
def test_all_files_have_the_image_s_size_and_the_table_has_all_images(
    trained: Path, images: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    main(command(trained, images, out))
    with (out / "segments.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    for name, size in (("large", (110, 140)), ("small", (40, 50))):
        region = tifffile.imread(out / "region" / f"{name}.tif")
        assert region.shape == tifffile.imread(out / "semantic" / f"{name}.tif").shape == size
        areas = [int(row["area"]) for row in rows if row["image"] == name]
        assert areas == np.bincount(region.ravel())[1:].tolist()
        with Image.open(out / "overlay" / f"{name}.png") as overlay:
            assert overlay.size == size[::-1]
    settings, *lines = (json.loads(line) for line in (out / "predictions.jsonl").read_text().splitlines())
    assert (settings["windows"], settings["tile"], settings["overlap"]) == (True, 64, 32)
    assert [line["name"] for line in lines] == ["large", "small"]
    assert not (out / ".windows").exists()


@pytest.mark.slow
def test_an_image_that_was_stopped_is_begun_anew_and_a_finished_one_is_left(
    trained: Path, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    main(command(trained, images, tmp_path / "whole"))
    ask = FusionModule.predictions
    seen: list[str] = []

    def stopped(self: FusionModule, batch: Any, size: tuple[int, int], extras: Any) -> Any:
        if len(seen) == 4:
            raise KeyboardInterrupt
        seen.extend(batch["name"])
        return ask(self, batch, size, extras)

    def counted(self: FusionModule, batch: Any, size: tuple[int, int], extras: Any) -> Any:
        seen.extend(batch["name"])
        return ask(self, batch, size, extras)

    out = tmp_path / "out"
    monkeypatch.setattr(FusionModule, "predictions", stopped)
    with pytest.raises(KeyboardInterrupt):
        main(command(trained, images, out))
    assert answers(out) == {}
    # what a process leaves that is killed while it writes
    (out / "semantic").mkdir()
    (out / "semantic" / ".large.12345.tif").write_text("half")
    (out / ".windows" / "killed").mkdir(parents=True)
    seen.clear()
    monkeypatch.setattr(FusionModule, "predictions", counted)
    main(command(trained, images, out))
    assert len(seen) == 12 + 1
    assert answers(out) == answers(tmp_path / "whole")
    seen.clear()
    main(command(trained, images, out))
    assert seen == []


@pytest.mark.slow
def test_files_that_cannot_be_read_in_windows_are_named_and_the_others_answered(
    trained: Path, images: Path, tmp_path: Path
) -> None:
    (images / "large.tif").write_bytes((images / "large.tif").read_bytes()[:3000])
    Image.new("RGB", (40, 40)).save(images / "photo.png")
    with pytest.raises(
        UserError,
        match=r"(?s)2 of 3 images have no answer; .*large\.tif is no complete.*photo\.png is no TIFF",
    ):
        main(command(trained, images, tmp_path / "out"))
    assert (tmp_path / "out" / "region" / "small.tif").is_file()
    assert not (tmp_path / "out" / "region" / "large.tif").exists()
    (images / "small.tiff").unlink()
    with pytest.raises(UserError, match="2 of 2 images have no answer\n"):
        main(command(trained, images, tmp_path / "none"))
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (["--tile", "null"], "windows: expected --tile"),
        (["--overlap", "0"], "overlap: expected windows that overlap"),
        (["--overlap", "64"], "overlap: expected an overlap smaller than the tile"),
        (["--soft"], "windows: expected classes and regions alone in windows, found --soft"),
    ],
)
def test_what_windows_cannot_do_is_refused(
    trained: Path, images: Path, tmp_path: Path, change: list[str], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        main([*command(trained, images, tmp_path / "out"), *change])


@pytest.mark.slow
def test_an_image_that_is_too_large_at_once_is_pointed_to_windows(
    trained: Path, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 5000)
    message = (
        r"1 of 2 .*\n.*large\.tif is too large .*make it smaller, or predict it with --windows --tile 1024"
    )
    with pytest.raises(UserError, match=message):
        main(["--run", str(trained), "--images", str(images), "--out", str(tmp_path / "out")])
