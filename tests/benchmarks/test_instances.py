import pytest

from benchmarks import instances
from benchmarks.scenes import scene


@pytest.mark.slow
def test_loops_give_our_scores() -> None:
    scenes = [scene(0), scene(1)]
    whole, narrow = instances.ours(scenes)
    assert [whole, narrow] == pytest.approx(instances.loops(scenes), rel=1e-12)
    assert 0.1 < narrow < whole < 0.9


@pytest.mark.slow
def test_instances_run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.argv", ["instances", "--scenes", "1", "--rounds", "2"])
    instances.main()
    assert "average precision of masks and boundaries" in capsys.readouterr().out
