"""What balancing costs: the time of a step and the peak memory of training with every balancer, in turns.

Both as ratios to the plain sum of the same model, ResNet-18 with both heads: balancers of losses, of gradients at the
branching point and of the gradients of parameters, then torchjd's two backward passes in each of their settings, with
its MGDA. Last, ours of parameters as a ratio to the fastest of these. On one thread (OMP_NUM_THREADS=1) the time is CPU
time. What memory counts says `benchmarks.sharing.peak`.

    python -m benchmarks.balancing [--levels branch] [--only MGDA PCGrad] [--models "U-Net, one decoder"]
        [--precisions bf16-mixed 32-true] [--rounds 15] [--size 288 384] [--batch 4]
"""

import argparse
import time
from collections.abc import Callable, Sequence
from functools import partial
from itertools import product
from typing import Any, NamedTuple

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor
from torchjd.aggregation import MGDA, MGDAWeighting
from torchjd.autojac import backward, jac_to_grad, mtl_backward

from benchmarks.timing import Quartiles, Target, ratios, seconds, show
from benchmarks.training import Setting, Training, peak, squares, trained
from fusionseg import balancing
from fusionseg.balancing import GradientBalancer, TorchJDWeighting
from fusionseg.engine.precision import fast_precision
from fusionseg.engine.task_gradients import reached
from fusionseg.module import FusionModule
from fusionseg.networks import HardSharing
from fusionseg.networks.backbone import Backbone

Recipes = dict[str, Callable[[], Training]]

SUM = "plain sum"
TIME, MEMORY = Target(1.05), Target(1.10)
"""Bounds of balancing at the branching point."""

TWO = partial(HardSharing, shared_decoder=False)
MODELS: dict[str, dict[str, Any]] = {
    "U-Net, two decoders": {"network": TWO},
    "DeepLabV3, two decoders": {"network": TWO, "backbone": Backbone(decoder="DeepLabV3")},
    "U-Net, one decoder": {},
}
"""The arguments of each model; its tasks share five maps, one map, and the decoder's map."""

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
"""Balancers in a table, besides the plain sum: each is a model in memory."""


class Peer:
    """The backward pass of a user of torchjd: Jacobians of the tasks' losses, of which MGDA makes a gradient.

    Args:
        module: A model whose own balancer is the plain sum.
        features: Whether only shared parameters have Jacobians (`mtl_backward`), or all have (`backward`).
        chunk: How many losses are differentiated at once (`parallel_chunk_size`); all of them where left out.
        gramian: Whether parameters' Gramians are added up (`optimize_gramian_computation`), without one large matrix.
    """

    def __init__(self, module: FusionModule, features: bool, chunk: int | None, gramian: bool) -> None:
        self.module, self.features, self.chunk, self.gramian = module, features, chunk, gramian
        self.taps: list[Tensor] = []
        self.read: list[int] = []
        """Which of the shared maps the tasks read."""
        self.shared: list[Tensor] = []
        self.own: list[list[Tensor]] = []
        branch = module.network.branch
        assert branch is not None
        branch.register_forward_pre_hook(self._tapped)

    def __call__(self, _: Tensor) -> None:
        """What `backward` of the loss would do."""
        parts = self.module.current_step.task_losses
        if not self.shared:
            self._sort(parts)
        if self.features:
            taps, known = (
                [self.taps[i] for i in self.read],
                {"shared_params": self.shared, "tasks_params": self.own},
            )
            mtl_backward(parts, features=taps, parallel_chunk_size=self.chunk, **known)  # type: ignore[arg-type]
            wanted = self.shared
        else:
            wanted = self.shared + [p for own in self.own for p in own]
            backward(parts, inputs=wanted, parallel_chunk_size=self.chunk)
        jac_to_grad(wanted, MGDA(), optimize_gramian_computation=self.gramian)
        for parameter in wanted:
            # the fused optimizer reads a gradient's memory as the weight's, which is channels-last
            if parameter.grad is not None and parameter.grad.stride() != parameter.stride():
                parameter.grad = torch.empty_like(parameter).copy_(parameter.grad)
        self.taps = []

    def _tapped(self, _: Any, args: tuple[list[Tensor], Sequence[str]]) -> tuple[list[Tensor], Sequence[str]]:
        # a map is also what the next stage of the encoder reads: there torchjd would stop, or go wrong
        seen = [m.view_as(m) for m in args[0]]
        self.taps = [m for m in seen if m.requires_grad]
        return seen, args[1]

    def _sort(self, parts: Sequence[Tensor]) -> None:
        """Notes what a user could write down once, so that torchjd need not look for it in every step."""
        every = [reached(part) for part in parts]
        common = set(every[0]).intersection(*every[1:])
        self.shared = [p for p in every[0] if p in common]
        self.own = [[p for p in own if p not in common] for own in every]
        slopes = torch.autograd.grad(
            torch.stack(list(parts)).sum(), self.taps, retain_graph=True, allow_unused=True
        )
        self.read = [i for i, slope in enumerate(slopes) if slope is not None]


