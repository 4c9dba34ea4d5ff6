"""The encoder's rates, its frozen epochs and its batch statistics in a training."""

from collections.abc import Callable
from functools import partial
from typing import Any

import lightning.pytorch as pl
import pytest
import torch
from torch import Tensor, nn
from torch.optim import SGD, AdamW
from torch.optim.lr_scheduler import OneCycleLR

from fusionseg.config.errors import UsageError
from fusionseg.config.lightning_messages import quiet
from fusionseg.engine.fine_tuning import FineTuning
from fusionseg.engine.optimization import configured
from fusionseg.engine.schedules import scheduled
from fusionseg.engine.sync_batch_norm import BatchNormSync
from fusionseg.module import FusionModule
from fusionseg.networks import CrossStitch
from fusionseg.networks.backbone import Backbone

Data = Callable[..., Any]
Plan = Callable[..., pl.Trainer]
Small = Callable[..., FusionModule]

RESNET = Backbone("resnet18", decoder="FPN")
STAGES = {"conv1": 1, "bn1": 1, "layer1": 2, "layer2": 3, "layer3": 4, "layer4": 5}
"""The stage of each layer of a ResNet, as one reads it in the model."""


def rates_by_name(module: FusionModule, **options: Any) -> dict[str, float]:
    """The learning rate of each trained parameter."""
    optimizer = configured(partial(SGD, lr=0.4), module.network, 0.5, **options)
    known = {id(p): name for name, p in module.network.named_parameters()}
    return {known[id(p)]: group["lr"] for group in optimizer.param_groups for p in group["params"]}


def test_rates_fall_by_one_factor_from_stage_to_stage(small: Small) -> None:
    module = small(backbone=RESNET)
    found = rates_by_name(module, layer_decay=0.75)
    for name, parameter in module.network.named_parameters():
        if not parameter.requires_grad:
            assert name not in found
            continue
        expected = 0.4
        if name.startswith("encoder."):
            expected *= 0.5
            for _ in range(STAGES[name.split(".")[2]], 6):
                expected *= 0.75
        assert found[name] == pytest.approx(expected, rel=1e-12), name


def test_without_decay_all_stages_have_the_encoder_s_rate_to_the_bit(small: Small) -> None:
    optimizer = configured(partial(SGD, lr=0.4), small().network, 0.3)
    assert [group["lr"] for group in optimizer.param_groups] == [0.4 * 0.3, 0.4]


@pytest.mark.slow
def test_encoders_of_several_tasks_have_the_same_stages(small: Small) -> None:
    found = rates_by_name(small(backbone=RESNET, network=CrossStitch), layer_decay=0.5)
    for task in ("semantic", "region"):
        for layer, stage in STAGES.items():
            rates = {v for k, v in found.items() if f".bodies.{task}.{layer}." in k}
            assert rates == {0.4 * 0.5 * 0.5 ** (6 - stage)}


def test_a_schedule_keeps_the_ratios_of_the_stages(small: Small) -> None:
    network = small(backbone=RESNET).network
    optimizer = configured(partial(SGD, lr=0.4), network, 1.0, layer_decay=0.5)
    with pytest.raises(ValueError, match=r"layer_decay want the ratio of .* a list of 6 rates"):
        scheduled(partial(OneCycleLR, max_lr=0.1), optimizer, 10)


def test_the_rates_are_told_once_and_logged_as_two_figures(
    small: Small, datamodule: Data, plan: Plan
) -> None:
    module = small(layer_decay=0.5, optimizer=partial(AdamW, lr=0.01), schedule=None)
    trainer = plan(max_steps=1, limit_val_batches=0)
    with quiet():
        trainer.fit(module, datamodule=datamodule())
    assert module.notice.startswith("the rates of the encoder's stages, from the stem: 0.0")
    assert module.notice.endswith("0.25, 0.5 of the others'")
    rates = module.fine_tuning.rates(trainer.optimizers[0])
    assert rates.keys() == {"train/lr", "train/lr_stem"}
    assert rates["train/lr"] == 0.01
    assert rates["train/lr_stem"] < 0.001


