import pytest
import torch

from benchmarks import ddp
from benchmarks.step import CLASSES, blocks
from fusionseg.module import FusionModule


@pytest.mark.slow
def test_both_losses_are_the_same_where_there_is_one_rank() -> None:
    ours, plain = FusionModule(CLASSES).double().eval(), ddp.LocalWeights(CLASSES).double().eval()
    batch = blocks((64, 64))
    plain.load_state_dict(ours.state_dict())
    torch.testing.assert_close(ours.training_step(batch, 0), plain.training_step(batch, 0))


@pytest.mark.slow
def test_ddp_runs(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.argv", ["ddp", "--rounds", "2", "--steps", "1", "--size", "64", "64"])
    ddp.main()
    out = capsys.readouterr().out
    assert out.count("images a second") == 3
    assert ddp.GLOBAL in " ".join(out.split())
