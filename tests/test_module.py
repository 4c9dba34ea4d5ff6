import copy
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import lightning.pytorch as pl
import numpy as np
import pytest
import torch
from lightning.pytorch.callbacks import EarlyStopping, EMAWeightAveraging
from lightning.pytorch.loggers import CSVLogger
from torch import Tensor, nn
from torch.optim import SGD, AdamW, Optimizer
from torch.optim.lr_scheduler import OneCycleLR, ReduceLROnPlateau, StepLR
from torch.utils.data import DataLoader

from fusionseg.backbone import Backbone
from fusionseg.data.datamodule import SegmentationDataModule
from fusionseg.data.synthetic import SyntheticScenes
from fusionseg.heads import BoundaryHead, CenterOffsetHead, SemanticHead
from fusionseg.losses import CrossEntropy
from fusionseg.module import FusionModule
from fusionseg.networks import HardSharing
from fusionseg.quiet import quiet
from fusionseg.sample import OFFSET, Sample

Scenes = Callable[..., Sample]
CLASSES = SyntheticScenes.classes
TINY = Backbone(decoder="FPN", options={"decoder_pyramid_channels": 32, "decoder_segmentation_channels": 32})
Plan = Callable[..., pl.Trainer]


def small(**options: Any) -> FusionModule:
    return FusionModule(CLASSES, **{"backbone": TINY, **options})


def datamodule(**options: Any) -> SegmentationDataModule:
    scenes = partial(SyntheticScenes, length=5, size=(72, 100))
    fixed: dict[str, Any] = {"dataset": scenes, "batch_size": 2, "crop_size": (64, 64), "workers": 0, "seed": 3}
    return SegmentationDataModule(**{**fixed, **options})


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    """A plain trainer of Lightning's, without anything around it."""

    def trainer(**options: Any) -> pl.Trainer:
        bare: dict[str, Any] = dict.fromkeys(
            (
                "logger",
                "enable_checkpointing",
                "enable_progress_bar",
                "enable_model_summary",
                "use_distributed_sampler",
            ),
            False,
        )
        return pl.Trainer(
            **{**bare, "accelerator": "cpu", "max_epochs": 1, "num_sanity_val_steps": 0, **options},
            default_root_dir=tmp_path,
        )

    return trainer


def fit(trainer: pl.Trainer, model: FusionModule, data: SegmentationDataModule | None = None) -> dict[str, float]:
    with quiet():
        trainer.fit(model, datamodule=data or datamodule())
    return {name: float(value) for name, value in trainer.callback_metrics.items()}


def of_hand(model: FusionModule, batch: Sample) -> dict[str, Tensor]:
    """Cross-entropy of the enlarged logits and HED's balanced cross-entropy, as their definitions read."""
    outputs = model(batch["image"])[-1]
    large = {t: nn.functional.interpolate(o, batch["image"].shape[-2:], mode="bilinear") for t, o in outputs.items()}
    losses = {"semantic": nn.functional.cross_entropy(large["semantic"], batch["semantic"], ignore_index=255)}
    head: Any = model.network.heads["region"]
    boundary, mask = head.target(batch)
    total = weight = torch.zeros(())
    for i in range(len(mask)):
        beta = 1 - boundary[i].sum() / mask[i].sum()
        weights = torch.where(boundary[i], beta, 1 - beta)[mask[i]]
        truth = boundary[i][mask[i]].float()
        each = nn.functional.binary_cross_entropy_with_logits(large["region"][i, 0][mask[i]], truth, reduction="none")
        total, weight = total + (weights * each).sum(), weight + weights.sum()
    return losses | {"region": total / weight}


@pytest.mark.parametrize(("alpha", "beta"), [(1.0, 1.0), (0.25, 3.0), (0.0, 1.0), (2.0, 0.0)])
def test_the_loss_is_alpha_times_semantic_plus_beta_times_region(alpha: float, beta: float, scenes: Scenes) -> None:
    model, batch = small(alpha=alpha, beta=beta).eval(), scenes(2, (64, 64))
    batch["semantic"][0, :20], batch["region"][1, 40:] = 255, 0
    losses = of_hand(model, batch)
    loss = model.training_step(batch, 0)
    torch.testing.assert_close(loss, alpha * losses["semantic"] + beta * losses["region"])
    logged = model.running.read()
    assert logged == pytest.approx([loss.item(), losses["semantic"].item(), losses["region"].item()], rel=1e-5)


def test_every_refinement_is_scored_and_added(scenes: Scenes) -> None:
    model, batch = small().eval(), scenes(2, (64, 64))
    once, network = model.training_step(batch, 0), model.network.forward
    with patch.object(model.network, "forward", lambda image: network(image) * 3):
        torch.testing.assert_close(model.training_step(batch, 0), 3 * once)


