import pytest
import torch

from fusionseg.networks.backbone import IMAGENET_MEAN, IMAGENET_STD, Backbone
from fusionseg.networks.pretrained import loaded


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_its_pyramid_has_the_strides_of_every_encoder(channels: int) -> None:
    encoder, (decoder,) = Backbone("small_cnn", in_channels=channels).build()
    features = encoder(torch.rand(2, channels, 64, 96))
    assert [f.shape[2:] for f in features] == [(64 // 2**i, 96 // 2**i) for i in range(6)]
    assert [f.shape[1] for f in features] == encoder.out_channels == [channels, 32, 64, 128, 128, 128]
    assert decoder(features).shape[2:] == (64, 96)


def test_gray_images_are_normalized_by_the_mean_of_the_colors() -> None:
    encoder, _ = Backbone("small_cnn", in_channels=1).build()
    assert encoder.mean.flatten().tolist() == pytest.approx([sum(IMAGENET_MEAN) / 3])
    assert encoder.std.flatten().tolist() == pytest.approx([sum(IMAGENET_STD) / 3])


def test_weights_of_gray_images_see_gray_in_color_as_before() -> None:
    gray, _ = Backbone("small_cnn", in_channels=1).build()
    colors, _ = Backbone("small_cnn").build()
    assert loaded(colors.body, gray.body.state_dict(), "here", "the encoder") == []
    image = torch.rand(2, 1, 32, 32)
    for module in (gray, colors):
        module.mean.fill_(0)
        module.std.fill_(1)
    found = colors.eval()(image.expand(-1, 3, -1, -1))
    for ours, theirs in zip(found[1:], gray.eval()(image)[1:], strict=True):
        torch.testing.assert_close(ours, theirs)


def test_decoders_that_dilate_it_are_refused_with_those_that_do_not() -> None:
    with pytest.raises(ValueError, match=r"'small_cnn' and decoder 'DeepLabV3Plus' .* works with: .*Unet"):
        Backbone("small_cnn", decoder="DeepLabV3Plus").build()
