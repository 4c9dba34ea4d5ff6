import re
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import lightning
import pytest
import segmentation_models_pytorch as smp
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torchvision.models import resnet50
from torchvision.models._utils import IntermediateLayerGetter
from torchvision.models.detection import maskrcnn_resnet50_fpn
from torchvision.models.detection.image_list import ImageList
from torchvision.models.segmentation import (
    deeplabv3_resnet50,
    deeplabv3_resnet101,
    fcn_resnet50,
    fcn_resnet101,
)
from torchvision.models.segmentation.fcn import FCN, FCNHead

from fusionseg.balancing import UW, GradNorm
from fusionseg.files.state_dicts import WeightsError, tensors
from fusionseg.heads import BoundaryHead, MaskRCNNHead, SemanticHead
from fusionseg.losses import CrossEntropy
from fusionseg.module import FusionModule
from fusionseg.networks import CrossStitch, HardSharing, Network
from fusionseg.networks.backbone import Backbone
from fusionseg.networks.pretrained import load_whole, loaded, pretrained_parameters
from fusionseg.runs.restore import restored, start_from
from fusionseg.sample import Classes

CLASSES = Classes(tuple("abcde"), ((0, 0, 0),) * 5)
REGION_HEAD = {"network.heads.region.layers.1.weight", "network.heads.region.layers.1.bias"}
Save = Callable[[dict[str, Tensor], Path], Any]


def small(classes: Classes = CLASSES, **options: Any) -> FusionModule:
    return FusionModule(classes, backbone=Backbone("resnet18", decoder="FPN"), **options)


def normalized(model: Any, image: Tensor) -> Tensor:
    encoder = model.network.encoder
    return (image - encoder.mean) / encoder.std  # type: ignore[no-any-return]


def enlarged(model: FusionModule, image: Tensor) -> Tensor:
    logits = model(image)[-1]["semantic"]
    return nn.functional.interpolate(logits, image.shape[-2:], mode="bilinear")


@pytest.mark.parametrize("layout", ["run folder", "checkpoint", "safetensors"])
def test_a_run_of_ours_is_taken_over_whole(
    layout: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, target = small(), small()
    checkpoint = tmp_path / "checkpoints" / "best.ckpt"
    checkpoint.parent.mkdir()
    torch.save({"state_dict": source.state_dict(), "epoch": 3}, checkpoint)
    save_file(
        {name: v.contiguous() for name, v in source.state_dict().items()}, tmp_path / "some.safetensors"
    )
    path = {"run folder": tmp_path, "checkpoint": checkpoint, "safetensors": tmp_path / "some.safetensors"}[
        layout
    ]
    start_from(target, path)
    for name, value in target.state_dict().items():
        assert torch.equal(value, source.state_dict()[name])
    assert "initialized" not in capsys.readouterr().out


def test_what_does_not_fit_is_initialized_and_listed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, target = small(Classes(("x", "y"), ((0, 0, 0),) * 2), region_head=None), small()
    torch.save(source.state_dict(), tmp_path / "other.pt")
    before = target.network.heads["semantic"].layers[1].weight.clone()  # type: ignore[union-attr, index]
    missing = load_whole(target, tmp_path / "other.pt")
    names = [
        "network.heads.semantic.layers.1.weight",
        "network.heads.semantic.layers.1.bias",
        *sorted(REGION_HEAD)[::-1],
    ]
    assert missing == names
    assert torch.equal(target.network.heads["semantic"].layers[1].weight, before)  # type: ignore[union-attr, index]
    out = capsys.readouterr().out
    total = len(target.state_dict())
    assert (
        f"{total - 4} of {total} tensors loaded from {tmp_path / 'other.pt'}, 2 of the file not used" in out
    )
    assert f"initialized: {names[0]} (5, 128, 1, 1) (has shape (2, 128, 1, 1) in the file)" in out
    assert f"initialized: {names[3]} (1,) (is missing in the file)" in out


PRETRAINED = [
    ("FCN", "resnet50", fcn_resnet50),
    ("FCN", "resnet101", fcn_resnet101),
    ("DeepLabV3", "resnet50", deeplabv3_resnet50),
    ("DeepLabV3", "resnet101", deeplabv3_resnet101),
]


def torchvisions(made: Callable[..., Any], **options: Any) -> Any:
    """A model of torchvision with random weights and batch statistics, in float64."""
    model = made(weights=None, weights_backbone=None, num_classes=5, **options).eval()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)  # type: ignore[union-attr]
            module.running_var.uniform_(0.8, 1.2)  # type: ignore[union-attr]
    return model.double()


