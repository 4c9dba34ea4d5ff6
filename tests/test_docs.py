"""The examples of docs/extending.md run as they stand there, from the command line and from Python."""

import gc
import importlib
import json
import re
import shlex
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

import fusionseg
from fusionseg.data.datamodule import SegmentationDataModule
from fusionseg.module import FusionModule
from fusionseg.networks.backbone import Backbone
from fusionseg.trainer import Trainer

GUIDE = Path(__file__).parents[1] / "docs" / "extending.md"
ENCODER = "tu-mobilenetv3_small_050"
QUICK = [
    *("--data.batch_size", "2", "--data.crop_size", "[64, 64]", "--data.workers", "0"),
    *("--trainer.max_epochs", "1", "--trainer.limit_train_batches", "2", "--trainer.limit_val_batches", "2"),
]
"""Arguments that make a training take a second; a model of the package has a small encoder besides."""
BLOCK = re.compile(
    r"(?:^`(?P<file>[\w.]+)`:\n\n)?^```(?P<language>\w+)\n(?P<text>.*?)^```$", re.DOTALL | re.MULTILINE
)


class Section:
    """A section of the guide: its files, and the commands and scripts that use them."""

    def __init__(self, text: str) -> None:
        self.title = text.splitlines()[0]
        self.files: dict[str, str] = {}
        self.commands: list[list[str]] = []
        self.scripts: list[str] = []
        for block in BLOCK.finditer(text):
            if block["file"]:
                self.files[block["file"]] = block["text"]
            elif block["language"] == "bash":
                self.commands += [shlex.split(line) for line in block["text"].splitlines()]
            else:
                assert block["language"] == "python", f"{self.title}: no test runs {block['language']}"
                self.scripts.append(block["text"])


SECTIONS = [Section(text) for text in GUIDE.read_text(encoding="utf-8").split("\n## ")[1:]]
every_section = pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.title)


@pytest.fixture
def written(section: Section, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Section]:
    """A section whose files lie in the working directory and can be imported."""
    for name, text in section.files.items():
        (tmp_path / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    yield section
    for name in section.files:
        sys.modules.pop(Path(name).stem, None)
    gc.collect()


def test_the_guide_has_an_example_of_every_kind_of_part() -> None:
    kinds = ["head", "loss", "dataset", "network", "metric", "balancer", "callback", "LightningModule"]
    assert [section.title for section in SECTIONS] == [f"A {kind}" for kind in kinds]


@every_section
def test_every_example_is_short_and_is_used_both_ways(section: Section) -> None:
    assert section.files
    assert {
        name: len(text.splitlines()) for name, text in section.files.items() if len(text.splitlines()) > 25
    } == {}
    for name in section.files:
        module = Path(name).stem
        assert any(f"{module}." in word for command in section.commands for word in command)
        assert any(f"from {module} import" in script for script in section.scripts)


@every_section
def test_every_command_runs(written: Section, tmp_path: Path) -> None:
    for number, (python, flag, module, *args) in enumerate(written.commands):
        assert (python, flag) == ("python", "-m")
        fits = module == "fusionseg.fit"
        out = ["--out", str(tmp_path / f"run-{number}")] if fits and "--out" not in args else []
        command = importlib.import_module(module.replace("fusionseg.", "fusionseg.commands."))
        quick = (
            [] if not fits else QUICK if "--model" in args else [*QUICK, "--model.backbone.encoder", ENCODER]
        )
        command.main([*args, *quick, *out])
        if out:
            assert (
                json.loads((tmp_path / f"run-{number}" / "summary.json").read_text())["status"] == "finished"
            )


@every_section
def test_every_script_runs(written: Section, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    quick = {
        "FusionModule": partial(FusionModule, backbone=Backbone(ENCODER)),
        "SegmentationDataModule": partial(
            SegmentationDataModule, batch_size=2, crop_size=(64, 64), workers=0
        ),
        "Trainer": partial(Trainer, max_epochs=1, limit_train_batches=2, limit_val_batches=2),
    }
    for name, recipe in quick.items():
        monkeypatch.setattr(fusionseg, name, recipe, raising=False)
    for script in written.scripts:
        exec(compile(script, str(GUIDE), "exec"), {})
    runs = list((tmp_path / "runs").iterdir())
    assert len(runs) == len(written.scripts)
    assert {json.loads((run / "summary.json").read_text())["status"] for run in runs} == {"finished"}
