"""What a second rank gives, and what the loss's global denominator costs: two processes on one machine, in turns.

First the images a second of two ranks, as a ratio of one's: the same 4 images a step, ResNet-18 U-Net with both heads,
one thread a rank. Then a step that divides the loss by the weight of the global batch, which is one all-reduce of a few
numbers, as a ratio of plain DDP, where each rank divides by its own.

    python -m benchmarks.ddp [--rounds 15] [--steps 4] [--size 288 384]
"""

import argparse
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
from benchmarks.timing import Quartiles, Target, ratios, seconds, show
from fusionseg.engine.objective import divided, padded_terms
from fusionseg.engine.precision import fast_precision
from fusionseg.module import FusionModule
from fusionseg.sample import Sample

ONE, TWO = "1 rank", "2 ranks"
GLOBAL, LOCAL = "divided by the global weight", "plain DDP: divided by a rank's own"


class LocalWeights(FusionModule):
    """The loss as plain DDP has it: the mean over ranks of means, whatever each of them has labels of."""

    def training_step(self, batch: Sample, _: int) -> Tensor:
        """The loss of this rank's batch."""
        losses = divided(*padded_terms(self.objective.terms(self(batch["image"]), batch)))
        loss = (losses * self.objective.factors(losses)).sum()
        self.loss_log.add(loss, losses, self.global_step, batch["name"])
        return loss


class Step(nn.Module):
    """A module whose forward is a step of training, which is what DDP wraps."""

    def __init__(self, module: FusionModule) -> None:
        super().__init__()
        self.module = module

    def forward(self, batch: Sample) -> Tensor:
        """The loss."""
        return self.module.training_step(batch, 0)


class Measured(NamedTuple):
    """What one rank has seen.

    Args:
        scaling: Time of a turn as a ratio to that of two ranks.
        cost: Time of a turn as a ratio to that of plain DDP.
        rates: Median images a second of all ranks together.
    """

    scaling: dict[str, Quartiles]
    cost: dict[str, Quartiles]
    rates: dict[str, float]


def training(module: FusionModule, batch: Sample, ranks: int) -> Callable[[], None]:
    """A step of training on some ranks."""
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
    """Some steps, or none while the other rank makes them, from the moment that both ranks are there to the end."""

    def together() -> None:
        for _ in range(steps):
            if step:
                step()
        dist.barrier()

    dist.barrier()
    times.append(seconds(together))


def measured(rank: int, meeting: str, size: tuple[int, int], steps: int, rounds: int) -> Measured:
    """What one of two ranks measures; both take the same turns, since they shuffle them alike."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", f"file://{meeting}", timedelta(minutes=2), world_size=2, rank=rank)
    torch.manual_seed(0)
    whole = blocks(size)
    share: dict[str, Any] = {name: values[2 * rank : 2 * rank + 2] for name, values in whole.items()}
    loops: dict[str, Callable[[], None] | None] = {
        ONE: None if rank else training(LocalWeights(CLASSES), whole, 1),
        TWO: training(FusionModule(CLASSES), share, 2),
        LOCAL: training(LocalWeights(CLASSES), share, 2),
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
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
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
