from collections.abc import Callable
from typing import Any

import pytest
import segmentation_models_pytorch as smp
import timm
import torch
import torch.nn.functional as F

from fusionseg.config.errors import UsageError
from fusionseg.data import SyntheticScenes
from fusionseg.engine.receptive_field import reach
from fusionseg.module import FusionModule
from fusionseg.networks import backbone
from fusionseg.networks.backbone import Backbone
from fusionseg.networks.decoder import decoder_names
from fusionseg.networks.pretrained import pretrained_parameters
from fusionseg.networks.vit import is_vit

Vit = Callable[..., Backbone]

NAMES = [
    "vit_small_patch14_dinov2.lvd142m",
    "vit_small_patch14_reg4_dinov2.lvd142m",
    "vit_small_patch16_dinov3.lvd1689m",
    "eva02_tiny_patch14_224.mim_in22k",
    "eva_giant_patch14_224.clip_ft_in1k",
    "samvit_base_patch16.sa1b",
]
DINO2, REGISTERS, DINO3, EVA2, EVA, SAM = NAMES

READERS = [name for name in decoder_names() if name not in ("DPT", "SegNet")]
"""DPT reads a transformer's tokens besides its features, and SegNet a map at stride 2."""


@pytest.mark.parametrize("name", NAMES)
def test_images_of_any_size_have_maps_at_the_strides_of_other_encoders(name: str, tiny_vit: Vit) -> None:
    encoder, (decoder,) = tiny_vit(name).build()
    for size in ((32, 96), (64, 32)):
        features = encoder(torch.rand(2, 3, *size))
        assert [f.shape[2:] for f in features] == [(size[0] // 2**i, size[1] // 2**i) for i in range(6)]
        assert [f.shape[1] for f in features] == encoder.out_channels == [3, 0, 16, 16, 16, 16]
    decoder(features).sum().backward()
    assert all(p.grad is not None for p in encoder.parameters())


@pytest.mark.parametrize("name", NAMES)
def test_a_transformer_is_refused_by_the_library_alone(name: str) -> None:
    assert is_vit(f"tu-{name}")
    small = {"embed_dim": 32, "depth": 2, "num_heads": 2}
    with pytest.raises(Exception, match=r"Unsupported model downsampling pattern|unexpected keyword|indices"):
        smp.encoders.get_encoder(f"tu-{name}", weights=None, **small)


@pytest.mark.parametrize(
    "name", ["resnet18", "tu-resnet18", "tu-swin_tiny_patch4_window7_224", "tu-nothing", "mit_b0"]
)
def test_other_encoders_are_built_as_before(name: str) -> None:
    assert not is_vit(name)


@pytest.mark.parametrize("name", [DINO3, SAM])
def test_the_map_is_that_of_timm_without_class_and_register_tokens(name: str, tiny_vit: Vit) -> None:
    encoder, _ = tiny_vit(name).build()
    image = torch.rand(2, 3, 64, 64)
    body: Any = encoder.eval().body
    expected = body.trunk.forward_features(image)
    if name == DINO3:
        expected = expected[:, 5:].unflatten(1, (4, 4)).permute(0, 3, 1, 2)
    torch.testing.assert_close(body.features(image)[1], expected)


def test_tokens_are_normalized_as_before_their_average(tiny_vit: Vit) -> None:
    encoder, _ = tiny_vit(EVA2).build()
    body: Any = encoder.eval().body
    torch.nn.init.normal_(body.trunk.fc_norm.weight)
    image = torch.rand(1, 3, 64, 32)
    pooled = body.features(image)[1].mean((2, 3))
    tokens = body.trunk.fc_norm(body.trunk.forward_features(image)[:, 1:])
    torch.testing.assert_close(pooled, tokens.mean(1))


def test_position_embeddings_are_interpolated_to_the_image(tiny_vit: Vit) -> None:
    encoder, _ = tiny_vit(DINO2).build()
    trunk: Any = encoder.eval().body.trunk
    # nothing but the position embedding is left of a token
    for block in trunk.blocks:
        block.ls1.gamma.data.zero_()
        block.ls2.gamma.data.zero_()
    torch.nn.init.zeros_(trunk.patch_embed.proj.weight)
    torch.nn.init.zeros_(trunk.patch_embed.proj.bias)
    torch.nn.init.normal_(trunk.pos_embed)
    grid = trunk.pos_embed[:, 1:].reshape(1, 37, 37, 32).permute(0, 3, 1, 2)
    resized = F.interpolate(grid, (2, 4), mode="bicubic", antialias=True)
    expected = trunk.norm(resized.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
    [_, found] = encoder.body.features(torch.rand(1, 3, 32, 64))  # type: ignore[operator]
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("decoder", READERS)
def test_every_decoder_reads_it(decoder: str, tiny_vit: Vit) -> None:
    encoder, (made,) = tiny_vit(DINO2, decoder=decoder).build()
    output = made.eval()(encoder(torch.rand(1, 3, 128, 128)))
    assert output.shape[:2] == (1, made.out_channels)
    assert 128 % output.shape[-1] == 0


def test_decoders_that_do_not_are_named_with_those_that_do(
    tiny_vit: Vit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backbone, "decoder_names", lambda: ["FPN", "DPT", "SegNet", "DeepLabV3Plus", "FCN"])
    with pytest.raises(
        ValueError, match=r"SegNet expects a map at each .*works with: FPN, DeepLabV3Plus, FCN$"
    ):
        tiny_vit(DINO2, decoder="SegNet").build()


def test_where_a_decoder_wants_finer_maps_the_deepest_are_not_pooled(tiny_vit: Vit) -> None:
    encoder, _ = tiny_vit(DINO2, decoder="DeepLabV3Plus").build()
    assert [f.shape[-1] for f in encoder(torch.rand(1, 3, 64, 64))] == [64, 32, 16, 8, 4, 4]


@pytest.mark.parametrize("decoder", ["FPN", "FCN"])
def test_an_option_of_neither_part_is_refused(decoder: str, tiny_vit: Vit) -> None:
    with pytest.raises(
        UsageError,
        match=r"model.backbone.options: .*'width_factor'; neither the decoder nor timm's vit_small_patch14_dinov2.lvd142m",
    ):
        tiny_vit(DINO2, decoder=decoder, width_factor=2).build()


def test_options_go_to_the_decoder_and_to_timm(tiny_vit: Vit) -> None:
    options = {"decoder_channels": (8, 8, 8, 8, 8), "drop_path_rate": 0.3}
    encoder, (decoder,) = tiny_vit(DINO2, decoder="Unet", **options).build()
    trunk: Any = encoder.body.trunk
    assert decoder.out_channels == 8
    assert trunk.blocks[1].drop_path1.drop_prob == pytest.approx(0.3)
    assert "vit_small_patch14_dinov2.lvd142m" not in smp.encoders.encoders


@pytest.mark.parametrize("channels", [1, 4])
def test_images_have_any_number_of_channels(channels: int, tiny_vit: Vit) -> None:
    encoder, _ = tiny_vit(DINO3, in_channels=channels).build()
    assert encoder(torch.rand(1, channels, 32, 32))[-1].shape == (1, 16, 1, 1)
    body: Any = encoder.body
    assert body.trunk.patch_embed.proj.weight.shape[1] == channels


def test_named_weights_are_those_of_timm_with_their_normalization(
    monkeypatch: pytest.MonkeyPatch, tiny_vit: Vit
) -> None:
    create, asked = timm.create_model, []

    def created(name: str, pretrained: bool = False, **options: Any) -> Any:
        asked.append(pretrained)
        return create(name, **options)

    monkeypatch.setattr(timm, "create_model", created)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    encoder, _ = tiny_vit(EVA2, "imagenet").build()
    assert asked.count(True) == 1
    assert {name.split(".")[0] for name in pretrained_parameters(encoder.body)} == {"trunk"}
    assert encoder.mean.flatten().tolist() == pytest.approx([0.48145466, 0.4578275, 0.40821073])


@pytest.mark.parametrize("name", [REGISTERS, SAM])
def test_it_sees_the_whole_image(name: str, tiny_vit: Vit) -> None:
    module = FusionModule(SyntheticScenes.classes, backbone=tiny_vit(name))
    assert reach(module, 3, 256) == 128
