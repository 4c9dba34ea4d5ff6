"""What an evaluation writes: the figures, a row and the sums of each image, and pictures."""

import csv
import json
import math
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fusionseg.commands.evaluate import EvaluateCLI, main
from fusionseg.data.base import Pixels
from fusionseg.data.synthetic import SyntheticScenes
from fusionseg.engine.evaluation import evaluated
from fusionseg.metrics.suite import MetricSuite, total
from fusionseg.runs.checkpoints import load_state
from fusionseg.runs.image_records import added_sums


def result(run: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((run / "evaluation" / "val.json").read_text())
    return content


def sums(run: Path, *chosen: int) -> dict[str, Any]:
    return added_sums(run / "evaluation" / "val.npz", chosen or None)


def same(first: dict[str, Any], second: dict[str, Any], tolerance: float = 1e-12) -> bool:
    """Whether figures are equal; what is undefined is null in a file and NaN elsewhere."""
    assert first.keys() == second.keys()
    a, b = ([np.nan if f[name] is None else f[name] for name in first] for f in (first, second))
    return np.allclose(a, b, rtol=tolerance, atol=tolerance, equal_nan=True)


@pytest.fixture
def run(trained: Path) -> Path:
    main(["--run", str(trained)])
    return trained


@pytest.mark.slow
def test_the_images_sums_give_the_figures_of_the_split(run: Path) -> None:
    measures = MetricSuite.standard(SyntheticScenes.classes)
    assert same(measures.figures(sums(run)), result(run)["metrics"])
    rows = result(run)["per_class"]
    per_class = measures.per_class(sums(run))
    assert list(rows) == list(SyntheticScenes.classes.names)
    assert all(
        same({"iou": row["iou"]}, {"iou": iou})
        for row, iou in zip(rows.values(), per_class["iou"], strict=True)
    )


@pytest.mark.slow
def test_an_evaluation_says_which_classes_are_things_and_what_a_region_is(run: Path) -> None:
    classes = SyntheticScenes.classes
    assert result(run)["things"] == [classes.names[i] for i in classes.things]
    assert result(run)["region"] == classes.region


@pytest.mark.slow
def test_the_confusion_matrix_is_in_the_file_and_a_picture(run: Path) -> None:
    counts = np.array(result(run)["confusion"])
    np.testing.assert_array_equal(counts, sums(run)["semantic"])
    with Image.open(run / "evaluation" / "val_confusion.png") as picture:
        assert picture.mode == "RGB"
        assert min(picture.size) > 400


@pytest.mark.slow
def test_the_sums_of_some_images_give_their_figures(run: Path) -> None:
    measures, config = MetricSuite.standard(SyntheticScenes.classes), str(run / "config.yaml")
    cli = EvaluateCLI(["--config", config, "--run", str(Path(config).parent)])
    load_state(cli.model, run / "checkpoints" / "best.ckpt")
    cli.datamodule.setup("validate")
    precision = cli.config.trainer["precision"]
    images = [image.sums for _, image in evaluated(cli.model, cli.datamodule, "val", precision, measures)]
    assert same(measures.figures(sums(run, 2, 3, 4)), measures.figures(total(images[2:5])))


@pytest.mark.slow
def test_each_image_has_a_row(run: Path) -> None:
    with (run / "evaluation" / "val.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["name"] for row in rows] == [f"val-{i:05d}" for i in range(8)]
    with np.load(run / "evaluation" / "val.npz") as file:
        assert file["name"].tolist() == [row["name"] for row in rows]
    assert float(rows[3]["miou"]) == pytest.approx(
        MetricSuite.standard(SyntheticScenes.classes).figures(sums(run, 3))["miou"], rel=1e-12
    )


class SomeVoid(SyntheticScenes):
    """Scenes of which the first three have no labels."""

    def read(self, index: int) -> Pixels:
        pixels = super().read(index)
        if index >= 3:
            return pixels
        return pixels._replace(
            semantic=np.full_like(pixels.semantic, 255), region=np.zeros_like(pixels.region)
        )


@pytest.mark.slow
def test_images_of_which_nothing_is_measured_are_neither_best_nor_worst(trained: Path) -> None:
    data = ["--data.dataset", f"{__name__}.SomeVoid", "--data.dataset.length", "5"]
    main(
        ["--run", str(trained), "--pictures", "4", *data, "--data.dataset.size", "[64, 64]", "--trust=tests"]
    )
    with (trained / "evaluation" / "val.csv").open() as file:
        scores = {row["name"]: float(row["score"]) for row in csv.DictReader(file)}
    assert [math.isnan(score) for score in scores.values()] == [True, True, True, False, False]
    better, worse = sorted(("val-00003", "val-00004"), key=lambda name: -scores[name])
    assert drawn(trained) == {"best": {better}, "worst": {worse}}


def drawn(run: Path) -> dict[str, set[str]]:
    """The names of the images that an evaluation drew."""
    folders = {which: run / "evaluation" / f"val_{which}" for which in ("best", "worst")}
    return {which: {path.stem for path in folder.glob("*")} for which, folder in folders.items()}


@pytest.mark.slow
@pytest.mark.parametrize(("pictures", "most"), [(8, (4, 4)), (5, (4, 4)), (3, (3, 3)), (0, (0, 0))])
@pytest.mark.parametrize("score", [None, 0.5])
def test_no_image_is_among_the_best_and_the_worst(
    pictures: int, most: tuple[int, int], score: float | None, trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if score is not None:
        figures = MetricSuite.figures
        monkeypatch.setattr(MetricSuite, "figures", lambda *a: {**figures(*a), "score": score})
    main(["--run", str(trained), "--pictures", str(pictures)])
    names = drawn(trained)
    assert (len(names["best"]), len(names["worst"])) == most
    assert not names["best"] & names["worst"]


@pytest.mark.slow
def test_the_best_and_the_worst_images_are_drawn(trained: Path) -> None:
    main(["--run", str(trained), "--pictures", "2"])
    stale = trained / "evaluation" / "val_best" / "of-another-checkpoint.png"
    shutil.copy(next((trained / "evaluation" / "val_best").iterdir()), stale)
    main(["--run", str(trained), "--pictures", "2"])
    with (trained / "evaluation" / "val.csv").open() as file:
        ranking = sorted(csv.DictReader(file), key=lambda row: float(row["score"]))
    names = drawn(trained)
    assert {len(some) for some in names.values()} == {2}
    scores = {row["name"]: float(row["score"]) for row in ranking}
    assert sorted(scores[n] for n in names["worst"]) == sorted(scores.values())[:2]
    assert sorted(scores[n] for n in names["best"]) == sorted(scores.values())[-2:]


class Sequences(SyntheticScenes):
    """Scenes in sequences of two."""

    def group(self, index: int) -> str | None:
        return f"sequence {index // 2}"


@pytest.mark.slow
def test_an_evaluation_says_which_group_an_image_belongs_to(trained: Path) -> None:
    data = ["--data.dataset", f"{__name__}.Sequences", "--data.dataset.length", "5"]
    main(
        ["--run", str(trained), "--pictures", "0", *data, "--data.dataset.size", "[64, 64]", "--trust=tests"]
    )
    expected = [f"sequence {i // 2}" for i in range(5)]
    with np.load(trained / "evaluation" / "val.npz") as file:
        assert file["group"].tolist() == expected
    with (trained / "evaluation" / "val.csv").open() as file:
        assert [row["group"] for row in csv.DictReader(file)] == expected
