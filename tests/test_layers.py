"""Imports only go down: a file knows the packages below its own, and the shared files of its own package."""

import ast
from pathlib import Path

import fusionseg

LAYERS = [
    "__init__ fit evaluate predict __main__",
    "commands",
    "tuning inspection bench demo",
    "studies scores inference calibration robustness",
    "cli",
    "trainer",
    "callbacks",
    "runs",
    "classification",
    "module untrained",
    "engine",
    "networks",
    "heads",
    "losses balancing metrics data regularization",
    "visualize pages corruptions",
    "files",
    "config",
    "sample",
]
"""From top to bottom; the entry point is apart, because it imports commands by name."""

SHARED = {
    "heads": "base dense distilled limits positive ranges region region_targets region_decoding region_graph "
    "region_clustering region_embeddings query_decoder query_target query_loss query_decoding scene "
    "region_boxes region_proposals region_samples region_rois region_pasting",
    "losses": "base additive parts enlarging",
    "balancing": "base gradient branch simplex task_adam checks",
    "metrics": "base exact boundary_rules detections directions contingency confusion labeled_pixels angles edges thinning correspondence boundary_curve region_curve suppression mask_boundaries mean_ious "
    "instances benchmark_sums reliability risk_coverage undefined",
    "data": "base file_dataset layout downloads subset samples augmentation components samplers cache checks "
    "merged_classes surfaces declaration label_statistics mapped_classes photo_notices late_loader corrupting view_changes warping "
    "folds nyu_metadata nyu_copies voc_classes camvid_frames cityscapes_files cityscapes_labels normal_axes "
    "class_draw crops input_size color room rounding sampling shares splits image_classes class_samples "
    "feature_file frozen_features unlabelled_images augmentation_ranges batches mixture_checks "
    "download_parts libmtl_copies",
    "networks": "adapter base backbone decoder depthwise encoder layout levels necked pretrained probe pyramid "
    "simple_pyramid small_cnn stages vit vit_weights",
    "untrained": "base felzenszwalb",
    "regularization": "base",
}
"""The files that others of their package may import; the other files are one part each."""

ASSEMBLED = {"__init__", "suite", "datamodule", "classification_datamodule"}
"""The files that put the parts of their package together."""

OWNERS = {
    "segmentation_models_pytorch": {"networks"},
    "wandb": {"runs"},
    "matplotlib": {"callbacks", "calibration", "robustness", "scores", "visualize"},
    "scipy": {"heads", "data", "files", "inference", "metrics", "studies", "tuning", "untrained"},
    "skimage": set(),
    "torchjd": {"balancing"},
    "optuna": {"studies", "tuning"},
    "torchmetrics": {"metrics"},
    "jsonargparse": {"cli", "config"},
    "huggingface_hub": {"engine", "runs", "commands"},
    "onnx": {"inference"},
    "onnxruntime": {"inference"},
}
"""The packages that may import a library; libraries that are not named may be imported anywhere."""

WITHOUT_LIGHTNING = {
    "networks",
    "heads",
    "losses",
    "balancing",
    "metrics",
    "regularization",
    "visualize",
    "corruptions",
    "files",
    "config",
    "sample",
}
ROOT = Path(fusionseg.__file__).parent


def imports() -> list[tuple[str, str]]:
    """Every file of the package, by its path without suffix, with each module that it imports anywhere in its code."""
    found = []
    for path in sorted(ROOT.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{path} imports relatively"
                names = [node.module or ""]
            found += [(path.relative_to(ROOT).with_suffix("").as_posix(), name) for name in names]
    return found


def layer(name: str) -> int:
    return next(number for number, names in enumerate(reversed(LAYERS)) if name in names.split())


def test_every_file_has_a_layer() -> None:
    parts = {p.stem for p in ROOT.iterdir() if p.suffix == ".py" or (p / "__init__.py").is_file()}
    assert parts == {name for names in LAYERS for name in names.split()}


def test_the_top_level_is_small() -> None:
    assert len([path for path in ROOT.iterdir() if path.is_file()]) <= 12


def test_imports_only_go_down() -> None:
    up = []
    for file, module in imports():
        own, (package, *target) = file.split("/")[0], [*module.split("."), "__init__"][:2]
        entry = (target == ["commands"] and file == "cli/entry") or module == "fusionseg.cli.entry"
        if package == "fusionseg" and target != [own] and not entry and layer(target[0]) >= layer(own):
            up.append(f"{file} imports {module}")
    assert not up


def test_a_part_does_not_know_its_siblings() -> None:
    known = []
    for file, module in imports():
        package, _, name = file.partition("/")
        target = module.removeprefix(f"fusionseg.{package}.")
        if package not in SHARED or target == module or name in ASSEMBLED:
            continue
        if target not in SHARED[package].split():
            known.append(f"{file} imports {module}")
    assert not known


def test_libraries_stay_where_they_belong() -> None:
    strays = []
    for file, module in imports():
        library, package = module.split(".")[0], file.split("/")[0]
        if package not in OWNERS.get(library, {package}):
            strays.append(f"{file} imports {module}")
        if library == "lightning" and (package in WITHOUT_LIGHTNING or file == "cli/entry"):
            strays.append(f"{file} imports {module}")
    assert not strays
