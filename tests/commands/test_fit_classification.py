"""A classifier from training to answers, and a segmenter that starts from it."""

import csv
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from fusionseg import Predictor
from fusionseg.cli import entry
from fusionseg.commands import evaluate, export, fit, inspect, predict, share
from fusionseg.config.errors import UsageError

Writer = Callable[..., Path]
GRAY = ["--data.dataset.channels", "1", "--model.backbone.in_channels", "1"]
QUICK = [
    *("--model", "ClassificationModule", "--data", "ClassificationDataModule", "--data.resize", "null"),
    *("--data.crop_size", "[32, 32]", "--data.batch_size", "6", "--data.workers", "0"),
    *("--model.backbone.encoder", "small_cnn", "--trainer.max_epochs", "2", "--data.mixup", "0.2"),
]


def table_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def classified(write_classes: Writer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run of a classifier, beside the images in `patterns`."""
    top = tmp_path_factory.mktemp("classified")
    words = [
        "--data.dataset",
        "ClassFolders",
        "--data.dataset.root",
        str(write_classes(top / "patterns")),
        *GRAY,
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WANDB_MODE", "disabled")
        fit.main([*QUICK, *words, "--out", str(top / "run")])
    return top / "run"


@pytest.mark.slow
def test_a_classifier_is_trained_evaluated_and_asked(classified: Path, tmp_path: Path) -> None:
    told = json.loads((classified / "summary.json").read_text())
    assert told["metrics"]["val/score"] == told["metrics"]["val/scene_accuracy"]
    evaluate.main(["--run", str(classified), "--split", "test", "--data.workers", "0"])
    measured = json.loads((classified / "evaluation" / "test.json").read_text())
    rows = table_of(classified / "evaluation" / "test.csv")
    assert len(rows) == 18
    right = np.mean([float(row["scene_accuracy"]) for row in rows])
    assert measured["metrics"]["scene_accuracy"] == pytest.approx(right)

    predict.main(
        [
            "--run",
            str(classified),
            "--images",
            str(classified.parent / "patterns" / "test"),
            "--out",
            str(tmp_path / "out"),
        ]
    )
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "predictions.jsonl",
        "scenes.csv",
        "scenes.json",
    }
    likely = json.loads((tmp_path / "out" / "scenes.json").read_text())
    answers = table_of(tmp_path / "out" / "scenes.csv")
    assert [row["image"] for row in answers] == list(likely)
    for row in answers:
        own = likely[row["image"]]
        assert row["label"] == max(own, key=own.__getitem__)
        assert sum(own.values()) == pytest.approx(1, abs=1e-5)
        assert {name: float(row[f"p({name})"]) for name in own} == own
    hits = [row["label"] == row["image"].partition("/")[0] for row in answers]
    assert np.mean(hits) == pytest.approx(right)


def test_photos_in_color_are_answered_as_their_gray(classified: Path) -> None:
    path = classified.parent / "patterns" / "test" / "light" / "1.png"
    colors = np.asarray(Image.open(path).convert("RGB"))
    predictor = Predictor(classified)
    expected = predictor(path).scene
    for image in (colors, Image.fromarray(colors), torch.from_numpy(colors.copy()).permute(2, 0, 1)):
        assert np.array_equal(predictor(image).scene, expected)


@pytest.mark.slow
def test_a_classifier_is_shared_and_exported(classified: Path, tmp_path: Path) -> None:
    share.main(["--run", str(classified), "--out", str(tmp_path / "shared")])
    card = (tmp_path / "shared" / "README.md").read_text()
    assert "from fusionseg import ClassificationModule\n" in card
    assert "pipeline_tag: image-classification" in card
    assert "-segmentation" not in card.partition("\n# ")[0]
    assert "An image shows exactly one of these." in card
    export.main(["--run", str(classified), "--out", str(tmp_path / "model.onnx")])
    image = classified.parent / "patterns" / "test" / "light" / "1.png"
    # by default in bf16 where the processor computes in it, which the exported network does not
    expected = Predictor(classified, precision="32-true")(image).scene
    assert np.array_equal(Predictor(tmp_path / "shared", precision="32-true")(image).scene, expected)
    np.testing.assert_allclose(Predictor(tmp_path / "model.onnx")(image).scene, expected, atol=1e-5)


def test_a_checkpoint_alone_is_refused_with_what_to_name(classified: Path, tmp_path: Path) -> None:
    checkpoint = classified / "checkpoints" / "best.ckpt"
    with pytest.raises(ValueError, match=r"not of a FusionModule; name the run folder instead \(--run\)"):
        predict.main(
            [
                "--checkpoint",
                str(checkpoint),
                "--images",
                str(classified.parent / "patterns"),
                "--out",
                str(tmp_path / "out"),
            ]
        )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--data", "ClassificationDataModule"], "a SegmentationDataModule, found ClassificationDataModule"),
        ([], "expected data with label maps, found labels of whole images"),
    ],
)
def test_inspect_looks_at_label_maps_alone(words: list[str], message: str, classified: Path) -> None:
    root = str(classified.parent / "patterns")
    with pytest.raises(UsageError, match=message):
        inspect.main([*words, "--data.dataset", "ClassFolders", "--data.dataset.root", root])


@pytest.mark.slow
def test_a_segmenter_starts_from_a_classifier(
    tiny: list[str], classified: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = ["--model.backbone.encoder", "small_cnn", "--trainer.max_epochs", "1", "--model.encoder_lr", "0"]
    fit.main([*tiny, *own, "--weights", str(classified), "--out", str(tmp_path / "segmenter")])
    shown = capsys.readouterr().out
    assert "widened: network.encoder.body.stages.0.0.weight (32, 3, 3, 3)" in shown
    assert "initialized: network.encoder" not in shown
    source, found = (
        torch.load(run / "checkpoints" / name, weights_only=True)["state_dict"]
        for run, name in ((classified, "best.ckpt"), (tmp_path / "segmenter", "last.ckpt"))
    )
    same = [name for name in source if name.endswith("0.weight") and ".encoder.body.stages." in name]
    for name in same[1:]:
        assert torch.equal(found[name], source[name])
    assert len(same) == 5


@pytest.mark.slow
def test_images_of_several_classes_have_all_that_are_likely(
    class_folders: Writer, class_table: Writer, tmp_path: Path
) -> None:
    table = class_table(class_folders())
    words = [
        "--data.dataset",
        "ClassTable",
        "--data.dataset.table",
        str(table),
        "--data.dataset.several",
        "true",
    ]
    fit.main([*QUICK, *words, *GRAY, "--out", str(tmp_path / "run")])
    images = str(table.parent / "test")
    predict.main(["--run", str(tmp_path / "run"), "--images", images, "--out", str(tmp_path / "out")])
    likely = json.loads((tmp_path / "out" / "scenes.json").read_text())
    assert set(next(iter(likely.values()))) == {"dark", "even", "light", "striped"}
    for row in table_of(tmp_path / "out" / "scenes.csv"):
        own = likely[row["image"]]
        assert row["label"] == ";".join(name for name, value in own.items() if value >= 0.5)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["ClassFolders", "--data.dataset.root", "patterns/train/dark"],
            "error: expected images in folders named for their classes, found 0.png, 1.png",
        ),
        (
            ["ClassFolders", "--data.dataset.root", "patterns/train"],
            "error: the encoder expects images of 3 channels, found 1: set model.backbone.in_channels to 1",
        ),
        (
            ["ClassTable", "--data.dataset.table", "lost.csv"],
            "error: expected the images that lost.csv names below ., found no a.png (line 2)",
        ),
    ],
)
def test_what_is_wrong_is_one_line_and_leaves_nothing(
    words: list[str],
    message: str,
    class_folders: Writer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    class_folders()
    monkeypatch.chdir(tmp_path)
    Path("lost.csv").write_text("image,label\na.png,cat\n")
    channels = GRAY[:2] if "3 channels" in message else []
    with pytest.raises(SystemExit) as stop:
        entry.run("fit", [*QUICK, "--data.dataset", *words, *channels, "--out", "run"])
    assert stop.value.code == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if not line.startswith("precision")]
    assert len(lines) == 1
    assert lines[0].startswith(message)
    assert not Path("run").exists()


@pytest.mark.slow
def test_a_segmenter_learns_nothing_from_labels_of_whole_images(
    classified: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--data.dataset", "ClassFolders", "--data.dataset.root", str(classified.parent / "patterns")]
    with pytest.raises(SystemExit) as stop:
        entry.run("fit", [*words, *QUICK[6:-4], "--out", str(tmp_path / "run")])
    assert stop.value.code == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith(
        "error: expected semantic labels to train semantic on, found no labelled pixel in 18"
    )
    assert not (tmp_path / "run").exists()
