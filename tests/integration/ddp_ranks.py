"""Trainings on two ranks and in one process: `python ddp_ranks.py FOLDER CASE...`.

A case is the words of an encoder, a decoder, heads joined by `+` (region heads also by the names of their classes),
and how it is trained:

- `fixed`, `synced` or `local`: batch norms use their running statistics, those of the global batch or those of a rank;
  only in `local` is everything else (dropout, dropped paths) as in training too;
- `held`: the encoder is frozen in the first of the two epochs;
- `double`: in float64;
- `l1`: with the sum of absolute values, whose gradient jumps where a weight is 0;
- `start`: with the distance to the start of the encoder, which counts as pretrained;
- `taught`: by a teacher, for outputs and shared maps;
- `mean`: by the running mean of its own weights;
- `decayed`: with learning rates that fall from stage to stage of the encoder;
- `anew`: with batch statistics that are re-estimated;
- `kept`: on features of a frozen encoder, which all processes read from one folder;
- `unlabelled`: on the half of the images with their labels, and on the others without.

The one head `classifier` stands for a ClassificationModule, on images that are mixed.

Each rank imports once and trains all cases. It leaves `case-2-RANK.pt` or, for the one process, `case-1-0.pt`.
"""

import gc
import multiprocessing
import os
import socket
import sys
from collections.abc import Mapping, Sequence
from copy import deepcopy
from datetime import timedelta
from functools import partial
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.strategies import DDPStrategy
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim import SGD
from torchjd.aggregation import AlignedMTLWeighting

from fusionseg import balancing, heads, networks
from fusionseg.balancing import Sum
from fusionseg.callbacks.feature_cache import FeatureCache
from fusionseg.classification import ClassificationModule
from fusionseg.config.lightning_messages import quiet
from fusionseg.data.base import Pixels, Split
from fusionseg.data.classification_datamodule import ClassificationDataModule
from fusionseg.data.datamodule import SegmentationDataModule
from fusionseg.data.frozen_features import FrozenFeatures
from fusionseg.data.samplers import TrainOrder
from fusionseg.data.synthetic import SyntheticScenes
from fusionseg.data.unlabelled_mixture import Unlabelled
from fusionseg.engine.objective import padded_terms
from fusionseg.engine.sync_batch_norm import BatchNormSync
from fusionseg.engine.teacher import Teacher
from fusionseg.heads import (
    BoundaryHead,
    CenterOffsetHead,
    DepthHead,
    ExtraHead,
    MaskQueryHead,
    MaskRCNNHead,
    NormalsHead,
    SemanticHead,
)
from fusionseg.module import FusionModule
from fusionseg.networks import HardSharing
from fusionseg.networks.backbone import Backbone
from fusionseg.networks.pretrained import mark_pretrained
from fusionseg.regularization import L2SP
from fusionseg.sample import Sample

HEADS: dict[str, tuple[str, Any]] = {
    "semantic": ("semantic_head", SemanticHead),
    "boundary": ("region_head", BoundaryHead),
    "center": ("region_head", CenterOffsetHead),
    "boxes": ("region_head", partial(MaskRCNNHead, channels=16, samples=32, anchor=16)),
    "MaskQueryHead": ("region_head", partial(MaskQueryHead, width=16)),
}
FURTHER = {"depth": ExtraHead(DepthHead, 0.5), "normals": ExtraHead(NormalsHead)}
NARROW: dict[str, dict[str, Any]] = {
    "Unet": {"decoder_channels": [16, 16, 8, 8, 8]},
    "FPN": {"decoder_pyramid_channels": 32, "decoder_segmentation_channels": 32},
    "DeepLabV3Plus": {"decoder_channels": 32},
    "tu-test_vit": {"embed_dim": 32, "depth": 2, "pyramid_channels": 16},
}
"""Options of the decoders and encoders that are wide by default."""

TRAIN, VAL, BATCH, SEED = 14, 3, 4, 5
FIRST = torch.tensor([index for _, index, _ in TrainOrder(TRAIN, BATCH, seed=SEED)]).view(-1, BATCH).tolist()
"""The first epoch's batches; ranks take a half of each."""
NO_SEMANTIC = FIRST[1][:2]
NO_REGION = FIRST[0][2:] + FIRST[2]


