import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from fusionseg.commands.predict import main, options
from fusionseg.config.errors import UsageError
from fusionseg.data.synthetic import SyntheticScenes
from fusionseg.runs.prediction_files import image_files


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Images of several sizes and formats, one in a folder below."""
    folder = tmp_path / "photos"
    (folder / "more").mkdir(parents=True)
    scenes = SyntheticScenes("test", 4, (50, 70))
    Image.fromarray(scenes.read(0).image).save(folder / "a.png")
    Image.fromarray(scenes.read(1).image[:33, :31]).save(folder / "b.jpg")
    Image.fromarray(scenes.read(2).image).convert("L").save(folder / "more" / "grey.webp")
    Image.fromarray(scenes.read(3).image).convert("RGBA").save(folder / "more" / "a.tiff")
    (folder / "notes.txt").write_text("no image")
    return folder


def pixels(path: Path) -> npt.NDArray[Any]:
    with Image.open(path) as image:
        return np.asarray(image)


def test_every_image_has_all_answers_at_its_own_size(trained: Path, photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    main(["--run", str(trained), "--images", str(photos), "--out", str(out)])
    for name, size in (("a", (50, 70)), ("b", (33, 31)), ("more/grey", (50, 70)), ("more/a", (50, 70))):
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
    assert [c["name"] for c in told["categories"]] == list(SyntheticScenes.classes.names)
    assert len(told["images"]) == len(told["annotations"]) == 4
    for annotation in told["annotations"]:
        colors = pixels(tmp_path / "out" / "panoptic" / annotation["file_name"]).astype(int)
        ids, areas = np.unique(colors @ [1, 256, 65536], return_counts=True)
        assert {s["id"]: s["area"] for s in annotation["segments_info"]} == {
            i: a for i, a in zip(ids.tolist(), areas.tolist(), strict=True) if i
        }


def test_a_run_and_its_checkpoint_answer_the_same(trained: Path, photos: Path, tmp_path: Path) -> None:
    checkpoint = trained / "checkpoints" / "best.ckpt"
    main(["--run", str(trained), "--images", str(photos / "a.png"), "--out", str(tmp_path / "a")])
    main(["--checkpoint", str(checkpoint), "--images", str(photos / "*.png"), "--out", str(tmp_path / "b")])
    for kind in ("semantic", "region", "panoptic"):
        assert np.array_equal(
            pixels(tmp_path / "a" / kind / "a.png"), pixels(tmp_path / "b" / kind / "a.png")
        )


def test_a_single_task_writes_what_it_has(tiny: list[str], photos: Path, tmp_path: Path) -> None:
    from fusionseg.commands import fit

    run = tmp_path / "run"
    fit.main([*tiny, "--model.semantic_head", "null", "--trainer.max_epochs", "1", "--out", str(run)])
    main(["--run", str(run), "--images", str(photos / "a.png"), "--out", str(tmp_path / "out")])
    assert {p.name for p in (tmp_path / "out").iterdir()} == {"region", "overlay"}
    with pytest.raises(FileExistsError, match="already holds predictions"):
        main(["--run", str(run), "--images", str(photos / "a.png"), "--out", str(tmp_path / "out")])


def test_images_are_found_by_file_folder_and_pattern(photos: Path) -> None:
    assert list(image_files([str(photos / "a.png")])) == ["a"]
    assert list(image_files([str(photos / "*.jpg"), str(photos / "a.png")])) == ["b", "a"]
    assert list(image_files([str(photos)])) == ["a", "b", "more/a", "more/grey"]
    assert list(image_files([str(photos / "a.png"), str(photos / "more" / "a.tiff")])) == ["a.png", "a.tiff"]
    for nothing in ("none.png", "*.bmp"):
        with pytest.raises(FileNotFoundError, match="found none"):
            image_files([str(photos / nothing)])


def test_images_that_cannot_be_read_are_named_and_the_others_answered(
    trained: Path, photos: Path, tmp_path: Path
) -> None:
    (photos / "b.jpg").write_bytes((photos / "b.jpg").read_bytes()[:400])
    with pytest.raises(ValueError, match=r"1 of 4 images could not be read; the others are in .*\n.*b\.jpg"):
        main(["--run", str(trained), "--images", str(photos), "--out", str(tmp_path / "out")])
    assert {p.stem for p in (tmp_path / "out" / "semantic").rglob("*.png")} == {"a", "grey"}
    with pytest.raises(ValueError, match="1 of 1 images could not be read\n"):
        main(["--run", str(trained), "--images", str(photos / "b.jpg"), "--out", str(tmp_path / "none")])
    assert not (tmp_path / "none").exists()


def test_a_checkpoint_of_something_else_is_named(photos: Path, tmp_path: Path) -> None:
    import torch

    torch.save({"weight": torch.zeros(3)}, tmp_path / "weights.pth")
    (tmp_path / "text.ckpt").write_text("hello")
    for name, message in (
        ("weights.pth", "expected a checkpoint with a state_dict"),
        ("text.ckpt", "not a complete checkpoint"),
        ("none.ckpt", "no such checkpoint"),
    ):
        with pytest.raises(ValueError, match=f"{name}: {message}"):
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
