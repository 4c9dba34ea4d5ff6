import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch

from fusionseg import Predictor
from fusionseg.config.errors import UsageError, UserError
from fusionseg.data.synthetic import SyntheticScenes
from fusionseg.inference.export import ExportSource, export
from fusionseg.inference.exported import unit_range
from fusionseg.inference.inputs import as_input
from fusionseg.inference.sources import trained_models

Sources = Callable[..., ExportSource]


@pytest.fixture(scope="module")
def file(tiny_source: Sources, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An exported model of classes and regions."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("exported") / "model.onnx"
    export(tiny_source(), path, "onnx")
    return path


def changed(file: Path, folder: Path, **changes: object) -> Path:
    """The file with other metadata; without them for `None`."""
    model = onnx.load(file)
    (entry,) = model.metadata_props
    entry.value = json.dumps({**json.loads(entry.value), **changes})
    onnx.save(model, folder / "other.onnx")
    return folder / "other.onnx"


@pytest.mark.slow
def test_a_predictor_prepares_images_and_decodes_as_the_file_says(file: Path, tiny_source: Sources) -> None:
    predictor = Predictor(file)
    scene = SyntheticScenes("test", 1, (77, 131)).read(0).image
    answer = predictor(scene)
    assert predictor.settings["scale"] == 0.5
    assert predictor.settings["value_range"] == [0, 4095]
    assert "depth_limit" not in predictor.settings
    assert predictor.classes == SyntheticScenes.classes
    assert answer.semantic.shape == answer.region.shape == answer.panoptic.shape == (77, 131)
    assert answer.confidence.min() > 0
    assert answer.boundaries.shape == (77, 131)
    torch.manual_seed(0)
    model = tiny_source().model
    batch = {"image": as_input(scene, {"scale": 0.5})[None], "name": ["scene"]}
    (expected,) = model.predictions(batch, (77, 131))
    for task in ("semantic", "region", "fused", "panoptic"):
        np.testing.assert_array_equal(answer.maps[task], expected[task])


@pytest.mark.parametrize("dtype", [torch.uint8, torch.uint16, torch.float32])
def test_images_of_every_type_have_one_range(dtype: torch.dtype) -> None:
    top = 1.0 if dtype.is_floating_point else torch.iinfo(dtype).max
    image = torch.tensor([0, top]).to(dtype)
    assert unit_range(image).tolist() == [0, 1]
    assert unit_range(image).dtype == torch.float32


def test_something_else_than_onnx_is_one_line(file: Path, tmp_path: Path) -> None:
    (tmp_path / "text.onnx").write_text("no model")
    (tmp_path / "cut.onnx").write_bytes(file.read_bytes()[:-1000])
    (tmp_path / "empty.onnx").write_bytes(b"")
    for name in ("text", "cut", "empty"):
        with pytest.raises(UserError, match=rf"^\S+{name}\.onnx: expected a whole ONNX file, .*$"):
            Predictor(tmp_path / f"{name}.onnx")


def identity(folder: Path) -> Path:
    """A model that somebody else made."""
    ends = [
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1, 3, 32, 32])
        for name in ("image", "semantic")
    ]
    node = onnx.helper.make_node("Identity", ["image"], ["semantic"])
    graph = onnx.helper.make_graph([node], "graph", ends[:1], ends[1:])
    opset = [onnx.helper.make_opsetid("", 18)]
    onnx.save(onnx.helper.make_model(graph, opset_imports=opset, ir_version=10), folder / "theirs.onnx")
    return folder / "theirs.onnx"


def test_a_model_of_another_project_is_one_line(file: Path, tmp_path: Path) -> None:
    theirs = identity(tmp_path)
    with pytest.raises(
        UserError, match=r"theirs\.onnx: expected a file that `fusionseg export` wrote, found an ONNX"
    ):
        Predictor(theirs)
    model = onnx.load(theirs)
    model.metadata_props.append(onnx.load(file).metadata_props[0])
    onnx.save(model, theirs)
    with pytest.raises(
        UserError, match="a graph from image to region, semantic, found one from image to semantic"
    ):
        Predictor(theirs)


