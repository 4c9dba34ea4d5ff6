"""One of two processes that evaluate together: `python two_evaluations.py RANK FOLDER`; the second has no images.

Each leaves `RANK.pt`: the figures of the two, and those of a single process.
"""

import sys
import warnings
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist

from fusionseg.engine.evaluation import Evaluation, Truths
from fusionseg.metrics import DepthMetrics, MetricSuite, SemanticMetrics
from fusionseg.sample import Prediction, Sample

WEIGHTS = {"semantic": 0.5, "depth": 2.0}
TERMS = torch.tensor([[[3.0, 0.0], [4.0, 5.0]], [[2.0, 0.0], [8.0, 10.0]]])
"""The sums of two tasks, of which the first has one loss and the second two, and their weights."""


def batch(seed: int) -> Sample:
    """The labels of two images."""
    chance = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, 3, (2, 20, 30), generator=chance)
    depth = torch.rand(2, 20, 30, generator=chance) + 1
    return {"name": ["a", "b"], "semantic": labels, "region": labels + 1, "depth": depth}


def predictions(seed: int) -> list[Prediction]:
    """Answers for them."""
    rng = np.random.default_rng(seed)
    return [
        Prediction(name, {"semantic": rng.integers(0, 3, (20, 30)), "depth": rng.random((20, 30)) + 1})
        for name in ("a", "b")
    ]


def evaluation(batches: int) -> Evaluation:
    """An evaluation of so many batches."""
    evaluation = Evaluation(MetricSuite([SemanticMetrics(3), DepthMetrics()]), WEIGHTS)
    evaluation.begin()
    for seed in range(batches):
        evaluation.add_losses(TERMS)
        evaluation.score(predictions(seed), Truths(batch(seed), None))
    return evaluation


def main(rank: int, folder: Path) -> None:
    """Evaluates as one of two processes, after what it would find alone."""
    alone = evaluation(3).figures()
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
    together = evaluation(3 if rank == 0 else 0).figures()
    torch.save({"alone": alone, "together": together}, folder / f"{rank}.pt")
    dist.destroy_process_group()


if __name__ == "__main__":
    warnings.simplefilter("error", UserWarning)
    main(int(sys.argv[1]), Path(sys.argv[2]))
