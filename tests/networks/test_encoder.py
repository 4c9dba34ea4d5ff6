import pytest
import torch
from torch import Tensor, nn

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
    assert seen[0].is_contiguous(memory_format=torch.channels_last)


def state(module: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in module.state_dict().items()}
