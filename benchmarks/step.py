"""What a step of training costs: `Trainer.fit` as we ship it against loops written by hand, in turns.

First a real step (ResNet-18 U-Net with both heads, batch 4, 288x384) as a ratio of the same loop without Lightning, and
of the plain fp32 one. Then a step of next to nothing, where what remains is our own cost, in CPU time.

    python -m benchmarks.step [--threads 2] [--rounds 15] [--steps 4]
"""

import argparse
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
from torch import Tensor, nn

from benchmarks.timing import Quartiles, Target, quartiles, show
from benchmarks.turns import FIT, Turns
from fusionseg.config.lightning_messages import quiet
from fusionseg.engine.precision import fast_precision
from fusionseg.module import FusionModule
from fusionseg.networks import Network
from fusionseg.sample import Classes, Sample
from fusionseg.trainer import Trainer

CLASSES = Classes(tuple("abcdefghijk"), ((0, 0, 0),) * 11)


class OneConvolution(Network):
    """Next to nothing: one convolution under the heads."""

    def __init__(self, heads: Mapping[str, Callable[[int], nn.Module]], _: object) -> None:
        super().__init__()
        self.encoder, self.decoders = nn.Conv2d(3, 4, 3, padding=1), nn.ModuleDict()
        self.heads = nn.ModuleDict({task: head(4) for task, head in heads.items()})

    def forward(self, image: Tensor) -> list[dict[str, Any]]:
        """One guess of each head."""
        features = self.encoder(image / 255)
        return [{task: head(features) for task, head in self.heads.items()}]


class Plain(nn.Module):
    """An encoder in the memory format that its weights have."""

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder: Any = encoder

    def forward(self, image: Tensor) -> Any:
        """The pyramid of features."""
        return self.encoder.body((image / 255 - self.encoder.mean) / self.encoder.std)


class Minimal(pl.LightningModule):
    """The loop written by hand as the least of a LightningModule."""

    def __init__(self, module: FusionModule) -> None:
        super().__init__()
        self.module = module

    def training_step(self, batch: Sample, _: int) -> Tensor:
        """The loss."""
        return loss(self.module, batch)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """As ours."""
        return torch.optim.AdamW(self.parameters(), fused=True)


def loss(module: FusionModule, batch: Sample) -> Tensor:
    """What is minimized, without anything around it."""
    outputs = module.network(batch["image"])[-1]
    total = torch.zeros(())
    for task, head in module.network.heads.items():
        sums, weights = head.loss(outputs[task], head.target(batch))  # type: ignore[operator]
        total = total + module.objective.weights[task] * (sums / weights).sum()
    return total


def bare(module: FusionModule, batch: Sample, precision: str, fused: bool = True) -> Callable[[], None]:
    """A step of a loop written by hand."""
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
    """A step of the same model as PyTorch's defaults have it: fp32, contiguous memory, AdamW that is not fused."""
    module = FusionModule(CLASSES)
    module.network.encoder = Plain(module.network.encoder)
    return bare(module.to(memory_format=torch.contiguous_format), batch, "32-true", fused=False)


def blocks(size: tuple[int, int], side: int = 16) -> Sample:
    """A batch of 4 random images whose labels are random squares."""
    chance = torch.Generator().manual_seed(0)
    coarse = torch.randint(0, len(CLASSES), (4, size[0] // side, size[1] // side), generator=chance)
    semantic = coarse.repeat_interleave(side, 1).repeat_interleave(side, 2)
    image = torch.randint(0, 256, (4, 3, *size), dtype=torch.uint8, generator=chance)
    return {"image": image, "semantic": semantic, "region": semantic + 1, "name": list("abcd")}


def fit(
    trainer: type[pl.Trainer], module: pl.LightningModule, turns: Turns, precision: str, **options: Any
) -> None:
    """One fit that takes turns, in a run folder that is thrown away."""
    with TemporaryDirectory() as folder, redirect_stdout(io.StringIO()), quiet():
        warnings.simplefilter("ignore", UserWarning)  # that nothing is validated
        common: dict[str, Any] = {"default_root_dir": folder, "accelerator": "cpu", "precision": precision}
        trainer(**common, max_epochs=1, **options).fit(module, train_dataloaders=turns)


def real_step(size: tuple[int, int], precision: str, steps: int, rounds: int) -> None:
    """The time of a real step as a ratio of each loop's."""
    batch, same, fp32 = blocks(size), f"bare, {precision}, channels last", "bare, plain fp32"
    loops = {same: bare(FusionModule(CLASSES), batch, precision), fp32: plain(batch)}
    # on one thread they are the same if nothing else runs, and CPU time suffers less from what does
    clock = time.process_time if torch.get_num_threads() == 1 else time.perf_counter
    turns = Turns(batch, loops, steps, rounds, clock)
    # the checkpoint at the end is no step's, and large
    fit(Trainer, FusionModule(CLASSES), turns, precision, enable_checkpointing=False)
    measured = {
        other: quartiles(
            [ours / theirs for ours, theirs in zip(turns.seconds[FIT], turns.seconds[other], strict=True)]
        )
        for other in (same, fp32)
    }
    show(f"time of a step: {FIT} as a ratio to a loop", measured, {same: Target(1.03), fp32: Target(0.40)})
    print(f"{FIT}: {statistics.median(turns.seconds[FIT]):.3f} s a step")


def own_cost(precision: str, steps: int, rounds: int) -> None:
    """The CPU time that a fit adds to a step."""
    batch = blocks((32, 32), 8)
    off = dict.fromkeys(
        ("logger", "enable_progress_bar", "enable_model_summary", "enable_checkpointing"), False
    )
    variants: dict[str, tuple[type[pl.Trainer], Callable[[], pl.LightningModule], dict[str, Any], bool]] = {
        FIT: (Trainer, little, {}, False),
        f"{FIT}, bar in a terminal": (Trainer, little, {}, True),
        "lightning.Trainer, all off": (pl.Trainer, lambda: Minimal(little()), off, False),
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


def little() -> FusionModule:
    """Both tasks on one convolution."""
    return FusionModule(CLASSES, network=OneConvolution)


class Terminal(io.StringIO):
    """A terminal that nobody looks at."""

    def isatty(self) -> bool:
        """It is one."""
        return True


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", type=int, nargs=2, default=(288, 384), help="of the real step's images")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="for the real step")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument(
        "--steps", type=int, default=4, help="of a turn; 50 times as many where they are little"
    )
    args = parser.parse_args()
    os.environ["WANDB_MODE"] = "disabled"
    precision = fast_precision("cpu")
    # one thread, as idle ones wait busily and would count as CPU time
    torch.set_num_threads(1)
    own_cost(precision, 50 * args.steps, args.rounds)
    torch.set_num_threads(args.threads)
    able = [name for name in ("amx_tile", "avx512_bf16") if getattr(torch.cpu, f"_is_{name}_supported")()]
    print(f"{args.threads} threads, {precision}, the CPU has {' and '.join(able) or 'no arithmetic in bf16'}")
    real_step(tuple(args.size), precision, args.steps, args.rounds)


if __name__ == "__main__":
    main()
