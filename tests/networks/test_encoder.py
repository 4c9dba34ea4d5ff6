import pytest
import torch
from torch import Tensor, nn

from fusionseg.config.errors import UserError
from fusionseg.networks.backbone import IMAGENET_MEAN, IMAGENET_STD, Backbone

IMAGE = torch.randint(0, 256, (2, 3, 128, 128), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(("channels", "dtype"), [(4, torch.uint8), (3, torch.uint16), (5, torch.float32)])
def test_images_of_any_kind_and_more_than_three_channels_are_normalized(
    channels: int, dtype: torch.dtype
) -> None:
    encoder, _ = Backbone(in_channels=channels).build()
    share = torch.rand(2, channels, 32, 32)
    top = 1 if dtype == torch.float32 else torch.iinfo(dtype).max
    image = (share * top).to(dtype)
    mean = torch.tensor([*IMAGENET_MEAN, 0.5, 0.5][:channels]).view(1, -1, 1, 1)
    std = torch.tensor([*IMAGENET_STD, 0.25, 0.25][:channels]).view(1, -1, 1, 1)
    seen: list[Tensor] = []
    encoder.body.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    encoder(image)
    torch.testing.assert_close(seen[0], (image.float() / top - mean) / std, rtol=1e-4, atol=1e-4)


def state(module: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in module.state_dict().items()}


def test_an_image_of_other_channels_is_refused() -> None:
    encoder, _ = Backbone().build()
    with pytest.raises(
        UserError, match=r"images of 3 channels, found 4: set model.backbone.in_channels to 4"
    ):
        encoder(torch.zeros(1, 4, 64, 64))


def test_a_frozen_encoder_gives_what_it_would_in_evaluation_and_zero_gradients() -> None:
    encoder, (decoder,) = Backbone(decoder="FPN").build()
    expected = [feature.detach() for feature in encoder.eval()(IMAGE)]
    encoder.frozen = True
    before = state(encoder)
    features = encoder.train()(IMAGE)
    for ours, theirs in zip(features, expected, strict=True):
        assert torch.equal(ours, theirs)
    decoder(features).sum().backward()
    assert all(p.grad is not None and not p.grad.any() for p in encoder.parameters())
    assert all(torch.equal(value, before[name]) for name, value in state(encoder).items())


def test_a_thawed_encoder_learns_and_counts_again() -> None:
    encoder, (decoder,) = Backbone(decoder="FPN").build()
    encoder.frozen = True
    encoder.train()
    encoder.frozen = False
    before = state(encoder)
    decoder(encoder.train()(IMAGE)).square().mean().backward()
    assert all(p.grad is not None and p.grad.any() for p in encoder.parameters())
    moved = {name for name, value in state(encoder).items() if not torch.equal(value, before[name])}
    assert moved == {name for name in before if "running" in name or "tracked" in name}
