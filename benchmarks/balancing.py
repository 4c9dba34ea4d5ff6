"""Compares the cost of all balancers: time of a step and peak memory of training.

Both are ratios to the plain sum with the same model, ResNet-18 with both heads: first for balancers of
losses, of gradients at the branching point and of gradients of parameters, then for the two backward passes
of torchjd in all of their settings, with its MGDA. Finally, our MGDA of parameters is compared with the
fastest of these. With one thread (OMP_NUM_THREADS=1) the time is CPU time. `benchmarks.training.peak` defines
the memory.

    python -m benchmarks.balancing [--levels branch] [--only MGDA PCGrad] [--models "U-Net, one decoder"]
        [--precisions bf16-mixed 32-true] [--rounds 15] [--size 288 384] [--batch 4]
"""

import time
from collections.abc import Callable, Sequence
from functools import partial
from itertools import product
from typing import Any, NamedTuple

import torch
from rich.console import Console
from rich.table import Table
from torchjd.aggregation import MGDAWeighting

from benchmarks.timing import Quartiles, Target, command_line, ratios, seconds, show
from benchmarks.torchjd_backward import TorchJDBackward
from benchmarks.training import Setting, Training, peak, squares, trained
from fusionseg import balancing
from fusionseg.balancing import GradientBalancer, TorchJDWeighting
from fusionseg.engine.precision import fast_precision
from fusionseg.networks import HardSharing
from fusionseg.networks.backbone import Backbone

Recipes = dict[str, Callable[[], Training]]

SUM = "plain sum"
TIME = Target(1.05)
MEMORY = Target(1.10)
"""The bounds for balancing at the branching point."""

TWO = partial(HardSharing, shared_decoder=False)
MODELS: dict[str, dict[str, Any]] = {
    "U-Net, two decoders": {"network": TWO},
    "DeepLabV3, two decoders": {"network": TWO, "backbone": Backbone("resnet18", decoder="DeepLabV3")},
    "U-Net, one decoder": {},
}
"""The arguments of each model; their tasks share five maps, one map, and the map of the decoder."""

LEVELS = {
    "losses": "balancers of losses",
    "branch": "balancers at the branching point",
    "parameters": "balancers of parameters",
    "torchjd": "torchjd of parameters",
}
BALANCERS: dict[str, Any] = {
    name: getattr(balancing, name)
    for name in balancing.__all__
    if name not in ("Balancer", "GradientBalancer", "Sum")
}
AT_ONCE = 5
"""Number of balancers in a table, besides the plain sum; each of them keeps a model in memory."""


class Model(NamedTuple):
    """A model on which balancers are compared.

    Args:
        name: Its name and precision.
        setting: The batch and the precision of a step.
        options: Its arguments.
    """

    name: str
    setting: Setting
    options: dict[str, Any]

    def peers(self) -> Recipes:
        """Trainings with the backward passes of torchjd, by the names of their settings."""
        found: Recipes = {}
        for features, chunk, gramian in product((True, False), (1, None), (False, True)):
            name = f"{'mtl_backward' if features else 'backward'}, {'one by one' if chunk else 'at once'}"
            recipe = partial(TorchJDBackward, features=features, chunk=chunk, gramian=gramian)
            found[name + ", Gramians" * gramian] = partial(Training, self.setting, self.options, recipe)
        return found

    def balanced(self, level: str, only: Sequence[str]) -> Recipes:
        """Trainings with our balancers of a level, by their names."""
        found: Recipes = {}
        for name, kind in BALANCERS.items():
            of_gradients = issubclass(kind, GradientBalancer)
            if name in only and of_gradients != (level == "losses"):
                more = {"weighting": MGDAWeighting} if kind is TorchJDWeighting else {}
                balancer = partial(kind, level=level, **more) if of_gradients else kind
                found[name] = partial(Training, self.setting, {**self.options, "balancer": balancer})
        return found


