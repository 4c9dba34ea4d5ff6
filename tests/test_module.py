from collections.abc import Callable
from functools import partial
from typing import Any
from unittest.mock import patch

import lightning.pytorch as pl
import pytest
import torch
from torch import Tensor, nn

from fusionseg.config.lightning_messages import quiet
from fusionseg.data.datamodule import SegmentationDataModule
from fusionseg.data.synthetic import SyntheticScenes
from fusionseg.engine.objective import padded_terms
from fusionseg.heads import BoundaryHead, OffsetHead, SemanticHead
from fusionseg.module import FusionModule
from fusionseg.networks.backbone import Backbone
from fusionseg.sample import Sample

Data = Callable[..., SegmentationDataModule]
Plan = Callable[..., pl.Trainer]
Scenes = Callable[..., Sample]
Small = Callable[..., FusionModule]


def of_hand(model: FusionModule, batch: Sample) -> dict[str, Tensor]:
    """Cross-entropy of the enlarged logits and HED's balanced cross-entropy, as their definitions read."""
    outputs = model(batch["image"])[-1]
    large = {
        t: nn.functional.interpolate(o, batch["image"].shape[-2:], mode="bilinear")
        for t, o in outputs.items()
    }
    losses = {"semantic": nn.functional.cross_entropy(large["semantic"], batch["semantic"], ignore_index=255)}
    head: Any = model.network.heads["region"]
    boundary, mask = head.target(batch)
    total = weight = torch.zeros(())
    for i in range(len(mask)):
        beta = 1 - boundary[i].sum() / mask[i].sum()
        weights = torch.where(boundary[i], beta, 1 - beta)[mask[i]]
        truth = boundary[i][mask[i]].float()
        each = nn.functional.binary_cross_entropy_with_logits(
            large["region"][i, 0][mask[i]], truth, reduction="none"
        )
        total, weight = total + (weights * each).sum(), weight + weights.sum()
    return losses | {"region": total / weight}


@pytest.mark.parametrize(("alpha", "beta"), [(1.0, 1.0), (0.25, 3.0), (0.0, 1.0), (2.0, 0.0)])
def test_the_loss_is_alpha_times_semantic_plus_beta_times_region(
    alpha: float, beta: float, small: Small, scenes: Scenes
) -> None:
    model, batch = small(alpha=alpha, beta=beta).eval(), scenes(2, (64, 64))
    batch["semantic"][0, :20], batch["region"][1, 40:] = 255, 0
    losses = of_hand(model, batch)
    loss = model.training_step(batch, 0)
    torch.testing.assert_close(loss, alpha * losses["semantic"] + beta * losses["region"])
    logged = model.loss_log.pop_means(1)
    assert list(logged.values()) == pytest.approx(
        [loss.item(), losses["semantic"].item(), losses["region"].item()], rel=1e-5
    )


def test_every_refinement_is_scored_and_added(small: Small, scenes: Scenes) -> None:
    model, batch = small().eval(), scenes(2, (64, 64))
    once, network = model.training_step(batch, 0), model.network.forward
    with patch.object(model.network, "forward", lambda image: network(image) * 3):
        torch.testing.assert_close(model.training_step(batch, 0), 3 * once)


@pytest.mark.parametrize("head", ["semantic_head", "region_head"])
def test_a_null_head_gives_the_single_task_baseline(head: str, small: Small, scenes: Scenes) -> None:
    task = {"semantic_head": "region", "region_head": "semantic"}[head]
    joint, single, batch = small().eval(), small(**{head: None}).eval(), scenes(2, (64, 64))
    single.load_state_dict({name: v for name, v in joint.state_dict().items() if name in single.state_dict()})
    assert single.tasks == [task]
    torch.testing.assert_close(single.training_step(batch, 0), of_hand(joint, batch)[task])
    assert joint.network.encoder.state_dict().keys() == single.network.encoder.state_dict().keys()
    names = {"semantic": {"semantic"}, "region": {"region"}}[task]
    answer = single.predictions(batch, (64, 64))[0]
    assert {k for k in ("semantic", "region", "fused", "panoptic") if k in answer} == names


