import json
import re
from pathlib import Path

import pytest

from fusionseg import heads
from fusionseg.commands.oracle import main
from fusionseg.config.errors import UsageError
from fusionseg.heads import RegionHead

DATA = [
    *("--data.dataset", "SyntheticScenes", "--data.dataset.length", "3", "--data.dataset.size", "[64, 64]"),
    *("--data.workers", "0"),
]


@pytest.mark.slow
def test_every_region_head_has_a_row(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "oracle.json"
    main([*DATA, "--out", str(out)])
    printed = capsys.readouterr().out.splitlines()
    every = [n for n in heads.__all__ if issubclass(getattr(heads, n), RegionHead) and n != "RegionHead"]
    assert printed[0] == "3 images"
    assert [line.split()[0] for line in printed[2:-1]] == every
    found = json.loads(out.read_text())["heads"]
    assert list(found) == every
    for name in every:
        assert 0.7 < found[name]["metrics"]["covering"] <= 1
        assert 0 < found[name]["metrics"]["pq"] <= 1
        assert found[name]["target_ms"] > 0


def test_settings_of_a_model_are_passed_over(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "a.yaml"
    config.write_text(
        "model: {class_path: FusionModule, init_args: {backbone: {weights: nowhere.safetensors}}}\n"
    )
    main(["--config", str(config), *DATA, "--heads", "CenterOffsetHead", "--limit", "2"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "2 images"
    assert lines[2].split()[0] == "CenterOffsetHead"


@pytest.mark.slow
def test_a_run_s_oracle_lies_beside_its_evaluation(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["--run", str(trained)])
    file = trained / "evaluation" / "val_oracle.json"
    assert capsys.readouterr().out.splitlines()[-1] == str(file)
    metrics = json.loads(file.read_text())["metrics"]
    assert metrics["miou"] == 1
    assert metrics["covering"] > 0.7


class Mine(heads.BoundaryHead):
    """A head that is not made of its channels alone."""

    def __init__(self, in_channels: int, cell: float) -> None:
        super().__init__(in_channels)


def test_mistakes_are_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match=r"no region head 'BoundryHead'; did you mean BoundaryHead"):
        main([*DATA, "--heads", "BoundryHead"])
    with pytest.raises(UsageError, match=r"dotted path of a region head, found nothing\.here \(No module"):
        main([*DATA, "--heads", "nothing.here"])
    for path in (".PlaceHead", ".."):
        with pytest.raises(UsageError, match="dotted path of a region head"):
            main([*DATA, "--heads", path])
    for path in ("fusionseg.heads.SemanticHead", "fusionseg.heads.RegionHead"):
        with pytest.raises(UsageError, match=f"expected a region head, found {re.escape(path)}"):
            main([*DATA, "--heads", f"BoundaryHead,{path}"])
    monkeypatch.setattr(heads, "Mine", Mine, raising=False)
    with pytest.raises(UsageError, match=r"have a default of each argument but the channels .*'cell'"):
        main([*DATA, "--heads", "fusionseg.heads.Mine"])
    with pytest.raises(UsageError, match="at least 1 image"):
        main([*DATA, "--limit", "0"])
    with pytest.raises(ValueError, match="expected this layout"):
        main(["--data.dataset", "CamVid", "--data.dataset.root", str(tmp_path)])
