import inspect

import pytest

from fusionseg.commands.fit import main
from fusionseg.data.datamodule import SegmentationDataModule
from fusionseg.module import FusionModule
from fusionseg.networks.backbone import Backbone
from fusionseg.trainer import Trainer


@pytest.fixture
def shown(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("COLUMNS", "120")
    with pytest.raises(SystemExit, match="0"):
        main(["--help"])
    return " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    ("key", "part"),
    [
        ("model", FusionModule),
        ("model.backbone", Backbone),
        ("data", SegmentationDataModule),
        ("trainer", Trainer),
    ],
)
def test_help_shows_every_setting_of_the_defaults(key: str, part: type, shown: str) -> None:
    names = set(inspect.signature(part).parameters) - {"classes", "backbone", "kwargs"}
    assert not [name for name in names if f"--{key}.{name} " not in shown]


def test_help_says_what_settings_mean_and_what_fits(shown: str) -> None:
    assert "--model.alpha ALPHA Weight of the semantic loss. (type: float, default: 1.0)" in shown
    heads = "BoundaryHead, CenterOffsetHead, DepthHead, NormalsHead, SceneHead, SemanticHead"
    assert f"(type: Head | null, default: BoundaryHead, one of: {heads})" in shown
    assert "null trains the classes alone" in shown
    assert "--data.fraction FRACTION Part of the training images to use" in shown
    assert "--out OUT Run folder" in shown


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
