"""Arguments of a default part do not survive its replacement, wherever the other class is named."""

import inspect
from functools import partial
from pathlib import Path
from typing import Any, get_type_hints

import pytest
import yaml
from lightning.pytorch import Trainer

from fusionseg.cli.configuration import experiment
from fusionseg.cli.fusion_cli import FusionCLI
from fusionseg.commands import fit
from fusionseg.commands.evaluate import EvaluateCLI
from fusionseg.commands.fit import FitCLI
from fusionseg.config.type_names import choices
from fusionseg.data.datamodule import SegmentationDataModule
from fusionseg.data.synthetic import SyntheticScenes
from fusionseg.heads import CenterOffsetHead
from fusionseg.module import FusionModule
from fusionseg.networks.backbone import Backbone

PARTS = {
    f"{key}.{name}": (hint, inspect.signature(made).parameters[name].default)
    for key, made in (("model", FusionModule), ("data", SegmentationDataModule))
    for name, hint in get_type_hints(made.__init__).items()
    if name in inspect.signature(made).parameters
    and inspect.isclass(inspect.signature(made).parameters[name].default)
}
"""The parts with a default: their type and the default class."""

CONFIGURATIONS = """
model:
  optimizer: {class_path: RMSprop}
  region_head: {class_path: CenterOffsetHead}
---
model:
  optimizer: {class_path: SGD}
  region_head: {class_path: CenterOffsetHead, init_args: {sigma: 5.0}}
"""


@pytest.fixture(autouse=True)
def only_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FusionCLI, "instantiate_classes", lambda _: None)


def parsed(*words: str) -> Any:
    return EvaluateCLI([*words, "--run", "somewhere"]).config


def part(config: Any, key: str) -> Any:
    return config[key.replace(".", ".init_args.", 1)]


def own_defaults(kind: type) -> dict[str, Any]:
    parameters = inspect.signature(kind).parameters.values()
    return {p.name: p.default for p in parameters if p.default is not inspect.Parameter.empty}


def differing(key: str) -> list[type]:
    """The classes for a part that need no arguments and have another default for one of its default's."""
    hint, default = PARTS[key]
    known = own_defaults(default)
    required = len(inspect.signature(default).parameters) - len(known)
    found = []
    for kind in choices(hint):
        own = own_defaults(kind)
        differs = any(name in known and known[name] != value for name, value in own.items())
        ours = kind.__module__.split(".")[0] in ("fusionseg", "torch", "lightning")  # and not of other tests
        if ours and differs and len(inspect.signature(kind).parameters) - len(own) <= required:
            found.append(kind)
    return found


def has_defaults(found: Any, kind: type) -> bool:
    arguments = found.get("init_args", {})
    own = own_defaults(kind)
    return all(arguments[name] == own[name] for name in vars(arguments) if _is_plain(own.get(name, ())))


def _is_plain(value: object) -> bool:
    return value is None or isinstance(value, bool | int | float | str)


def test_there_are_parts_whose_defaults_differ() -> None:
    assert {"model.semantic_head", "model.balancer", "data.dataset", "data.augmentation"} < PARTS.keys()
    assert {key for key in PARTS if differing(key)} >= {"model.optimizer", "model.region_head"}


@pytest.mark.parametrize("number", range(3))
def test_a_class_in_place_of_a_default_has_its_own_defaults(number: int) -> None:
    kinds = {key: differing(key)[-1 - number] for key in PARTS if len(differing(key)) > number}
    config = parsed(*(f"--{key}={kind.__module__}.{kind.__qualname__}" for key, kind in kinds.items()))
    for key, kind in kinds.items():
        assert has_defaults(part(config, key), kind), (key, part(config, key))


@pytest.mark.parametrize("order", [[0], [0, 1], [1, 0]])
def test_a_class_that_files_name_has_its_own_defaults_and_what_files_give(
    order: list[int], tmp_path: Path
) -> None:
    words = []
    for number in order:
        path = tmp_path / f"{number}.yaml"
        path.write_text(CONFIGURATIONS.split("---")[number])
        words += ["--config", str(path)]
    config = parsed(*words)
    optimizer = part(config, "model.optimizer")
    expected = {"RMSprop": (0.01, 0.0), "SGD": (0.001, 0.0)}["SGD" if order[-1] else "RMSprop"]
    assert (optimizer.init_args.lr, optimizer.init_args.weight_decay) == expected
    head = part(config, "model.region_head").init_args
    assert (head.threshold, head.sigma) == (0.1, 5.0 if 1 in order else 8.0)


