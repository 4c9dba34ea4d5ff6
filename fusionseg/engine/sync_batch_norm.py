"""Batch statistics over all ranks, on a CPU as on a GPU, and in timm's encoders too."""

from typing import Any

import torch
from lightning.pytorch.plugins.layer_sync import TorchSyncBatchNorm
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from typing_extensions import override

from fusionseg.engine.distributed import reduced, world_size


class BatchNormSync(TorchSyncBatchNorm):
    """What `Trainer(sync_batchnorm=True)` does while it fits: norms take the statistics of the global batch.

    Lightning's own replaces timm's layers, which are a norm and an activation, by the norm alone, and stops on a CPU.
    """

    def __init__(self) -> None:
        self.kinds: dict[_BatchNorm, type[_BatchNorm]] = {}

    @override
    def apply(self, model: Any) -> Any:
        # the model is not there yet, but about to go
        wanted = HostBatchNorm if model.trainer.strategy.root_device.type == "cpu" else DeviceBatchNorm
        for name, module in model.named_modules():
            if not isinstance(module, _BatchNorm) or isinstance(module, nn.SyncBatchNorm):
                continue
            own = type(module).forward is not _BatchNorm.forward
            if own and not (hasattr(module, "drop") and hasattr(module, "act")):
                raise ValueError(
                    f"sync_batchnorm expects batch norms of PyTorch or timm, found {type(module).__qualname__} in "
                    f"{name}: train it without, or replace that layer"
                )
            # another way through the same parameters, buffers and parts
            self.kinds[module], module.__class__ = type(module), wanted
        return model

    @override
    def revert(self, model: Any) -> Any:
        for module, kind in self.kinds.items():
            module.__class__ = kind
        self.kinds = {}
        return model


class DeviceBatchNorm(nn.SyncBatchNorm):
    """PyTorch's synchronized norm, and what timm does after a norm."""

    process_group: Any = None

    @override
    def forward(self, input: Tensor) -> Tensor:
        return _activated(self, super().forward(input))


class HostBatchNorm(_BatchNorm):
    """The same for the CPU, which PyTorch's refuses."""

    @override
    def forward(self, input: Tensor) -> Tensor:
        if not self.training or world_size() == 1:
            return _activated(self, super().forward(input))
        axes, shape = [0, *range(2, input.ndim)], [1, -1] + [1] * (input.ndim - 2)
        values = input if input.dtype == torch.float64 else input.float()
        count = input.numel() // input.shape[1] * world_size()
        mean = _sum(values.sum(axes)) / count
        centered = values - mean.view(shape)
        variance = _sum(centered.square().sum(axes)) / count
        self._remember(mean, variance * (count / max(count - 1, 1)))
        output = centered * (variance + self.eps).rsqrt().view(shape)
        if self.affine:
            output = output * self.weight.view(shape) + self.bias.view(shape)
        return _activated(self, output.to(input.dtype))

    @override
    def _check_input_dim(self, input: Tensor) -> None:
        """Any number of dimensions will do."""

    @torch.no_grad()
    def _remember(self, mean: Tensor, variance: Tensor) -> None:
        if self.running_mean is None or self.running_var is None or self.num_batches_tracked is None:
            return
        self.num_batches_tracked.add_(1)
        share = 1 / self.num_batches_tracked.item() if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean.to(self.running_mean.dtype), share)
        self.running_var.lerp_(variance.to(self.running_var.dtype), share)


class _SumOverRanks(torch.autograd.Function):
    """A sum over ranks in both directions: the losses of all ranks depend on what one adds to it."""

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        return reduced(values)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        return reduced(gradients[0])


def _sum(values: Tensor) -> Tensor:
    total: Tensor = _SumOverRanks.apply(values)
    return total


def _activated(module: Any, normed: Tensor) -> Tensor:
    """A norm's output after the drop and the activation that timm keeps in the norm."""
    return module.act(module.drop(normed)) if hasattr(module, "act") else normed
