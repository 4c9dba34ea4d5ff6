"""The examples of docs/extending.md run as they stand there, from the command line and from Python.

So do the scripts of other pages, and the README's further tasks.
"""

import gc
import importlib
import json
import re
import shlex
import shutil
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import fusionseg
from fusionseg.data.datamodule import SegmentationDataModule
from fusionseg.module import FusionModule
from fusionseg.networks.backbone import Backbone
from fusionseg.trainer import Trainer

ROOT = Path(__file__).parents[1]
GUIDE = ROOT / "docs" / "extending.md"
ENCODER = "tu-test_efficientnet"
QUICK = [
    *("--data.batch_size", "2", "--data.crop_size", "[64, 64]", "--data.workers", "0"),
    *("--trainer.max_epochs", "1", "--trainer.limit_train_batches", "1", "--trainer.limit_val_batches", "1"),
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


def summary(run: Path) -> Any:
    return json.loads((run / "summary.json").read_text(encoding="utf-8"))


def status(run: Path) -> str:
    """How a run ended."""
    return str(summary(run)["status"])


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
    kinds = [
        "head",
        "loss",
        "dataset",
        "network",
        "decoder",
        "metric",
        "balancer",
        "callback",
        "LightningModule",
    ]
    assert [section.title for section in SECTIONS] == [f"A {kind}" for kind in kinds]


@every_section
def test_every_example_is_short_and_is_used_both_ways(section: Section) -> None:
    assert section.files
    for name, text in section.files.items():
        assert len(text.splitlines()) <= 40, name
        module = Path(name).stem
        assert any(f"{module}." in word for command in section.commands for word in command), name
        assert any(f"from {module} import" in script for script in section.scripts), name


@pytest.mark.slow
@every_section
def test_every_command_runs(written: Section, tmp_path: Path) -> None:
    for number, (python, flag, module, *args) in enumerate(written.commands):
        assert (python, flag) == ("python", "-m")
        if module == "fusionseg.fit":
            args += QUICK
            args += [] if "--model" in args else ["--model.backbone.encoder", ENCODER]
            args += [] if "--out" in args else ["--out", f"run-{number}"]
        name = args.pop(0) if module == "fusionseg" else module.removeprefix("fusionseg.")
        importlib.import_module(f"fusionseg.commands.{name}").main(args)
    runs = {path.parent for path in tmp_path.rglob("config.yaml")}
    assert len(runs) == sum(command[2] == "fusionseg.fit" for command in written.commands)
    assert {status(run) for run in runs} == {"finished"}


@every_section
def test_every_script_runs(written: Section, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = partial(SegmentationDataModule, batch_size=2, crop_size=(64, 64), workers=0)
    trainer = partial(Trainer, max_epochs=1, limit_train_batches=1, limit_val_batches=1)
    monkeypatch.setattr(fusionseg, "SegmentationDataModule", data, raising=False)
    monkeypatch.setattr(fusionseg, "Trainer", trainer, raising=False)
    monkeypatch.setattr(
        fusionseg, "FusionModule", partial(FusionModule, backbone=Backbone(ENCODER)), raising=False
    )
    for script in written.scripts:
        exec(compile(script, str(GUIDE), "exec"), {})
    runs = list((tmp_path / "runs").iterdir())
    assert len(runs) == len(written.scripts)
    assert {status(run) for run in runs} == {"finished"}


@pytest.mark.slow
def test_the_further_tasks_of_the_readme_train(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    text = (ROOT / "README.md").read_text(encoding="utf-8").replace("\\\n", "")
    [command] = [line for line in text.splitlines() if "extra_heads '" in line]
    fit = importlib.import_module("fusionseg.commands.fit")
    fit.main([*shlex.split(command)[3:], *QUICK, "--model.backbone.encoder", ENCODER, "--out", "run"])
    assert {"val/depth_rmse", "val/normals_mean"} <= summary(tmp_path / "run")["metrics"].keys()


@pytest.mark.slow
def test_the_scripts_of_other_pages_run(
    tiny: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = [tmp_path / "runs" / name for name in ("camvid", "camvid-0", "camvid-1", "camvid-2")]
    fit = importlib.import_module("fusionseg.commands.fit")
    fit.main([*tiny, "--model.semantic_head.dropout", "0.1", "--out", str(runs[0])])  # for `samples`
    for run in runs[1:]:
        shutil.copytree(runs[0], run)
    monkeypatch.chdir(tmp_path)
    for name in ("photo.jpg", "street.jpg"):
        Image.new("RGB", (80, 60), (90, 120, 60)).save(name)
    blocks = [
        block["text"]
        for page in ("sharing", "predict", "robustness")
        for block in BLOCK.finditer((ROOT / "docs" / f"{page}.md").read_text(encoding="utf-8"))
        if block["language"] == "python" and "rgbd" not in block["text"]  # whose channels are another run's
    ]
    names: dict[str, Any] = {}
    for block in sorted(blocks, key=lambda block: "save_pretrained" not in block):  # what others then read
        lines = [line for line in block.splitlines() if "NAME/MODEL" not in line]
        # a class that the run knows and predicts
        exec(
            compile(
                "\n".join(lines).replace('"car"', "answer.classes.names[answer.semantic[0, 0]]"),
                "docs",
                "exec",
            ),
            names,
        )
    assert len(blocks) == 7
    assert names["foggy"].shape == (60, 80, 3)
    assert names["heat"].values.shape == (60, 80)
