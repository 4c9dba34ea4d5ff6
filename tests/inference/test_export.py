import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from fusionseg.config.errors import UsageError, UserError
from fusionseg.engine.predictions import padded
from fusionseg.heads import DepthHead, ExtraHead, MaskQueryHead, TrinaryHead
from fusionseg.inference import export as exporting
from fusionseg.inference.export import ExportSource, Format, export
from fusionseg.networks import Backbone, HardSharing
from fusionseg.untrained import UntrainedModule

Sources = Callable[..., ExportSource]

FEW_QUERIES = partial(MaskQueryHead, queries=5, width=8, layers=1)
MODELS: dict[str, dict[str, Any]] = {
    "both": {"region_head": TrinaryHead},
    "queries": {"semantic_head": None, "region_head": FEW_QUERIES},
    "further": {"region_head": None, "gamma": 1.0, "extra_heads": {"depth": ExtraHead(DepthHead)}},
}
NAMES = {
    "both": ["semantic", "region"],
    "queries": ["region.masks", "region.classes"],
    "further": ["semantic", "scene", "depth"],
}


def images(number: int, height: int, width: int) -> Tensor:
    """Images of any size, padded as for a network, in [0, 1]."""
    seeded = torch.Generator().manual_seed(number)
    return padded({"image": torch.rand(number, 3, height, width, generator=seeded)})["image"]


def own(model: Any, image: Tensor) -> dict[str, Tensor]:
    """The tensors of the last refinement, each under its task and the field of its named tuple."""
    with torch.no_grad():
        outputs = model(image)[-1]
    found = {}
    for task, output in outputs.items():
        fields = output._asdict() if hasattr(output, "_asdict") else {}
        found |= {f"{task}.{name}": value for name, value in fields.items()} or {task: output}
    return found


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] * (name == "queries")) for name in MODELS]
)
def test_onnx_runtime_computes_what_the_model_does_at_any_number_and_size_of_images(
    name: str, tiny_source: Sources, tmp_path: Path
) -> None:
    import onnxruntime

    source = tiny_source(**MODELS[name])
    result = export(source, tmp_path / "model.onnx", "onnx")
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    assert [output.name for output in session.get_outputs()] == list(result.outputs) == NAMES[name]
    for image in (images(2, 77, 131), images(1, 20, 33), images(5, 64, 300), images(1, 1, 700)):
        expected = own(source.model, image)
        values = session.run(NAMES[name], {"image": image.numpy()})
        for place, value in zip(NAMES[name], values, strict=True):
            np.testing.assert_allclose(value, expected[place], rtol=0, atol=1e-4)
    assert result.difference < 1e-4


@pytest.mark.slow
def test_torch_s_own_format_computes_the_same(tiny_source: Sources, tmp_path: Path) -> None:
    source = tiny_source()
    draft = tmp_path / f".model.{10**30}.pt2"
    draft.touch()
    export(source, tmp_path / "model.pt2", "torch")
    assert not draft.exists()  # which a killed process left
    extra = {"fusionseg": ""}
    graph = torch.export.load(tmp_path / "model.pt2", extra_files=extra).module()
    image = images(3, 77, 131)
    found = graph(image)
    for name, expected in own(source.model, image).items():
        torch.testing.assert_close(found[name], expected)
    assert json.loads(extra["fusionseg"])["classes"]["names"] == list(source.model.classes.names)


@pytest.mark.slow
def test_a_plain_transformer_computes_the_same_at_other_sizes(tiny_source: Sources, tmp_path: Path) -> None:
    narrow = {"embed_dim": 32, "num_heads": 2, "depth": 1, "pyramid_channels": 16}
    backbone = Backbone("tu-vit_small_patch14_dinov2", decoder="FPN", options=narrow)
    source = tiny_source(network=HardSharing, region_head=None, backbone=backbone)
    export(source, tmp_path / "model.pt2", "torch")
    found = torch.export.load(tmp_path / "model.pt2").module()(images(3, 77, 131))
    for name, expected in own(source.model, images(3, 77, 131)).items():
        torch.testing.assert_close(found[name], expected)


@pytest.mark.slow
def test_a_file_says_all_that_decoding_takes(tiny_source: Sources, tmp_path: Path) -> None:
    import onnx

    source = tiny_source(thing_area=7, region_head=partial(TrinaryHead, min_area=5))
    source.model.heads["region"].set_decoding(min_area=11)  # as a tuned decoder does
    export(source, tmp_path / "model.onnx", "onnx")
    (entry,) = onnx.load(tmp_path / "model.onnx").metadata_props
    assert entry.key == "fusionseg"
    said = json.loads(entry.value)
    assert said["decoder"] == {"semantic": {}, "region": {"min_area": 11}}
    assert said["classes"]["names"] == list(source.model.classes.names)
    assert said["heads"]["region"]["class_path"] == "fusionseg.heads.TrinaryHead"
    assert (said["areas"], said["scale"], said["value_range"]) == ([7, 0], 0.5, [0, 4095])
    assert (said["stride"], said["channels"], said["checkpoint"]) == (32, 3, "digest")