@pytest.mark.parametrize("head", ["semantic_head", "region_head"])
def test_a_null_head_gives_the_single_task_baseline(head: str, scenes: Scenes) -> None:
    task = {"semantic_head": "region", "region_head": "semantic"}[head]
    joint, single, batch = small().eval(), small(**{head: None}).eval(), scenes(2, (64, 64))
    single.load_state_dict({name: v for name, v in joint.state_dict().items() if name in single.state_dict()})
    assert single.tasks == [task]
    torch.testing.assert_close(single.training_step(batch, 0), of_hand(joint, batch)[task])
    assert joint.network.encoder.state_dict().keys() == single.network.encoder.state_dict().keys()
    names = {"semantic": {"semantic"}, "region": {"region"}}[task]
    answer = single.predictions(batch, (64, 64))[0]
    assert {k for k in ("semantic", "region", "fused", "panoptic") if getattr(answer, k) is not None} == names


def test_l1_adds_the_sum_of_absolute_parameters(scenes: Scenes) -> None:
    plain, sparse, batch = small().eval(), small(l1=0.01).eval(), scenes(1, (64, 64))
    sparse.load_state_dict(plain.state_dict())
    expected = plain.training_step(batch, 0) + 0.01 * sum(p.abs().sum() for p in plain.parameters())
    torch.testing.assert_close(sparse.training_step(batch, 0), expected)


def test_ranks_share_one_denominator(scenes: Scenes) -> None:
    """The mean over two ranks of their losses, and so of their gradients, is the loss of the whole batch."""
    model, whole = small().eval(), scenes(4, (64, 64))
    whole["semantic"][0], whole["region"][1:3], whole["semantic"][3, :50] = 255, 0, 255
    expected = model.training_step(whole, 0)
    shares: list[Sample] = [{k: v[part] for k, v in whole.items()} for part in (slice(0, 2), slice(2, 4))]
    weights = [model.terms(model(share["image"]), share)[1] for share in shares]
    with (
        patch("fusionseg.module.world_size", lambda: 2),
        patch("fusionseg.module.reduced", lambda _: weights[0] + weights[1]),
    ):
        losses = [model.training_step(share, 0) for share in shares]
    torch.testing.assert_close((losses[0] + losses[1]) / 2, expected)


