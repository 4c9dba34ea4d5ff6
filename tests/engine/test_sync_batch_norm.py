"""Synchronized batch norms on simulated ranks; `test_ddp.py` tests them on two real ones."""

import copy
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import pytest
import torch
from torch import Tensor, nn

from fusionseg.engine.sync_batch_norm import BatchNormSync, DeviceBatchNorm, HostBatchNorm
from fusionseg.networks.backbone import Backbone


class Model(nn.Module):
    """A model with a stand-in for the trainer, which knows the device."""

    def __init__(self, part: nn.Module, device: str = "cpu", ranks: int = 2, data: object = None) -> None:
        super().__init__()
        self.part = part
        strategy = SimpleNamespace(root_device=torch.device(device))
        self.trainer = SimpleNamespace(strategy=strategy, world_size=ranks, datamodule=data)


@pytest.fixture
def two_equal_ranks() -> Iterator[None]:
    """Simulates a second rank with the same batch."""

    def doubled(values: Tensor) -> Tensor:
        return 2 * values

    with (
        patch("fusionseg.engine.sync_batch_norm.world_size", lambda: 2),
        patch("fusionseg.engine.sync_batch_norm.reduced", doubled),
    ):
        yield


def synced(norm: nn.Module) -> nn.Module:
    model = Model(copy.deepcopy(norm))
    BatchNormSync(True).apply(model)
    assert isinstance(model.part, HostBatchNorm)
    return model.part


@pytest.mark.parametrize("momentum", [0.1, None])
@pytest.mark.parametrize(
    ("norm", "shape"),
    [
        (nn.BatchNorm1d(3), (4, 3)),
        (nn.BatchNorm2d(3, eps=0.1), (2, 3, 5, 4)),
        (nn.BatchNorm3d(3, affine=False), (1, 3, 2, 3, 4)),
        (nn.BatchNorm2d(3, track_running_stats=False), (2, 3, 5, 4)),
    ],
)
@pytest.mark.usefixtures("two_equal_ranks")
def test_two_ranks_norm_as_one_process_does_their_batches_together(
    norm: Any, shape: tuple[int, ...], momentum: float | None
) -> None:
    norm.momentum = momentum
    ours = synced(norm)
    for _ in range(3):
        x, upstream = torch.randn(shape, requires_grad=True), torch.randn(shape)
        whole = torch.cat([x, x])
        (expected,) = torch.autograd.grad((norm(whole) * torch.cat([upstream, upstream])).sum(), x)
        output = ours(x)
        # a rank has the gradient of its own input, which the whole batch holds twice
        (found,) = torch.autograd.grad((output * upstream).sum(), x)
        torch.testing.assert_close(2 * found, expected, rtol=1e-4, atol=1e-5)
        with torch.no_grad():
            torch.testing.assert_close(output, copy.deepcopy(norm)(whole)[: len(x)], rtol=1e-4, atol=1e-5)
    for name, value in norm.state_dict().items():
        torch.testing.assert_close(ours.state_dict()[name], value)
    torch.testing.assert_close(ours.eval()(x), norm.eval()(x))


@pytest.mark.usefixtures("two_equal_ranks")
def test_half_precision_is_summed_in_single_precision() -> None:
    norm, x = nn.BatchNorm2d(3), 100 + torch.randn(2, 3, 64, 64)
    output = synced(norm)(x.bfloat16())
    assert output.dtype == torch.bfloat16
    torch.testing.assert_close(
        output.float(), norm(torch.cat([x, x]).bfloat16().float())[:2], rtol=0.01, atol=0.02
    )


@pytest.mark.parametrize(("device", "kind"), [("cpu", HostBatchNorm), ("cuda", DeviceBatchNorm)])
@pytest.mark.parametrize("encoder", ["resnet18", "tu-mobilenetv3_small_050"])
def test_norms_keep_their_activations_and_become_again_what_they_were(
    device: str, kind: type[nn.Module], encoder: str
) -> None:
    body, _ = Backbone(encoder).build()
    image = torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8)
    before, names = body.eval()(image), list(body.state_dict())
    kinds = [type(module) for module in body.modules()]
    sync = BatchNormSync(True)
    model = sync.apply(Model(body, device))
    assert sum(isinstance(module, kind) for module in body.modules()) > 10
    assert not any(type(module) is nn.BatchNorm2d for module in body.modules())
    # in a single process, or in evaluation, they are as before
    assert all(torch.equal(a, b) for a, b in zip(body(image), before, strict=True))
    assert list(body.state_dict()) == names
    sync.revert(model)
    assert [type(module) for module in body.modules()] == kinds
    assert all(torch.equal(a, b) for a, b in zip(body(image), before, strict=True))


def test_a_norm_that_does_more_is_refused() -> None:
    class Shifted(nn.BatchNorm2d):
        def forward(self, input: Tensor) -> Tensor:
            return super().forward(input) + 1

    with pytest.raises(
        ValueError, match=r"expects batch norms of PyTorch or timm, found .*Shifted in part.1"
    ):
        BatchNormSync(True).apply(Model(nn.Sequential(nn.Identity(), Shifted(3))))


@pytest.mark.parametrize(
    ("wanted", "ranks", "images", "synced"),
    [
        (None, 2, 7, True),
        (None, 8, 1, True),
        (None, 2, 8, False),
        (None, 1, 1, False),
        (None, 2, None, False),
        (True, 2, 16, True),
        (True, 2, None, True),
        (False, 8, 1, False),
    ],
)
def test_norms_are_synchronized_by_default_where_a_rank_has_few_images(
    wanted: bool | None, ranks: int, images: int | None, synced: bool
) -> None:
    data = SimpleNamespace() if images is None else SimpleNamespace(images_per_rank=images)
    model = Model(nn.BatchNorm2d(3), ranks=ranks, data=data)
    assert isinstance(BatchNormSync(wanted).apply(model).part, HostBatchNorm) == synced
