"""Every network under a balancer at each level that it allows, on real photographs, by changing keys alone."""

from itertools import cycle, repeat
from pathlib import Path

import pytest
import torch

from fusionseg import networks
from fusionseg.commands import fit
from fusionseg.module import FusionModule

NETWORKS = [kind.__name__ for kind in networks.Network.__subclasses__() if kind.__name__ in networks.__all__]
MIXING = ("CrossStitch", "PADNet", "CrossTaskAttention")
BRANCHING = [name for name in NETWORKS if name not in MIXING]
# which of the gradient balancers it is makes no difference to a network: each takes its turn
GRADIENT = ("MGDA", "PCGrad", "CAGrad")
TRIED = [
    *((network, "UW", "") for network in NETWORKS),
    *zip(BRANCHING, cycle(GRADIENT), repeat("branch")),
    *zip(NETWORKS, cycle(GRADIENT[::-1]), repeat("parameters")),
]


@pytest.mark.slow
@pytest.mark.parametrize(("network", "balancer", "level"), TRIED, ids=lambda word: word or "-")
def test_every_network_trains_with_balancers_of_each_level_and_is_rebuilt_from_its_checkpoint(
    network: str, balancer: str, level: str, data: Path, tmp_path: Path
) -> None:
    keys = ["--model.network", network, "--model.balancer", balancer]
    keys += ["--model.balancer.init_args.level", level] if level else []
    small = [
        "--model.backbone.encoder",
        "tu-test_efficientnet",
        "--model.backbone.weights",
        "null",
        "--data.scale",
        "0.25",
    ]
    small += [
        "--data.batch_size",
        "2",
        "--data.crop_size",
        "[64, 64]",
        "--data.workers",
        "0",
        "--data.fraction",
        "0.1",
    ]
    short = [
        "--trainer.max_epochs",
        "1",
        "--trainer.limit_train_batches",
        "2",
        "--trainer.limit_val_batches",
        "2",
    ]
    root = ["--data.dataset.root", str(data / "coco_panoptic")]
    run = tmp_path / "run"
    fit.main(["--config", "experiments/coco_panoptic.yaml", *root, *keys, *small, *short, "--out", str(run)])
    rebuilt = FusionModule.load_from_checkpoint(run / "checkpoints" / "last.ckpt", weights_only=True)
    assert type(rebuilt.network).__name__ == network
    assert type(rebuilt.balancer).__name__ == balancer
    state = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
    assert all(torch.equal(value, state[name]) for name, value in rebuilt.state_dict().items())
    assert (run / "summary.json").is_file()
