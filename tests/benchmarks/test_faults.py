import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks import breakdowns, faults


@pytest.mark.slow
def test_killed_and_resumed_it_is_the_same_run(
    data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    short = ["--epochs", "4", "--kills", "1", "--kills-alone"]
    monkeypatch.setattr(sys, "argv", ["faults", "--root", str(data / "CamVid"), *short])
    with pytest.raises(SystemExit) as end:
        faults.main()
    assert not end.value.code, capsys.readouterr().out


def test_any_difference_is_found(trained: Path, tmp_path: Path) -> None:
    other = shutil.copytree(trained, tmp_path / "other")
    assert faults.differences(trained, other) == []
    content = torch.load(other / "checkpoints" / "last.ckpt", weights_only=True)
    name, weight = next((k, v) for k, v in content["state_dict"].items() if v.is_floating_point())
    content["state_dict"][name] = torch.nextafter(weight, weight + 1)
    torch.save(content, other / "checkpoints" / "last.ckpt")
    (other / "metrics.csv").write_text((other / "metrics.csv").read_text() + "9\n")
    (other / ".last.77.ckpt").touch()
    found = faults.differences(trained, other)
    assert found == [
        ".last.77.ckpt was left",
        "state_dict in last.ckpt",
        "metrics.csv",
        ".last.77.ckpt is in one alone",
    ]


def test_folders_are_compared_by_what_their_files_hold(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    for folder, spaces in ((one, 0), (other, 2)):
        folder.mkdir()
        (folder / "a.json").write_text(json.dumps({"x": [1]}, indent=spaces))
        np.savez(folder / "b.npz", x=np.arange(3))
    assert breakdowns.unlike(one, other) == []
    np.savez(other / "b.npz", x=np.arange(4))
    (other / "c.png").touch()
    assert breakdowns.unlike(one, other) == ["c.png is in one alone", "b.npz"]
