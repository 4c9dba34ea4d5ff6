import gc
import sys
from pathlib import Path
from typing import Any

import pytest
import segmentation_models_pytorch as smp
import torch
from segmentation_models_pytorch.base import SegmentationModel
from torch import Tensor, nn

from fusionseg.commands.fit import main
from fusionseg.config.errors import UsageError
from fusionseg.networks.backbone import Backbone
from fusionseg.networks.decoder import Decoder, decoder_names

IMAGE = torch.zeros(2, 3, 64, 64)
OWN = """
from segmentation_models_pytorch import FPN
from torch import nn

from fusionseg.networks import Decoder


class Narrow(FPN):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, decoder_pyramid_channels=16, decoder_segmentation_channels=32, **kwargs)


class Coarse(Decoder):
    output_stride = 16

    def __init__(self, encoder_channels, width, wrong=0):
        super().__init__()
        self.out_channels = width + wrong
        self.layer = nn.Conv2d(encoder_channels[-1], width, 1)

    def forward(self, features):
        return self.layer(features[-1])


def call(*_):
    raise AssertionError("called")
"""


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A file of decoders that is not imported yet."""
    (tmp_path / "own_decoders.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    yield
    sys.modules.pop("own_decoders", None)
    gc.collect()  # or its classes vanish while a later test lists all decoders


def test_the_names_are_those_of_segmentation_models_pytorch_and_of_our_decoders() -> None:
    theirs = {model.__name__ for model in smp.MODEL_ARCHITECTURES_MAPPING.values()}
    assert theirs | {"FCN"} <= set(decoder_names())
    assert {"Unet", "FPN", "DeepLabV3Plus"} <= theirs
    assert not {"Decoder", "_Adapted"} & set(decoder_names())


def test_a_model_that_segmentation_models_pytorch_gains_works_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Gained(smp.FPN):
        pass

    monkeypatch.setitem(smp.MODEL_ARCHITECTURES_MAPPING, "gained", Gained)
    encoder, (decoder,) = Backbone(decoder="Gained", options={"decoder_segmentation_channels": 32}).build()
    assert decoder(encoder(IMAGE)).shape == (2, 32, 16, 16)


@pytest.mark.usefixtures("own")
def test_a_class_path_names_a_model_or_a_decoder_of_one_s_own() -> None:
    encoder, (decoder,) = Backbone(decoder="own_decoders.Narrow").build()
    assert decoder(encoder(IMAGE)).shape == (2, 32, 16, 16)
    for options, side in (({}, 4), ({"output_stride": 32}, 2)):
        encoder, decoders = Backbone(decoder="own_decoders.Coarse", options={"width": 5, **options}).build(2)
        assert len({id(decoder) for decoder in decoders}) == 2
        for decoder in decoders:
            assert isinstance(decoder, Decoder)
            assert decoder(encoder(IMAGE)).shape == (2, 5, side, side)


@pytest.mark.usefixtures("own")
@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"width": 5, "depth": 1},
            "unexpected keyword argument 'depth'; the options of .*Coarse are: output_stride, width, wrong$",
        ),
        ({}, "options: missing a required argument: 'width'; the options of .*"),
        ({"width": 5, "wrong": 1}, r"expected a map \(1, 6, h, w\) of the decoder, found \(1, 5, 8, 8\)"),
    ],
)
def test_a_decoder_of_one_s_own_that_cannot_be_built_is_explained(
    options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        Backbone(decoder="own_decoders.Coarse", options=options).build()


@pytest.mark.usefixtures("own")
def test_a_class_path_is_imported_only_when_it_is_built() -> None:
    backbone = Backbone(decoder="own_decoders.Coarse", options={"width": 5})
    assert "own_decoders" not in sys.modules
    backbone.build()
    assert "own_decoders" in sys.modules


@pytest.mark.usefixtures("own")
@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("os.system", "expected a fusionseg.networks.Decoder or a model .* found os.system"),
        ("own_decoders.call", "expected a fusionseg.networks.Decoder or a model .* found own_decoders.call"),
        ("torch.nn.Conv2d", "expected a fusionseg.networks.Decoder or a model .* found torch.nn.Conv2d"),
        ("fusionseg.networks.Decoder", "expected a fusionseg.networks.Decoder or a model"),
        ("own_decoders.Course", "cannot import decoder own_decoders.Course: .*no attribute 'Course'"),
        ("no.Such", "cannot import decoder no.Such: No module named 'no'"),
        (".Such", "cannot import decoder .Such"),
    ],
)
def test_a_class_path_of_something_else_is_refused_and_not_called(path: str, message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        Backbone(decoder=path).build()
    assert caught.value.key == "model.backbone.decoder"


def test_an_unknown_name_is_refused_at_once_with_all_names_and_the_nearest() -> None:
    with pytest.raises(
        UsageError, match=r"did you mean Unet\? Expected one of Unet, .*FCN.* or a class path"
    ) as caught:
        Backbone(decoder="Unett")
    assert caught.value.key == "model.backbone.decoder"
    with pytest.raises(
        UsageError, match=r"unknown decoder 'Xyz'; expected one of Unet, .*FCN.* or a class path"
    ):
        Backbone(decoder="Xyz")


def test_the_parser_refuses_an_unknown_name_before_anything_is_built(tmp_path: Path) -> None:
    # this folder of images does not exist, which is not found out
    words = ["--data.dataset", "CamVid", "--data.dataset.root", str(tmp_path / "none")]
    with pytest.raises(
        UsageError, match=r"model.backbone.decoder: unknown decoder 'FPM'; did you mean FPN\?"
    ):
        main([*words, "--model.backbone.decoder", "FPM"])
    file = tmp_path / "file.yaml"
    file.write_text("model: {backbone: {decoder: FPM}}")
    with pytest.raises(UsageError, match=rf"model.backbone.decoder: .*\(in {file}\)"):
        main([*words, "--config", str(file)])


@pytest.mark.slow
def test_what_reads_more_than_features_is_refused_with_its_reason() -> None:
    with pytest.raises(
        ValueError, match=r"'DPT' .* cannot be built: Only Timm encoders .*works with: Unet, .*FCN"
    ):
        Backbone(decoder="DPT").build()


def test_a_decoder_of_the_library_computes_what_its_model_does() -> None:
    model: SegmentationModel = smp.create_model("FPN", "resnet18", None, classes=3).eval()
    encoder, (decoder,) = Backbone("resnet18", decoder="FPN", mean=[0.0] * 3, std=[1.0] * 3).build()
    encoder.body.load_state_dict(model.encoder.state_dict())
    body = decoder.get_submodule("body")
    body.load_state_dict(model.decoder.state_dict())
    image = torch.rand(1, 3, 64, 96)
    head: nn.Module = model.segmentation_head
    with torch.no_grad():
        ours: Tensor = head(decoder.eval()(encoder.eval()(image)))
        torch.testing.assert_close(ours, model(image), rtol=1e-4, atol=1e-4)