def test_the_step_never_waits_for_the_device(scenes: Scenes) -> None:
    model, batch = small(l1=0.1, region_head=CenterOffsetHead), scenes(2, (64, 64))

    def waiting(*_: Any, **__: Any) -> Any:
        raise AssertionError("the host waits for the device")

    readers = ("item", "tolist", "cpu", "numpy", "nonzero", "__bool__", "__float__", "__int__", "__index__")
    with patch.multiple(Tensor, **dict.fromkeys(readers, waiting)):  # type: ignore[call-overload]
        for _ in range(2):
            model.training_step(batch, 0)
        # a copy from the host's memory waits too
        with patch.object(Tensor, "new_tensor", waiting), patch("torch.tensor", waiting):
            model.training_step(batch, 0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"alpha": 0.0, "beta": 0.0}, r"nothing would be learned with alpha = 0.0, beta = 0.0"),
        ({"semantic_head": None, "region_head": None}, "both null"),
        ({"alpha": -1.0}, "alpha = -1.0"),
        ({"beta": float("nan")}, "beta = nan"),
        ({"region_head": None, "alpha": 0.0}, r"learned with alpha = 0.0"),
        ({"encoder_lr": -0.1}, "encoder_lr of 0 or more, found -0.1"),
        ({"l1": float("inf")}, "l1 of 0 or more, found inf"),
        ({"region_head": SemanticHead}, "expected a region head, found SemanticHead"),
        ({"semantic_head": partial(BoundaryHead, width=4)}, "expected a semantic head, found BoundaryHead"),
        ({"region_head": lambda channels: BoundaryHead(channels)}, "has no name to rebuild it by"),
    ],
)
def test_what_cannot_be_trained_is_refused_at_construction(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        small(**options)


class Foreign(pl.LightningDataModule):
    """A datamodule that keeps the contract of a sample and no more."""

    def train_dataloader(self) -> DataLoader[Any]:
        return datamodule().train_dataloader()

    val_dataloader = train_dataloader


def test_balanced_class_weights_are_taken_from_the_data(plan: Plan) -> None:
    model = small(semantic_head=partial(SemanticHead, losses=[partial(CrossEntropy, class_weights="balanced")]))
    data = datamodule()
    fit(plan(max_steps=1, limit_val_batches=0), model, data)
    counts = data.class_counts().float()
    share = counts / counts.sum()
    expected = torch.where(counts > 0, share[counts > 0].median() / share, 0)
    found = model.network.heads["semantic"].losses[0].weight[:6]  # type: ignore[union-attr, index]
    even = (counts > 0).sum() % 2 == 0  # the median of an even number is between two
    torch.testing.assert_close(found / found.max(), expected / expected.max() if even else expected)


def test_balancing_without_data_that_can_count_is_refused(plan: Plan) -> None:
    model = small(semantic_head=partial(SemanticHead, losses=[partial(CrossEntropy, class_weights="balanced")]))
    with pytest.raises(ValueError, match=r"expected a datamodule with class_counts"), quiet():
        plan().fit(model, datamodule=Foreign())


@pytest.mark.parametrize(
    "options",
    [
        {"optimizer": partial(SGD, lr=0.01, momentum=0.9), "schedule": None},
        {"schedule": partial(StepLR, step_size=1)},
        {"schedule": partial(OneCycleLR, max_lr=0.01)},
        {"schedule": partial(ReduceLROnPlateau, patience=0), "encoder_lr": 0.1},
    ],
)
def test_any_optimizer_and_schedule_of_torch_trains(options: dict[str, Any], plan: Plan) -> None:
    model = small(**options)
    before = {name: p.clone() for name, p in model.named_parameters()}
    figures = fit(plan(gradient_clip_val=1.0), model)
    assert np.isfinite(figures["val/loss"])
    assert not any(torch.equal(p, before[name]) for name, p in model.named_parameters())


def test_a_schedule_of_steps_is_told_the_optimizer_s_steps(plan: Plan) -> None:
    model = small(schedule=partial(OneCycleLR, max_lr=0.01))
    trainer = plan(max_epochs=3, accumulate_grad_batches=2, limit_val_batches=0)
    fit(trainer, model, datamodule(batch_size=1))
    (rule,) = trainer.lr_scheduler_configs
    assert rule.interval == "step"
    assert rule.scheduler.total_steps == 9 == trainer.global_step  # type: ignore[union-attr]


class Record(CSVLogger):
    """Keeps what is logged while training."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.rows: list[tuple[int, dict[str, Any]]] = []

    def log_metrics(self, metrics: dict[str, Any], step: int | None = None) -> None:
        if "train/loss" in metrics:
            self.rows.append((step or 0, metrics))


@pytest.mark.parametrize(
    ("options", "steps"),
    [
        ({"log_every_n_steps": 2}, [2, 4, 5]),
        ({"log_every_n_steps": 50}, [5]),
        ({"log_every_n_steps": 0}, [5]),
        ({"log_every_n_steps": 50, "max_steps": 3}, [3]),
        ({"log_every_n_steps": 2, "accumulate_grad_batches": 2, "max_epochs": 2}, [2, 3, 4, 6]),
    ],
)
def test_logged_losses_are_means_over_all_steps_since_the_last(
    options: dict[str, Any], steps: list[int], plan: Plan, tmp_path: Path
) -> None:
    model, logger = small(), Record(tmp_path)
    losses: list[float] = []
    step = model.training_step

    def watched(batch: Sample, batch_idx: int) -> Tensor:
        loss = step(batch, batch_idx)
        losses.append(loss.item())
        return loss

    with patch.object(model, "training_step", watched):
        fit(plan(logger=logger, limit_val_batches=0, **options), model, datamodule(batch_size=1))
    assert [step for step, _ in logger.rows] == steps
    epochs, each = options.get("max_epochs", 1), options.get("accumulate_grad_batches", 1)
    batches = [min(each, 5 - i) for _ in range(epochs) for i in range(0, 5, each)][: steps[-1]]
    assert len(losses) == sum(batches)
    ends = [sum(batches[:step]) for step in steps]
    means = [np.mean(losses[start:end]) for start, end in zip([0, *ends], ends, strict=False)]
    assert [row["train/loss"] for _, row in logger.rows] == pytest.approx(means)
    assert set(logger.rows[0][1]) == {"train/loss", "train/loss_semantic", "train/loss_region", "train/lr", "epoch"}


def slow_miou(model: FusionModule, data: SegmentationDataModule) -> tuple[float, float, float, list[str]]:
    """mIoU, covering and PQ of the validation images one at a time and pixel by pixel."""
    dataset = data.datasets["val"]
    both, either = np.zeros(len(CLASSES)), np.zeros(len(CLASSES))
    covered = pixels = 0.0
    quality = np.zeros((len(CLASSES), 4))
    names = []
    for batch in data.val_dataloader():
        truth = dataset.truth(int(batch["index"]))
        (answer,) = model.predictions(data.on_after_batch_transfer(batch, 0), truth.semantic.shape)
        names.append(answer.name)
        assert answer.semantic is not None
        assert answer.region is not None
        assert answer.panoptic is not None
        for c in range(len(CLASSES)):
            both[c] += np.sum((answer.semantic == c) & (truth.semantic == c))
            either[c] += np.sum((answer.semantic == c) | (truth.semantic == c))
        for r in np.unique(truth.region):
            mask = truth.region == r
            overlaps = [
                np.sum(mask & (answer.region == s)) / np.sum(mask | (answer.region == s))
                for s in np.unique(answer.region)
            ]
            covered, pixels = covered + mask.sum() * max(overlaps), pixels + mask.sum()
        things = np.isin(truth.semantic, CLASSES.things)
        segments = truth.semantic.astype(int) * OFFSET + np.where(things, truth.region, 0)
        left, right = set(np.unique(segments)), set(np.unique(answer.panoptic))
        for a in sorted(left):
            for b in sorted(right):
                iou = np.sum((segments == a) & (answer.panoptic == b)) / np.sum(
                    (segments == a) | (answer.panoptic == b)
                )
                if iou > 0.5 and a // OFFSET == b // OFFSET:
                    quality[a // OFFSET] += [1, -1, -1, iou]
        for a in left:
            quality[a // OFFSET, 2] += 1
        for b in right:
            quality[b // OFFSET, 1] += 1
    seen = quality[:, :3].sum(1) > 0
    pq = quality[seen, 3] / (quality[seen, 0] + quality[seen, 1] / 2 + quality[seen, 2] / 2)
    return float(np.mean(both[either > 0] / either[either > 0])), covered / pixels, float(pq.mean()), names


@pytest.mark.parametrize("region_head", [partial(BoundaryHead, min_area=5), CenterOffsetHead])
@pytest.mark.parametrize(("scale", "size"), [(0.5, (72, 100)), (1.0, (40, 52))])
def test_validation_measures_every_image_once_at_the_size_of_its_file(
    region_head: Any, scale: float, size: tuple[int, int], plan: Plan
) -> None:
    model = small(region_head=region_head).eval()
    data = datamodule(dataset=partial(SyntheticScenes, length=5, size=size), scale=scale)
    with quiet():
        (figures,) = plan().validate(model, datamodule=data, verbose=False)
    miou, covering, pq, names = slow_miou(model, data)
    assert figures["val/miou"] == pytest.approx(miou, rel=1e-6)
    assert figures["val/covering"] == pytest.approx(covering, rel=1e-6)
    assert figures["val/pq"] == pytest.approx(pq, rel=1e-6)
    assert figures["val/score"] == pytest.approx((miou * covering) ** 0.5, rel=1e-6)
    assert sorted(names) == [f"val-{i:05d}" for i in range(5)]


def test_figures_do_not_depend_on_the_evaluation_batch(plan: Plan) -> None:
    model = small().eval()
    with quiet():
        one, four = (
            plan().validate(model, datamodule=datamodule(eval_batch_size=size), verbose=False)[0] for size in (1, 4)
        )
    assert one == pytest.approx(four, rel=1e-5, nan_ok=True)


def test_validation_loss_is_that_of_the_whole_set(plan: Plan) -> None:
    model, data = small(alpha=0.5).eval(), datamodule(dataset=partial(SyntheticScenes, length=3, size=(64, 96)))
    with quiet():
        (figures,) = plan().validate(model, datamodule=data, verbose=False)
    batches = [data.on_after_batch_transfer(batch, 0) for batch in data.val_dataloader()]
    whole = {key: torch.cat([batch[key] for batch in batches]) for key in ("image", "semantic", "region")}
    with torch.no_grad():
        losses = of_hand(model, whole)
    assert figures["val/loss_semantic"] == pytest.approx(losses["semantic"].item(), rel=1e-4)
    assert figures["val/loss_region"] == pytest.approx(losses["region"].item(), rel=1e-4)
    assert figures["val/loss"] == pytest.approx(0.5 * losses["semantic"].item() + losses["region"].item(), rel=1e-4)


def test_an_interrupted_validation_leaves_no_trace(plan: Plan) -> None:
    model, data = small().eval(), datamodule()
    with quiet():
        (expected,) = plan().validate(model, datamodule=data, verbose=False)
        with patch.object(model, "on_validation_batch_end", side_effect=RuntimeError("power cut"), create=True):
            trainer = plan()
            with pytest.raises(RuntimeError, match="power cut"):
                trainer.validate(model, datamodule=data, verbose=False)
        (again,) = plan().validate(model, datamodule=data, verbose=False)
    assert again == pytest.approx(expected, nan_ok=True)


def test_the_test_split_is_measured_under_its_own_name(plan: Plan) -> None:
    with quiet():
        (figures,) = plan().test(small(), datamodule=datamodule(), verbose=False)
    assert {"test/miou", "test/covering", "test/pq", "test/score", "test/loss"} <= figures.keys()


@pytest.mark.parametrize("optimizer", [partial(AdamW, lr=0.01, weight_decay=0.5), partial(SGD, lr=0.01, momentum=0.9)])
def test_a_held_encoder_stays_as_it_is_and_learns_afterwards(optimizer: Callable[..., Optimizer], plan: Plan) -> None:
    model = small(optimizer=optimizer, schedule=None, freeze_encoder_epochs=1, l1=1e-4)
    states: list[dict[str, Tensor]] = []

    class Watch(pl.Callback):
        def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
            states.append(copy.deepcopy(model.network.state_dict()))

        def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
            states.append(copy.deepcopy(model.network.state_dict()))
            touched = {id(p) for p in trainer.optimizers[0].state}
            of_encoder = {id(p) for p in model.network.encoder.parameters()}
            assert (touched & of_encoder == set()) == (trainer.current_epoch == 0)

    fit(plan(max_epochs=2, callbacks=[Watch()]), model)
    start, held, free = states
    moved = [{n for n in start if not torch.equal(a[n], b[n])} for a, b in ((start, held), (held, free))]
    parts = {n for n in start if "num_batches_tracked" not in n}
    assert {n for n in moved[0] if n.startswith("encoder.")} == set()
    assert parts - moved[0] == {n for n in parts if n.startswith("encoder.")}
    assert parts - moved[1] == set()


def test_dropout_is_a_matter_of_seed_epoch_and_rank(monkeypatch: pytest.MonkeyPatch) -> None:
    model = small()

    def draws(seed: int, epoch: int, rank: int) -> list[float]:
        monkeypatch.setenv("PL_GLOBAL_SEED", str(seed))
        with (
            patch.object(FusionModule, "current_epoch", epoch),
            patch.object(FusionModule, "global_rank", rank),
        ):
            model.on_train_epoch_start()
        return torch.rand(3).tolist()

    keys = [(1, 0, 0), (0, 1, 0), (0, 0, 1), (0, 0, 0)]
    assert [draws(*key) for key in keys] == [draws(*key) for key in keys]
    assert len({tuple(draws(*key)) for key in keys}) == len(keys)


def test_averaged_weights_and_early_stopping_work(plan: Plan) -> None:
    model = small()
    plain = copy.deepcopy(model)
    stop = EarlyStopping("val/score", mode="max", patience=5)
    figures = fit(plan(max_epochs=2, callbacks=[EMAWeightAveraging(decay=0.5), stop]), model)
    assert float(stop.best_score) >= figures["val/score"] > 0
    fit(plan(max_epochs=2), plain)
    assert not any(torch.equal(a, b) for a, b in zip(model.parameters(), plain.parameters(), strict=True))
    with quiet():
        (again,) = plan().validate(model, datamodule=datamodule(), verbose=False)
    assert again["val/loss"] == pytest.approx(figures["val/loss"], rel=1e-5)


def test_early_stopping_stops(plan: Plan) -> None:
    trainer = plan(max_epochs=9, callbacks=[EarlyStopping("val/score", mode="max", min_delta=1.0, patience=1)])
    fit(trainer, small())
    assert trainer.current_epoch == 2


@pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")
def test_a_compiled_model_has_the_names_of_a_plain_one() -> None:
    plain, compiled = small(), small(compile=True)
    assert plain.state_dict().keys() == compiled.state_dict().keys()
    parts = (compiled.network.encoder, *compiled.network.decoders.values(), *compiled.network.heads.values())
    assert all(part._compiled_call_impl is not None for part in parts)


def test_weights_lie_channels_last_in_memory() -> None:
    kernels = [p for p in small().parameters() if p.ndim == 4 and min(p.shape) > 1]
    assert len(kernels) > 20
    assert all(p.is_contiguous(memory_format=torch.channels_last) for p in kernels)


def test_one_decoder_for_each_task_trains_too(plan: Plan) -> None:
    model = small(network=partial(HardSharing, shared_decoder=False))
    assert np.isfinite(fit(plan(), model)["val/loss"])
