import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fusionseg.commands.inspect import main
from fusionseg.config.errors import UserError
from fusionseg.data import SyntheticScenes
from fusionseg.data.base import UNVERIFIED
from fusionseg.data.download_parts import DownloadPart

DATA = [
    *("--data.dataset", "SyntheticScenes", "--data.dataset.length", "4", "--data.dataset.size", "[64, 64]"),
    *("--data.workers", "0", "--data.crop_size", "[64, 64]", "--data.batch_size", "2"),
]
FEW = ["--images", "1", "--heads", "BoundaryHead"]


def numbers(folder: Path) -> Any:
    return json.loads((folder / "inspect.json").read_text())


def folder_data(root: Path) -> list[str]:
    return [
        *("--data.dataset", "Folder", "--data.dataset.root", str(root), "--data.workers", "0"),
        *("--data.crop_size", "[64, 64]", "--data.batch_size", "2"),
    ]


@pytest.mark.slow
def test_page_and_numbers_are_written_and_the_page_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    main([*DATA, *FEW])
    folder = Path("inspect", "SyntheticScenes")
    assert capsys.readouterr().out == f"{folder / 'inspect.html'}\n"
    assert sorted(path.name for path in folder.iterdir()) == ["inspect.html", "inspect.json"]
    found = numbers(folder)
    assert found["splits"].keys() == {"train", "val"}
    assert found["test_images"] == 4
    assert found["data"]["dataset"]["init_args"]["length"] == 4
    assert found["splits"]["train"]["regions"]["regions"] > 8


@pytest.mark.slow
def test_a_second_start_overwrites_its_own_page_and_nothing_else(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "index.html").write_text("mine")
    main([*DATA, *FEW, "--out", str(out)])
    main([*DATA, *FEW, "--seed_everything", "1", "--out", str(out)])
    assert numbers(out)["seed"] == 1
    assert (out / "index.html").read_text() == "mine"
    before = (out / "inspect.html").read_text()
    with pytest.raises(UserError, match="found the page of other data"):
        main([*DATA, *FEW, "--data.dataset.seed", "5", "--out", str(out)])
    assert (out / "inspect.html").read_text() == before


@pytest.mark.slow
def test_the_heads_of_a_configuration_are_shown_and_no_network_is_built(tmp_path: Path) -> None:
    config = tmp_path / "a.yaml"
    config.write_text(
        "model: {class_path: FusionModule, init_args: {backbone: {weights: nowhere.safetensors}, "
        "region_head: {class_path: BoundaryHead, init_args: {width: 6}}}}\n"
    )
    main(["--config", str(config), *DATA, *FEW, "--out", str(tmp_path / "out")])
    assert numbers(tmp_path / "out")["heads"] == {"BoundaryHead": {"configured": True, "settings": "width 6"}}
    text = (tmp_path / "out" / "inspect.html").read_text()
    assert "Boundaries in white, as wide as they are learned. Configured: width 6." in text


@pytest.mark.slow
def test_labels_of_the_test_split_are_read_only_when_asked_for(
    written: Callable[..., Path], tmp_path: Path
) -> None:
    root = written("mine")
    for part in ("images", "semantic", "regions"):
        (root / part / "9.png").write_bytes((root / part / "0.png").read_bytes())
    (root / "test.txt").write_text("9\n")
    (root / "semantic" / "9.png").write_bytes(b"no picture")
    (root / "images" / "9.png").write_bytes(b"no picture")
    out = ["--out", str(tmp_path / "out")]
    main([*folder_data(root), *FEW, *out])
    found = numbers(tmp_path / "out")
    assert found["test_images"] == 1
    assert "test" not in found["splits"]
    assert "Test split: 1 image." in (tmp_path / "out" / "inspect.html").read_text()
    with pytest.raises(UserError, match=r"9\.png"):
        main([*folder_data(root), *FEW, "--test", *out])
    for part in ("images", "semantic"):
        (root / part / "9.png").write_bytes((root / part / "0.png").read_bytes())
    main([*folder_data(root), *FEW, "--test", *out])
    assert numbers(tmp_path / "out")["splits"]["test"]["counted"] == 1


