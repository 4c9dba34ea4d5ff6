import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fusionseg.networks.backbone import Backbone
from fusionseg.networks.segnet import SegNet, unpooled

WIDTHS = [
    *[(512, 512), (512, 512), (512, 512)],
    *[(512, 512), (512, 512), (512, 256)],
    *[(256, 256), (256, 256), (256, 128)],
    *[(128, 128), (128, 64)],
    (64, 64),
]
"""The channels of conv5_3_D to conv1_2_D of segnet_train.prototxt, before and after."""


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("ties", [False, True])
def test_unpooling_is_pytorchs_with_the_indices_of_its_pooling(
    ties: bool, layout: torch.memory_format
) -> None:
    feature = torch.randn(2, 5, 8, 12).to(memory_format=layout)
    if ties:
        feature = feature.relu().round()
    values = torch.randn(2, 5, 4, 6, requires_grad=True)
    _, indices = F.max_pool2d(feature, 2, return_indices=True)
    found, expected = unpooled(values, feature), F.max_unpool2d(values, indices, 2)
    assert torch.equal(found, expected)
    weights = torch.randn_like(found)
    ours, theirs = (torch.autograd.grad((weights * each).sum(), values)[0] for each in (found, expected))
    assert torch.equal(ours, theirs)


def test_with_vgg_16_it_has_the_convolutions_of_the_paper() -> None:
    encoder, (decoder,) = Backbone("vgg16_bn", decoder="SegNet").build()
    assert isinstance(decoder, SegNet)
    convolutions = [m for m in decoder.modules() if isinstance(m, nn.Conv2d)]
    found = [(m.in_channels, m.out_channels) for m in convolutions]
    assert found == [*WIDTHS, (64, 64)], "the last of the paper has as many channels as there are classes"
    assert {m.kernel_size for m in convolutions} == {(3, 3)}
    assert sum(isinstance(m, nn.Conv2d) for m in encoder.modules()) == 13


def by_hand(decoder: SegNet, image: Tensor, encoder: nn.Module) -> Tensor:
    """SegNet's forward pass, with the pooling of VGG done again for its indices."""
    features = encoder(image)
    indices = [F.max_pool2d(feature, 2, return_indices=True)[1] for feature in features[:-1]]
    found = F.max_pool2d(features[-2], 2)
    for block, index in zip(decoder.blocks, reversed(indices), strict=True):
        found = F.max_unpool2d(found, index, 2)
        for layer in block:  # type: ignore[attr-defined]
            convolution, norm = layer[0], layer[1]
            found = norm(convolution(found)).clamp_min(0)
    return found


def test_its_map_is_that_of_segnet_at_the_size_of_the_image() -> None:
    encoder, (decoder,) = Backbone("vgg11_bn", decoder="SegNet", options={"layers": [1, 1, 1, 1, 1]}).build()
    image = torch.rand(1, 3, 32, 64)
    with torch.no_grad():
        found = decoder.eval()(encoder.eval()(image))
        assert isinstance(decoder, SegNet)
        torch.testing.assert_close(found, by_hand(decoder, image, encoder))
    assert found.shape == (1, 64, 32, 64)


@pytest.mark.parametrize("channels", [3, 9])
def test_other_encoders_end_at_half_the_size_whatever_the_channels_of_the_image(channels: int) -> None:
    encoder, (decoder,) = Backbone("mobilenet_v2", decoder="SegNet", in_channels=channels).build()
    assert decoder(encoder(torch.rand(2, channels, 64, 64))).shape == (2, 16, 32, 32)


def test_a_narrow_finest_level_is_none_of_the_image() -> None:
    decoder = SegNet([4, 8, 16], [1, 1])
    pyramid = [torch.rand(1, 4, 16, 16), torch.rand(1, 8, 8, 8), torch.rand(1, 16, 4, 4)]
    assert decoder(pyramid).shape == (1, 4, 16, 16)


@pytest.mark.parametrize(
    ("channels", "layers", "message"),
    [
        ([3, 0, 32, 64], [2, 2], r"a map at each level, found channels \[3, 0, 32, 64\]"),
        ([64, 128, 256], [2], r"expected layers for 2 levels, found \[2\]"),
    ],
)
def test_what_cannot_be_unpooled_is_refused(channels: list[int], layers: list[int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SegNet(channels, layers)
