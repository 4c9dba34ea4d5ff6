"""Times a training step of `Trainer.fit` against loops written by hand.

First the overhead in CPU time, with a network of one convolution, and as a ratio to that of bare Lightning
with the same schedule. Then a real step (the default model, batch 4, 288x384), as a ratio to loops without
Lightning: in the same precision with either memory format, and in plain fp32.

    python -m benchmarks.step [--threads 2] [--rounds 15] [--steps 4]
"""

import io
import os
import statistics
import time
import warnings
from collections.abc import Callable, Mapping
from contextlib import nullcontext, redirect_stderr, redirect_stdout
from tempfile import TemporaryDirectory
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn

from benchmarks.timing import Quartiles, Target, command_line, quartiles, show
from benchmarks.turns import FIT, Turns
from fusionseg.config.lightning_messages import quiet
from fusionseg.engine.optimization import WarmupPoly
from fusionseg.engine.precision import fast_precision
from fusionseg.module import FusionModule
from fusionseg.networks import Network
from fusionseg.networks.backbone import Backbone
from fusionseg.sample import Classes, Sample
from fusionseg.trainer import Trainer

CLASSES = Classes(tuple("abcdefghijk"), ((0, 0, 0),) * 11)


class OneConvolution(Network):
    """A minimal network: one convolution in front of the heads."""

    def __init__(self, heads: Mapping[str, Callable[[int], nn.Module]], _: object) -> None:
        super().__init__()
        self.encoder = nn.Conv2d(3, 4, 3, padding=1)
        self.decoders = nn.ModuleDict()
        self.heads = nn.ModuleDict({task: head(4) for task, head in heads.items()})

    def forward(self, image: Tensor) -> list[dict[str, Any]]:
        """A single refinement for images (B, 3, H, W)."""
        features = self.encoder(image / 255)
        return [{task: head(features) for task, head in self.heads.items()}]


class Plain(nn.Module):
    """An encoder that does not convert its images to channels-last."""

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder: Any = encoder

    def forward(self, image: Tensor) -> Any:
        """The feature pyramid of images (B, 3, H, W)."""
        return self.encoder.body((image / 255 - self.encoder.mean) / self.encoder.std)


class Minimal(pl.LightningModule):
    """A minimal LightningModule around the loss of the loop written by hand."""

    def __init__(self, module: FusionModule) -> None:
        super().__init__()
        self.module = module

    def training_step(self, batch: Sample, _: int) -> Tensor:
        """The weighted sum of the losses."""
        return loss(self.module, batch)

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """The optimizer of the loop written by hand, and the default schedule."""
        optimizer = torch.optim.AdamW(self.parameters(), fused=True)
        schedule = WarmupPoly(optimizer, int(self.trainer.estimated_stepping_batches))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def loss(module: FusionModule, batch: Sample) -> Tensor:
    """The weighted sum of the losses of a batch, without logging and balancing."""
    outputs = module.network(batch["image"])[-1]
    total = torch.zeros(())
    for task, head in module.network.heads.items():
        sums, weights = head.loss(outputs[task], head.target(batch))  # type: ignore[operator]
        total = total + module.objective.weights[task] * (sums / weights).sum()
    return total


def bare(module: FusionModule, batch: Sample, precision: str, fused: bool = True) -> Callable[[], None]:
    """A step of a loop written by hand, as a function."""
    optimizer = torch.optim.AdamW(module.parameters(), fused=fused)
    module.train()

    def step() -> None:
        optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16-mixed"):
            value = loss(module, batch)
        value.backward()  # type: ignore[no-untyped-call]
        optimizer.step()

    return step


def plain(batch: Sample) -> Callable[[], None]:
    """A step of the same model with PyTorch's defaults: fp32, contiguous memory, AdamW without fusion."""
    module = FusionModule(CLASSES)
    module.network.encoder = Plain(module.network.encoder)
    return bare(module, batch, "32-true", fused=False)


def arranged(batch: Sample, precision: str, channels_last: bool) -> Callable[[], None]:
    """A step of the default model in a memory format."""
    module = FusionModule(CLASSES, backbone=Backbone(channels_last=channels_last))
    module.network.arrange("cpu", precision)
    return bare(module, batch, precision)