@pytest.mark.slow
def test_a_folder_without_a_test_split_has_a_page_all_the_same(
    written: Callable[..., Path], tmp_path: Path
) -> None:
    root = written("mine")
    main([*folder_data(root), *FEW, "--out", str(tmp_path / "out")])
    assert numbers(tmp_path / "out")["test_images"] is None
    assert "Test split: none (" in (tmp_path / "out" / "inspect.html").read_text()
    with pytest.raises(UserError, match="test: expected a test split, found none"):
        main([*folder_data(root), *FEW, "--test", "--out", str(tmp_path / "out")])


@pytest.mark.slow
def test_what_is_there_of_a_download_and_whether_its_reader_was_checked_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    main([*DATA, *FEW, "--out", str(tmp_path / "plain")])
    assert not capsys.readouterr().err
    monkeypatch.setattr(SyntheticScenes, "verified", UNVERIFIED)
    monkeypatch.setattr(SyntheticScenes, "download", (DownloadPart("scenes.zip", "scenes", 4, 512),))
    main([*DATA, *FEW, "--out", str(tmp_path / "out")])
    sentences = f"scenes.zip: 4 of 512 scenes.\nThe reader of this data set is {UNVERIFIED}.\n"
    shortfall = "scenes.zip: 4 of 512 scenes: unpack or download it again, unless you want a part of it\n"
    assert capsys.readouterr().err == shortfall + sentences
    text = (tmp_path / "out" / "inspect.html").read_text()
    assert all(sentence in text for sentence in sentences.splitlines())
    found = numbers(tmp_path / "out")
    assert found["verified"] == UNVERIFIED
    assert found["download"] == {key: ["scenes.zip: 4 of 512 scenes"] for key in ("train", "val", "test")}


def test_help_lists_every_data_set_that_can_be_inspected(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(["--help"])
    _, _, listed = capsys.readouterr().out.partition("Data sets (")
    for name in ("ADE20K", "CamVid", "Folder", "MixtureDataset", "PascalContext", "SyntheticScenes"):
        assert f"\n  {name} " in listed
    assert re.search(r"\n  PascalVOC +The segmentations of PASCAL VOC 2012", listed)
    assert not any(name in listed for name in ("Subset", "ClassFolders", "ClassTable"))
    assert max(map(len, listed.splitlines())) <= 100


@pytest.mark.slow
def test_mistakes_are_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = ["--out", str(tmp_path / "out")]
    for words, message in (
        (["--heads", "BoundryHead"], r"no head 'BoundryHead'; did you mean BoundaryHead"),
        (["--images", "0"], "images: expected at least 1 image, found 0"),
        (["--limit", "-1"], "limit: expected at least 1 image, found -1"),
        (["--data.batch_size", "8"], "expected at least one batch of 8 training images, found 4"),
        (["--model.region_head", "BoundryHead"], "BoundryHead"),
        (["--model.region_head.width", "3"], "expected width 2, 4, 6"),
        (["--model.semantic_head", "null", "--model.region_head", "null"], "at least one head"),
    ):
        with pytest.raises(UserError, match=message) as caught:
            main([*DATA, *out, *words])
        assert "\n" not in str(caught.value)
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="expected a folder to write to, found the file"):
        main([*DATA, "--out", str(tmp_path / "file" / "out")])
    with pytest.raises(UserError, match="expected this layout"):
        main(["--data.dataset", "CamVid", "--data.dataset.root", str(tmp_path), *out])
    (tmp_path / "own_data.py").write_text(
        "from lightning import LightningDataModule\n"
        "from fusionseg.data import SyntheticScenes\n\n\n"
        "class OwnData(LightningDataModule):\n    classes = SyntheticScenes.classes\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(UserError, match="data: expected a SegmentationDataModule, found OwnData"):
        main(["--data", "own_data.OwnData", *out])
    assert not (tmp_path / "out").exists()