OWN = """
from fusionseg.heads import SemanticHead
raise RuntimeError("imported")
"""


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A file of a head that Python would find."""
    (tmp_path / "own_head.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    yield
    sys.modules.pop("own_head", None)


def head(path: str, **arguments: object) -> dict[str, Any]:
    recipe = {"class_path": path, "init_args": {"in_channels": 1, **arguments}}
    return {
        "semantic": recipe,
        "region": {"class_path": "fusionseg.heads.BoundaryHead", "init_args": {"in_channels": 1}},
    }


@pytest.mark.usefixtures("own")
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"heads": head("own_head.Own")}, r"make no heads: semantic: own_head\.Own is of a package .*--trust own_head"),
        ({"heads": head("os.system")}, r"make no heads: semantic: expected a class that is part of a run, found os\.system"),
        ({"heads": head("torch.nn.Linear")}, r"make no heads: semantic: expected Head, found torch\.nn\.Linear"),
        (
            {"heads": head("fusionseg.heads.SemanticHead", num_classes=6, losses=[{"class_path": "own_head.Own"}])},
            r"make no heads: semantic\.losses: own_head\.Own is of a package",
        ),
        ({"heads": head("fusionseg.heads.SemanticHead", width=3)}, "make no heads: .*width"),
        ({"heads": {}}, "expected heads, and an output of each"),
        ({"decoder": {"region": {"threshold": 2}}}, "other.onnx: region: expected"),
        ({"decoder": {"region": {"weight": 1}}}, "region: BoundaryHead has .* to tune, found weight"),
        ({"decoder": {"depth": {}}}, "expected a head of depth"),
        ({"decoder": []}, "expected names and values in classes, heads, decoder, temperatures, outputs"),
        ({"outputs": {"semantic": "semantic", "region": {"type": "own_head.Own", "parts": {"0": "region"}}}},
         r"own_head\.Own is of a package that is not trusted"),
        ({"outputs": {"semantic": "semantic", "region": None}}, "a graph from image to semantic, found one"),
        ({"classes": {"names": ["a", "a"], "colors": []}}, "expected the metadata of `fusionseg export`: .*different names"),
        ({"areas": 3}, "expected the metadata of `fusionseg export`"),
        ({"scale": "large"}, "expected the metadata of `fusionseg export`"),
        ({"more": 1}, "expected the metadata of `fusionseg export`"),
    ],
)  # fmt: skip
def test_metadata_of_somebody_else_build_nothing_but_trusted_heads(
    changes: dict[str, Any], message: str, file: Path, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=message) as error:
        Predictor(changed(file, tmp_path, **changes))
    assert "other.onnx" in str(error.value)
    assert "\n" not in str(error.value)


def test_metadata_that_are_no_text_of_ours_are_one_line(file: Path, tmp_path: Path) -> None:
    model = onnx.load(file)
    for text in ("", "[]", "{", "3", "[" * 100000):
        model.metadata_props[0].value = text
        onnx.save(model, tmp_path / "other.onnx")
        with pytest.raises(UserError, match="expected the metadata of `fusionseg export`"):
            Predictor(tmp_path / "other.onnx")


def test_what_an_exported_model_cannot_do_is_named(file: Path) -> None:
    with pytest.raises(
        UsageError, match="precision: expected 32-true of an exported model, found bf16-mixed"
    ):
        Predictor(file, precision="bf16-mixed")
    with pytest.raises(UsageError, match="device: expected cpu of an exported model, found cuda"):
        Predictor(file, device="cuda")
    with pytest.raises(UsageError, match=r"untuned: .*model\.onnx decodes as it was exported"):
        Predictor(file, untuned=True)
    assert Predictor(file, device="cpu", precision="32-true").channels == 3


def test_images_that_a_graph_cannot_take_are_one_line(file: Path) -> None:
    model = trained_models(file, False, ())[0].model
    with pytest.raises(UserError, match=r"cannot run the graph on images \(1, 4, 32, 32\): "):
        model(torch.zeros(1, 4, 32, 32))


def test_a_missing_library_is_one_line(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(UsageError, match=r'^this takes onnxruntime: pip install "fusionseg\[onnx\]"$'):
        Predictor(file)


def test_a_file_that_runs_code_when_it_is_read_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model.pt2").write_bytes(b"")
    with pytest.raises(UserError, match=r"model\.pt2: expected a run, a checkpoint or an ONNX file: reading"):
        Predictor(tmp_path / "model.pt2")