def blocks(size: tuple[int, int], side: int = 16, count: int = 4) -> Sample:
    """A batch of random images of a size (H, W), whose labels are random squares of a side."""
    generator = torch.Generator().manual_seed(0)
    squares = (count, size[0] // side, size[1] // side)
    coarse = torch.randint(0, len(CLASSES), squares, generator=generator)
    semantic = coarse.repeat_interleave(side, 1).repeat_interleave(side, 2)
    image = torch.randint(0, 256, (count, 3, *size), dtype=torch.uint8, generator=generator)
    return {
        "image": image,
        "semantic": semantic,
        "region": semantic + 1,
        "name": list(map(str, range(count))),
    }


def fit(
    trainer: type[pl.Trainer], module: pl.LightningModule, turns: Turns, precision: str, **options: Any
) -> None:
    """Runs one fit that takes turns with other loops, in a temporary run folder."""
    with TemporaryDirectory() as folder, redirect_stdout(io.StringIO()), quiet():
        warnings.simplefilter("ignore", UserWarning)  # there is no validation
        common: dict[str, Any] = {"default_root_dir": folder, "accelerator": "cpu", "precision": precision}
        trainer(**common, max_epochs=1, **options).fit(module, train_dataloaders=turns)


def real_step(size: tuple[int, int], precision: str, steps: int, rounds: int) -> None:
    """Prints the time of a real step of a fit as a ratio to that of each loop."""
    batch = blocks(size)
    formats = {f"bare, {precision}, channels last": True, f"bare, {precision}, contiguous": False}
    loops = {name: arranged(batch, precision, last) for name, last in formats.items()}
    fp32 = "bare, plain fp32"
    loops[fp32] = plain(batch)
    # with one thread CPU time is the same, but less affected by other processes
    clock = time.process_time if torch.get_num_threads() == 1 else time.perf_counter
    turns = Turns(batch, loops, steps, rounds, clock)
    # the checkpoint at the end is large, and belongs to no step
    fit(Trainer, FusionModule(CLASSES), turns, precision, enable_checkpointing=False)
    measured = {}
    for other in loops:
        pairs = zip(turns.seconds[FIT], turns.seconds[other], strict=True)
        measured[other] = quartiles([ours / theirs for ours, theirs in pairs])
    better = min(formats, key=lambda name: statistics.median(turns.seconds[name]))
    targets = {better: Target(1.03), **({fp32: Target(0.40)} if precision != "32-true" else {})}
    show(f"time of a step: {FIT} as a ratio to a loop", measured, targets)
    print(f"{FIT}: {statistics.median(turns.seconds[FIT]):.3f} s a step")


def own_cost(precision: str, steps: int, rounds: int) -> None:
    """Prints the CPU time that a fit adds to a step."""
    batch = blocks((32, 32), 8)
    extras = ("logger", "enable_progress_bar", "enable_model_summary", "enable_checkpointing")
    off = dict.fromkeys(extras, False)
    barest = "lightning.Trainer, all off"
    variants: dict[str, tuple[type[pl.Trainer], Callable[[], pl.LightningModule], dict[str, Any], bool]] = {
        FIT: (Trainer, little, {}, False),
        f"{FIT}, bar in a terminal": (Trainer, little, {}, True),
        barest: (pl.Trainer, lambda: Minimal(little()), off, False),
    }
    added: dict[str, Quartiles] = {}
    for name, (trainer, module, options, terminal) in variants.items():
        turns = Turns(batch, {"bare": bare(little(), batch, precision)}, steps, rounds, time.process_time)
        with redirect_stderr(Terminal()) if terminal else nullcontext():
            fit(trainer, module(), turns, precision, **options)
        pairs = zip(turns.seconds[FIT], turns.seconds["bare"], strict=True)
        added[name] = quartiles([1000 * (ours - theirs) for ours, theirs in pairs])
    title = "CPU time beyond a bare loop, ms a step, of one convolution"
    show(title, added, {name: Target(1) for name in list(variants)[:2]})
    ratio = added[FIT].median / added[barest].median
    target = Target(1.3)
    print(f"{FIT} as a ratio to {barest}: {ratio:.2f} (target {target}, met: {target.met(ratio)})")


def little() -> FusionModule:
    """A model of both tasks on one convolution."""
    return FusionModule(CLASSES, network=OneConvolution)


class Terminal(io.StringIO):
    """A stream that claims to be a terminal, so that the progress bar is drawn."""

    def isatty(self) -> bool:
        """True."""
        return True


def main() -> None:
    parser = command_line(__doc__)
    parser.add_argument("--size", type=int, nargs=2, default=(288, 384), help="of the real step's images")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="for the real step")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument(
        "--steps", type=int, default=4, help="of a turn; 50 times as many where they are little"
    )
    args = parser.parse_args()
    os.environ["WANDB_MODE"] = "disabled"
    precision = fast_precision("cpu")
    # one thread, because idle ones wait actively, which counts as CPU time
    torch.set_num_threads(1)
    own_cost(precision, 50 * args.steps, args.rounds)
    torch.set_num_threads(args.threads)
    print(f"{args.threads} threads, {precision}, kernels for {torch.backends.cpu.get_cpu_capability()}")
    real_step(tuple(args.size), precision, args.steps, args.rounds)


if __name__ == "__main__":
    main()
