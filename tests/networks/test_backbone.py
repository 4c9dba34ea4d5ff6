import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from fusionseg.config.errors import UsageError
from fusionseg.networks.backbone import Backbone
from fusionseg.networks.decoder import decoder_names

IMAGE = torch.randint(0, 256, (2, 3, 128, 128), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
PAIRED = [name for name in decoder_names() if name != "DPT"]
"""DPT reads a transformer's tokens besides its features."""


@pytest.mark.parametrize("decoder", PAIRED)
def test_every_decoder_gives_a_map_of_features_and_learns_with_all_that_it_trains(decoder: str) -> None:
    image = IMAGE if decoder == "PAN" else IMAGE[..., :64, :64]
    encoder, (one, other) = Backbone("tu-test_efficientnet", decoder=decoder).build(decoders=2)
    features = encoder(image)
    output = one(features) + other(features)
    assert output.shape[:2] == (2, one.out_channels)
    assert image.shape[-1] % output.shape[-1] == 0
    output.sum().backward()
    trained = [p for part in (encoder, one, other) for p in part.parameters() if p.requires_grad]
    assert all(p.grad is not None for p in trained)
    assert len(trained) > 20


@pytest.mark.parametrize("encoder", ["efficientnet-b0", "mobilenet_v2", "tu-resnet18"])
def test_what_no_output_depends_on_is_not_trained(encoder: str) -> None:
    body, (decoder,) = Backbone(encoder, decoder="PSPNet").build()
    decoder(body(IMAGE[..., :64, :64])).sum().backward()
    for part in (body, decoder):
        assert part.training
        assert all((p.grad is not None) == p.requires_grad for p in part.parameters())


def test_weights_from_a_file_are_those_of_the_file(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = data / "weights" / "mobilenet_v2_imagenet_from_tflite_uint8.safetensors"
    encoder, _ = Backbone("mobilenet_v2", str(path)).build()
    state, own = load_file(path), encoder.body.state_dict()
    convolutions = [name for name, value in own.items() if value.ndim == 4]
    assert len(convolutions) == 52
    for name in convolutions:
        assert torch.equal(own[name], state[name].float())
    assert "initialized" not in capsys.readouterr().out


@pytest.mark.parametrize(("channels", "change"), [(4, "widened"), (1, "summed")])
def test_a_file_of_rgb_starts_encoders_of_other_channels_as_weights_with_a_name(
    channels: int, change: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rgb, _ = Backbone("resnet18").build()
    save_file(rgb.body.state_dict(), tmp_path / "resnet.safetensors")
    encoder, _ = Backbone("resnet18", str(tmp_path / "resnet.safetensors"), in_channels=channels).build()
    assert torch.equal(encoder.body.layer1[0].conv1.weight, rgb.body.layer1[0].conv1.weight)  # type: ignore[union-attr, index]
    said = capsys.readouterr().out
    assert f"{change}: conv1.weight (64, {channels}, 7, 7) (has shape (64, 3, 7, 7) in the file)" in said
    assert "initialized" not in said
    rgb.body.set_in_channels(channels, pretrained=True)  # type: ignore[operator]
    assert torch.equal(encoder.body.conv1.weight, rgb.body.conv1.weight)


def test_weights_of_timm_load_into_its_encoder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import timm

    torch.manual_seed(1)
    theirs: Any = timm.create_model("resnet18", pretrained=False)
    torch.save(theirs.state_dict(), tmp_path / "resnet18.pth")
    encoder, _ = Backbone("tu-resnet18", str(tmp_path / "resnet18.pth")).build()
    assert "initialized" not in capsys.readouterr().out
    image = torch.rand(1, 3, 64, 64)
    normalized = (image - encoder.mean) / encoder.std
    torch.testing.assert_close(encoder.eval()(image)[-1], theirs.eval().forward_features(normalized))


def test_a_missing_file_of_weights_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"missing.safetensors: no such file of weights"):
        Backbone(weights=str(tmp_path / "missing.safetensors")).build()


def test_named_weights_bring_their_normalization(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = {"input_range": [0, 255], "mean": [51.0, 102, 153], "std": [255.0] * 3}
    monkeypatch.setattr("segmentation_models_pytorch.encoders.get_preprocessing_params", lambda *_: settings)
    mean, std = Backbone(weights="imagenet", in_channels=4)._normalization()
    assert mean == pytest.approx([0.2, 0.4, 0.6, 0.5])
    assert std == pytest.approx([1.0, 1.0, 1.0, 0.25])


def test_normalization_can_be_given() -> None:
    encoder, _ = Backbone(mean=[0.1, 0.2, 0.3], std=[1.0, 2.0, 3.0]).build()
    assert encoder.mean.flatten().tolist() == pytest.approx([0.1, 0.2, 0.3])
    assert encoder.std.flatten().tolist() == [1.0, 2.0, 3.0]


@pytest.mark.parametrize(
    ("backbone", "message"),
    [
        (
            Backbone("resnet19"),
            r"model.backbone.encoder: unknown encoder 'resnet19'; did you mean resnet\d+\? Expected `tu-` .* one "
            "of: .*resnet18",
        ),
        (Backbone("tu-resnet19"), r"encoder 'tu-resnet19'.*works with: none of the decoders"),
        pytest.param(
            Backbone("densenet121", decoder="DeepLabV3"),
            r"do not support dilated .* densenet121 works with: Unet, .*FPN",
            marks=pytest.mark.slow,
        ),
        pytest.param(Backbone(weights="imagenet22"), "imagenet22", marks=pytest.mark.slow),
        (Backbone(in_channels=2), "in_channels of 1, or 3 or more"),
        (
            Backbone(decoder="FCN", options={"channels": 7}),
            "argument 'channels'; the options of FCN are: output_stride$",
        ),
        (Backbone(std=[1.0]), r"expected std of 3 channels, found \[1.0\]"),
    ],
)
def test_what_cannot_be_built_fails_at_construction_and_says_what_works(
    backbone: Backbone, message: str
) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        backbone.build()
    assert "\n" not in str(caught.value)


def test_the_search_for_what_works_is_silent() -> None:
    options = {"decoder_segmentation_channels": 7}
    backbone = Backbone("tu-mobilenetv3_small_050", decoder="FPN", options=options)
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        with pytest.raises(ValueError, match=r"works with: Unet, "):
            backbone.build()
    assert not seen


@pytest.mark.slow
def test_an_encoder_for_images_of_one_size_names_the_option_that_lifts_that() -> None:
    swin = Backbone("tu-swin_tiny_patch4_window7_224", decoder="FPN")
    with pytest.raises(UsageError, match=r"model.backbone.options: expected {strict_img_size: false}"):
        swin.build()
    encoder, [decoder] = replace(swin, options={"strict_img_size": False}).build()
    with torch.no_grad():
        assert decoder(encoder(torch.zeros(1, 3, 96, 160))).shape[-2:] == (24, 40)
    replace(swin, options={"img_size": 224}).build()


@pytest.mark.slow
def test_an_encoder_that_takes_one_size_alone_names_the_option_whatever_it_raises() -> None:
    windows = Backbone("tu-gcvit_xxtiny", decoder="FPN")
    with pytest.raises(UsageError, match=r"model.backbone.options: expected {img_size: N} .* is invalid for"):
        windows.build()
    replace(windows, options={"img_size": 224}).build()
