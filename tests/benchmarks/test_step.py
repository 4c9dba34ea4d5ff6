import time

import pytest
import torch

from benchmarks import step
from benchmarks.turns import FIT, Turns
from fusionseg.module import FusionModule


def test_turns_give_every_loop_its_steps_and_measure_only_them() -> None:
    called = []

    def slow() -> None:
        called.append("slow")
        time.sleep(0.005)

    turns = Turns({}, {"slow": slow}, steps=3, rounds=2)
    assert len(list(turns)) == len(turns) == 3 * 3 + 1
    assert len(called) == 3 * 3
    assert [len(seconds) for seconds in turns.seconds.values()] == [2, 2]
    assert min(turns.seconds["slow"]) >= 0.005 > max(turns.seconds[FIT])


@pytest.mark.slow
def test_all_loops_minimize_the_same_loss() -> None:
    batch = step.blocks((64, 64))
    torch.manual_seed(0)
    module = FusionModule(step.CLASSES).double().eval()
    bare = step.loss(module, batch)
    ours = module.training_step(batch, 0)
    module.network.encoder = step.Plain(module.network.encoder)
    torch.testing.assert_close(bare, ours)
    torch.testing.assert_close(bare, step.loss(module, batch))


@pytest.mark.slow
def test_step_runs(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("WANDB_MODE", "disabled")
    threads, smallest = str(torch.get_num_threads()), ("--rounds", "2", "--steps", "1", "--size", "64", "64")
    monkeypatch.setattr("sys.argv", ["step", *smallest, "--threads", threads])
    step.main()
    out = capsys.readouterr().out
    assert "CPU time beyond a bare loop" in out
    assert "bare, plain fp32" in out
    assert "as a ratio to lightning.Trainer, all off: " in out