@pytest.mark.slow
def test_a_class_in_place_of_one_in_a_complete_configuration_has_its_own_defaults(tmp_path: Path) -> None:
    cli = FitCLI(["--model.alpha", "0.5", "--model.optimizer.lr", "0.02", "--out", str(tmp_path / "run")])
    cli.run.release()
    complete = tmp_path / "config.yaml"
    complete.write_text(experiment(cli.parser, cli.original))
    assert yaml.safe_load(complete.read_text())["model"]["init_args"]["optimizer"]["init_args"]["lr"] == 0.02
    content = yaml.safe_load(complete.read_text())
    complete.write_text(yaml.safe_dump({"model": content["model"], "data": content["data"]}))
    config = parsed("--config", str(complete), "--model.optimizer", "SGD")
    optimizer = part(config, "model.optimizer").init_args
    assert (config.model.init_args.alpha, optimizer.lr, optimizer.weight_decay) == (0.5, 0.02, 0.0)


@pytest.mark.parametrize("words", ["{0} SGD {0}.weight_decay 0.1", "{0}.weight_decay 0.1 {0} SGD"])
def test_what_was_given_survives(words: str) -> None:
    optimizer = part(parsed(*words.format("--model.optimizer").split()), "model.optimizer")
    assert (optimizer.class_path, optimizer.init_args.weight_decay) == ("torch.optim.SGD", 0.1)


@pytest.mark.slow
def test_a_checkpoint_gives_a_class_in_place_of_a_default_its_own_defaults(tmp_path: Path) -> None:
    model = FusionModule(
        SyntheticScenes.classes,
        region_head=partial(CenterOffsetHead, sigma=5.0),
        backbone=Backbone("tu-test_efficientnet", decoder="FPN"),
    )
    trainer = Trainer(accelerator="cpu", logger=False, enable_checkpointing=False)
    trainer.strategy.connect(model)
    trainer.save_checkpoint(tmp_path / "run.ckpt")
    again = FusionModule.load_from_checkpoint(tmp_path / "run.ckpt", weights_only=True)
    for head in (model.heads["region"], again.heads["region"]):
        assert isinstance(head, CenterOffsetHead)
        assert (head.threshold, head.sigma) == (0.1, 5.0)


OWN = """
from lightning import LightningDataModule, LightningModule

class Model(LightningModule):
    def __init__(self, alpha: float = 7.0, encoder_lr: float = 0.5, l1: float = 0.25) -> None:
        super().__init__()

class Data(LightningDataModule):
    classes = ()

    def __init__(self, batch_size: int = 3, scale: float = 0.5, fraction: float = 0.75) -> None:
        super().__init__()
"""


def test_a_model_and_data_of_one_s_own_have_their_own_defaults(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "parts_in_place.py").write_text(OWN)
    monkeypatch.syspath_prepend(str(tmp_path))
    given = ("--model.encoder_lr", "0.125", "--data.fraction", "0.625")
    config = parsed(*given, "--model", "parts_in_place.Model", "--data", "parts_in_place.Data")
    model, data = vars(config.model.init_args), vars(config.data.init_args)
    assert model == {"alpha": 7.0, "encoder_lr": 0.125, "l1": 0.25}
    assert data == {"batch_size": 3, "scale": 0.5, "fraction": 0.625}


@pytest.mark.parametrize(
    ("words", "rate"),
    [
        ("{0} SGD", 0.001),
        ("{0} SGD {0}.lr 0.1", 0.1),
        ("{0}.lr 0.1 {0} SGD", 0.1),
        ("{0} AdamW", 0.004),
        ("--config {1} {0} SGD", 0.004),
    ],
)
def test_what_stands_where_no_configuration_is_named_is_a_default_too(
    words: str, rate: float, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        fit.main([*words.format("--model.optimizer", fit.SYNTHETIC).split(), "--print_config"])
    found = yaml.safe_load(capsys.readouterr().out)["model"]["init_args"]["optimizer"]["init_args"]
    assert found["lr"] == rate


def test_a_model_and_data_of_one_s_own_get_nothing_that_nobody_gave(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "other_parts.py").write_text(
        OWN.replace("l1: float = 0.25", "l1: float = 0.25, optimizer: dict | None = None").replace(
            "scale: float = 0.5",
            "scale: float = 0.5, cache: str = 'mine', crop_size: tuple[int, int] = (8, 8)",
        )
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(SystemExit):
        fit.main(["--model", "other_parts.Model", "--data", "other_parts.Data", "--print_config"])
    found = yaml.safe_load(capsys.readouterr().out)
    assert found["model"]["init_args"]["optimizer"] is None
    assert (found["data"]["init_args"]["cache"], found["data"]["init_args"]["crop_size"]) == ("mine", [8, 8])
