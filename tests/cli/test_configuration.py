import inspect
from pathlib import Path
from typing import Any

import lightning.pytorch.callbacks as lightning_callbacks
import pytest
import yaml
from lightning.pytorch import Callback

from fusionseg.cli.configuration import experiment
from fusionseg.commands.fit import FitCLI

NEEDED = {
    "EarlyStopping": {"monitor": "val/score"},
    "LambdaCallback": {"on_fit_start": "fusionseg.config.recipe.plain"},
    "ModelPruning": {"pruning_fn": "l1_unstructured"},
    "OnExceptionCheckpoint": {"dirpath": "."},
    "StochasticWeightAveraging": {"swa_lrs": 0.01},
    "GradientAccumulationScheduler": {"scheduling": {0: 2}},
    "Timer": {"duration": "00:01:00:00"},
}
"""The arguments without which a callback cannot be built."""
FAST = ("ModelPruning", "StochasticWeightAveraging", "Timer", "RichProgressBar")


THING = object()


class OfObjects(Callback):
    """What defaults may be."""

    def __init__(self, function: Any = lambda x: x, thing: Any = THING, name: str = "x") -> None:
        self.function, self.thing, self.name = function, thing, name


def needs(kind: type) -> bool:
    some = (
        p
        for p in inspect.signature(kind).parameters.values()
        if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
    )
    return any(p.default is p.empty for p in some)


def buildable() -> list[str]:
    kinds = {name: getattr(lightning_callbacks, name) for name in lightning_callbacks.__all__}
    return [
        name
        for name, kind in kinds.items()
        if not inspect.isabstract(kind) and (name in NEEDED or not needs(kind))
    ]


@pytest.fixture
def written(tiny: list[str], tmp_path: Path) -> Any:
    """Writes the configuration of a training with a callback, and reads and writes it again."""

    def twice(part: dict[str, Any]) -> tuple[str, str]:
        source = tmp_path / "config.yaml"
        source.write_text(yaml.safe_dump({"trainer": {"callbacks": [part]}}))
        texts = []
        for words in (tiny, []):
            cli = FitCLI([*words, "--config", str(source), "--out", str(tmp_path / "run")])
            cli.run.release()
            source.write_text(experiment(cli.parser, cli.original))
            texts.append(source.read_text())
        return texts[0], texts[1]

    return twice


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "name", [name if name in FAST else pytest.param(name, marks=pytest.mark.slow) for name in buildable()]
)
def test_a_configuration_with_any_callback_of_lightning_s_reads_back(name: str, written: Any) -> None:
    text, again = written({"class_path": name, "init_args": NEEDED.get(name, {})})
    assert text == again
    assert "Unable" not in text
    kept = yaml.safe_load(text)["trainer"]["callbacks"][0]["init_args"]
    for key, value in NEEDED.get(name, {}).items():
        assert str(kept[key]).replace("'", "") == str(value)


@pytest.mark.slow
def test_defaults_without_a_text_are_left_out_and_read_back(written: Any) -> None:
    path = f"{OfObjects.__module__}.OfObjects"
    text, again = written({"class_path": path, "init_args": {"name": "y"}})
    assert text == again
    assert yaml.safe_load(text)["trainer"]["callbacks"][0]["init_args"]["name"] == "y"
    assert "Unable" not in text