def compared(model: Model, level: str, recipes: Recipes, rounds: int) -> dict[str, Quartiles]:
    """Prints time and memory of trainings as ratios to the plain sum, and returns the times.

    Args:
        model: The model.
        level: The level; settings of `torchjd` that fail are reported and left out.
        recipes: The trainings, by name.
        rounds: Number of measured rounds.

    Raises:
        RuntimeError: If one of our balancers fails.
    """
    every: Recipes = {SUM: partial(Training, model.setting, model.options), **recipes}
    peaks: dict[str, int] = {}
    for name, recipe in every.items():
        try:
            peaks[name] = peak(partial(trained, recipe), model.setting.device)
        except RuntimeError as error:
            if level != "torchjd":
                raise
            print(f"{name} fails: {str(error).splitlines()[0]}")
    steps = {name: every[name]() for name in peaks}
    times = ratios(steps, SUM, rounds, model.setting.clock)
    print(f"{SUM}: {seconds(steps[SUM], model.setting.clock):.2f} s a step, {peaks[SUM] / 2**20:.0f} MiB")
    memory = {name: own / peaks[SUM] for name, own in peaks.items()}
    show_balancers(f"{model.name}, {LEVELS[level]}", times, memory, bounded=level == "branch")
    return {name: measured for name, measured in times.items() if name != SUM}


def show_balancers(title: str, times: dict[str, Quartiles], memory: dict[str, float], bounded: bool) -> None:
    """Prints ratios to the plain sum as a table, and if bounded, whether they meet their targets."""
    table = Table("variant", title=title + (f" (time {TIME}, memory {MEMORY})" if bounded else ""))
    for column in ("time", "quartiles", "memory", *(["met"] if bounded else [])):
        table.add_column(column, justify="right")
    for name, (lower, median, upper) in times.items():
        results = (TIME.met(median), MEMORY.met(memory[name]))
        met = ", ".join("yes" if result else "no" for result in results)
        cells = (f"{median:.3f}", f"{lower:.3f} - {upper:.3f}", f"{memory[name]:.3f}")
        table.add_row(name, *cells, *(["" if name == SUM else met] if bounded else []))
    Console().print(table)


def duel(model: Model, peer: str, rounds: int) -> None:
    """Prints the time of our MGDA of parameters as a ratio to the fastest setting of torchjd."""
    ours = model.balanced("parameters", ["MGDA"])
    steps = {name: recipe() for name, recipe in {peer: model.peers()[peer], **ours}.items()}
    times = ratios(steps, peer, rounds, model.setting.clock)
    show(f"{model.name}: time of ours as a ratio to torchjd's fastest", times, {"MGDA": Target(1)})


def compare(model: Model, level: str, only: Sequence[str], rounds: int) -> None:
    """Prints the cost of the balancers of a level, a few at a time; for torchjd also that of ours."""
    recipes = list((model.peers() if level == "torchjd" else model.balanced(level, only)).items())
    times: dict[str, Quartiles] = {}
    for i in range(0, len(recipes), AT_ONCE):
        times |= compared(model, level, dict(recipes[i : i + AT_ONCE]), rounds)
    if level == "torchjd":
        duel(model, min(times, key=lambda name: times[name].median), rounds)


def main() -> None:
    parser = command_line(__doc__)
    parser.add_argument("--only", nargs="+", choices=BALANCERS, default=[*BALANCERS], metavar="BALANCER")
    parser.add_argument("--levels", nargs="+", choices=LEVELS, default=[*LEVELS])
    parser.add_argument("--models", nargs="+", choices=MODELS, default=[*MODELS], metavar="MODEL")
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--precisions", nargs="+", help="the processor's fastest and 32-true, unless given")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--size", type=int, nargs=2, default=(288, 384), help="of the images")
    parser.add_argument("--batch", type=int, default=4)
    args = parser.parse_args()
    start = time.perf_counter()
    batch = squares(tuple(args.size), args.batch, args.device)
    precisions = args.precisions or list(dict.fromkeys((fast_precision(args.device), "32-true")))
    each = list(product(precisions, args.models))
    print(f"{args.device}, {torch.get_num_threads()} threads")
    for number, (precision, name) in enumerate(each, 1):
        print(f"{number} of {len(each)} models, {time.perf_counter() - start:.0f} s so far", flush=True)
        model = Model(f"{name}, {precision}", Setting(batch, precision), MODELS[name])
        for level in args.levels:
            compare(model, level, args.only, args.rounds)


if __name__ == "__main__":
    main()
