"""The private names and internals of libraries that the package uses: an upgrade of a library fails here.

Where a test fails after an upgrade, look whether the library has a public name by now. Where one fails after a
change of the package, use a public name, or add the private one to the list with its purpose (or to `STRINGS`, if
it is no name at all).
"""

import argparse
import ast
import importlib
import importlib.metadata
import inspect
import pkgutil
import re
import tomllib
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from huggingface_hub import ModelHubMixin
from jsonargparse import ArgumentParser
from lightning.pytorch import Trainer
from lightning.pytorch.loggers import WandbLogger
from lightning.pytorch.strategies import launchers
from packaging.requirements import Requirement
from torch import nn
from torchmetrics import Metric
from torchvision.models.detection.roi_heads import RoIHeads

import fusionseg
from fusionseg.module import FusionModule

ROOT = Path(fusionseg.__file__).parent
STRINGS = {"_path", "_stage", "_stuff", "_things", "_L", "_leftImg8bit", "_gtFine_instanceIds", "_disparity"}
"""Strings of our own that look like private names."""
DOCUMENTED = {"_asdict", "_replace"}
"""Public names in spite of their underscore: of named tuples."""


class Internal(NamedTuple):
    """A name that a library may change without notice.

    Args:
        name: The name; without a leading underscore, an attribute of an undocumented object.
        library: Whose it is.
        files: The files of the package that use it.
        purpose: What for, and why no public name does.
        works: Whether it still is what the package takes it for.
    """

    name: str
    library: str
    files: str
    purpose: str
    works: Callable[[], bool]


def loop() -> Any:
    return Trainer(accelerator="cpu", logger=False, enable_checkpointing=False).fit_loop


def _launcher(strategy: str) -> type:
    trainer = Trainer(
        strategy=strategy, accelerator="cpu", devices=2, logger=False, enable_checkpointing=False
    )
    return type(trainer.strategy.launcher)


def typehint() -> bool:
    parser = ArgumentParser()
    parser.add_argument("--value", type=int | None)
    return getattr(parser._actions[-1], "_typehint", None) == int | None


def guards() -> bool:
    class Choosing(nn.Module):
        def forward(self, image: torch.Tensor) -> torch.Tensor:
            return image * (2 if image.shape[0] > 5 else 1)

    sizes = {"image": {0: 2 * torch.export.Dim("pairs")}}
    program = torch.export.export(Choosing(), (torch.zeros(4),), dynamic_shapes=sizes)
    check = program.module().get_submodule("_guards_fn")
    check(torch.empty(4, device="meta"))
    with pytest.raises(AssertionError, match="Guard failed"):
        check(torch.empty(6, device="meta"))
    return True


def compiled() -> bool:
    layer = nn.Identity()
    before = layer._compiled_call_impl is None
    layer.compile(backend="eager")
    return before and layer._compiled_call_impl is not None


def instantiator() -> bool:
    from lightning.pytorch.cli import instantiate_module
    from lightning.pytorch.core import saving

    return callable(instantiate_module) and '"_instantiator"' in inspect.getsource(saving)


def settings() -> bool:
    from jsonargparse import _common, set_parsing_settings

    before = dict(_common.parsing_settings)
    set_parsing_settings(import_path_denylist=["*"])
    changed = _common.parsing_settings["import_path_verdicts"] != before["import_path_verdicts"]
    _common.parsing_settings.update(before)
    return changed and "*" not in before["import_path_verdicts"]


def functorch() -> bool:
    return isinstance(importlib.import_module("torch._functorch.config").donated_buffer, bool)


def parameters(function: Any) -> list[str]:
    return list(inspect.signature(function).parameters)


def replacing() -> bool:
    hint = importlib.import_module("jsonargparse._typehints").ActionTypeHint
    original = importlib.import_module("fusionseg.config.replacement")._discard
    return parameters(original)[1:] == ["prev_val", "value"] and "val_class" in parameters(
        hint.get_class_parser
    )


def detector(part: str, name: str) -> list[str]:
    """The parameters of a method or function of torchvision's detectors."""
    module = importlib.import_module(f"torchvision.models.detection.{part}")
    kinds = [getattr(module, kind) for kind in ("RegionProposalNetwork", "RoIHeads") if hasattr(module, kind)]
    return parameters(getattr(next((kind for kind in kinds if hasattr(kind, name)), module), name))


DETECTORS = "the parts of torchvision's detectors, of which only the whole is documented"