def test_l1_adds_the_sum_of_absolute_parameters(small: Small, scenes: Scenes) -> None:
    plain, sparse, batch = small().eval(), small(l1=0.01).eval(), scenes(1, (64, 64))
    sparse.load_state_dict(plain.state_dict())
    expected = plain.training_step(batch, 0) + 0.01 * sum(p.abs().sum() for p in plain.parameters())
    torch.testing.assert_close(sparse.training_step(batch, 0), expected)


def test_ranks_share_one_denominator(small: Small, scenes: Scenes) -> None:
    """The mean over two ranks of their losses, and so of their gradients, is the loss of the whole batch."""
    model, whole = small().eval(), scenes(4, (64, 64))
    whole["semantic"][0], whole["region"][1:3], whole["semantic"][3, :50] = 255, 0, 255
    expected = model.training_step(whole, 0)
    shares: list[Sample] = [{k: v[part] for k, v in whole.items()} for part in (slice(0, 2), slice(2, 4))]
    found = [padded_terms(model.objective.terms(model(share["image"]), share)) for share in shares]
    terms = [torch.stack(each).detach() for each in found]
    with (
        patch("fusionseg.engine.objective.world_size", lambda: 2),
        patch("fusionseg.engine.objective.reduced", lambda _: terms[0] + terms[1]),
    ):
        losses = [model.training_step(share, 0) for share in shares]
    torch.testing.assert_close((losses[0] + losses[1]) / 2, expected)


def test_validation_loss_is_that_of_the_whole_set(small: Small, datamodule: Data, plan: Plan) -> None:
    model, data = (
        small(alpha=0.5).eval(),
        datamodule(dataset=partial(SyntheticScenes, length=3, size=(64, 96))),
    )
    with quiet():
        (figures,) = plan().validate(model, datamodule=data, verbose=False)
    batches = [data.on_after_batch_transfer(batch, 0) for batch in data.val_dataloader()]
    whole = {key: torch.cat([batch[key] for batch in batches]) for key in ("image", "semantic", "region")}
    with torch.no_grad():
        losses = of_hand(model, whole)
    assert figures["val/loss_semantic"] == pytest.approx(losses["semantic"].item(), rel=1e-4)
    assert figures["val/loss_region"] == pytest.approx(losses["region"].item(), rel=1e-4)
    assert figures["val/loss"] == pytest.approx(
        0.5 * losses["semantic"].item() + losses["region"].item(), rel=1e-4
    )


def test_the_step_never_waits_for_the_device(small: Small, scenes: Scenes) -> None:
    # of CenterOffsetHead the targets are made otherwise on a CPU
    model, batch = small(l1=0.1, region_head=OffsetHead), scenes(2, (64, 64))

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
def test_what_cannot_be_trained_is_refused_at_construction(
    options: dict[str, Any], message: str, small: Small
) -> None:
    with pytest.raises(ValueError, match=message):
        small(**options)


@pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")
def test_a_compiled_model_has_the_names_of_a_plain_one(small: Small) -> None:
    plain, compiled = small(), small(compile=True)
    assert plain.state_dict().keys() == compiled.state_dict().keys()
    parts = (compiled.network.encoder, *compiled.network.decoders.values(), *compiled.network.heads.values())
    assert compiled.network.parts == list(parts)
    assert all(part._compiled_call_impl is not None for part in parts)


def test_weights_are_laid_out_for_the_trainer_s_precision(small: Small, plan: Plan) -> None:
    formats = {"32-true": torch.contiguous_format, "bf16-mixed": torch.channels_last}
    for precision, expected in formats.items():
        model = small(backbone=Backbone("resnet18", decoder="FPN"))
        model.trainer = plan(precision=precision)
        model.setup("fit")
        kernels = [p for p in model.parameters() if p.ndim == 4 and min(p.shape) > 1]
        assert len(kernels) > 20
        assert all(p.is_contiguous(memory_format=expected) for p in kernels)