class Model(NamedTuple):
    """What balancers are compared on.

    Args:
        name: Its name and precision.
        setting: On what a step is made, and how.
        options: Its arguments.
    """

    name: str
    setting: Setting
    options: dict[str, Any]

    def peers(self) -> Recipes:
        """Training with torchjd's backward passes, by their settings."""
        found: Recipes = {}
        for features, chunk, gramian in product((True, False), (1, None), (False, True)):
            name = f"{'mtl_backward' if features else 'backward'}, {'one by one' if chunk else 'at once'}"
            recipe = partial(Peer, features=features, chunk=chunk, gramian=gramian)
            found[name + ", Gramians" * gramian] = partial(Training, self.setting, self.options, recipe)
        return found

    def balanced(self, level: str, only: Sequence[str]) -> Recipes:
        """Training with our balancers of a level, by their names."""
        found: Recipes = {}
        for name, kind in BALANCERS.items():
            of_gradients = issubclass(kind, GradientBalancer)
            if name in only and of_gradients != (level == "losses"):
                more = {"weighting": MGDAWeighting} if kind is TorchJDWeighting else {}
                balancer = partial(kind, level=level, **more) if of_gradients else kind
                found[name] = partial(Training, self.setting, {**self.options, "balancer": balancer})
        return found


def compared(model: Model, level: str, recipes: Recipes, rounds: int) -> dict[str, Quartiles]:
    """The times of some trainings as ratios to the plain sum, printed with their memory; torchjd may fail."""
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
    """Print ratios to the plain sum as a table, and whether they meet their targets where they are bounded."""
    table = Table("variant", title=title + (f" (time {TIME}, memory {MEMORY})" if bounded else ""))
    for column in ("time", "quartiles", "memory", *(["met"] if bounded else [])):
        table.add_column(column, justify="right")
    for name, (lower, median, upper) in times.items():
        met = ", ".join(
            "yes" if bound.met(r) else "no" for bound, r in ((TIME, median), (MEMORY, memory[name]))
        )
        cells = (f"{median:.3f}", f"{lower:.3f} - {upper:.3f}", f"{memory[name]:.3f}")
        table.add_row(name, *cells, *(["" if name == SUM else met] if bounded else []))
    Console().print(table)


def duel(model: Model, peer: str, rounds: int) -> None:
    """Prints the time of our MGDA of parameters as a ratio to torchjd's fastest."""
    ours = model.balanced("parameters", ["MGDA"])
    steps = {name: recipe() for name, recipe in {peer: model.peers()[peer], **ours}.items()}
    times = ratios(steps, peer, rounds, model.setting.clock)
    show(f"{model.name}: time of ours as a ratio to torchjd's fastest", times, {"MGDA": Target(1)})


def compare(model: Model, level: str, only: Sequence[str], rounds: int) -> None:
    """Prints what the balancers of a level cost, a few at a time, or what torchjd costs and then how ours compares."""
    recipes = list((model.peers() if level == "torchjd" else model.balanced(level, only)).items())
    times: dict[str, Quartiles] = {}
    for i in range(0, len(recipes), AT_ONCE):
        times |= compared(model, level, dict(recipes[i : i + AT_ONCE]), rounds)
    if level == "torchjd":
        duel(model, min(times, key=lambda name: times[name].median), rounds)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="+", choices=BALANCERS, default=[*BALANCERS], metavar="BALANCER")
    parser.add_argument("--levels", nargs="+", choices=LEVELS, default=[*LEVELS])
    parser.add_argument("--models", nargs="+", choices=MODELS, default=[*MODELS], metavar="MODEL")
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--precisions", nargs="+", help="the processor's fastest and 32-true, unless given")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--size", type=int, nargs=2, default=(288, 384), help="of the images")
    parser.add_argument("--batch", type=int, default=4)
    args = parser.parse_args()
    start, batch = time.perf_counter(), squares(tuple(args.size), args.batch, args.device)
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