INTERNALS = [
    Internal(
        "concat_box_prediction_layers",
        "torchvision",
        "heads/region_proposals",
        DETECTORS,
        lambda: detector("rpn", "concat_box_prediction_layers") == ["box_cls", "box_regression"],
    ),
    Internal(
        "filter_proposals",
        "torchvision",
        "heads/region_proposals",
        DETECTORS,
        lambda: (
            detector("rpn", "filter_proposals")[1:]
            == ["proposals", "objectness", "image_shapes", "num_anchors_per_level"]
        ),
    ),
    Internal(
        "assign_targets_to_anchors",
        "torchvision",
        "heads/region_proposals",
        DETECTORS,
        lambda: detector("rpn", "assign_targets_to_anchors")[1:] == ["anchors", "targets"],
    ),
    Internal(
        "assign_targets_to_proposals",
        "torchvision",
        "heads/region_samples",
        DETECTORS,
        lambda: (
            detector("roi_heads", "assign_targets_to_proposals")[1:] == ["proposals", "gt_boxes", "gt_labels"]
        ),
    ),
    Internal(
        "select_training_samples",
        "torchvision",
        "heads/region_samples",
        DETECTORS,
        lambda: detector("roi_heads", "select_training_samples")[1:] == ["proposals", "targets"],
    ),
    Internal(
        "fg_bg_sampler",
        "torchvision",
        "heads/region_rois",
        "replaced: torchvision's draws at random the boxes that are learned from",
        lambda: "self.fg_bg_sampler(labels)" in inspect.getsource(RoIHeads.subsample),
    ),
    Internal(
        "postprocess_detections",
        "torchvision",
        "heads/region_rois",
        DETECTORS,
        lambda: (
            detector("roi_heads", "postprocess_detections")[1:]
            == ["class_logits", "box_regression", "proposals", "image_shapes"]
        ),
    ),
    Internal(
        "maskrcnn_inference",
        "torchvision",
        "heads/region_rois",
        DETECTORS,
        lambda: detector("roi_heads", "maskrcnn_inference") == ["x", "labels"],
    ),
    Internal(
        "_broadcast_sigterm_tensor",
        "lightning",
        "callbacks/signals",
        "replaced by our own agreement on signals; Lightning's waits for the device in each step",
        lambda: parameters(loop().epoch_loop._broadcast_sigterm_tensor) == [],
    ),
    Internal(
        "_restarting",
        "lightning",
        "callbacks/checkpoints",
        "cleared where max_steps ended a run with an epoch; the public setter sets it again",
        lambda: loop()._restarting is False,
    ),
    Internal(
        "restarted_on_epoch_end",
        "lightning",
        "callbacks/checkpoints",
        "whether a run continues after a whole epoch, which Lightning would pass over",
        lambda: isinstance(loop().restarted_on_epoch_end, bool),
    ),
    Internal(
        "reset_restart_stage",
        "lightning",
        "callbacks/checkpoints",
        "together with `_restarting`",
        lambda: (
            parameters(loop().reset_restart_stage) == parameters(loop().epoch_loop.reset_restart_stage) == []
        ),
    ),
    Internal(
        "epoch_progress",
        "lightning",
        "callbacks/checkpoints",
        "together with `_restarting`",
        lambda: parameters(loop().epoch_progress.increment_completed) == [],
    ),
    Internal(
        "_MultiProcessingLauncher",
        "lightning",
        "engine/plan",
        "whether one process starts all ranks, in which case their errors and results do not come back whole",
        lambda: (
            issubclass(_launcher("ddp_spawn"), launchers._MultiProcessingLauncher)
            and not issubclass(_launcher("ddp"), launchers._MultiProcessingLauncher)
        ),
    ),
    Internal(
        "batch_progress",
        "lightning",
        "data/datamodule",
        "the batch of the epoch at which a resumed run goes on",
        lambda: loop().epoch_loop.batch_progress.current.ready == 0,
    ),
    Internal(
        "_instantiator",
        "lightning",
        "callbacks/record config/recipe",
        "marks hyperparameters so that load_from_checkpoint builds classes from recipes, as for LightningCLI",
        instantiator,
    ),
    Internal(
        "_experiment",
        "lightning",
        "runs/wandb_logger",
        "the W&B run, opened late, offline if the server refuses, and again after its end",
        lambda: getattr(WandbLogger(offline=True), "_experiment", "missing") is None,
    ),
    Internal(
        "_typehint",
        "jsonargparse",
        "cli/parser",
        "the type of an argument, from which an error lists the classes to choose from",
        typehint,
    ),
    Internal(
        "_common",
        "jsonargparse",
        "config/trust",
        "the settings of its parsers, which can be changed in public but not set back",
        settings,
    ),
    Internal(
        "_actions",
        "argparse",
        "cli/parser",
        "all arguments of a parser, among which an error looks for the nearest name",
        lambda: isinstance(argparse.ArgumentParser()._actions, list),
    ),
    Internal(
        "_functorch",
        "torch",
        "networks/base",
        "donated_buffer, without which a compiled graph is gone through once only",
        functorch,
    ),
    Internal(
        "_compiled_call_impl",
        "torch",
        "callbacks/shared_maps",
        "whether a module was compiled by its own",
        compiled,
    ),
    Internal(
        "_guards_fn",
        "torch",
        "inference/export_graph",
        "for which sizes a graph holds, as the documentation of ExportedProgram.module names it",
        guards,
    ),
    Internal(
        "_BatchNorm",
        "torch",
        "engine/sync_batch_norm",
        "the base of all batch norms, those of other libraries too",
        lambda: (
            issubclass(nn.BatchNorm2d, nn.modules.batchnorm._BatchNorm)
            and nn.BatchNorm2d.forward is nn.modules.batchnorm._BatchNorm.forward
        ),
    ),
    Internal(
        "_check_input_dim",
        "torch",
        "engine/sync_batch_norm",
        "a batch norm of any number of dimensions",
        lambda: parameters(nn.modules.batchnorm._BatchNorm._check_input_dim) == ["self", "input"],
    ),
    Internal(
        "_apply",
        "torch torchmetrics",
        "balancing/base metrics/exact",
        "the one place through which .to(), .half() and .cuda() go: states keep their precision",
        lambda: (
            parameters(nn.Module._apply) == ["self", "fn", "recurse"]
            and parameters(Metric._apply) == ["self", "fn", "exclude_state"]
        ),
    ),
    Internal(
        "_typehints",
        "jsonargparse",
        "config/replacement config/short_names",
        "holds the functions that decide which arguments survive another class, and what a short name means",
        replacing,
    ),
    Internal(
        "resolve_class_path_by_name",
        "jsonargparse",
        "config/short_names",
        "replaced: two libraries have a ReduceLROnPlateau, which jsonargparse refuses as ambiguous",
        lambda: (
            parameters(importlib.import_module("fusionseg.config.short_names")._resolve) == ["cls", "name"]
        ),
    ),
    Internal(
        "discard_init_args_on_class_path_change",
        "jsonargparse",
        "config/replacement",
        "that function, replaced by ours",
        replacing,
    ),
    Internal(
        "get_class_parser",
        "jsonargparse",
        "config/replacement",
        "the defaults of a class as the parser fills them in",
        replacing,
    ),
    Internal(
        "_save_pretrained",
        "huggingface_hub",
        "engine/hub_module",
        "documented as the mixin's hook, in spite of its underscore",
        lambda: parameters(ModelHubMixin._save_pretrained) == ["self", "save_directory"],
    ),
    Internal(
        "_from_pretrained",
        "huggingface_hub",
        "engine/hub_module",
        "documented as the mixin's hook, in spite of its underscore; with an argument `config` it is given the file's",
        lambda: (
            parameters(ModelHubMixin._from_pretrained)
            == [
                *("model_id", "revision", "cache_dir", "force_download"),
                *("local_files_only", "token", "model_kwargs"),
            ]
            and FusionModule._hub_mixin_inject_config
        ),
    ),
    Internal(
        "_load_from_state_dict",
        "torch",
        "losses/pixelwise",
        "notices that class weights came from a checkpoint, as a public hook would too",
        lambda: parameters(nn.Module._load_from_state_dict)[1:3] == ["state_dict", "prefix"],
    ),
]


