from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image

from fusionseg.data.datamodule import SegmentationDataModule
from fusionseg.data.folder import Folder
from fusionseg.data.mixture import MixtureDataset
from fusionseg.data.photo_notices import photo_notices
from fusionseg.data.subset import Subset
from fusionseg.data.synthetic import SyntheticScenes

Writer = Callable[..., Path]


def of(root: Path) -> list[str]:
    return list(photo_notices(Folder("train", root, val_fraction=0.0)))


def test_photos_with_an_orientation_are_counted(folder: Writer) -> None:
    root = folder()
    exif = Image.Exif()
    for name, value in (("b", 3), ("e", 6), ("h", 1)):
        exif[ExifTags.Base.Orientation] = value
        Image.new("RGB", (30, 20)).save(root / f"images/{name}.jpg", exif=exif)
    (notice,) = of(root)
    assert notice.startswith(
        f"2 of 10 train photos looked at have an EXIF orientation ({root}/images/b.jpg): "
    )
    dataset = Folder("train", root, val_fraction=0.0)
    assert list(photo_notices(Subset(dataset, [0, 1]))) == [notice.replace("2 of 10", "1 of 2")]
    mixed = MixtureDataset("train", {"mine": lambda _: dataset})
    assert next(photo_notices(mixed)) == notice


def test_a_split_is_noticed_once_however_often_it_is_set_up(
    folder: Writer, capsys: pytest.CaptureFixture[str]
) -> None:
    root = folder("ab")
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 3
    Image.new("RGB", (30, 20)).save(root / "images/b.jpg", exif=exif)
    (root / "train.txt").write_text("a\n")
    (root / "val.txt").write_text("b\n")
    data = SegmentationDataModule(partial(Folder, root=root))
    for stage in ("fit", "validate", "validate"):
        data.setup(stage)
    assert capsys.readouterr().err.count("1 of 1 val photos looked at have an EXIF orientation") == 1


@pytest.mark.parametrize(
    ("low", "high", "declared"), [(0, 4095, ""), (0, 4095, "[0, 65535]"), (0, 65535, "[0, 4095]")]
)
def test_values_that_do_not_fit_their_range_are_noticed(
    folder: Writer, low: int, high: int, declared: str
) -> None:
    root = folder("ab")
    with (root / "classes.yaml").open("a") as file:
        file.write(f"value_range: {declared}\n")
    (root / "images/a.png").unlink()
    Image.fromarray(np.linspace(low, high, 600).reshape(20, 30).astype(np.uint16)).save(root / "images/a.tif")
    notice, *others = of(root)
    assert notice.startswith(
        "1 of 2 train images looked at fill less than a tenth of the range of their values"
    )
    eight = "1 of 2 train images looked at have 8 bits, to which the value range is not applied"
    assert [line.split(":")[0] for line in others] == ([eight] if declared else [])


def test_the_first_image_does_not_speak_for_the_others(folder: Writer) -> None:
    root = folder("abc")
    for name in "bc":
        next((root / "images").glob(f"{name}.*")).unlink()
        Image.fromarray(np.linspace(0, 4095, 600).reshape(20, 30).astype(np.uint16)).save(
            root / f"images/{name}.tif"
        )
    (notice,) = of(root)
    assert notice.startswith("2 of 3 train images looked at fill less than a tenth")


@pytest.mark.parametrize("declared", ["[0, 4095]", "[4000, 4100]"])
def test_a_range_that_is_filled_is_no_news(folder: Writer, declared: str) -> None:
    root = folder("a")
    with (root / "classes.yaml").open("a") as file:
        file.write(f"value_range: {declared}\n")
    (root / "images/a.png").unlink()
    Image.fromarray(np.linspace(0, 4095, 600).reshape(20, 30).astype(np.uint16)).save(root / "images/a.tif")
    assert not of(root)


def test_dark_photos_of_8_bits_are_no_news(folder: Writer) -> None:
    assert not of(folder("a"))
    assert not list(photo_notices(SyntheticScenes("train")))


def test_white_images_without_a_declared_range_are_no_news(folder: Writer) -> None:
    root = folder("a")
    (root / "images/a.png").unlink()
    values = np.full((20, 30), 65535, np.uint16)
    values[0] = 0
    Image.fromarray(values).save(root / "images/a.tif")
    assert not of(root)
