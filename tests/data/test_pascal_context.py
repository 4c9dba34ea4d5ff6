import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image
from scipy import ndimage

from fusionseg.data.base import DataError, Labels, Split
from fusionseg.data.pascal_context import PascalContext

Contexts = Callable[[str], Path]
Scene = Callable[[Split, int], Labels]
NAMES = ("sky", "ground", "person", "bedcloth", "diningtable", "wood")
"""The classes of the scenes as the list of 59 spells them."""


@pytest.mark.parametrize("order", ["fcn", "alphabetical"])
@pytest.mark.parametrize("encoding", ["mat", "png"])
def test_classes_of_the_scenes_come_back_by_their_names(
    encoding: str, order: Any, contexts: Contexts, scene: Scene
) -> None:
    dataset = PascalContext("val", contexts(encoding), order=order, min_area=1)
    names = np.array([*dataset.classes.names, *[""] * 197])
    assert [dataset.name(i) for i in range(len(dataset))] == ["val_0", "val_1", "val_2"]
    for i in range(3):
        image, semantic, region, _ = dataset.read(i)
        expected = scene("val", i).semantic
        assert (image == 60 + 50 * i).all()
        assert np.array_equal(names[semantic], np.array([*NAMES, *[""] * 250])[expected])
        regions = sum(ndimage.label(expected == label)[1] for label in range(6))
        assert len(np.unique(region[region > 0])) == regions


def test_the_archives_are_read_as_the_folders(
    contexts: Contexts, packed: Callable[..., Path], tmp_path: Path
) -> None:
    unpacked = PascalContext("val", contexts("mat"))
    root = tmp_path / "packed"
    packed(tmp_path, root / "VOCtrainval_03-May-2010.tar", "VOCdevkit")
    packed(tmp_path, root / "trainval.tar.gz", "trainval")
    shutil.copy(tmp_path / "labels.txt", root)
    found = PascalContext("val", root)
    assert len(found) == 3
    for i in range(3):
        assert found.name(i) == unpacked.name(i)
        assert all(map(np.array_equal, found.read(i)[:3], unpacked.read(i)[:3]))


def test_both_orders_of_the_classes_are_those_in_use(contexts: Contexts, context_ids: dict[str, int]) -> None:
    root = contexts("png")
    fcn, alphabetical = (PascalContext("val", root, order=order).classes for order in ("fcn", "alphabetical"))  # type: ignore[arg-type]
    assert len(fcn) == len(alphabetical) == 59
    assert [fcn.names[i] for i in (0, 10, 14, 19, 20, 27, 38, 41, 51, 58)] == [
        *("aeroplane", "diningtable", "person", "tvmonitor", "bag"),
        *("clothes", "light", "curtain", "bedcloth", "wood"),
    ]
    spelled = {"table": "diningtable", "bedclothes": "bedcloth", "cloth": "clothes"}
    assert alphabetical.names == tuple(spelled.get(name, name) for name in context_ids)
    assert set(fcn.names) == set(alphabetical.names)
    colors = dict(zip(fcn.names, fcn.colors, strict=True))
    assert colors == dict(zip(alphabetical.names, alphabetical.colors, strict=True))
    assert colors["aeroplane"] == (128, 0, 0)


def test_small_components_are_no_regions(contexts: Contexts) -> None:
    dataset = PascalContext("val", contexts("mat"), min_area=60)
    assert dataset.classes.things == ()
    for i in range(3):
        _, areas = np.unique(dataset.labels(i).region, return_counts=True)
        assert areas.min() >= 60


@pytest.mark.parametrize("encoding", ["mat", "png"])
def test_half_a_download_is_said(encoding: str, contexts: Contexts) -> None:
    root = contexts(encoding)
    next(root.rglob(f"val_1.{encoding}")).unlink()
    with pytest.raises(
        DataError, match=r"files of 3 names in .*val.txt, found 2 in .*, not val_1: all are in"
    ):
        PascalContext("val", root)


def test_what_is_missing_is_named(contexts: Contexts) -> None:
    root = contexts("mat")
    (root / "labels.txt").rename(root / "names.txt")
    with pytest.raises(DataError, match=r"not found: .*labels.txt; expected this layout"):
        PascalContext("val", root)
    (root / "names.txt").rename(root / "trainval/labels.txt")
    assert len(PascalContext("val", root)) == 3
    (root / "VOCdevkit").rename(root / "VOC")
    with pytest.raises(DataError, match=r"not found: VOCtrainval_03-May-2010.tar or .*VOC2010/JPEGImages"):
        PascalContext("val", root)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("accordion\n", r"lines such as '1: accordion' in .*labels.txt, found 'accordion'"),
        ("1: accordion\n", r"all of the 59 classes in labels.txt, found no aeroplane"),
    ],
)
def test_another_list_of_names_is_refused(text: str, message: str, contexts: Contexts) -> None:
    root = contexts("mat")
    (root / "labels.txt").write_text(text)
    with pytest.raises(DataError, match=message):
        PascalContext("val", root)


def test_a_copy_for_five_tasks_is_recognized(tmp_path: Path) -> None:
    (tmp_path / "PASCAL_MT/human_parts").mkdir(parents=True)
    (tmp_path / "PASCAL_MT/JPEGImages").mkdir()
    with pytest.raises(DataError, match=r"found PASCAL_MT/human_parts: that is a copy for five tasks"):
        PascalContext("val", tmp_path)
    with pytest.raises(DataError, match=r"in .*PASCAL_MT, found human_parts: that is a copy for five tasks"):
        PascalContext("val", tmp_path / "PASCAL_MT")


def test_the_year_of_another_challenge_is_said(contexts: Contexts) -> None:
    root = contexts("mat")
    (root / "VOCdevkit/VOC2010").rename(root / "VOCdevkit/VOC2012")
    with pytest.raises(DataError, match="found VOCdevkit/VOC2012: that is VOC 2012, whose lists are others"):
        PascalContext("val", root)
    with pytest.raises(DataError, match="found VOC2012: that is VOC 2012, whose lists are others"):
        PascalContext("val", root / "VOCdevkit/VOC2012")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.zeros((48, 64, 3), np.uint8), r"mode RGB.*official one is in trainval.tar.gz"),
        (np.full((48, 64), 255, np.uint8), r"expected ids 0..59 in .*, found 255..255"),
    ],
)
def test_labels_in_another_encoding_are_said(
    values: npt.NDArray[np.uint8], message: str, contexts: Contexts
) -> None:
    root = contexts("png")
    Image.fromarray(values).save(root / "VOCdevkit/VOC2010/SegmentationClassContext/val_0.png")
    with pytest.raises(DataError, match=message):
        PascalContext("val", root).labels(0)
