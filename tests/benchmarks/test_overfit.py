from pathlib import Path

import pytest

from benchmarks import overfit
from fusionseg.heads import BoundaryHead, TrinaryHead


def test_a_share_is_that_of_the_oracle() -> None:
    assert overfit.Learned(oracle=0.8, covering=0.6, steps=3, seconds=1.0).share == pytest.approx(0.75)


def test_heads_are_all_of_regions_or_those_named() -> None:
    every = dict(overfit.codings(None))
    assert {"BoundaryHead", "MaskQueryHead", "MaskRCNNHead"} <= every.keys()
    assert not {"RegionHead", "SemanticHead", "Range"} & every.keys()
    assert list(overfit.codings("TrinaryHead,BoundaryHead")) == [
        ("TrinaryHead", TrinaryHead),
        ("BoundaryHead", BoundaryHead),
    ]


@pytest.mark.slow
def test_overfit_runs(
    data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["overfit", "--root", str(data / "coco_panoptic"), "--heads", "BoundaryHead,TrinaryHead"]
    monkeypatch.setattr("sys.argv", [*words, "--steps", "2", "--images", "2"])
    overfit.main()
    printed = capsys.readouterr().out
    assert "2 photos of 128 x 128" in printed
    lines = [line.split() for line in printed.splitlines()[:2]]
    assert [line[0] for line in lines] == ["BoundaryHead", "TrinaryHead"]
    for line in lines:
        oracle, covering, share = map(float, line[1:4])
        assert 0 < covering <= oracle <= 1
        assert share == pytest.approx(covering / oracle, abs=2e-3)
