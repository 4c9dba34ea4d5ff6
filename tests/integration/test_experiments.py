"""Every experiment runs: one step on its own kind of data, through the real entry point."""

import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from fusionseg.commands.evaluate import EvaluateCLI
from fusionseg.commands.fit import main

EXPERIMENTS = Path(__file__).parents[2] / "experiments"
ROOTS = {
    "BSDS500": {"root": "BSDS500"},
    "CamVid": {"root": "CamVid"},
    "CocoPanoptic": {"root": "coco_panoptic"},
    "DSB2018": {"root": "dsb2018"},
}
ROOTS["MixtureDataset"] = {"datasets.CamVid.root": "CamVid", "datasets.BSDS500.root": "BSDS500"}
ABSENT = {
    "NYUv2": ["--data.dataset", "SyntheticScenes", "--data.dataset.depth", "true"],
    "StanfordBackground": ["--data.dataset", "SyntheticScenes"],
}
"""What takes the place of data sets of which no real files are at hand."""
SMALL = [
    *(
        "--data.batch_size",
        "2",
        "--data.crop_size",
        "[64, 64]",
        "--data.scale",
        "0.25",
        "--data.workers",
        "0",
    ),
    *("--data.cache", "none", "--model.backbone.weights", "null"),
    *("--trainer.max_steps", "1", "--trainer.limit_train_batches", "1", "--trainer.limit_val_batches", "1"),
    *("--trainer.check_val_every_n_epoch", "1"),
]


def own_data(root: Path) -> Path:
    """A folder as the README has it."""
    for name in map(str, range(10)):
        for kind, values in (("images", np.zeros((256, 256, 3))), ("semantic", np.ones((256, 256)))):
            path = root / kind / f"{name}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(values.astype(np.uint8)).save(path)
    (root / "classes.yaml").write_text(
        "classes: [{name: ground, color: [0, 0, 0]}, {name: cell, color: [200, 60, 60], thing: true}]"
    )
    return root


def split_samples(name: str, data: Path, root: Path) -> Path:
    """The layout of a data set of which there are three real photos, two of them to train on."""
    if name == "PascalVOC":
        top = root / "VOCdevkit/VOC2012"
        (top / "ImageSets/Segmentation").mkdir(parents=True)
        for folder in ("JPEGImages", "SegmentationClass", "SegmentationObject"):
            (top / folder).symlink_to(data / "voc_layout/VOC2012" / folder)
        for split, names in (("train", ("2011_000003", "2011_000006")), ("val", ("2011_000025",))):
            (top / f"ImageSets/Segmentation/{split}.txt").write_text("\n".join(names))
        return root
    sample = data / "ade20k/ADEChallengeData2016"
    for split, numbers in (("training", (1, 2)), ("validation", (3,))):
        for folder, suffix in (("images", ".jpg"), ("annotations", ".png")):
            (root / folder / split).mkdir(parents=True)
            for number in numbers:
                file = f"ADE_val_{number:08d}{suffix}"
                (root / folder / split / file).symlink_to(sample / folder / "validation" / file)
    (root / "objectInfo150.csv").symlink_to(sample / "objectInfo150.csv")
    return root


@pytest.mark.slow
@pytest.mark.parametrize("path", sorted(EXPERIMENTS.glob("*.yaml")), ids=lambda path: path.stem)
def test_an_experiment_makes_a_step(path: Path, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    dataset = yaml.safe_load(path.read_text())["data"]["init_args"]["dataset"]
    name = (dataset if isinstance(dataset, str) else dataset["class_path"]).rpartition(".")[2]
    root = []
    if name in ROOTS:
        data = request.getfixturevalue("data")
        root = [f"--data.dataset.{key}={data / folder}" for key, folder in ROOTS[name].items()]
    elif name in ABSENT:
        root = [*ABSENT[name], "--data.dataset.length", "4", "--data.dataset.size", "[256, 256]"]
    elif name in ("ADE20K", "PascalVOC"):
        samples = split_samples(name, request.getfixturevalue("data"), tmp_path / "samples")
        root = ["--data.dataset.root", str(samples)]
    elif name == "Cityscapes":
        root = ["--data.dataset.root", str(request.getfixturevalue("cityscapes"))]
    elif name == "ClassFolders":
        images = request.getfixturevalue("class_folders")()
        root = ["--data.dataset.root", str(images), "--data.resize", "[64, 64]"]
    elif name == "Folder":
        root = ["--data.dataset.root", str(own_data(tmp_path / "mine"))]
    small = SMALL if name != "ClassFolders" else [*SMALL[:4], *SMALL[6:]]  # which has no scale
    main(["--config", str(path), *small, *root, "--out", str(tmp_path / "run")])
    told = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert told["status"] == "finished"
    assert 0 <= told["metrics"]["val/score"] <= 1


@pytest.mark.parametrize("path", sorted(EXPERIMENTS.glob("*.yaml")), ids=lambda path: path.stem)
def test_an_experiment_opens_with_its_command(path: Path) -> None:
    assert path.read_text().startswith(f"# python -m fusionseg.fit --config experiments/{path.name}")


@pytest.mark.slow
@pytest.mark.parametrize("path", sorted((EXPERIMENTS / "sweeps").glob("*.yaml")), ids=lambda path: path.stem)
def test_a_sweep_drives_the_command_line_through_a_file(path: Path, tmp_path: Path) -> None:
    sweep = yaml.safe_load(path.read_text())
    words = sweep["command"]
    assert words[:4] == ["${env}", "${interpreter}", "-m", "fusionseg.fit"]
    chosen = {
        key: p.get("values", [p.get("value", p.get("min"))])[0] for key, p in sweep["parameters"].items()
    }
    (tmp_path / "args.json").write_text(json.dumps(chosen))
    found = {"${args_json_file}": str(tmp_path / "args.json")}
    args = [found.get(word, word) for word in words[4:]]
    args = [str(EXPERIMENTS.parent / word) if word.startswith("experiments/") else word for word in args]
    config = EvaluateCLI([*args, "--run", "none"]).config
    assert {key: config[key] for key in chosen} == chosen
