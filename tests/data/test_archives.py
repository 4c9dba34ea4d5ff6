"""Data sets in the archives of their downloads are what they are unpacked."""

import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader

from fusionseg.config.errors import UserError
from fusionseg.data.base import DataError, SegmentationDataset, Split
from fusionseg.data.bsds500 import BSDS500
from fusionseg.data.cache import cached, content_key
from fusionseg.data.camvid import CamVid
from fusionseg.data.class_counts import class_counts
from fusionseg.data.coco_panoptic import CocoPanoptic
from fusionseg.data.dsb2018 import DSB2018
from fusionseg.data.folder import Folder
from fusionseg.data.photo_notices import photo_notices
from fusionseg.data.samples import EvaluationSamples
from fusionseg.files.archive_path import ArchivePath
from fusionseg.runs.training_files import digests, trained_on

Packed = Callable[..., Path]
Kind = Callable[..., SegmentationDataset]


class Download(NamedTuple):
    """A data set as folder and in archives."""

    kind: Kind
    unpacked: Path
    archived: Path


def packed_coco(top: Path, root: Path, packed: Packed, deflate: bool = True, photos: bool = True) -> None:
    """COCO's official archives: a zip of photos for each split, and one of JSON files and of two zip files."""
    inside = root.parent / f"{root.name}_annotations" / "annotations"
    for split in ("train2017", "val2017"):
        if photos:
            packed(top, root / f"{split}.zip", split)
        packed(top / "annotations", inside / f"panoptic_{split}.zip", f"panoptic_{split}")
        shutil.copy(top / "annotations" / f"panoptic_{split}.json", inside)
    packed(inside.parent, root / "panoptic_annotations_trainval2017.zip", deflate=deflate)


@pytest.fixture(
    params=[
        "coco",
        "coco stored",
        "coco mixed",
        "camvid.zip",
        "bsds.tgz",
        "bsds.tar",
        "dsb.zip",
        "dsb copy.zip",
        "folder.zip",
        "folder.tar",
    ]
)
def download(request: pytest.FixtureRequest, packed: Packed, tmp_path: Path) -> Download:
    what: str = request.param
    root = tmp_path / "download"
    if what.startswith("coco"):
        top = request.getfixturevalue("coco")
        packed_coco(top, root, packed, "stored" not in what, "mixed" not in what)
        if "mixed" in what:
            for part in ("train2017", "val2017", "annotations/panoptic_train2017"):
                shutil.copytree(top / part, root / part)
            (root / "annotations" / "instances_val2017.json").write_text("{}")
        return Download(CocoPanoptic, top, root)
    if what.startswith("camvid"):
        top = request.getfixturevalue("camvid")
        (tmp_path / "SegNet").mkdir()
        shutil.move(_apart(top), tmp_path / "SegNet" / "CamVid")
        file = packed(tmp_path / "SegNet", root / "tutorial.zip")
        return Download(CamVid, tmp_path / "SegNet" / "CamVid", file / "CamVid")
    if what.startswith("bsds"):
        top = request.getfixturevalue("bsds")
        (tmp_path / "all" / "BSR").mkdir(parents=True)
        shutil.move(_apart(top), tmp_path / "all" / "BSR" / "BSDS500")
        packed(tmp_path / "all", root / what.replace("bsds", "BSR_bsds500"))
        return Download(BSDS500, tmp_path / "all" / "BSR" / "BSDS500", root)
    if what.startswith("dsb"):
        top = _nuclei(tmp_path / "nuclei")
        packed(top if "copy" in what else top / "stage1_train", root / "stage1_train.zip")
        return Download(DSB2018, top, root)
    top = _apart(request.getfixturevalue("folder")())
    file = packed(top, root / what)
    return Download(partial(Folder, test_fraction=0.2), top, file)


def _apart(top: Path) -> Path:
    """Moves what a fixture wrote into a folder of its own."""
    own = top / "unpacked"
    found = list(top.iterdir())
    own.mkdir()
    for path in found:
        shutil.move(path, own)
    return own