class Uneven(SyntheticScenes):
    """Scenes with more and more void.

    In the first epoch one rank has no regions in the first step, the other no classes in the second, and nobody has
    regions in the third. Where there are no regions there is no depth either, and no normals where there are no classes.
    """

    def __init__(self, split: Split, length: int, size: tuple[int, int]) -> None:
        super().__init__(split, length, size, depth=True, normals=True)

    def read(self, index: int) -> Pixels:
        image, semantic, region, maps = super().read(index)
        semantic[: 3 * index], region[:, : 2 * index] = 255, 0
        if index in NO_SEMANTIC:
            semantic[:] = 255
            maps["normals"][:] = 0
        if index in NO_REGION:
            region[:] = 0
            maps["depth"][:] = 0
        return Pixels(image, semantic, region, maps)


class Weighed(FusionModule):
    """A module that remembers the weights of its share of the loss in each step."""

    def on_fit_start(self) -> None:
        super().on_fit_start()
        self.shares: list[Tensor] = []
        terms = self.objective.terms

        def watched(refinements: Sequence[Mapping[str, Any]], batch: Sample) -> list[tuple[Tensor, Tensor]]:
            found = terms(refinements, batch)
            if torch.is_grad_enabled():
                self.shares.append(padded_terms(found)[1])
            return found

        self.objective.terms = watched  # type: ignore[method-assign]


class WeighedClassifier(ClassificationModule, Weighed):
    """The same of a classifier."""


class Watch(pl.Callback):
    """Sees to the mode of training, and how far each weight moves in each epoch."""

    def __init__(self, norms: str) -> None:
        self.norms = norms
        self.moved: list[dict[str, float]] = []

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.before = {name: v.detach().clone() for name, v in pl_module.state_dict().items()}

    def on_train_batch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any) -> None:
        if self.norms != "local":
            for module in pl_module.modules():
                module.training &= self.norms == "synced" and isinstance(module, _BatchNorm)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        after = pl_module.state_dict()
        self.moved.append({name: (after[name] - v).abs().max().item() for name, v in self.before.items()})


def model(case: str) -> Weighed:
    *_, way = case.split(maxsplit=3)
    torch.manual_seed(0)
    made = student(case)
    if "start" in way.split():
        mark_pretrained(made.network.encoder, (name for name, _ in made.network.encoder.named_parameters()))
    if "taught" in way.split():
        made.distillation.learn_from(student(case).network, "known")
    if "mean" in way.split():
        made.distillation.learn_from_mean()
    return made


def student(case: str) -> Weighed:
    encoder, decoder, tasks, *way = case.split()
    if tasks == "classifier":
        optimizer = partial(SGD, lr=0.01, momentum=0.9)
        return WeighedClassifier(Uneven.classes, backbone=Backbone(encoder), optimizer=optimizer)
    named = [word for word in tasks.split("+") if word not in FURTHER]
    return Weighed(
        Uneven.classes,
        alpha=0.5,
        beta=2.0,
        **{"semantic_head": None, "region_head": None}
        | dict(HEADS.get(word) or ("region_head", getattr(heads, word)) for word in named),
        extra_heads={word: FURTHER[word] for word in tasks.split("+") if word in FURTHER},
        backbone=Backbone(
            encoder, decoder=decoder, options=NARROW.get(decoder, {}) | NARROW.get(encoder, {})
        ),
        optimizer=partial(SGD, lr=0.01 if "double" in way else 0.001, momentum=0.9),
        freeze_encoder_epochs=2 if "kept" in way else int("held" in way),
        l1=1e-5 if "l1" in way else 0.0,
        regularizer=partial(L2SP, alpha=1.0) if "start" in way else None,
        teacher=teacher(way),
        layer_decay=0.5 if "decayed" in way else 1.0,
        batch_norm="reestimated" if "anew" in way else "train",
        network=next((getattr(networks, word) for word in way if hasattr(networks, word)), HardSharing)
        if "apart" not in way
        else partial(HardSharing, shared_decoder=False),
        balancer=next((balancer(word) for word in way if ":" in word), Sum),
    )


def teacher(way: Sequence[str]) -> Teacher | None:
    if "mean" in way:
        return Teacher(decay=0.5, ramp_up=3, features=0.5)
    return Teacher("nowhere", features=0.5) if "taught" in way else None


def balancer(word: str) -> Any:
    """The recipe of `name:` or `name:level`."""
    name, _, level = word.partition(":")
    options: dict[str, Any] = {"level": level, "double": True} if level else {}
    if name == "TorchJDWeighting":
        options["weighting"] = AlignedMTLWeighting
    return partial(getattr(balancing, name), **options)


