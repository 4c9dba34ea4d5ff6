"""Without a configuration `fit` trains the experiment on synthetic scenes that the package holds."""

from pathlib import Path

import pytest
import yaml

from fusionseg.commands.fit import SYNTHETIC, main

EXPERIMENTS = Path(__file__).parents[2] / "experiments"


def printed(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> dict:
    with pytest.raises(SystemExit):
        main([*arguments, "--print_config"])
    return yaml.safe_load(capsys.readouterr().out)


@pytest.mark.slow
def test_no_configuration_is_the_synthetic_one(capsys: pytest.CaptureFixture[str]) -> None:
    named = printed(["--config", str(EXPERIMENTS / "synthetic.yaml")], capsys)
    bare = printed([], capsys)
    for key in ("model", "data", "trainer", "seed_everything"):
        assert bare[key] == named[key]
    assert bare["model"]["init_args"]["backbone"]["decoder"] == "SlimUnet"


def test_the_experiment_is_the_file_of_the_package() -> None:
    assert (EXPERIMENTS / "synthetic.yaml").samefile(SYNTHETIC)


def test_arguments_replace_what_it_sets(capsys: pytest.CaptureFixture[str]) -> None:
    words = [
        "--model.backbone.decoder",
        "DeepLabV3Plus",
        "--model.optimizer",
        "SGD",
        "--trainer.max_epochs",
        "2",
    ]
    given = printed(words, capsys)
    assert given["model"]["init_args"]["backbone"]["decoder"] == "DeepLabV3Plus"
    assert given["model"]["init_args"]["optimizer"]["class_path"] == "torch.optim.SGD"
    assert given["trainer"]["max_epochs"] == 2


def test_another_configuration_knows_nothing_of_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "other.yaml"
    other.write_text("trainer: {max_epochs: 3}\n")
    given = printed(["--config", str(other)], capsys)
    assert given["model"]["init_args"]["backbone"]["encoder"] == "resnet18"
