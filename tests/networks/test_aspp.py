import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fusionseg.networks.aspp import ASPP
from fusionseg.networks.backbone import Backbone


def normalized(x: Tensor, norm: nn.BatchNorm2d) -> Tensor:
    """Batch normalization by the running statistics, and ReLU."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    scale = norm.weight / (norm.running_var + norm.eps).sqrt()
    shift = norm.bias - norm.running_mean * scale
    return (x * scale.view(-1, 1, 1) + shift.view(-1, 1, 1)).clamp_min(0)


def test_the_map_is_the_five_branches_of_kendall_s_appendix_side_by_side() -> None:
    decoder = ASPP([3, 16, 24], channels=6, rates=(2, 3, 5)).eval()
    x = torch.randn(2, 24, 9, 13)
    expected = []
    for branch, rate in zip(list(decoder.branches)[:4], (1, 2, 3, 5), strict=True):
        kernel = branch[0].weight
        side = 1 if rate == 1 else 3
        assert kernel.shape == (6, 24, side, side)
        seen = F.conv2d(x, kernel, padding=rate * (side // 2), dilation=rate)
        expected.append(normalized(seen, branch[1]))
    pooled = decoder.branches[4]
    mean = normalized(F.conv2d(x.mean((2, 3), keepdim=True), pooled[1].weight), pooled[2])
    expected.append(mean.expand(-1, -1, 9, 13))
    torch.testing.assert_close(decoder([x, x, x]), torch.cat(expected, 1))


def test_by_default_1280_channels_are_seen_at_stride_8() -> None:
    encoder, (decoder,) = Backbone("resnet18", decoder="ASPP").build()
    assert decoder.out_channels == 1280
    assert decoder(encoder(torch.zeros(2, 3, 64, 96))).shape == (2, 1280, 8, 12)
