"""Every coding of regions through the commands, each by one key."""

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from fusionseg import heads
from fusionseg.commands import evaluate, fit, predict, tune
from fusionseg.heads import RegionHead
from fusionseg.runs.folder import RunFolder

CODINGS = [
    name
    for name in heads.__all__
    if isinstance(head := getattr(heads, name), type)
    and issubclass(head, RegionHead)
    and head is not RegionHead
]


OWN = "my_coding.PlaceHead"
"""The coding that docs/extending.md adds to the package in one file."""


@pytest.fixture
def guide(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The file of the guide is in a folder that modules are imported from."""
    text = (Path(__file__).parents[2] / "docs" / "extending.md").read_text(encoding="utf-8")
    found = re.search(r"^`my_coding.py`:\n\n```python\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    assert found is not None
    (tmp_path / "my_coding.py").write_text(found[1])
    monkeypatch.syspath_prepend(tmp_path)
    yield
    sys.modules.pop("my_coding", None)


@pytest.mark.slow
@pytest.mark.usefixtures("guide")
@pytest.mark.parametrize("name", [*CODINGS, OWN])
def test_a_coding_is_trained_measured_tuned_and_predicts_by_its_name(
    name: str, tiny: list[str], tmp_path: Path
) -> None:
    run = RunFolder(tmp_path / "run")
    given = ["--run", str(run.path), *(["--trust", "my_coding"] if name == OWN else [])]
    short = ["--trainer.max_epochs", "1", "--data.dataset.length", "4", "--model.region_head", name]
    fit.main([*tiny, *short, "--out", str(run.path)])
    evaluate.main([*given, "--pictures", "0"])
    assert 0 < json.loads((run.evaluation / "val.json").read_text())["metrics"]["covering"] <= 1
    tune.main([*given, "--trials", "2", "--jobs", "1"])
    assert (run.path / "decoder.yaml").exists()
    Image.new("RGB", (80, 60), (90, 120, 60)).save(tmp_path / "a.png")
    predict.main([*given, "--images", str(tmp_path / "a.png"), "--out", str(tmp_path / "answers")])
    with Image.open(next((tmp_path / "answers").rglob("region/a.png"))) as regions:
        assert regions.size == (80, 60)
        assert regions.getextrema()[0] >= 1
