"""Conflicts on two ranks and in one process: `python conflict_ranks.py FOLDER`, see `ddp_ranks.py`."""

import sys
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "integration"))
import ddp_ranks

from fusionseg.callbacks.conflicts import Conflicts
from fusionseg.config.lightning_messages import quiet

SMALL = "tu-test_efficientnet Unet semantic+boundary"
CASES = [f"{SMALL} fixed double", f"{SMALL} fixed double MGDA:branch apart", f"{SMALL} synced double UW:"]


def train(folder: Path, cases: list[str], ranks: int, rank: int) -> None:
    for case in cases:
        module, conflicts = ddp_ranks.model(case), Conflicts(1)
        watch = ddp_ranks.Watch(case.split()[3])
        with quiet():
            fitting = ddp_ranks.trainer(case, ranks, callbacks=[watch, conflicts], default_root_dir=folder)
            fitting.fit(module, datamodule=ddp_ranks.datamodule(case, folder))
        torch.save(conflicts.history, folder / f"{case}-{ranks}-{rank}.pt")


if __name__ == "__main__":
    ddp_ranks.train = train  # what each rank does
    ddp_ranks.main(Path(sys.argv[1]), CASES)
