"""A run folder of somebody else, whose configuration or checkpoint wants to run code."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from fusionseg.commands import evaluate, fit, predict

OWN = """
from fusionseg.heads import SemanticHead
from lightning.pytorch.callbacks import Callback

class Own(SemanticHead):
    pass

class Loud(Callback):
    def __init__(self):
        raise RuntimeError("built")
"""
HEAD = "model.init_args.semantic_head"
OS = {"class_path": "os.system", "init_args": {"command": "true"}}
LAMBDA = {
    "class_path": "lightning.pytorch.callbacks.LambdaCallback",
    "init_args": {"on_fit_start": "torch.hub.load"},
}
LOUD = [{"class_path": "own_parts.Loud"}]


@pytest.fixture(autouse=True)
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A file of parts beside the run folder, not imported yet, that Python would find."""
    (tmp_path / "own_parts.py").write_text(OWN)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    yield
    sys.modules.pop("own_parts", None)


def changed(run: Path, key: str, value: object) -> list[str]:
    """The run, with one setting of its configuration changed."""
    config = yaml.safe_load((run / "config.yaml").read_text())
    *above, last = key.split(".")
    settings: Any = config
    for name in above:
        settings = settings[name]
    settings[last] = value
    (run / "config.yaml").write_text(yaml.safe_dump(config))
    return [str(run)]


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        (
            HEAD,
            "own_parts.Own",
            r"semantic_head: own_parts\.Own is of a package .*--trust own_parts .*config\.yaml",
        ),
        (HEAD, OS, r"semantic_head: expected a class that is part of a run, found os\.system"),
        ("model.init_args.backbone.decoder", "own_parts.Own", "decoder: .*--trust own_parts"),
        (
            "model.init_args.backbone.options",
            {"x": {"class_path": "own_parts.Own"}},
            "options.x: .*--trust own_parts",
        ),
        ("data", {"class_path": "own_parts.Own"}, "data: .*--trust own_parts"),
        ("trust", "own_parts", "trust|semantic_head"),
    ],
)
def test_evaluate_imports_nothing_of_a_package_that_is_not_trusted(
    key: str, value: object, message: str, trained: Path
) -> None:
    if key == "trust":
        changed(trained, HEAD, {"class_path": "own_parts.Own"})
    changed(trained, key, value)
    with pytest.raises(ValueError, match=message):
        evaluate.main(["--run", str(trained)])
    assert "own_parts" not in sys.modules


@pytest.mark.slow
@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("trainer.callbacks", LOUD, r"trainer\.callbacks: .*--trust own_parts"),
        ("trainer.callbacks", [LAMBDA], r"on_fit_start: expected a plain value, found torch\.hub\.load"),
        ("trainer.plugins", LOUD, r"trainer\.plugins: .*--trust own_parts"),
    ],
)
def test_resume_builds_no_foreign_part_of_a_trainer(
    key: str, value: object, message: str, trained: Path
) -> None:
    changed(trained, key, value)
    with pytest.raises(ValueError, match=message):
        fit.main(["--resume", str(trained), "--trainer.max_epochs", "3"])
    assert "own_parts" not in sys.modules


@pytest.mark.slow
def test_resume_unpickles_nothing_through_a_strategy_of_the_run(trained: Path) -> None:
    class Code:
        def __reduce__(self) -> Any:
            return (Path.touch, (Path("pwned"),))

    strategy = {
        "class_path": "lightning.pytorch.strategies.SingleDeviceStrategy",
        "init_args": {"checkpoint_io": {"class_path": "lightning.pytorch.plugins.io.TorchCheckpointIO"}},
    }
    changed(trained, "trainer.strategy", strategy)
    torch.save({"state_dict": {}, "x": Code()}, trained / "checkpoints" / "last.ckpt")
    with pytest.raises(Exception, match=r"holds code|weights.only|strategy"):
        fit.main(["--resume", str(trained), "--trainer.max_epochs", "3"])
    assert not Path("pwned").exists()


@pytest.mark.parametrize(
    "settings",
    [
        {"semantic_head": {"class_path": "own_parts.Own"}},
        {"semantic_head": "own_parts.Own"},
        {"backbone": {"encoder": "resnet18", "decoder": "own_parts.Own"}},
        {"_class_path": "own_parts.Own"},
        {"network": {"class_path": "os.system", "init_args": {"command": "touch own_parts.pwned"}}},
    ],
)
def test_predict_imports_nothing_that_a_checkpoint_names(
    settings: dict[str, object], trained: Path, tmp_path: Path
) -> None:
    checkpoint = trained / "checkpoints" / "best.ckpt"
    content = torch.load(checkpoint, weights_only=True)
    content["hyper_parameters"] |= settings
    torch.save(content, checkpoint)
    image = str(next((trained / "pictures").iterdir()))
    with pytest.raises(
        ValueError, match=r"best\.ckpt: what it holds makes no FusionModule: .*(own_parts|os)\."
    ):
        predict.main(["--checkpoint", str(checkpoint), "--images", image, "--out", "predicted"])
    assert "own_parts" not in sys.modules
    assert not Path("own_parts.pwned").exists()


@pytest.mark.slow
def test_evaluate_builds_no_callback_or_logger_of_the_run(trained: Path) -> None:
    for key in ("trainer.callbacks", "trainer.logger", "trainer.plugins"):
        changed(trained, key, LOUD)
    evaluate.main(["--run", str(trained), "--pictures", "0", "--trust", "own_parts"])
    assert (trained / "evaluation" / "val.json").is_file()
    assert "own_parts" not in sys.modules


@pytest.mark.slow
def test_evaluate_takes_the_precision_of_its_own_arguments(trained: Path) -> None:
    evaluate.main(["--run", str(trained), "--pictures", "0", "--trainer.precision", "32-true"])
    with pytest.raises(ValueError, match=r"trainer\.precison: no such setting; did you mean precision\?"):
        evaluate.main(["--run", str(trained), "--trainer.precison", "32-true"])


@pytest.mark.slow
def test_a_run_with_parts_of_one_s_own_goes_on_where_they_are_trusted(
    tiny: list[str], tmp_path: Path
) -> None:
    run = str(tmp_path / "run")
    one = ["--data.dataset.length", "4", "--trainer.max_epochs", "1"]
    fit.main([*tiny, *one, "--model.semantic_head", "own_parts.Own", "--out", run])
    with pytest.raises(ValueError, match=r"--trust own_parts"):
        fit.main(["--resume", run, "--trainer.max_epochs", "2"])
    fit.main(["--resume", run, "--trainer.max_epochs", "2", "--trust=other,own_parts"])
