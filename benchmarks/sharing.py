"""Compares the cost of all networks, and of joint training with one training per task.

First every network as a ratio to hard sharing with one decoder: time of a step, peak memory of training,
number of trainable parameters, and multiply-adds of a step (of convolutions, matrix products and attention).
Then a step of both tasks together as a ratio to a step of each task alone. The model is a ResNet-18 U-Net
with both heads. With one thread (OMP_NUM_THREADS=1) the time is CPU time.

    python -m benchmarks.sharing [--only MTAN PADNet] [--rounds 15] [--size 288 384] [--batch 4]
"""

import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import torch
from rich.console import Console
from rich.table import Table

from benchmarks.timing import Quartiles, Target, command_line, ratios, show
from benchmarks.training import Setting, Training, operations, peak, squares, trained
from fusionseg import networks
from fusionseg.engine.precision import fast_precision
from fusionseg.networks import HardSharing

ONE = "one decoder"
TWO = "two decoders"
NETWORKS: dict[str, Any] = {
    ONE: HardSharing,
    TWO: partial(HardSharing, shared_decoder=False),
    **{name: getattr(networks, name) for name in networks.__all__ if name not in ("Network", "HardSharing")},
}
"""All networks by name; the first two are variants of `HardSharing`."""

ALONE = "a step of each task alone"


class Cost(NamedTuple):
    """The cost of a network, as ratios to the baseline.

    Args:
        time: Time of a step.
        memory: Peak memory of training.
        parameters: Number of trainable parameters.
        operations: Multiply-adds of a step.
    """

    time: Quartiles
    memory: float
    parameters: float
    operations: float


def compared(
    setting: Setting, trainings: Mapping[str, Callable[[], Training]], rounds: int
) -> dict[str, Cost]:
    """The cost of each network as ratios to the first; networks that cannot be built are reported."""
    steps = {}
    figures = {}
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
        f"{first}: {memory / 2**20:.0f} MiB, {learned / 1e6:.1f} M parameters, "
        f"{adds / 1e9:.1f} G multiply-adds a step"
    )
    times = ratios(steps, first, rounds, setting.clock)
    costs = {}
    for name in steps:
        relative = (own / other for own, other in zip(figures[name], figures[first], strict=True))
        costs[name] = Cost(times[name], *relative)
    return costs


def show_costs(title: str, costs: Mapping[str, Cost]) -> None:
    """Prints costs as a table."""
    table = Table("network", title=title)
    for column in ("time", "quartiles", "memory", "parameters", "operations"):
        table.add_column(column, justify="right")
    for name, ((lower, median, upper), *others) in costs.items():
        table.add_row(
            name, f"{median:.3f}", f"{lower:.3f} - {upper:.3f}", *(f"{ratio:.3f}" for ratio in others)
        )
    Console().print(table)


def joint(setting: Setting, rounds: int) -> None:
    """Prints the cost of a step of both tasks as a ratio to that of two steps, one for each task."""
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
    parser = command_line(__doc__)
    parser.add_argument(
        "--only", nargs="+", choices=[*NETWORKS][1:], metavar="NETWORK", help="besides the baseline"
    )
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--precision", help="what the processor computes fastest in, unless given")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--size", type=int, nargs=2, default=(288, 384), help="of the images")
    parser.add_argument("--batch", type=int, default=4)
    args = parser.parse_args()
    start = time.perf_counter()
    precision = args.precision or fast_precision(args.device)
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