def _nuclei(top: Path) -> Path:
    """The Data Science Bowl's layout: seven images with two nuclei each."""
    for number in range(7):
        folder = top / "stage1_train" / f"image{number}"
        for part in ("images", "masks"):
            (folder / part).mkdir(parents=True)
        Image.fromarray(np.full((20, 30, 3), 30 * number, np.uint8)).save(
            folder / f"images/{folder.name}.png"
        )
        for k in range(2):
            mask = np.zeros((20, 30), np.uint8)
            mask[3 * k + number : 3 * k + number + 2, 5:9] = 255
            Image.fromarray(mask).save(folder / f"masks/{k}.png")
    return top


def splits(download: Download) -> list[tuple[SegmentationDataset, SegmentationDataset]]:
    """Each split, unpacked and from archives."""
    kind = getattr(download.kind, "func", download.kind)
    names: tuple[Split, ...] = kind.splits
    return [(download.kind(n, download.unpacked), download.kind(n, download.archived)) for n in names]


def test_every_sample_is_that_of_the_folder(download: Download) -> None:
    for unpacked, archived in splits(download):
        assert len(archived) == len(unpacked) > 0
        assert archived.classes == unpacked.classes
        for index in range(len(unpacked)):
            assert archived.name(index) == unpacked.name(index)
            assert archived.group(index) == unpacked.group(index)
            theirs, ours = unpacked.read(index), archived.read(index)
            assert [plane.dtype for plane in ours[:3]] == [plane.dtype for plane in theirs[:3]]
            assert all(map(np.array_equal, ours[:3], theirs[:3]))
            assert all(map(np.array_equal, archived.labels(index)[:2], unpacked.labels(index)[:2]))
            mine, other = archived.truth(index), unpacked.truth(index)
            assert (mine.crowd is None) == (other.crowd is None)
            assert np.array_equal(mine.crowd, other.crowd) if mine.crowd is not None else True
            assert all(map(np.array_equal, mine.others, other.others))


def test_training_files_are_known_by_the_same_digests(download: Download) -> None:
    for unpacked, archived in splits(download):
        assert list(digests(archived)) == list(digests(unpacked))
        assert trained_on(dict(digests(unpacked)), archived).startswith(f"{len(unpacked)} of {len(unpacked)}")


def test_workers_read_what_this_process_reads(download: Download) -> None:
    _, archived = splits(download)[0]
    loader = DataLoader(EvaluationSamples(archived), batch_size=None, num_workers=2)
    samples = list(loader)
    assert [sample["name"] for sample in samples] == [archived.name(i) for i in range(len(archived))]
    for index, sample in enumerate(samples):
        expected = EvaluationSamples(archived)[index]
        assert torch.equal(sample["image"], expected["image"])
        assert torch.equal(sample["region"], expected["region"])


def test_a_cache_knows_files_in_archives_and_their_changes(download: Download, tmp_path: Path) -> None:
    _, archived = splits(download)[0]
    key = content_key(archived)
    assert content_key(splits(download)[0][1]) == key
    kept = cached(archived, "disk", tmp_path / "cache")
    assert np.array_equal(kept.read(0).image, archived.read(0).image)
    files = [source for source in archived.sources() if isinstance(source, ArchivePath)]
    assert files
    time = files[0].archive.stat().st_mtime_ns
    for file in {file.archive for file in files}:
        file.write_bytes(file.read_bytes())
        assert file.stat().st_mtime_ns != time
    assert content_key(splits(download)[0][1]) != key


def test_notices_and_counts_take_photos_in_archives(download: Download, tmp_path: Path) -> None:
    unpacked, archived = splits(download)[0]
    notices = [
        [line.partition(" is of ")[::-1] for line in photo_notices(one)] for one in (archived, unpacked)
    ]
    assert [line[:2] for line in notices[0]] == [line[:2] for line in notices[1]]
    counts = class_counts(archived, 0)
    assert [path.parent for path in tmp_path.rglob(".class_counts*")] == [tmp_path / "download"]
    assert counts.tolist() == class_counts(unpacked, 0).tolist()


