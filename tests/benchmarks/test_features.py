import pytest
import torch

from benchmarks import features


@pytest.mark.slow
def test_every_decoder_is_timed_with_and_without_a_cache(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    threads = ("--threads", str(torch.get_num_threads()), "--precision", "32-true")
    small = ("--encoder", "tu-test_efficientnet", "--size", "64", "96", "--batch", "2", "--rounds", "2")
    monkeypatch.setattr("sys.argv", ["features", *small, *threads])
    features.main()
    out = capsys.readouterr().out
    assert "Unet: 0.0" in out
    assert "time of a step as a ratio to one end to end" in out
