"""Times two ranks on one machine: their speed-up, and the cost of the global denominator of the loss.

First the images per second of two ranks as a ratio to one: the same 4 images per step, ResNet-18 U-Net with
both heads, one thread per rank. Then a step that divides the loss by the weight of the global batch, which
takes an all-reduce of a few numbers, as a ratio to plain DDP, where each rank divides by its own weight.

    python -m benchmarks.ddp [--rounds 15] [--steps 4] [--size 288 384]
"""

import os
import statistics
import tempfile
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from datetime import timedelta
from functools import partial
from multiprocessing import get_context
from typing import Any, NamedTuple

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from benchmarks.step import CLASSES, blocks
from benchmarks.timing import Quartiles, Target, command_line, ratios, seconds, show
from benchmarks.training import RESNET
from fusionseg.engine.objective import divided, padded_terms
from fusionseg.engine.precision import fast_precision
from fusionseg.module import FusionModule
from fusionseg.sample import Sample

ONE = "1 rank"
TWO = "2 ranks"
GLOBAL = "divided by the global weight"
LOCAL = "plain DDP: divided by a rank's own"


class LocalWeights(FusionModule):
    """The loss of plain DDP: the mean over ranks of their means, regardless of how many labels each has."""

    def training_step(self, batch: Sample, _: int) -> Tensor:
        """The loss of the batch of this rank."""
        losses = divided(*padded_terms(self.objective.terms(self(batch["image"]), batch)))
        loss = (losses * self.objective.factors(losses)).sum()
        self.loss_log.add(loss, losses, self.global_step, batch["name"])
        return loss


class Step(nn.Module):
    """A module for DDP to wrap, whose forward pass is the training step."""

    def __init__(self, module: FusionModule) -> None:
        super().__init__()
        self.module = module

    def forward(self, batch: Sample) -> Tensor:
        """The loss."""
        return self.module.training_step(batch, 0)


class Measured(NamedTuple):
    """The measurements of one rank.

    Args:
        scaling: Time of a turn as a ratio to that of two ranks.
        cost: Time of a turn as a ratio to that of plain DDP.
        rates: Median images per second of all ranks together.
    """

    scaling: dict[str, Quartiles]
    cost: dict[str, Quartiles]
    rates: dict[str, float]


def training(module: FusionModule, batch: Sample, ranks: int) -> Callable[[], None]:
    """A training step on a number of ranks, as a function."""
    module.network.arrange("cpu", fast_precision("cpu"))
    model = DistributedDataParallel(Step(module)) if ranks > 1 else Step(module)
    optimizer = torch.optim.AdamW(module.parameters(), fused=True)

    def step() -> None:
        optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=fast_precision("cpu") == "bf16-mixed"):
            loss = model(batch)
        loss.backward()
        optimizer.step()

    return step


def turn(step: Callable[[], None] | None, steps: int, times: list[float]) -> None:
    """Times a number of steps between two barriers; `None` waits for the other rank."""

    def together() -> None:
        for _ in range(steps):
            if step:
                step()
        dist.barrier()

    dist.barrier()
    times.append(seconds(together))


def measured(rank: int, meeting: str, size: tuple[int, int], steps: int, rounds: int) -> Measured:
    """The measurements of one of two ranks, whose turns have the same order since both use the same seed.

    Args:
        rank: The number of the rank.
        meeting: The file through which the ranks find each other.
        size: Height and width of the images.
        steps: Number of steps per turn.
        rounds: Number of measured rounds.
    """
    torch.set_num_threads(1)
    dist.init_process_group("gloo", f"file://{meeting}", timedelta(minutes=2), world_size=2, rank=rank)
    torch.manual_seed(0)
    whole = blocks(size)
    share: dict[str, Any] = {name: values[2 * rank : 2 * rank + 2] for name, values in whole.items()}
    loops: dict[str, Callable[[], None] | None] = {
        ONE: None if rank else training(LocalWeights(CLASSES, backbone=RESNET), whole, 1),
        TWO: training(FusionModule(CLASSES, backbone=RESNET), share, 2),
        LOCAL: training(LocalWeights(CLASSES, backbone=RESNET), share, 2),
    }
    loops[GLOBAL] = loops[TWO]
    times: dict[str, list[float]] = {name: [] for name in loops}
    turns = {name: partial(turn, loop, steps, times[name]) for name, loop in loops.items()}
    scaling = ratios({name: turns[name] for name in (ONE, TWO)}, TWO, rounds)
    cost = ratios({name: turns[name] for name in (GLOBAL, LOCAL)}, LOCAL, rounds)
    rates = {name: steps * len(whole["name"]) / statistics.median(times[name][1:]) for name in (ONE, TWO)}
    dist.barrier()
    dist.destroy_process_group()
    return Measured(scaling, cost, rates)


def main() -> None:
    parser = command_line(__doc__)
    parser.add_argument("--size", type=int, nargs=2, default=(288, 384), help="of the images")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--steps", type=int, default=4, help="of a turn")
    args = parser.parse_args()
    print(f"{fast_precision('cpu')}, {len(os.sched_getaffinity(0))} cores for two ranks of one thread each")
    with tempfile.TemporaryDirectory() as folder, ProcessPoolExecutor(2, get_context("spawn")) as ranks:
        common = {
            "meeting": f"{folder}/meeting",
            "size": tuple(args.size),
            "steps": args.steps,
            "rounds": args.rounds,
        }
        first, _ = ranks.map(partial(measured, **common), (0, 1))
    show(f"images a second of {TWO} as a ratio to one's", {TWO: first.scaling[ONE]}, {})
    print(", ".join(f"{name}: {rate:.2f} images a second" for name, rate in first.rates.items()))
    show("time of a step on 2 ranks as a ratio to plain DDP's", first.cost, {GLOBAL: Target(1.02)})


if __name__ == "__main__":
    main()