@pytest.mark.slow
@pytest.mark.parametrize("format", ["onnx", "torch"])
def test_a_file_does_not_name_the_folders_of_this_machine(
    format: Format, tiny_source: Sources, tmp_path: Path
) -> None:
    path = tmp_path / f"model{exporting.SUFFIXES[format]}"
    export(tiny_source(semantic_head=None), path, format)
    content = path.read_bytes()
    assert b"site-packages" not in content
    assert str(Path(__file__).parent).encode() not in content


def refused(*_: object) -> Any:
    raise AssertionError("compiled")


def test_a_model_that_was_compiled_is_exported_as_it_was_written(
    tiny_source: Sources, tmp_path: Path
) -> None:
    source = tiny_source(semantic_head=None)
    for part in source.model.network.parts:
        part.compile(backend=refused)
    assert export(source, tmp_path / "model.pt2", "torch").difference < 1e-5


@pytest.mark.parametrize("failure", [KeyboardInterrupt, OSError("No space left on device")])
def test_an_export_that_is_stopped_leaves_the_file_before(
    failure: Any, tiny_source: Sources, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "model.pt2"
    path.write_bytes(b"before")

    def stopped(*_: object) -> None:
        raise failure

    monkeypatch.setattr(exporting, "compared", stopped)
    with pytest.raises((KeyboardInterrupt, OSError)):
        export(tiny_source(semantic_head=None), path, "torch")
    assert [(file.name, file.read_bytes()) for file in tmp_path.iterdir()] == [("model.pt2", b"before")]


def test_a_file_that_computes_something_else_never_appears(
    tiny_source: Sources, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    traced = exporting.traced

    def wrong(network: Any, channels: int) -> Any:
        program = traced(network, channels)
        layer = network.network.encoder.body.fine
        layer.weight = torch.nn.Parameter(layer.weight + 0.01)
        return program

    monkeypatch.setattr(exporting, "traced", wrong)
    with pytest.raises(
        UserError, match=r"model\.pt2: expected region of the model within 0\.0001, found a diff"
    ):
        export(tiny_source(semantic_head=None), tmp_path / "model.pt2", "torch")
    assert not list(tmp_path.iterdir())


class Learned(TrinaryHead):
    """A head whose labels depend on what it learned."""

    def __init__(self, in_channels: int) -> None:
        super().__init__(in_channels)
        self.bias = torch.nn.Parameter(torch.rand(1))

    def labels(self, output: Tensor, frame: Any) -> Tensor:
        return super().labels(output, frame) + int(1e6 * self.bias)


def test_a_head_whose_labels_depend_on_its_weights_is_refused(tiny_source: Sources, tmp_path: Path) -> None:
    source = tiny_source(semantic_head=None, region_head=Learned)
    with pytest.raises(UserError, match=r"model\.pt2: labels of region depend on weights of Learned"):
        export(source, tmp_path / "model.pt2", "torch", [__name__])


class Sized:
    """Makes a network do something else with large images."""

    def forward(self, image: Tensor) -> Any:
        return super().forward(  # type: ignore[misc]
            image * (2 if image.shape[-1] > 200 else 1)
        )


class Deciding:
    """Makes a network do something else with bright images."""

    def forward(self, image: Tensor) -> Any:
        return super().forward(  # type: ignore[misc]
            image * (2 if image.mean() > 0.5 else 1)
        )


@pytest.mark.parametrize(
    ("choosing", "message"),
    [
        (
            Sized,
            r"^this network computes something else .*docs/export\.md\): Guard failed: .* for \(1, 3, 64, 256\)$",
        ),
        (
            Deciding,
            r"^torch cannot export this network .*docs/export\.md\): Could not guard on data-dependent .*$",
        ),
    ],
)
def test_what_torch_cannot_export_for_all_images_is_one_line(
    choosing: Any, message: str, tiny_source: Sources, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    network = type(choosing.__name__, (choosing, type(tiny_source().model.network)), {})
    with pytest.raises(UserError, match=message):
        export(tiny_source(network, semantic_head=None), tmp_path / "model.pt2", "torch")
    assert capfd.readouterr() == ("", "")
    assert not list(tmp_path.iterdir())


def test_models_of_another_kind_are_named(tmp_path: Path, tiny_source: Sources) -> None:
    other = tiny_source()._replace(model=UntrainedModule(tiny_source().model.classes))
    with pytest.raises(UsageError, match="run: expected a run of a FusionModule, found UntrainedModule"):
        export(other, tmp_path / "model.pt2", "torch")


def test_weights_that_do_not_fit_into_a_file_are_named(
    tiny_source: Sources, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporting, "LARGEST", 100)
    with pytest.raises(UserError, match=r"which one file of ONNX can hold, found .*: take --format torch"):
        export(tiny_source(), tmp_path / "model.onnx", "onnx")


@pytest.mark.parametrize("library", ["onnx", "onnxscript", "onnxruntime"])
def test_a_missing_library_is_one_line(
    library: str, tiny_source: Sources, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, library, None)
    message = rf'^this takes {library}: pip install "fusionseg\[onnx\]"$'
    with pytest.raises(UsageError, match=message):
        export(tiny_source(), tmp_path / "model.onnx", "onnx")
