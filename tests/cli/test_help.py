import inspect
import re
import shlex
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import pytest

from fusionseg.commands.fit import FitCLI, Options, main
from fusionseg.data.datamodule import SegmentationDataModule
from fusionseg.module import FusionModule
from fusionseg.networks.backbone import Backbone
from fusionseg.trainer import Trainer


@pytest.fixture
def lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    with pytest.raises(SystemExit, match="0"):
        main(["--help"])
    return capsys.readouterr().out.splitlines()


@pytest.fixture
def shown(lines: list[str]) -> str:
    return " ".join(" ".join(lines).split())


def test_help_has_at_most_135_lines_of_100_columns(lines: list[str]) -> None:
    assert len(lines) <= 135
    assert max(map(len, lines)) <= 100


@pytest.mark.parametrize(
    ("key", "part"),
    [
        ("", Options),
        ("model.", FusionModule),
        ("model.backbone.", Backbone),
        ("data.", SegmentationDataModule),
        ("trainer.", Trainer),
    ],
)
def test_help_shows_every_setting_of_ours_with_its_meaning(key: str, part: type, lines: list[str]) -> None:
    meaning = {line.split()[0]: line.split()[1:] for line in lines if line.startswith("  --")}
    names = set(inspect.signature(part).parameters) - {"classes", "backbone", "kwargs"}
    assert not [name for name in names if not meaning.get(f"--{key}{name}")]
    assert not [name for name in names if meaning[f"--{key}{name}"][0].startswith("(")]


def test_help_has_one_line_for_lightnings_arguments_and_they_are_listed(
    shown: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "--trainer.help Lists all further arguments of Lightning's Trainer" in shown
    assert "--trainer.gradient_clip_val" not in shown
    with pytest.raises(SystemExit, match="0"):
        main(["--trainer.help"])
    listed = capsys.readouterr().out
    theirs = set(inspect.signature(pl.Trainer).parameters) - set(inspect.signature(Trainer).parameters)
    assert "gradient_clip_val" in theirs
    assert not [name for name in theirs if f"--trainer.{name}" not in listed]


def test_help_says_what_settings_mean_and_what_fits(shown: str) -> None:
    assert "--model.alpha Weight of the semantic loss (default 1.0)" in shown
    assert (
        "heads AffinityHead, BoundaryHead, CenterOffsetHead, ClassifierHead, DepthHead, DisparityHead"
        in shown
    )
    assert "CrossEntropy, Dice, Discriminative, Focal" in shown
    assert "(default SemanticHead, or null)" in shown
    assert "--data.fraction Part of the training images to use" in shown
    assert "--out Run folder" in shown


EXAMPLES = {
    "learning rate": ("model.init_args.optimizer.init_args.lr", 0.001),
    "losses": ("model.init_args.semantic_head.init_args.losses.1.class_path", "fusionseg.losses.Dice"),
    "class weights": ("model.init_args.semantic_head.init_args.losses.0.init_args.class_weights", "balanced"),
    "rare classes": ("data.init_args.sampling.init_args.threshold", 0.05),
    "more tasks": ("model.init_args.extra_heads.depth.weight", 0.5),
    "regions": ("model.init_args.region_head.init_args.sigma", 6.0),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", EXAMPLES)
def test_the_examples_of_the_help_work(name: str, lines: list[str], tmp_path: Path) -> None:
    text = "\n".join(lines).partition("Examples:\n")[2]
    example = re.search(rf"  {name} +(--[^;]+?)(?:;|\n  \w|$)", text)
    assert example
    args = shlex.split(" ".join(example[1].split()))
    found: Any = FitCLI([*args, "--out", str(tmp_path / "run")]).config.as_dict()
    keys, expected = EXAMPLES[name]
    for key in keys.split("."):
        found = found[int(key) if key.isdigit() else key]
    assert found == expected


def test_help_shows_the_interesting_first_and_ends_with_examples(shown: str) -> None:
    order = [
        "usage: python -m fusionseg.fit",
        "--out",
        "--model.alpha",
        "--data.dataset",
        "--trainer.max_epochs",
    ]
    assert [shown.index(word) for word in order] == sorted(shown.index(word) for word in order)
    assert shown.rstrip().endswith("--out runs/camvid-again")
    assert "--model.balancer.help MGDA" in shown


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("--model.region_head.help CenterOffsetHead", "Standard deviation of a center"),
        ("--data.dataset.help CamVid", "The folder that holds"),
        ("--model.optimizer.help SGD", "momentum factor"),
        ("--trainer.callbacks.help EarlyStopping", "quantity to be monitored"),
    ],
)
def test_the_help_of_parts_that_the_epilogue_names_works(
    words: str, expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(words.split())
    assert expected in capsys.readouterr().out