def test_a_turned_photo_in_an_archive_gets_its_notice(coco: Path, packed: Packed, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(np.full((20, 30), 80, np.uint8)).save(coco / "val2017/000000000008.jpg", exif=exif)
    packed_coco(coco, tmp_path / "download", packed)
    *_, notice = photo_notices(CocoPanoptic("val", tmp_path / "download"))
    assert f"EXIF orientation ({tmp_path}/download/val2017.zip/val2017/000000000008.jpg)" in notice


def test_a_file_that_an_archive_lacks_is_named_with_it(coco: Path, packed: Packed, tmp_path: Path) -> None:
    (coco / "annotations/panoptic_val2017/000000000008.png").rename(
        coco / "annotations/panoptic_val2017/000000000009.png"
    )
    packed_coco(coco, tmp_path / "download", packed)
    with pytest.raises(DataError, match=r"no labels in .*/annotations/panoptic_val2017 for 000000000008"):
        CocoPanoptic("val", tmp_path / "download")
    (tmp_path / "download" / "panoptic_annotations_trainval2017.zip").unlink()
    with pytest.raises(DataError, match=r"not found: .*panoptic_val2017.json.*expected this layout"):
        CocoPanoptic("val", tmp_path / "download")


def test_half_a_download_is_named(coco: Path, packed: Packed, tmp_path: Path) -> None:
    packed_coco(coco, tmp_path / "download", packed)
    file = tmp_path / "download" / "val2017.zip"
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(UserError, match=f"complete archive, found .* in {file}: download it again"):
        CocoPanoptic("val", tmp_path / "download")
    CocoPanoptic("train", tmp_path / "download")


@pytest.mark.slow
def test_a_real_sample_of_coco_is_the_same_in_its_archives(
    data: Path, packed: Packed, tmp_path: Path
) -> None:
    packed_coco(data / "coco_panoptic", tmp_path / "download", packed)
    names: tuple[Split, ...] = ("train", "val")
    for split in names:
        unpacked = CocoPanoptic(split, data / "coco_panoptic")
        archived = CocoPanoptic(split, tmp_path / "download")
        assert archived.names == unpacked.names
        assert archived.classes == unpacked.classes
        for index, name in enumerate(unpacked.names):
            assert archived.photo(index).read_bytes() == unpacked.photo(index).read_bytes()
            assert archived.label_files[name].read_bytes() == unpacked.label_files[name].read_bytes()
            assert np.array_equal(archived.segments[name], unpacked.segments[name])
        for index in range(0, len(unpacked), 20):
            assert all(map(np.array_equal, archived.read(index)[:3], unpacked.read(index)[:3]))


@pytest.mark.slow
def test_a_model_is_trained_and_evaluated_on_archives(
    coco: Path, packed: Packed, tmp_path: Path, tiny: list[str]
) -> None:
    from fusionseg.commands import evaluate, fit

    Image.fromarray(np.full((20, 30), 90, np.uint8)).save(coco / "val2017" / "000000000008.jpg")
    packed_coco(coco, tmp_path / "download", packed)
    data = ["--data.dataset", "CocoPanoptic", "--data.dataset.root", str(tmp_path / "download")]
    run = tmp_path / "run"
    fit.main([*tiny[6:], *data, "--data.batch_size", "1", "--trainer.max_epochs", "1", "--out", str(run)])
    assert (run / "training_files.txt").read_text().endswith(" 000000000007\n")
    scores = []
    for root in (tmp_path / "download", coco):
        evaluate.main(["--run", str(run), "--data.dataset.root", str(root)])
        scores.append((run / "evaluation" / "val.json").read_text())
    assert scores[0] == scores[1]