def save_checkpoint(model: FusionModule, path: Path) -> None:
    state = {"state_dict": model.state_dict(), "hyper_parameters": dict(model.hparams)}
    model.on_save_checkpoint(state)
    torch.save({**state, "pytorch-lightning_version": lightning.__version__}, path)


@torch.no_grad()
def same_logits(model: FusionModule, theirs: Any) -> bool:
    """Whether two models in float64 have the same logits, to rounding."""
    image = torch.rand(1, 3, 64, 96).double()
    expected = theirs(normalized(model, image))["out"]
    return torch.allclose(enlarged(model, image), expected, rtol=1e-9, atol=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize(("decoder", "encoder", "made"), PRETRAINED)
def test_torchvision_s_pretrained_models_have_the_same_logits_here(
    decoder: str, encoder: str, made: Callable[..., Any], tmp_path: Path
) -> None:
    theirs = torchvisions(made, aux_loss=True)
    torch.save(theirs.state_dict(), path := tmp_path / "theirs.pth")
    model = FusionModule(CLASSES, backbone=Backbone(encoder, decoder=decoder)).double().eval()
    assert set(load_whole(model, path)) == REGION_HEAD
    assert same_logits(model, theirs)
    assert model.network.recorded()["late_dilation"] is True


@pytest.mark.slow
def test_dilation_of_torchvision_s_weights_stays_with_the_run_and_with_runs_that_start_from_it(
    tmp_path: Path,
) -> None:
    theirs = torchvisions(deeplabv3_resnet50)
    torch.save(theirs.state_dict(), tmp_path / "theirs.pth")
    backbone = Backbone("resnet50", decoder="DeepLabV3")
    model = FusionModule(CLASSES, backbone=backbone).double()
    start_from(model, tmp_path / "theirs.pth")
    save_checkpoint(model, tmp_path / "run.ckpt")
    assert same_logits(restored(tmp_path / "run.ckpt")[0].double(), theirs)
    for chosen, same in ((None, True), (False, False)):
        further = FusionModule(CLASSES, backbone=replace(backbone, late_dilation=chosen)).double().eval()
        start_from(further, tmp_path / "run.ckpt")
        assert same_logits(further, theirs) == same


def mask_rcnn(**options: Any) -> Any:
    """Torchvision's Mask R-CNN with random weights and batch statistics, which finds things of different scores."""
    model = torchvisions(maskrcnn_resnet50_fpn, box_detections_per_img=10, **options).float()
    nn.init.normal_(model.roi_heads.box_predictor.cls_score.weight, std=1e-3)
    return model


def detecting(**options: Any) -> FusionModule:
    head = partial(MaskRCNNHead, nms=0.5, max_regions=10, **options)
    return FusionModule(CLASSES, semantic_head=None, region_head=head, backbone=Backbone("resnet50")).eval()


def older(name: str) -> str:
    """The name of a tensor in the files of Mask R-CNN that torchvision offers."""
    name = re.sub(r"(_blocks\.\d)\.0\.", r"\1.", name)
    name = name.replace("rpn.head.conv.0.0.", "rpn.head.conv.")
    return re.sub(r"mask_head\.(\d)\.0\.", lambda found: f"mask_head.mask_fcn{int(found[1]) + 1}.", name)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:an image may have more regions")
@pytest.mark.parametrize("name", [str, older])
def test_torchvision_s_mask_rcnn_finds_the_same_here(name: Callable[[str], str], tmp_path: Path) -> None:
    theirs = mask_rcnn()
    torch.save({name(key): value for key, value in theirs.state_dict().items()}, tmp_path / "theirs.pth")
    model = detecting(kinds=4)
    assert load_whole(model, tmp_path / "theirs.pth") == []
    theirs.double()
    model.double()
    image = torch.rand(2, 3, 64, 96).double()
    tensor = normalized(model, image)
    with torch.no_grad():
        maps = theirs.backbone(tensor)
        proposals, _ = theirs.rpn(ImageList(tensor, [(64, 96)] * 2), maps)
        expected, _ = theirs.roi_heads(maps, proposals, [(64, 96)] * 2)
        found = model(image)[-1]["region"].detections
    assert found.scores.shape == (2, 10)
    for i, each in enumerate(expected):
        assert each["scores"].unique().numel() == 10
        torch.testing.assert_close(found.boxes[i], each["boxes"], rtol=1e-9, atol=1e-9)
        torch.testing.assert_close(found.scores[i], each["scores"], rtol=1e-9, atol=1e-9)
        torch.testing.assert_close(found.masks[i], each["masks"][:, 0], rtol=1e-9, atol=1e-9)


def test_torchvision_s_mask_rcnn_of_other_kinds_loads_but_for_what_tells_them_apart(tmp_path: Path) -> None:
    torch.save(maskrcnn_resnet50_fpn(weights_backbone=None).state_dict(), tmp_path / "theirs.pth")
    missing = load_whole(detecting(), tmp_path / "theirs.pth")
    parts = {name.removeprefix("network.heads.region.roi_heads.").rpartition(".")[0] for name in missing}
    assert parts == {
        "box_predictor.cls_score",
        "box_predictor.bbox_pred",
        "mask_predictor.mask_fcn_logits",
    }


def test_weights_of_a_run_bring_the_normalization_that_they_were_trained_with(tmp_path: Path) -> None:
    source = small()
    source.network.encoder.adopt([0.5] * 3, [0.25] * 3)  # type: ignore[operator]
    save_checkpoint(source, tmp_path / "run.ckpt")
    for own, expected in ((None, [0.5] * 3), ([0.1] * 3, [0.1] * 3)):
        target = FusionModule(CLASSES, backbone=Backbone("resnet18", decoder="FPN", mean=own))
        start_from(target, tmp_path / "run.ckpt")
        assert target.network.recorded()["mean"] == pytest.approx(expected)
        assert target.network.recorded()["std"] == [0.25] * 3


@pytest.mark.slow
def test_smp_s_own_weights_keep_smp_s_dilation(tmp_path: Path) -> None:
    theirs = smp.DeepLabV3("resnet50", encoder_weights=None, classes=5).eval().double()
    theirs.save_pretrained(tmp_path / "deeplab")
    model = FusionModule(CLASSES, backbone=Backbone("resnet50", decoder="DeepLabV3")).double().eval()
    load_whole(model, tmp_path / "deeplab")
    image = torch.rand(1, 3, 64, 96).double()
    with torch.no_grad():
        expected = theirs.encoder(normalized(model, image))[-1]
        torch.testing.assert_close(model.network.encoder(image)[-1], expected, rtol=1e-9, atol=1e-9)
    assert model.network.recorded()["late_dilation"] is False


def test_dilation_can_be_late_only_where_there_are_bottleneck_blocks() -> None:
    with pytest.raises(ValueError, match=r"late_dilation is for encoders of bottleneck blocks .* leave it"):
        Backbone("resnet18", late_dilation=True).build()


@pytest.mark.parametrize("balancer", [GradNorm, partial(UW, lr=0.5)])
def test_weights_are_those_of_the_network_and_not_of_balancers_and_losses(
    balancer: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    balanced = partial(SemanticHead, losses=[partial(CrossEntropy, class_weights="balanced")])
    source, target = (small(balancer=balancer, semantic_head=balanced) for _ in range(2))
    for name, value in source.state_dict().items():
        if name.startswith("balancer.") or ".losses." in name:
            value.fill_(7)
    torch.save({"state_dict": source.state_dict()}, path := tmp_path / "run.ckpt")
    before = {name: value.clone() for name, value in target.state_dict().items()}
    start_from(target, path)
    for name, value in target.state_dict().items():
        own = name.startswith("balancer.") or ".losses." in name
        assert torch.equal(value, (before if own else source.state_dict())[name]), name
    assert any(".losses." in name for name in before)
    assert "initialized" not in capsys.readouterr().out


@pytest.mark.parametrize(("save", "auxiliary"), [(torch.save, True), (save_file, False)])
def test_torchvision_s_fcn_loads_whole(auxiliary: bool, save: Save, tmp_path: Path) -> None:
    theirs = fcn_resnet50(weights=None, weights_backbone=None, num_classes=5, aux_loss=auxiliary)
    save(theirs.state_dict(), path := tmp_path / f"fcn{'.pth' if save is torch.save else '.safetensors'}")
    model: Any = FusionModule(CLASSES, backbone=Backbone("resnet50", decoder="FCN"))
    assert set(load_whole(model, path)) == REGION_HEAD
    body = model.network.encoder.body
    dilations = [[block.conv2.dilation[0] for block in stage] for stage in (body.layer3, body.layer4)]
    assert dilations == [[1] + [2] * 5, [2, 4, 4]]


def test_torchvision_s_fcn_without_dilation_answers_the_same(tmp_path: Path) -> None:
    theirs = FCN(IntermediateLayerGetter(resnet50(weights=None), {"layer4": "out"}), FCNHead(2048, 5)).eval()
    torch.save(theirs.state_dict(), tmp_path / "fcn.pth")
    model = FusionModule(
        CLASSES, backbone=Backbone("resnet50", decoder="FCN", options={"output_stride": 32})
    ).eval()
    assert set(load_whole(model, tmp_path / "fcn.pth")) == REGION_HEAD
    image = torch.rand(1, 3, 64, 96)
    with torch.no_grad():
        expected = theirs(normalized(model, image))["out"]
        torch.testing.assert_close(enlarged(model, image), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("shared", [True, False])
def test_torchvision_s_deeplab_loads_whole_and_its_decoder_answers_the_same(
    shared: bool, tmp_path: Path
) -> None:
    theirs = deeplabv3_resnet50(weights=None, weights_backbone=None, num_classes=5, aux_loss=True).eval()
    torch.save(theirs.state_dict(), tmp_path / "deeplab.pth")

    def network(heads: Any, backbone: Backbone) -> HardSharing:
        return HardSharing(heads, backbone, shared)

    network.__qualname__ = "network"  # a name as of a function in a module
    model: Any = FusionModule(
        CLASSES, backbone=Backbone("resnet50", decoder="DeepLabV3"), network=network
    ).eval()
    missing = {
        name for name in load_whole(model, tmp_path / "deeplab.pth") if ".decoders.region." not in name
    }
    assert missing == REGION_HEAD
    decoder = model.network.decoders["shared" if shared else "semantic"]
    features = torch.rand(1, 2048, 9, 12)
    with torch.no_grad():
        ours = model.network.heads["semantic"](decoder([features]))
        torch.testing.assert_close(ours, theirs.classifier(features), rtol=1e-4, atol=1e-4)


def test_a_saved_model_of_smp_answers_the_same(tmp_path: Path) -> None:
    theirs = smp.Unet("resnet18", encoder_weights=None, classes=5).eval()
    theirs.save_pretrained(tmp_path / "unet")
    model = FusionModule(CLASSES, backbone=Backbone("resnet18")).eval()
    # the classifier of SMP's U-Net sees a neighborhood, ours a pixel
    kernel = {"network.heads.semantic.layers.1.weight"}
    assert set(load_whole(model, tmp_path / "unet")) == REGION_HEAD | kernel
    image = torch.rand(1, 3, 64, 96)
    with torch.no_grad():
        expected = theirs.decoder(theirs.encoder(normalized(model, image)))
        ours = model.network.decoders["shared"](model.network.encoder(image))
        torch.testing.assert_close(ours, expected, rtol=1e-4, atol=1e-4)


def test_a_saved_fpn_of_smp_loads_with_its_classifier(tmp_path: Path) -> None:
    theirs = smp.FPN("resnet18", encoder_weights=None, classes=5).eval()
    theirs.save_pretrained(tmp_path / "fpn")
    model = small().eval()
    assert set(load_whole(model, tmp_path / "fpn")) == REGION_HEAD
    image = torch.rand(1, 3, 64, 96)
    with torch.no_grad():
        expected = theirs.segmentation_head[0](theirs.decoder(theirs.encoder(normalized(model, image))))
        torch.testing.assert_close(model(image)[-1]["semantic"], expected, rtol=1e-4, atol=1e-4)


def test_nothing_that_fits_is_an_error(tmp_path: Path) -> None:
    torch.save(nn.Linear(3, 4).state_dict(), tmp_path / "linear.pt")
    with pytest.raises(
        WeightsError, match=r"linear.pt: none of the 2 tensors fits the model: it has .* another archit"
    ):
        load_whole(small(), tmp_path / "linear.pt")


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_refused_and_nothing_is_loaded(bad: float, tmp_path: Path) -> None:
    state = nn.Linear(3, 4).state_dict()
    state["bias"][1] = bad
    target = nn.Linear(3, 4)
    before = target.weight.clone()
    with pytest.raises(WeightsError, match=r"file.pt: the weights for it hold NaN or infinity in bias"):
        loaded(target, state, tmp_path / "file.pt", "it")
    assert torch.equal(target.weight, before)


class Executed:
    """What a malicious pickle would do."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (print, ("executed",))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (nn.Linear(1, 1), "expected a file of tensors"),
        ({"state_dict": Executed()}, "expected a file of tensors"),
        ({"weight": torch.ones(1), "epoch": 3}, "expected a state dict"),
        ([torch.ones(1)], r"expected a state dict \(names and tensors\), found list"),
        ({}, "expected a state dict"),
    ],
)
def test_a_file_of_anything_but_tensors_is_refused_and_not_executed(
    content: Any, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.save(content, tmp_path / "file.pt")
    with pytest.raises(WeightsError, match=f"file.pt: {message}"):
        tensors(tmp_path / "file.pt")
    assert not capsys.readouterr().out


@pytest.mark.parametrize("save", [torch.save, save_file])
def test_a_truncated_file_is_refused(save: Save, tmp_path: Path) -> None:
    path = tmp_path / f"half{'.pt' if save is torch.save else '.safetensors'}"
    save(nn.Linear(300, 400).state_dict(), path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(WeightsError, match=r"half.*: expected a file of tensors"):
        tensors(path)


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty.pth").touch()
    with pytest.raises(WeightsError, match=r"empty.pth: expected a file of tensors .*EOFError"):
        tensors(tmp_path / "empty.pth")


def test_a_missing_file_or_an_empty_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"none.pt: no such file of weights"):
        tensors(tmp_path / "none.pt")
    with pytest.raises(
        WeightsError,
        match=r"expected a run with a best checkpoint, or one of model.safetensors, .* none found",
    ):
        tensors(tmp_path)


@pytest.mark.parametrize("network", [HardSharing, CrossStitch])
def test_an_encoder_from_a_file_counts_as_pretrained_in_every_network(
    network: Callable[..., Network], tmp_path: Path
) -> None:
    encoder, _ = Backbone("resnet18").build()
    assert pretrained_parameters(encoder) == set()
    save_file(encoder.body.state_dict(), tmp_path / "encoder.safetensors")
    started = Backbone("resnet18", str(tmp_path / "encoder.safetensors"))
    made = network({"semantic": partial(SemanticHead, num_classes=3), "region": BoundaryHead}, started)
    expected = {name for name, _ in made.named_parameters() if ".body" in name and ".stitches." not in name}
    assert pretrained_parameters(made) == {name for name in expected if name.startswith("encoder.")}


def test_so_does_one_that_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    pair = Backbone._pair
    monkeypatch.setattr(Backbone, "_pair", lambda self, _: pair(self, None))
    monkeypatch.setattr("fusionseg.networks.backbone.find_hub", lambda _: None)
    monkeypatch.setattr(Backbone, "_normalization", lambda _: ([0.5] * 3, [0.5] * 3))
    encoder, _ = Backbone("resnet18", "imagenet").build()
    assert pretrained_parameters(encoder) == {name for name, _ in encoder.named_parameters()}