@pytest.mark.parametrize("internal", INTERNALS, ids=lambda internal: internal.name)
def test_an_internal_is_still_what_the_package_takes_it_for(internal: Internal) -> None:
    assert internal.works(), f"{internal.library} changed {internal.name}: {internal.purpose}"


@pytest.mark.parametrize("internal", INTERNALS, ids=lambda internal: internal.name)
def test_an_internal_is_used_where_the_list_says(internal: Internal) -> None:
    for file in internal.files.split():
        assert re.search(rf"\b{internal.name}\b", (ROOT / f"{file}.py").read_text()), file


def is_private(name: str) -> bool:
    return bool(re.fullmatch(r"_[A-Za-z]\w*", name)) and name not in DOCUMENTED


def modules() -> Iterator[tuple[str, ast.Module]]:
    for path in sorted(ROOT.rglob("*.py")):
        yield path.relative_to(ROOT).with_suffix("").as_posix(), ast.parse(path.read_text())


def named_in(tree: ast.AST) -> Iterator[str]:
    """Names that a syntax tree reads or sets as attributes, imports from libraries or holds as a string."""
    formatted = [part for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values]
    for node in ast.walk(tree):
        if node in formatted:
            continue
        if isinstance(node, ast.Attribute):
            yield node.attr
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value not in STRINGS:
            yield node.value
        elif isinstance(node, ast.Import):
            yield from (part for alias in node.names for part in alias.name.split("."))
        elif isinstance(node, ast.ImportFrom) and not (node.module or "").startswith("fusionseg"):
            yield from (node.module or "").split(".")
            yield from (alias.name for alias in node.names)


