import csv
import json
import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest
import torch
from PIL import ExifTags, Image

from fusionseg.commands import evaluate, fit
from fusionseg.commands.predict import main, options
from fusionseg.config.errors import UsageError, UserError
from fusionseg.data.synthetic import SyntheticScenes
from fusionseg.inference.predictor import Predictor
from fusionseg.module import FusionModule


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Images of several sizes and formats, one in a folder below."""
    folder = tmp_path / "photos"
    (folder / "more").mkdir(parents=True)
    scenes = SyntheticScenes("test", 4, (50, 70))
    Image.fromarray(scenes.read(0).image).save(folder / "a.png")
    Image.fromarray(scenes.read(1).image[:33, :31]).save(folder / "b.jpg")
    Image.fromarray(scenes.read(2).image).convert("L").save(folder / "more" / "gray.webp")
    Image.fromarray(scenes.read(3).image).convert("RGBA").save(folder / "more" / "a.tiff")
    (folder / "notes.txt").write_text("no image")
    return folder


def pixels(path: Path) -> npt.NDArray[Any]:
    with Image.open(path) as image:
        return np.asarray(image)


def test_every_image_has_all_answers_at_its_own_size(trained: Path, photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    main(["--run", str(trained), "--images", str(photos), "--out", str(out)])
    for name, size in (("a", (50, 70)), ("b", (33, 31)), ("more/gray", (50, 70)), ("more/a", (50, 70))):
        semantic, region = pixels(out / f"semantic/{name}.png"), pixels(out / f"region/{name}.png")
        assert semantic.shape == region.shape == size
        assert semantic.max() < 6
        assert region.min() > 0
        assert pixels(out / f"overlay/{name}.png").shape == (*size, 3)
    with Image.open(out / "semantic/a.png") as image, Image.open(out / "region/a.png") as ids:
        assert image.mode == "P"
        assert ids.mode == "I;16"


def test_the_panoptic_json_belongs_to_its_png(trained: Path, photos: Path, tmp_path: Path) -> None:
    main(["--run", str(trained), "--images", str(photos), "--out", str(tmp_path / "out")])
    told = json.loads((tmp_path / "out" / "panoptic.json").read_text())
    assert [image["file_name"] for image in told["images"]] == [
        "a.png",
        "b.jpg",
        "more/a.tiff",
        "more/gray.webp",
    ]
    assert [c["name"] for c in told["categories"]] == list(SyntheticScenes.classes.names)
    assert len(told["images"]) == len(told["annotations"]) == 4
    for annotation in told["annotations"]:
        colors = pixels(tmp_path / "out" / "panoptic" / annotation["file_name"]).astype(int)
        ids, areas = np.unique(colors @ [1, 256, 65536], return_counts=True)
        assert {s["id"]: s["area"] for s in annotation["segments_info"]} == {
            i: a for i, a in zip(ids.tolist(), areas.tolist(), strict=True) if i
        }


def masks(annotation: dict[str, Any], size: tuple[int, int]) -> npt.NDArray[Any]:
    """The mask of an annotation: polygons filled by OpenCV at four times the size, or run lengths."""
    outline = annotation["segmentation"]
    if isinstance(outline, dict):
        inside = np.arange(len(outline["counts"])) % 2 == 1
        return np.repeat(inside, outline["counts"]).reshape(outline["size"], order="F")
    canvas = np.zeros((4 * size[0] + 1, 4 * size[1] + 1), np.uint8)
    for polygon in outline:
        cv2.fillPoly(canvas, [4 * np.reshape(polygon, (-1, 2))], 1)
    return canvas[2::4, 2::4] > 0  # the centers of the pixels


@pytest.mark.slow
def test_the_instances_json_holds_the_things_of_the_panoptic_maps(
    trained: Path, photos: Path, tmp_path: Path
) -> None:
    main(["--run", str(trained), "--images", str(photos), "--out", str(tmp_path / "out")])
    panoptic, told = (
        json.loads((tmp_path / "out" / f"{name}.json").read_text()) for name in ("panoptic", "instances")
    )
    assert told["images"] == panoptic["images"]
    things = [category for category in panoptic["categories"] if category["isthing"]]
    assert told["categories"] == things
    ids = [annotation["id"] for annotation in told["annotations"]]
    assert ids == list(range(1, len(ids) + 1))
    predictor = Predictor(trained)
    for image, whole in zip(told["images"], panoptic["annotations"], strict=True):
        answer = predictor(photos / image["file_name"])
        wanted = {s["id"]: s for s in whole["segments_info"] if s["category_id"] in {c["id"] for c in things}}
        found = [a for a in told["annotations"] if a["image_id"] == image["id"]]
        assert len(found) == len(wanted)
        colors = pixels(tmp_path / "out" / "panoptic" / whole["file_name"]).astype(int) @ [1, 256, 65536]
        for annotation, (number, segment) in zip(found, wanted.items(), strict=True):
            assert {key: annotation[key] for key in segment if key != "id"} == {
                k: v for k, v in segment.items() if k != "id"
            }
            mask = masks(annotation, colors.shape)
            np.testing.assert_array_equal(mask, colors == number)
            assert annotation["score"] == pytest.approx(answer.confidence[mask].mean())
    assert any(told["annotations"])


@pytest.mark.slow
def test_one_table_has_the_segments_of_all_images(trained: Path, photos: Path, tmp_path: Path) -> None:
    main(["--run", str(trained), "--images", str(photos), "--out", str(tmp_path / "out")])
    with (tmp_path / "out" / "segments.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    predictor = Predictor(trained)
    expected = []
    for name in ("a.png", "b.jpg", "more/a.tiff", "more/gray.webp"):
        for row in predictor(photos / name).rows():
            expected.append(
                {"image": name.partition(".")[0], **{key: str(value) for key, value in row.items()}}
            )
    assert rows == expected


@pytest.mark.slow
def test_probabilities_and_soft_maps_are_written_where_they_are_asked_for(
    trained: Path, photos: Path, tmp_path: Path
) -> None:
    own = ["--run", str(trained), "--images", str(photos / "a.png"), "--out"]
    main([*own, str(tmp_path / "out"), "--probabilities", "true", "--soft"])
    main([*own, str(tmp_path / "plain")])
    asked, plain = answers(tmp_path / "out"), answers(tmp_path / "plain")
    assert asked.keys() - plain.keys() == {"probabilities/a.npz", "confidence/a.png", "boundaries/a.png"}
    assert all(asked[name] == plain[name] for name in plain)
    Predictor(trained)(photos / "a.png", probabilities=True).save(tmp_path / "saved")
    saved = answers(tmp_path / "saved")
    assert all(asked[name] == saved[name] for name in asked.keys() - plain.keys())


@pytest.mark.slow
def test_a_run_and_its_checkpoint_answer_the_same(trained: Path, photos: Path, tmp_path: Path) -> None:
    checkpoint = trained / "checkpoints" / "best.ckpt"
    main(["--run", str(trained), "--images", str(photos / "a.png"), "--out", str(tmp_path / "a")])
    how = ["--device", "cpu", "--threads", "1", "--batch_size", "2", "--images", str(photos / "*.png")]
    main(["--checkpoint", str(checkpoint), *how, "--out", str(tmp_path / "b")])
    for kind in ("semantic", "region", "panoptic"):
        assert np.array_equal(
            pixels(tmp_path / "a" / kind / "a.png"), pixels(tmp_path / "b" / kind / "a.png")
        )


@pytest.mark.slow
def test_a_single_task_writes_what_it_has(tiny: list[str], photos: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    fit.main([*tiny, "--model.semantic_head", "null", "--trainer.max_epochs", "1", "--out", str(run)])
    main(["--run", str(run), "--images", str(photos / "a.png"), "--out", str(tmp_path / "out")])
    written = {"region", "overlay", "segments.csv", "predictions.jsonl"}
    assert {p.name for p in (tmp_path / "out").iterdir()} == written
    (tmp_path / "out" / "predictions.jsonl").unlink()
    with pytest.raises(FileExistsError, match="already holds predictions"):
        main(["--run", str(run), "--images", str(photos / "a.png"), "--out", str(tmp_path / "out")])


@pytest.mark.slow
def test_images_that_cannot_be_read_are_named_and_the_others_answered(
    trained: Path, photos: Path, tmp_path: Path
) -> None:
    (photos / "b.jpg").write_bytes((photos / "b.jpg").read_bytes()[:400])
    with pytest.raises(ValueError, match=r"1 of 4 images have no answer; the others are in .*\n.*b\.jpg"):
        main(["--run", str(trained), "--images", str(photos), "--out", str(tmp_path / "out")])
    assert {p.stem for p in (tmp_path / "out" / "semantic").rglob("*.png")} == {"a", "gray"}
    with pytest.raises(ValueError, match="1 of 1 images have no answer\n"):
        main(["--run", str(trained), "--images", str(photos / "b.jpg"), "--out", str(tmp_path / "none")])
    assert not (tmp_path / "none").exists()


def answers(out: Path) -> dict[str, bytes]:
    """All files of predictions but the record, whose times differ."""
    files = [path for path in out.rglob("*") if path.is_file() and path.suffix != ".jsonl"]
    return {path.relative_to(out).as_posix(): path.read_bytes() for path in files}


@pytest.mark.slow
@pytest.mark.parametrize("torn", [False, True])
def test_predictions_that_were_stopped_are_continued(
    trained: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, torn: bool
) -> None:
    own = ["--run", str(trained), "--images", str(photos), "--out"]
    main([*own, str(tmp_path / "whole")])
    seen: list[str] = []
    ask = FusionModule.predictions

    def stopped(self: FusionModule, batch: Any, size: tuple[int, int], extras: Any) -> Any:
        if batch["name"] == ["more/a"]:
            raise KeyboardInterrupt
        return ask(self, batch, size, extras)

    monkeypatch.setattr(FusionModule, "predictions", stopped)
    with pytest.raises(KeyboardInterrupt):
        main([*own, str(tmp_path / "out")])

    def counted(self: FusionModule, batch: Any, size: tuple[int, int], extras: Any) -> Any:
        seen.extend(batch["name"])
        return ask(self, batch, size, extras)

    monkeypatch.setattr(FusionModule, "predictions", counted)
    record = tmp_path / "out" / "predictions.jsonl"
    if torn:
        record.write_bytes(record.read_bytes()[:-9])
    assert not (tmp_path / "out" / "panoptic.json").exists()
    main([*own, str(tmp_path / "out")])
    again = ["b"] if torn else []
    assert sorted(seen) == [*again, "more/a", "more/gray"]
    assert answers(tmp_path / "out") == answers(tmp_path / "whole")


@pytest.mark.slow
def test_what_changed_is_predicted_again_and_other_settings_are_refused(
    trained: Path, photos: Path, tmp_path: Path
) -> None:
    own = ["--run", str(trained), "--images", str(photos), "--out", str(tmp_path / "out")]
    main(own)
    before = answers(tmp_path / "out")
    Image.new("RGB", (40, 36), "red").save(photos / "a.png")
    main(own)
    after = answers(tmp_path / "out")
    assert {name for name in before if before[name] != after[name]} == {
        *(f"{kind}/a.png" for kind in ("semantic", "region", "panoptic", "overlay")),
        *("panoptic.json", "instances.json", "segments.csv"),
    }
    other = tmp_path / "other" / "a.png"
    other.parent.mkdir()
    shutil.copy2(photos / "a.png", other)
    with pytest.raises(FileExistsError, match=r"the answer for .*photos/a\.png, found .*other/a\.png"):
        main([*own, "--images", str(other)])
    assert answers(tmp_path / "out") == after
    (photos / "a.png").write_bytes(b"no image any more")
    with pytest.raises(UserError, match=r"1 of \d images have no answer"):
        main(own)
    with (tmp_path / "out" / "segments.csv").open(newline="") as file:
        assert "a" not in {row["image"] for row in csv.DictReader(file)}
    for change, name in (
        (["--scale", "0.5"], "scale"),
        (["--precision", "64-true"], "precision"),
        (["--value_range", "[0, 9]"], "value_range"),
        (["--probabilities"], "probabilities"),
    ):
        with pytest.raises(
            FileExistsError, match=f"holds predictions by another {name}: choose another folder"
        ):
            main([*own, *change])


@pytest.mark.parametrize(
    "error",
    [MemoryError(), torch.OutOfMemoryError("CUDA out of memory"), RuntimeError("can't allocate memory: 9")],
)
def test_without_memory_for_an_image_the_next_one_follows(
    trained: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    ask = FusionModule.predictions

    def limited(self: FusionModule, batch: Any, size: tuple[int, int], extras: Any) -> Any:
        if batch["name"] == ["b"]:
            raise error
        return ask(self, batch, size, extras)

    monkeypatch.setattr(FusionModule, "predictions", limited)
    message = (
        r"1 of 4 .*\n  .*b\.jpg: out of memory at 31 x 33 pixels and a scale of 1: give a lower --scale$"
    )
    with pytest.raises(ValueError, match=message):
        main(["--run", str(trained), "--images", str(photos), "--out", str(tmp_path / "out")])
    assert len(json.loads((tmp_path / "out" / "panoptic.json").read_text())["images"]) == 3


@pytest.mark.slow
def test_an_image_that_lacks_memory_beside_another_one_is_answered_alone(
    trained: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = ["--run", str(trained), "--images", str(photos), "--out"]
    main([*own, str(tmp_path / "whole")])
    ask = FusionModule.predictions
    tried: list[str] = []

    def crowded(self: FusionModule, batch: Any, size: tuple[int, int], extras: Any) -> Any:
        tried.extend(batch["name"])
        if tried.count("b") == 1 and batch["name"] == ["b"]:
            raise MemoryError
        return ask(self, batch, size, extras)

    monkeypatch.setattr(FusionModule, "predictions", crowded)
    main([*own, str(tmp_path / "out")])
    assert tried.count("b") == 2
    assert len(tried) == 5
    assert answers(tmp_path / "out") == answers(tmp_path / "whole")


def test_other_errors_of_a_model_end_the_run(
    trained: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def wrong(*_: object) -> None:
        raise RuntimeError("shapes differ")

    monkeypatch.setattr(FusionModule, "predictions", wrong)
    with pytest.raises(RuntimeError, match="shapes differ"):
        main(["--run", str(trained), "--images", str(photos), "--out", str(tmp_path / "out")])


@pytest.mark.slow
def test_answers_are_on_the_grid_of_the_stored_pixels(
    trained: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["--run", str(trained), "--images", str(photos / "a.png"), "--out", str(tmp_path / "plain")])
    assert "EXIF" not in capsys.readouterr().err
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    with Image.open(photos / "a.png") as image:
        image.save(photos / "a.png", exif=exif)
    main(["--run", str(trained), "--images", str(photos / "*.png"), "--out", str(tmp_path / "turned")])
    assert answers(tmp_path / "turned") == answers(tmp_path / "plain")
    assert (
        "1 of 1 images have an EXIF orientation: answers are on the grid of the stored"
        in capsys.readouterr().err
    )


@pytest.mark.slow
def test_twelve_bits_are_answered_like_eight(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    gray = SyntheticScenes("test", 1, (64, 64)).read(0).image[..., 1]
    Image.fromarray(gray).save(photos / "eight.png")
    Image.fromarray((gray.astype(np.uint32) * 4095 // 255).astype(np.uint16)).save(photos / "twelve.tif")
    own = ["--run", str(trained), "--precision", "32-true", "--images", str(photos), "--out"]
    main([*own, str(tmp_path / "dark"), "--images", str(photos / "twelve.tif")])
    assert "1 of 1 images of more than 8 bits fill less than a tenth" in capsys.readouterr().err
    main([*own, str(tmp_path / "out"), "--value_range", "[0, 4095]"])
    said = capsys.readouterr().err
    assert "value_range" not in said
    assert "1 of 2 images have 8 bits, to which the value range is not applied" in said
    eight, twelve = (pixels(tmp_path / f"out/semantic/{name}.png") for name in ("eight", "twelve"))
    assert (eight == twelve).mean() > 0.98
    assert (eight == pixels(tmp_path / "dark/semantic/twelve.png")).mean() < 0.9


@pytest.mark.slow
def test_the_value_range_of_the_training_data_is_kept_with_the_checkpoint(
    tiny: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "mine"
    for part in ("images", "semantic"):
        (root / part).mkdir(parents=True)
    for i in range(8):
        image, semantic, _, _ = SyntheticScenes("train", 8, (64, 64)).read(i)
        Image.fromarray((image[..., 1].astype(np.uint32) * 4095 // 255).astype(np.uint16)).save(
            root / f"images/{i}.tif"
        )
        Image.fromarray(semantic).save(root / f"semantic/{i}.png")
    classes = "classes: [{name: a}, {name: b}, {name: c}, {name: d}, {name: e}, {name: f}]\n"
    (root / "classes.yaml").write_text(f"{classes}value_range: [0, 4095]\n")
    data = [
        "--data.dataset",
        "Folder",
        "--data.dataset.root",
        str(root),
        "--data.dataset.val_fraction",
        "0.4",
    ]
    run = tmp_path / "run"
    fit.main([*tiny[6:], *data, "--trainer.max_epochs", "1", "--out", str(run)])
    assert Predictor(run).settings["value_range"] == [0, 4095]
    main(["--run", str(run), "--images", str(root / "images"), "--out", str(tmp_path / "out")])
    assert "value_range" not in capsys.readouterr().err
    (root / "classes.yaml").write_text(classes)
    evaluate.main(["--run", str(run)])
    assert "images looked at fill less than a tenth of the range of their values" in capsys.readouterr().err


def test_a_checkpoint_of_something_else_is_named(photos: Path, tmp_path: Path) -> None:
    torch.save({"weight": torch.zeros(3)}, tmp_path / "weights.pth")
    (tmp_path / "text.ckpt").write_text("hello")
    for name, message in (
        ("weights.pth", r"weights\.pth: expected a checkpoint with a state_dict"),
        ("text.ckpt", r"text\.ckpt: not a complete checkpoint"),
        ("none.ckpt", r"expected a run folder, a checkpoint or a saved model, found no .*none\.ckpt"),
    ):
        with pytest.raises((ValueError, FileNotFoundError), match=message):
            main(
                [
                    "--checkpoint",
                    str(tmp_path / name),
                    "--images",
                    str(photos),
                    "--out",
                    str(tmp_path / "out"),
                ]
            )
    assert not (tmp_path / "out").exists()


def test_arguments_that_make_no_sense_are_refused(trained: Path, photos: Path, tmp_path: Path) -> None:
    images = ["--images", str(photos)]
    out = ["--out", str(tmp_path / "out")]
    own = ["--run", str(trained), *images]
    with pytest.raises(UsageError, match=r"^the following arguments are required: out$"):
        options(own)
    with pytest.raises(UsageError, match=r"^imags: no such setting; did you mean images\?$"):
        options([*own, *out, "--imags", "x"])
    with pytest.raises(UsageError, match=r"^scale: expected a number or null, found big$"):
        options([*own, *out, "--scale", "big"])
    with pytest.raises(UsageError, match=r"^images: expected a value, found none$"):
        options(["--images", *out])
    with pytest.raises(UsageError, match=r"scale: expected a size above 0, found -1\.0"):
        main([*own, *out, "--scale", "-1"])
    for both, found in (([], "neither"), (["--run", "a", "--checkpoint", "b"], "both")):
        with pytest.raises(UsageError, match=f"expected --run or --checkpoint, found {found}"):
            main([*both, *images, *out])
    with pytest.raises(
        UsageError, match=r"device: expected a device of torch's that is there, found toaster"
    ):
        main([*own, *out, "--device", "toaster"])
    for name in ("threads", "batch_size"):
        with pytest.raises(UsageError, match=rf"{name}: expected at least 1"):
            main([*own, *out, f"--{name}", "0"])
    with pytest.raises(NotADirectoryError, match="is a file: choose a folder"):
        main([*own, "--out", str(photos / "a.png")])
    with pytest.raises(FileNotFoundError, match="expected a run folder"):
        main(["--run", str(tmp_path / "none"), *images, *out])
    assert not (tmp_path / "out").exists()


def test_help_shows_every_argument(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(["--help"])
    shown = " ".join(capsys.readouterr().out.split())
    for text in ("--images Images, folders of images, or glob", "--out Folder", "--run Run folder", "--checkpoint ", "--scale ",
                 "--precision "):  # fmt: skip
        assert text in shown