@pytest.mark.parametrize("value", [0.0, -1.0, 1.5, float("nan")])
def test_a_decay_is_a_share(value: float, small: Small) -> None:
    with pytest.raises(ValueError, match=r"layer_decay in \(0, 1\], found"):
        small(layer_decay=value)


def statistics(module: FusionModule) -> dict[str, Tensor]:
    return {k: v.clone() for k, v in module.network.state_dict().items() if "running_" in k}


def give_statistics(module: FusionModule) -> None:
    """Has the encoder know other statistics than those that it is made with."""
    for norm in module.network.encoder_norms():
        norm.running_mean += 0.01


def test_statistics_of_no_data_are_not_kept(small: Small, datamodule: Data, plan: Plan) -> None:
    trainer = plan(max_epochs=1)
    with quiet(), pytest.raises(UsageError, match=r"model.batch_norm: found frozen, but .* are of no data"):
        trainer.fit(small(batch_norm="frozen"), datamodule=datamodule())
    assert trainer.global_step == 0


@pytest.mark.parametrize("synced", [False, True])
def test_frozen_statistics_stay_while_scale_and_shift_learn(
    synced: bool, small: Small, datamodule: Data, plan: Plan
) -> None:
    module = small(
        batch_norm="frozen", optimizer=partial(SGD, lr=0.1), schedule=None, freeze_encoder_epochs=1
    )
    give_statistics(module)
    before, weights = statistics(module), dict(module.network.named_parameters())
    scales = {name: p.detach().clone() for name, p in weights.items() if "bn1" in name}
    trainer = plan(max_epochs=2, plugins=[BatchNormSync(synced)])
    with quiet():
        trainer.fit(module, datamodule=datamodule())
    after = statistics(module)
    still = {name for name, value in before.items() if torch.equal(after[name], value)}
    assert still == {name for name in before if name.startswith("encoder.")}
    assert scales
    assert not any(torch.equal(weights[name], value) for name, value in scales.items())


def test_in_training_frozen_norms_compute_what_they_do_in_evaluation(small: Small) -> None:
    encoder: Any = small(batch_norm="frozen").train().network.encoder
    image = torch.rand(2, 3, 64, 64)
    trained = encoder(image)
    for one, other in zip(trained, encoder.eval()(image), strict=True):
        torch.testing.assert_close(one, other)


def test_statistics_are_estimated_anew_on_the_images_of_training(
    small: Small, datamodule: Data, plan: Plan
) -> None:
    module = small(batch_norm="reestimated", optimizer=partial(SGD, lr=0.0), schedule=None)
    for norm in module.network.encoder_norms():
        norm.running_mean += 3
    norm = module.network.encoder_norms()[0]
    seen: list[Tensor] = []

    def watch(_: nn.Module, inputs: tuple[Tensor]) -> None:
        if norm.training:
            seen.append(inputs[0].detach())

    norm.register_forward_pre_hook(watch)
    data = datamodule()
    with quiet():
        plan(max_epochs=1, limit_val_batches=0).fit(module, datamodule=data)
    assert len(seen) == 2  # the steps of an epoch
    means = torch.stack([maps.mean((0, 2, 3)) for maps in seen]).mean(0)
    variances = torch.stack([maps.transpose(0, 1).flatten(1).var(1) for maps in seen]).mean(0)
    torch.testing.assert_close(norm.running_mean, means, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(norm.running_var, variances, rtol=1e-4, atol=1e-5)


def test_an_encoder_without_batch_norm_has_nothing_to_freeze(small: Small) -> None:
    network = small().network
    network.encoder = nn.Conv2d(3, 3, 1)
    with pytest.raises(
        UsageError, match=r"model.batch_norm: found frozen, but the encoder has no batch norms"
    ):
        FineTuning(network, batch_norm="frozen")
    with pytest.raises(
        UsageError, match=r"model.layer_decay: expected a network with an Encoder, found Conv2d"
    ):
        FineTuning(network, layer_decay=0.5)