def defined_in(tree: ast.AST) -> Iterator[str]:
    """Names that a syntax tree defines: functions, classes, variables and attributes of `self` and `cls`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and is_self(node.value):
            yield node.attr


def is_self(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id in ("self", "cls")


def classes() -> Iterator[type]:
    """The classes of the package with a base of a library."""
    for module in pkgutil.walk_packages(fusionseg.__path__, "fusionseg."):
        if not module.name.endswith("__main__"):
            for kind in vars(importlib.import_module(module.name)).values():
                if inspect.isclass(kind) and kind.__module__ == module.name and len(kind.__mro__) > 2:
                    yield kind


@cache  # many classes have the same bases, and each time a whole module is parsed
def source(kind: type) -> str:
    """The code of a class; none of one that is generated or compiled."""
    try:
        return inspect.getsource(kind)
    except (OSError, TypeError):
        return ""


def inherited(kind: type) -> set[str]:
    """The private names of a class's bases in libraries, whether methods or attributes of instances."""
    names: set[str] = set()
    for base in kind.__mro__[1:]:
        if not base.__module__.startswith(("fusionseg", "builtins", "typing", "abc", "enum")):
            names |= set(vars(base)) | set(re.findall(r"\bself\.(_[a-z]\w*)", source(base)))
    return {name for name in names if is_private(name) and not name.startswith("_abc")}


@pytest.mark.slow
def test_no_other_private_name_of_a_library_is_used() -> None:
    allowed = {(internal.name, file) for internal in INTERNALS for file in internal.files.split()}
    trees = dict(modules())
    own = {name for tree in trees.values() for name in defined_in(tree)}
    found = {
        (name, file)
        for file, tree in trees.items()
        for name in named_in(tree)
        if is_private(name) and name not in own
    }
    assert sorted(found - allowed) == []


@pytest.mark.slow
def test_no_other_private_name_is_shared_with_a_class_of_a_library() -> None:
    # an attribute of our own with the library's name would break the library in silence
    allowed = {internal.name for internal in INTERNALS}
    shared = set()
    for kind in classes():
        tree = ast.parse(source(kind))
        names = {*named_in(tree), *defined_in(tree)} & inherited(kind)
        shared |= {(kind.__qualname__, name) for name in names - allowed}
    assert sorted(shared) == []


def test_the_scan_finds_what_it_looks_for() -> None:
    code = """
from torch._functorch import config
import a._b
from lib import _Kind
from fusionseg.own import _mine
x._attribute
getattr(x, "_string")
x._replace()
f"{x}_formatted"
"""
    found = {name for name in named_in(ast.parse(code)) if is_private(name)}
    assert found == {"_functorch", "_b", "_Kind", "_attribute", "_string"}

    class Logger(WandbLogger):
        pass

    assert {"_experiment", "_name"} <= inherited(Logger)


@pytest.mark.parametrize("library", ["lightning", "jsonargparse", "torchjd"])
def test_libraries_whose_internals_are_used_have_an_upper_bound(library: str) -> None:
    project = tomllib.loads((ROOT.parent / "pyproject.toml").read_text())["project"]
    needed = next(r for r in map(Requirement, project["dependencies"]) if r.name == library)
    installed = importlib.metadata.version(library)
    assert needed.specifier.contains(installed)
    major, minor = installed.split(".")[:2]
    assert not needed.specifier.contains(f"{major}.{int(minor) + 1}.0")


def test_capabilities_of_the_processor_are_known_by_public_names() -> None:
    able = torch.cpu.get_capabilities()
    assert "get_capabilities" in torch.cpu.__all__
    if able["architecture"] == "x86_64":
        assert isinstance(able["avx512_bf16"], bool)
        assert isinstance(able["amx_tile"], bool)
