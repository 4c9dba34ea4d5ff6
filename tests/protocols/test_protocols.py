"""Every file of experiments/protocols, without a list: its comment, its model, and a step on its own kind of data."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from fusionseg.commands.fit import main
from fusionseg.networks.backbone import Backbone

FILES = sorted((Path(__file__).parents[2] / "experiments" / "protocols").glob("*.yaml"))
DOCS = Path(__file__).parents[2] / "docs" / "protocols.md"

each = pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)


def dataset(path: Path) -> dict[str, Any]:
    """The data set of a protocol: its class path and arguments."""
    return yaml.safe_load(path.read_text())["data"]["init_args"]["dataset"]


def comment(path: Path) -> list[str]:
    """The lines of the comment that a protocol begins with."""
    lines = path.read_text().splitlines()
    return [line.lstrip("# ") for line in lines[: next(i for i, line in enumerate(lines) if line[:1] != "#")]]


@each
def test_the_first_line_is_the_one_command(path: Path) -> None:
    command = f"python -m fusionseg.fit --config experiments/protocols/{path.name} --data.dataset.root "
    assert comment(path)[0].startswith(command)
    assert not re.search(r" --", comment(path)[0].removeprefix(command)), "a path is all that is left to give"


@each
def test_the_comment_cites_its_source(path: Path) -> None:
    text = " ".join(comment(path))
    assert re.search(r"arXiv:\d{4}\.\d{5}", text)
    assert re.search(r"\btables?\b", text, re.IGNORECASE), "which row, or why none"


@each
def test_it_has_a_test_and_a_row_in_the_documentation(path: Path) -> None:
    assert Path(__file__).with_name(f"test_{path.stem}.py").is_file()
    assert f"| `{path.stem}` |" in DOCS.read_text()


@pytest.fixture
def root(path: Path, request: pytest.FixtureRequest) -> str:
    """The folder of a fake of a protocol's data set, in its official layout."""
    found = dataset(path)
    kind = found["class_path"].rpartition(".")[2]
    if kind == "LibMTLArrays":
        return str(request.getfixturevalue("libmtl") / found["init_args"]["copy"])
    if kind == "NYUv2Copy":
        return str(request.getfixturevalue("nyu_copy")("NYUD_MT"))
    return str(request.getfixturevalue(kind.lower()))


def any_size(path: Path) -> list[str]:
    """The arguments by which a protocol that is for images of one size takes the small ones of the fakes."""
    expected = "expected_size" in dataset(path)["init_args"]
    return ["--data.dataset.expected_size", "null"] if expected else []


@pytest.mark.slow
@each
def test_it_parses_and_its_model_builds(
    path: Path, root: str, protocol: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    build = Backbone.build

    def built(*args: Any, **options: Any) -> Any:
        """All layers and shapes of the encoder and the decoders, without values."""
        with torch.device("meta"):
            return build(*args, **options)

    monkeypatch.setattr(Backbone, "build", built)
    model = protocol(path.stem, "--data.dataset.root", root, *any_size(path)).model
    assert model.tasks
    assert sum(parameter.numel() for parameter in model.parameters()) > 1e6


@pytest.mark.slow
@each
def test_a_step_and_a_validation_end_with_a_score(path: Path, root: str, tmp_path: Path) -> None:
    """On small crops and with a small encoder, whose checkpoints are not those of 60 million weights."""
    fixed = yaml.safe_load(path.read_text())["data"]["init_args"].get("resize")
    small = [
        *("--data.batch_size", "2", "--data.crop_size", "[64, 64]", "--data.workers", "0"),
        *("--model.backbone.weights", "null", "--trainer.check_val_every_n_epoch", "1"),
        *("--model.backbone.encoder", "resnet18", "--model.backbone.late_dilation", "false"),
        *(
            "--trainer.max_epochs",
            "1",
            "--trainer.limit_train_batches",
            "1",
            "--trainer.limit_val_batches",
            "1",
        ),
        *(("--data.resize", "[64, 64]") if fixed else ()),
    ]
    out = tmp_path / "run"
    main(["--config", str(path), "--data.dataset.root", root, *any_size(path), *small, "--out", str(out)])
    summary = json.loads((out / "summary.json").read_text())
    assert summary["status"] == "finished"
    assert 0 <= summary["metrics"]["val/score"] <= 1
