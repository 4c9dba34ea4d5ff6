import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

from fusionseg.corruptions import CORRUPTIONS
from fusionseg.data.augmentation import Augmentation
from fusionseg.data.datamodule import SegmentationDataModule
from fusionseg.data.folder import Folder
from fusionseg.data.synthetic import SyntheticScenes
from fusionseg.engine.passes import Passes
from fusionseg.robustness import measuring
from fusionseg.robustness.corrupted import Corrupted
from fusionseg.robustness.measuring import image_digest, measured
from fusionseg.robustness.results import Results
from fusionseg.runs.evaluation_files import evaluate

BY_NAME = {corruption.name: corruption for corruption in CORRUPTIONS}
SCENES = partial(SyntheticScenes, length=3, size=(64, 80))


def chosen(*names: str) -> list[Any]:
    return [BY_NAME[name] for name in names]


def on_disk(root: Path, corruption: str, severity: int) -> SegmentationDataModule:
    """A folder of corrupted images and their labels, as somebody would write one who has only the functions."""
    dataset = SCENES("val")
    for index in range(len(dataset)):
        given = dataset.read(index)
        seed = Corrupted(dataset, BY_NAME[corruption], severity).seed_of(index)
        labels = BY_NAME[corruption].labels
        semantic, region = given.semantic, given.region
        if labels is not None:
            change = labels((64, 80), severity, seed)
            semantic, region = change.ids(semantic, 255), change.ids(region, 0)
        pictures = {
            "images": BY_NAME[corruption].image(given.image, severity, seed),
            "semantic": semantic,
            "regions": region,
        }
        for folder, pixels in pictures.items():
            (root / folder).mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(root / folder / f"{dataset.name(index)}.png")
    own = dataset.classes
    declared = [
        {"name": name, "color": list(color), "thing": i in own.things}
        for i, (name, color) in enumerate(zip(own.names, own.colors, strict=True))
    ]
    (root / "classes.yaml").write_text(yaml.safe_dump({"classes": declared}))
    (root / "val.txt").write_text("".join(f"{dataset.name(i)}\n" for i in range(len(dataset))))
    data = SegmentationDataModule(partial(Folder, root=root), workers=0)
    data.setup("validate")
    return data


@pytest.mark.slow
def test_figures_are_those_of_a_folder_of_corrupted_files(small: Callable[..., Any], tmp_path: Path) -> None:
    model = small().eval()
    data = SegmentationDataModule(SCENES, workers=0)
    names = ("fog", "rotation", "occlusion")
    results = measured(model, data, chosen(*names), [3], tmp_path / "corruptions.json", "32-true", {})
    own = evaluate(model, data, "val", tmp_path / "clean", "32-true", pictures=0)["metrics"]
    assert results.clean == pytest.approx(own, nan_ok=True)
    for name in names:
        written = on_disk(tmp_path / name, name, 3)
        expected = evaluate(model, written, "val", tmp_path / "out", "32-true", pictures=0)["metrics"]
        assert results.corrupted[name][3] == pytest.approx(expected, nan_ok=True)
        assert results.corrupted[name][3] != results.clean


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Which measurements were made, by the titles of their progress bars; of figures without a network."""
    titles: list[str] = []

    def figures(module: Any, data: Any, precision: str, passes: Passes, title: str) -> dict[str, float]:
        titles.append(title.split(" (")[0])
        return {"score": 0.5, "miou": float("nan")}

    monkeypatch.setattr(measuring, "_figures", figures)
    return titles


def test_what_is_measured_is_not_measured_again(
    small: Callable[..., Any], datamodule: Callable[..., Any], counted: list[str], tmp_path: Path
) -> None:
    path, model = tmp_path / "corruptions.json", small()
    go = partial(measured, model, path=path, precision="32-true")
    go(data=datamodule(), corruptions=chosen("fog", "jpeg"), severities=[1], weights={"checkpoint": "a"})
    assert counted == ["clean", "fog 1", "jpeg 1"]
    counted.clear()
    again = go(data=datamodule(), corruptions=chosen("fog"), severities=[1, 2], weights={"checkpoint": "a"})
    assert counted == ["fog 2"]
    assert set(again.corrupted) == {"fog", "jpeg"}
    assert np.isnan(again.corrupted["jpeg"][1]["miou"])
    assert json.loads(path.read_text())["corrupted"]["jpeg"]["1"] == {"score": 0.5, "miou": None}
    assert Results.read(path) == again or np.isnan(again.clean["miou"])


@pytest.mark.parametrize("change", ["checkpoint", "precision", "scale", "model", "data"])
def test_figures_of_anything_else_are_measured_anew(
    change: str,
    small: Callable[..., Any],
    datamodule: Callable[..., Any],
    counted: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = tmp_path / "corruptions.json"
    fog = chosen("fog")
    measured(small(), datamodule(), fog, [1], path, "32-true", {"checkpoint": "a"})
    counted.clear()
    capsys.readouterr()
    data = datamodule(**({"scale": 0.5} if change == "scale" else {}))
    if change == "data":
        data = datamodule(dataset=partial(SyntheticScenes, length=5, size=(64, 100)))
    model = small(**({"alpha": 0.5} if change == "model" else {}))
    weights = {"checkpoint": "b" if change == "checkpoint" else "a"}
    measured(model, data, fog, [1], path, "bf16-mixed" if change == "precision" else "32-true", weights)
    assert counted == ["clean", "fog 1"]
    assert capsys.readouterr().err.startswith(f"{path} is of another {change}: measured anew\n")


def test_an_interrupted_measurement_keeps_what_it_has_and_the_data_are_clean_again(
    small: Callable[..., Any], datamodule: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    data, path = datamodule(), tmp_path / "corruptions.json"
    data.setup("validate")
    clean = data.datasets["val"]

    def figures(module: Any, data: Any, precision: str, passes: Passes, title: str) -> dict[str, float]:
        if title.startswith("fog 2"):
            raise KeyboardInterrupt
        return {"score": 0.5}

    monkeypatch.setattr(measuring, "_figures", figures)
    with pytest.raises(KeyboardInterrupt):
        measured(small(), data, chosen("fog"), [1, 2, 3], path, "32-true", {})
    assert Results.read(path).corrupted == {"fog": {1: {"score": 0.5}}}
    assert data.datasets["val"] is clean


def test_the_families_of_training_are_those_of_the_augmentation(
    small: Callable[..., Any], datamodule: Callable[..., Any], counted: list[str], tmp_path: Path
) -> None:
    for augmentation, expected in (
        (Augmentation, ("photometric", "geometric")),
        (partial(Augmentation, rotation=0.0), ("photometric",)),
        (None, ()),
    ):
        data = datamodule(augmentation=augmentation)
        results = measured(small(), data, chosen("fog"), [1], tmp_path / "corruptions.json", "32-true", {})
        assert results.trained_on == expected


def test_images_of_other_names_or_classes_have_another_digest(datamodule: Callable[..., Any]) -> None:
    digests = {
        image_digest(datamodule()),
        image_digest(datamodule(scale=0.5)),
        image_digest(datamodule(dataset=partial(SyntheticScenes, length=4))),
    }
    assert len(digests) == 2
