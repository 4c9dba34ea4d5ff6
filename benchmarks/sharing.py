"""What sharing costs: a step of every network, and joint training against one training for each task, in turns.

First every network as a ratio to hard sharing with one decoder: the time of a step, the peak memory of training, the
parameters that learn, and the multiply-adds of a step's two passes (of convolutions, matrix products and attention).
Then a step of both tasks together as a ratio to a step of each task alone. ResNet-18 U-Net with both heads. On one
thread (OMP_NUM_THREADS=1) the time is CPU time.

    python -m benchmarks.sharing [--only MTAN PADNet] [--rounds 15] [--size 288 384] [--batch 4]
"""

import argparse
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import torch
from rich.console import Console
from rich.table import Table

from benchmarks.timing import Quartiles, Target, ratios, show
from benchmarks.training import Setting, Training, operations, peak, squares, trained
from fusionseg import networks
from fusionseg.engine.precision import fast_precision
from fusionseg.networks import HardSharing

ONE, TWO = "one decoder", "two decoders"
NETWORKS: dict[str, Any] = {
    ONE: HardSharing,
    TWO: partial(HardSharing, shared_decoder=False),
    **{name: getattr(networks, name) for name in networks.__all__ if name not in ("Network", "HardSharing")},
}
"""How tasks share; the first two are `HardSharing`."""

ALONE = "a step of each task alone"


class Cost(NamedTuple):
    """What a network costs, as ratios to the baseline.

    Args:
        time: Of a step.
        memory: The peak of training.
        parameters: That learn.
        operations: Multiply-adds of a step.
    """

    time: Quartiles
    memory: float
    parameters: float
    operations: float


def compared(
    setting: Setting, trainings: Mapping[str, Callable[[], Training]], rounds: int
) -> dict[str, Cost]:
    """What each network costs as ratios to the first; those that refuse to be made say so and are left out."""
    steps, figures = {}, {}
    for name, recipe in trainings.items():
        try:
            steps[name] = recipe()
        except ValueError as error:
            print(f"{name} refuses: {error}")
            continue
        learned = sum(p.numel() for p in steps[name].module.parameters() if p.requires_grad)
        figures[name] = (peak(partial(trained, recipe), setting.device), learned, operations(steps[name]))
    first = next(iter(steps))
    memory, learned, adds = figures[first]
    print(
        f"{first}: {memory / 2**20:.0f} MiB, {learned / 1e6:.1f} M parameters, {adds / 1e9:.1f} G multiply-adds a step"
    )
    times = ratios(steps, first, rounds, setting.clock)
    return {
        name: Cost(
            times[name], *(own / other for own, other in zip(figures[name], figures[first], strict=True))
        )
        for name in steps
    }


def show_costs(title: str, costs: Mapping[str, Cost]) -> None:
    """Print costs as a table."""
    table = Table("network", title=title)
    for column in ("time", "quartiles", "memory", "parameters", "operations"):
        table.add_column(column, justify="right")
    for name, ((lower, median, upper), *others) in costs.items():
        table.add_row(
            name, f"{median:.3f}", f"{lower:.3f} - {upper:.3f}", *(f"{ratio:.3f}" for ratio in others)
        )
    Console().print(table)


def joint(setting: Setting, rounds: int) -> None:
    """A step of both tasks as a ratio to the two steps of one task each."""
    single = [Training(setting, {head: None}) for head in ("region_head", "semantic_head")]

    def alone() -> None:
        for step in single:
            step()

    steps = {name: Training(setting, {"network": NETWORKS[name]}) for name in (ONE, TWO)}
    both = operations(alone)
    shares = ", ".join(f"{name} {operations(step) / both:.2f}" for name, step in steps.items())
    measured = ratios({ALONE: alone, **steps}, ALONE, rounds, setting.clock)
    show(f"time of a step of both tasks as a ratio to {ALONE}", measured, {ONE: Target(0.60)})
    print(f"multiply-adds as a ratio: {shares}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--only", nargs="+", choices=[*NETWORKS][1:], metavar="NETWORK", help="besides the baseline"
    )
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--precision", help="what the processor computes fastest in, unless given")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--size", type=int, nargs=2, default=(288, 384), help="of the images")
    parser.add_argument("--batch", type=int, default=4)
    args = parser.parse_args()
    start, precision = time.perf_counter(), args.precision or fast_precision(args.device)
    setting = Setting(squares(tuple(args.size), args.batch, args.device), precision)
    chosen = [ONE, *(name for name in NETWORKS if name != ONE and name in (args.only or NETWORKS))]
    trainings = {name: partial(Training, setting, {"network": NETWORKS[name]}) for name in chosen}
    print(
        f"{precision}, {torch.get_num_threads()} threads: {len(chosen)} networks, then joint training",
        flush=True,
    )
    show_costs(f"networks as ratios to hard sharing with {ONE}", compared(setting, trainings, args.rounds))
    print(f"{time.perf_counter() - start:.0f} s so far", flush=True)
    joint(setting, args.rounds)


if __name__ == "__main__":
    main()
