"""Two ranks against one process, each started as `torchrun` would start it: `python test_ranks.py FOLDER`."""

import os
import socket
import subprocess
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import lightning.pytorch as pl
import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.optim import SGD

from fusionseg.backbone import Backbone
from fusionseg.data.base import Pixels
from fusionseg.data.datamodule import SegmentationDataModule
from fusionseg.data.synthetic import SyntheticScenes
from fusionseg.module import FusionModule
from fusionseg.networks.base import HeadRecipe, Network
from fusionseg.quiet import quiet
from fusionseg.ranks import reduced, reduced_sums, world_size


class Plain(Network):
    """A network without norms, whose answer for an image does not depend on the other images of the batch."""

    def __init__(self, heads: Mapping[str, HeadRecipe], backbone: Backbone) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.ReLU(), nn.Conv2d(8, 8, 3, 2, 1), nn.ReLU())
        self.decoders = nn.ModuleDict({"shared": nn.Conv2d(8, 8, 3, 1, 1)})
        self.heads = nn.ModuleDict({task: head(8) for task, head in heads.items()})

    def forward(self, image: Tensor) -> list[dict[str, Any]]:
        weight = self.decoders["shared"].weight
        assert isinstance(weight, Tensor)
        features = self.decoders["shared"](self.encoder(image.to(weight.dtype) / 255))
        return [{task: head(features) for task, head in self.heads.items()}]


class Patchy(SyntheticScenes):
    """Scenes with more and more void, some of them without any label of one task."""

    def read(self, index: int) -> Pixels:
        image, semantic, region = super().read(index)
        semantic[: 3 * index], region[:, : 3 * index] = 255, 0
        if index % 3 == 1:
            semantic[:] = 255
        if index % 4 == 2:
            region[:] = 0
        return Pixels(image, semantic, region)


def datamodule() -> SegmentationDataModule:
    scenes = partial(Patchy, length=8, size=(64, 64))
    data = SegmentationDataModule(scenes, batch_size=4, crop_size=(64, 64), workers=0, seed=5)
    data.datasets["val"] = Patchy("val", 5, (50, 70))
    return data


def trained(model: FusionModule, ranks: int, **options: Any) -> dict[str, Any]:
    trainer = pl.Trainer(
        accelerator="cpu",
        devices=ranks,
        strategy="ddp" if ranks > 1 else "auto",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        num_sanity_val_steps=0,
        **options,
    )
    with quiet():
        trainer.fit(model, datamodule=datamodule())
    figures = {name: float(value) for name, value in trainer.callback_metrics.items()}
    return {"state": model.state_dict(), "figures": figures, "latest": model.latest, "steps": trainer.global_step}


def main(folder: Path) -> None:
    rank, ranks = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    torch.set_num_threads(1)
    torch.manual_seed(0)
    sgd = partial(SGD, lr=0.1, momentum=0.9)
    exact = FusionModule(Patchy.classes, 0.5, 2.0, network=Plain, optimizer=sgd, l1=1e-4)
    results = {"exact": trained(exact, ranks, max_epochs=1, precision="64-true")}
    if ranks > 1:
        # batch norm and parameters without gradient, first held and then learning
        backbone = Backbone("efficientnet-b0", decoder="FPN")
        real = FusionModule(Patchy.classes, backbone=backbone, optimizer=sgd, freeze_encoder_epochs=1)
        results["held"] = trained(real, ranks, max_epochs=2, precision="32-true", limit_train_batches=1)
    torch.save(results, folder / f"{ranks}_{rank}.pt")


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What one process, and each of two ranks, has come to."""
    folder = tmp_path_factory.mktemp("ranks")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    fixed = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "TORCHELASTIC_RUN_ID": "test", "OMP_NUM_THREADS": "1"}
    processes = []
    for ranks in (1, 2):
        for rank in range(ranks):
            place = {
                "RANK": str(rank),
                "LOCAL_RANK": str(rank),
                "WORLD_SIZE": str(ranks),
                "LOCAL_WORLD_SIZE": str(ranks),
            }
            env = {**os.environ, **fixed, **place, "PYTHONPATH": os.pathsep.join(sys.path)}
            processes.append(subprocess.Popen([sys.executable, __file__, str(folder)], env=env, stderr=subprocess.PIPE))
    for process in processes:
        _, error = process.communicate(timeout=120)
        assert process.returncode == 0, error.decode()
    return {path.stem: torch.load(path, weights_only=True) for path in folder.glob("*.pt")}


@pytest.mark.slow
def test_two_ranks_take_the_same_steps_as_one_process(results: dict[str, Any]) -> None:
    one, *two = (results[name]["exact"] for name in ("1_0", "2_0", "2_1"))
    assert one["steps"] == 2
    for rank in two:
        assert rank["steps"] == 2
        assert rank["state"].keys() == one["state"].keys()
        for name, value in one["state"].items():
            torch.testing.assert_close(rank["state"][name], value, rtol=0, atol=1e-12)
            assert torch.equal(rank["state"][name], two[0]["state"][name])
        assert rank["latest"] == pytest.approx(one["latest"], rel=1e-6)


@pytest.mark.slow
def test_two_ranks_measure_exactly_what_one_process_does(results: dict[str, Any]) -> None:
    one, *two = (results[name]["exact"]["figures"] for name in ("1_0", "2_0", "2_1"))
    assert {"val/miou", "val/covering", "val/pq", "val/boundary_f", "val/loss"} <= one.keys()
    for rank in two:
        np.testing.assert_equal(rank, one)


@pytest.mark.slow
def test_ranks_do_not_part_over_held_and_unused_parameters(results: dict[str, Any]) -> None:
    one, other = (results[name]["held"] for name in ("2_0", "2_1"))
    assert one["steps"] == other["steps"] == 2
    weights = {name for name in one["state"] if "running" not in name and "tracked" not in name}
    for name in weights:
        assert torch.equal(one["state"][name], other["state"][name])
    assert one["figures"] == pytest.approx(other["figures"], nan_ok=True)


def test_a_single_process_changes_nothing() -> None:
    values, sums = torch.rand(3), {"a": np.arange(3)}
    assert world_size() == 1
    assert reduced(values) is values
    assert reduced_sums(sums, torch.device("cpu")) is sums


def test_sums_over_ranks_keep_names_shapes_kinds_and_large_counts() -> None:
    sums = {"region": np.array([0.1, 2**40 + 0.5]), "classes": np.array([[2**52 - 1, 1], [0, 3]])}
    with (
        patch("fusionseg.ranks.world_size", lambda: 2),
        patch("torch.distributed.all_reduce", lambda values: values.mul_(2)),
    ):
        doubled = reduced_sums(sums, torch.device("cpu"))
        assert torch.equal(reduced(torch.ones(2)), torch.full((2,), 2.0))
    for name, value in sums.items():
        np.testing.assert_array_equal(doubled[name], 2 * value)
        assert doubled[name].dtype == value.dtype


if __name__ == "__main__":
    main(Path(sys.argv[1]))
