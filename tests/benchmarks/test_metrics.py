import pytest

from benchmarks import metrics


@pytest.mark.slow
def test_metrics_run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.argv", ["metrics", "--scenes", "2", "--rounds", "2", "--sides", "96"])
    metrics.main()
    out = capsys.readouterr().out
    for title in ("part of a validation's time", "semantic", "regions", "panoptic quality", "boundaries"):
        assert title in out


def test_two_sides_that_disagree_are_not_timed() -> None:
    with pytest.raises(RuntimeError, match=r"iou: ours gives \[0.5\], the reference \[0.6\]"):
        metrics.agree("iou", [0.5], [0.6])
