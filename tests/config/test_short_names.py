import pytest
from lightning.pytorch.cli import ReduceLROnPlateau as WithMonitor
from torch.optim.lr_scheduler import ReduceLROnPlateau

from fusionseg.commands.fit import FitCLI
from fusionseg.config.recipe import made


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (["ReduceLROnPlateau", "--model.schedule.monitor", "val/miou"], WithMonitor),
        (["torch.optim.lr_scheduler.ReduceLROnPlateau"], ReduceLROnPlateau),
    ],
)
def test_a_short_name_of_several_classes_means_one_and_a_path_means_its_own(
    words: list[str], meant: type, tmp_path_factory: pytest.TempPathFactory
) -> None:
    out = tmp_path_factory.mktemp("runs") / "run"
    cli = FitCLI(["--model.schedule", *words, "--out", str(out), "--wandb", "disabled"])
    cli.run.release()
    assert made(cli.model.schedule.recipe) is meant
