"""Batch normalization with the statistics of the global batch, on CPUs and GPUs, also in timm's encoders."""

from typing import Any

import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.plugins.layer_sync import TorchSyncBatchNorm
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx
from torch.nn.modules.batchnorm import _BatchNorm
from typing_extensions import override

from fusionseg.engine.distributed import reduced, world_size

ENOUGH = 8
"""With so many images on each rank, batch norms need no others."""


class BatchNormSync(TorchSyncBatchNorm):
    """Synchronizes batch norms while a model is fitted: the plugin of `Trainer(sync_batchnorm=...)`.

    Lightning's own plugin replaces timm's layers, which combine a norm with an activation, by the norm alone,
    and does not work on a CPU.

    Args:
        wanted: Whether they are synchronized; where left out, if each of several ranks has fewer than 8
            images of a step, as far as the datamodule says how many (`images_per_rank`).
    """

    def __init__(self, wanted: bool | None = None) -> None:
        self.wanted = wanted
        self.kinds: dict[_BatchNorm, type[_BatchNorm]] = {}
        """The original class of each layer."""

    @override
    def apply(self, model: LightningModule) -> LightningModule:  # type: ignore[override]
        """Synchronizes all batch norms of a model, if that is wanted.

        Raises:
            ValueError: If a batch norm is neither PyTorch's nor timm's.
        """
        if not self._is_due(model.trainer):
            return model
        # the model is not on its device yet, so the strategy is asked
        on_cpu = model.trainer.strategy.root_device.type == "cpu"
        for name, module in model.named_modules():
            if not isinstance(module, _BatchNorm) or isinstance(module, nn.SyncBatchNorm):
                continue
            custom = type(module).forward is not _BatchNorm.forward
            if custom and not (hasattr(module, "drop") and hasattr(module, "act")):
                raise ValueError(
                    "sync_batchnorm expects batch norms of PyTorch or timm, "
                    f"found {type(module).__qualname__} in {name}: set trainer.sync_batchnorm to false, or "
                    "replace that layer"
                )
            # only the forward pass changes; parameters, buffers and submodules stay
            self.kinds[module] = type(module)
            module.__class__ = HostBatchNorm if on_cpu else DeviceBatchNorm
        return model

    def _is_due(self, trainer: Any) -> bool:
        if self.wanted is not None:
            return self.wanted
        images = getattr(trainer.datamodule, "images_per_rank", ENOUGH)
        return bool(trainer.world_size > 1 and images < ENOUGH)

    @override
    def revert(self, model: LightningModule) -> LightningModule:  # type: ignore[override]
        """Gives all batch norms their original class back."""
        for module, kind in self.kinds.items():
            module.__class__ = kind
        self.kinds = {}
        return model


class DeviceBatchNorm(nn.SyncBatchNorm):
    """PyTorch's synchronized batch norm, followed by timm's dropout and activation, if any."""

    process_group: Any = None

    @override
    def forward(self, input: Tensor) -> Tensor:
        return _activated(self, super().forward(input))


class HostBatchNorm(_BatchNorm):
    """Synchronized batch norm on a CPU, which PyTorch's does not support."""

    @override
    def forward(self, input: Tensor) -> Tensor:
        """Normalizes features (B, C, ...) by the mean and variance over all ranks."""
        if not self.training or world_size() == 1:
            return _activated(self, super().forward(input))
        axes = [0, *range(2, input.ndim)]
        shape = [1, -1] + [1] * (input.ndim - 2)
        values = input if input.dtype == torch.float64 else input.float()
        count = input.numel() // input.shape[1] * world_size()
        mean = _sum_over_ranks(values.sum(axes)) / count
        centered = values - mean.view(shape)
        variance = _sum_over_ranks(centered.square().sum(axes)) / count
        unbiased = variance * (count / max(count - 1, 1))
        self._update_running_statistics(mean, unbiased)
        output = centered * (variance + self.eps).rsqrt().view(shape)
        if self.affine:
            output = output * self.weight.view(shape) + self.bias.view(shape)
        return _activated(self, output.to(input.dtype))

    @override
    def _check_input_dim(self, input: Tensor) -> None:
        """Accepts any number of dimensions."""

    @torch.no_grad()
    def _update_running_statistics(self, mean: Tensor, variance: Tensor) -> None:
        """Moves the running mean and variance (C,), as `nn.BatchNorm2d` does."""
        if self.running_mean is None or self.running_var is None or self.num_batches_tracked is None:
            return
        self.num_batches_tracked.add_(1)
        momentum = 1 / self.num_batches_tracked.item() if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean.to(self.running_mean.dtype), momentum)
        self.running_var.lerp_(variance.to(self.running_var.dtype), momentum)


class _SumOverRanks(torch.autograd.Function):
    """The sum over ranks, in both passes: each rank's summand contributes to the losses of all ranks."""

    @staticmethod
    def forward(ctx: FunctionCtx, values: Tensor) -> Tensor:
        return reduced(values)

    @staticmethod
    def backward(ctx: FunctionCtx, *gradients: Tensor) -> Tensor:
        return reduced(gradients[0])


def _sum_over_ranks(values: Tensor) -> Tensor:
    total: Tensor = _SumOverRanks.apply(values)
    return total


def _activated(module: Any, normalized: Tensor) -> Tensor:
    """The output of a norm after the dropout and activation that timm keeps in the norm's module, if any."""
    return module.act(module.drop(normalized)) if hasattr(module, "act") else normalized