def datamodule(case: str, folder: Path) -> SegmentationDataModule:
    scenes = partial(Uneven, length=TRAIN, size=(64, 64))
    options: dict[str, Any] = {"batch_size": BATCH, "crop_size": (64, 64), "workers": 0, "seed": SEED}
    if "kept" in case.split():
        options |= {"features": FrozenFeatures(2), "cache_dir": str(folder / "kept")}
    if "unlabelled" in case.split():
        options |= {"fraction": 0.5, "unlabelled": Unlabelled()}
    if case.split()[2] == "classifier":
        data: SegmentationDataModule = ClassificationDataModule(scenes, resize=None, mixup=0.4, **options)
    else:
        data = SegmentationDataModule(scenes, **options)
    data.weak_views = "mean" in case.split()
    data.datasets["val"] = Uneven("val", VAL, (50, 70))
    return data


def trainer(case: str, ranks: int, **options: Any) -> pl.Trainer:
    way = case.split()[3:]
    parts = (
        "logger",
        "enable_checkpointing",
        "enable_progress_bar",
        "enable_model_summary",
        "use_distributed_sampler",
    )
    off: dict[str, Any] = dict.fromkeys(parts, False)
    return pl.Trainer(
        **off,
        accelerator="cpu",
        devices=ranks,
        strategy=DDPStrategy(timeout=timedelta(seconds=60)) if ranks > 1 else "auto",
        precision="64-true" if "double" in way else "32-true",
        plugins=[BatchNormSync(True)] if "synced" in way else [],
        sync_batchnorm="synced" in way,
        num_sanity_val_steps=0,
        max_epochs=2,
        check_val_every_n_epoch=2,
        gradient_clip_val=1.0,  # heads differ in scale, rounding errors should not
        **options,
    )


def figures(trainer: pl.Trainer) -> dict[str, float]:
    return {name: float(v) for name, v in trainer.callback_metrics.items() if name.startswith("val/")}


def train(folder: Path, cases: list[str], ranks: int, rank: int) -> None:
    for case in cases:
        gc.collect()  # a trainer and its module hold each other, and much memory
        module, watch = model(case), Watch(case.split()[3])
        fitting = trainer(case, ranks, callbacks=[FeatureCache(), watch])
        with quiet():
            fitting.fit(module, datamodule=datamodule(case, folder))
        found: dict[str, Any] = {"state": deepcopy(module.state_dict()), "moved": watch.moved}
        found["figures"] = figures(fitting)
        found["learned"] = [name for name, p in module.named_parameters() if p.requires_grad]
        found |= {
            "latest": module.loss_log.latest,
            "steps": fitting.global_step,
            "kept": sorted(path.name for path in folder.glob("kept/*.values")),
            "shares": torch.stack(module.shares),
        }
        if ranks == 1:
            # what the two ranks came to, measured by one
            module.load_state_dict(torch.load(folder / f"{case}-2-0.pt", weights_only=True)["state"])
            measuring = trainer(case, 1)
            with quiet():
                measuring.validate(module, datamodule=datamodule(case, folder), verbose=False)
            found["figures of two"] = figures(measuring)
        torch.save(found, folder / f"{case}-{ranks}-{rank}.pt")


def rank_of_two(folder: Path, cases: list[str], rank: int, port: int) -> None:
    place = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": 2, "LOCAL_WORLD_SIZE": 2, "MASTER_PORT": port}
    # as torchrun would start it
    os.environ |= {name: str(v) for name, v in place.items()} | {
        "MASTER_ADDR": "127.0.0.1",
        "TORCHELASTIC_RUN_ID": "test",
    }
    train(folder, cases, 2, rank)


def main(folder: Path, cases: list[str]) -> None:
    torch.set_num_threads(1)
    gc.freeze()  # or each collection after a training looks through all that is imported
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    # forked before any computation, so that the imports, which take longest, are made once
    fork = multiprocessing.get_context("fork")
    ranks = [
        fork.Process(target=rank_of_two, args=(folder, cases, rank, port), daemon=True) for rank in (0, 1)
    ]
    for process in ranks:
        process.start()
    while alive := [process for process in ranks if process.is_alive()]:
        wait([process.sentinel for process in alive])
        if any(process.exitcode for process in ranks):
            sys.exit("a rank failed")  # which ends the other
    train(folder, cases, 1, 0)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
