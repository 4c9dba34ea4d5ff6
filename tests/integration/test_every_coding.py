"""Every coding of regions through the commands, each by one key."""

import json
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


@pytest.mark.slow
@pytest.mark.parametrize("name", CODINGS)
def test_a_coding_is_trained_measured_tuned_and_predicts_by_its_name(
    name: str, tiny: list[str], tmp_path: Path
) -> None:
    run = RunFolder(tmp_path / "run")
    short = ["--trainer.max_epochs", "1", "--data.dataset.length", "4", "--model.region_head", name]
    fit.main([*tiny, *short, "--out", str(run.path)])
    evaluate.main(["--run", str(run.path), "--pictures", "0"])
    assert 0 < json.loads((run.evaluation / "val.json").read_text())["metrics"]["covering"] <= 1
    tune.main(["--run", str(run.path), "--trials", "2", "--jobs", "1"])
    assert (run.path / "decoder.yaml").exists()
    Image.new("RGB", (80, 60), (90, 120, 60)).save(tmp_path / "a.png")
    predict.main(
        ["--run", str(run.path), "--images", str(tmp_path / "a.png"), "--out", str(tmp_path / "answers")]
    )
    with Image.open(next((tmp_path / "answers").rglob("region/a.png"))) as regions:
        assert regions.size == (80, 60)
        assert regions.getextrema()[0] >= 1
