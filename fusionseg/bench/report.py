"""What a model costs, gathered: as JSON and as tables."""

import platform
from collections.abc import Callable, Sequence
from dataclasses import asdict
from importlib.metadata import version
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from fusionseg.bench.counts import macs, parameters
from fusionseg.bench.images import BenchImages
from fusionseg.bench.measure import Measurement, measured
from fusionseg.files.atomic import Json
from fusionseg.files.photos import read_image
from fusionseg.files.readable_path import ReadablePath
from fusionseg.inference.inputs import NamedPhoto
from fusionseg.inference.predictor import Predictor

LABELS = {"read": "I/O: read", "write": "I/O: write"}
"""What stages are called in the table."""


def cost(
    predictors: Callable[[str], Predictor],
    precisions: Sequence[str],
    batch_sizes: Sequence[int],
    images: BenchImages,
    repeats: int,
    warmup: int,
    advance: Callable[[], object] = lambda: None,
) -> Json:
    """What a model costs, as `--out` holds it.

    Args:
        predictors: Gives the model in a precision.
        precisions: As Lightning's.
        batch_sizes: How many images the network sees at once.
        images: The images.
        repeats: How often each series is repeated.
        warmup: How many answers come before each, which are not measured.
        advance: Called after each answer.
    """
    size: Json = {}
    found: list[Measurement] = []
    for precision in precisions:
        predictor = predictors(precision)
        size = size or _size(predictor, images.paths[0])
        for number in batch_sizes:
            found.append(measured(predictor, precision, images.paths[:number], repeats, warmup, advance))
    return {
        **size,
        "images": {"source": images.source, "size": list(images.size)},
        "repeats": repeats,
        "warmup": warmup,
        "measurements": [asdict(one) for one in found],
    }


def _size(predictor: Predictor, path: ReadablePath) -> Json:
    """Device, parameters and operations of a model, on an image."""
    device = predictor.fabric.device
    name = platform.processor() or platform.machine()
    if device.type == "cuda":
        name = torch.cuda.get_device_name(device)
    seen = network_input(predictor, path)
    parts = parameters(predictor.model)
    with predictor.fabric.autocast():
        operations = None if seen is None else macs(predictor.model, seen)
    return {
        "device": {"kind": device.type, "name": name, "threads": torch.get_num_threads()},
        "versions": {name: version(name) for name in ("fusionseg", "torch")},
        "parameters": sum(parts.values()),
        "parameters_by_part": parts,
        "macs": operations,
        "network_input": None if seen is None else list(seen.shape[1:]),
    }


def network_input(predictor: Predictor, path: ReadablePath) -> Tensor | None:
    """What the network sees (1, C, H, W) of an image in a file; None of a model that is not called."""
    seen: list[Tensor] = []

    def keep(_: nn.Module, args: tuple[Any, ...]) -> None:
        seen.append(args[0])

    hook = predictor.model.register_forward_pre_hook(keep)
    try:
        photo = read_image(path, predictor.settings["value_range"], predictor.channels)
        predictor.answers([NamedPhoto("one", photo)], ())
    finally:
        hook.remove()
    return seen[0] if seen else None


def show(cost: Json, console: Console) -> None:
    """Prints what a model costs as tables."""
    console.print(_facts(cost))
    console.print(_speed(cost["measurements"]))
    console.print(_breakdown(cost["measurements"]))


def _facts(cost: Json) -> Table:
    table = Table(show_header=False, title="model and machine")
    parts = ", ".join(f"{name} {count:,}" for name, count in cost["parameters_by_part"].items())
    height, width = cost["images"]["size"]
    device = cost["device"]
    table.add_row("device", f"{device['kind']}, {device['name']}, {device['threads']} threads")
    table.add_row("images", f"{height} x {width}: {cost['images']['source']}")
    if cost["network_input"]:
        table.add_row("network's input", " x ".join(map(str, cost["network_input"])))
    table.add_row("parameters", f"{cost['parameters']:,} ({parts})")
    if cost["macs"] is not None:
        table.add_row("MACs per image", f"{cost['macs'] / 1e9:.4g} G")
    return table


def _speed(measurements: Sequence[Json]) -> Table:
    table = Table("precision", title="from images in memory to answers")
    for column in ("batch", "p50 ms", "p90 ms", "p99 ms", "images/s", "peak MiB"):
        table.add_column(column, justify="right")
    for one in measurements:
        times = [f"{1000 * one['latency'][name]:.1f}" for name in ("p50", "p90", "p99")]
        mark = "*" if one["peak_of_process"] else ""
        memory = f"{one['peak_memory'] / 2**20:.0f}{mark}"
        table.add_row(
            one["precision"], str(one["batch_size"]), *times, f"{one['images_per_second']:.1f}", memory
        )
    if any(one["peak_of_process"] for one in measurements):
        table.caption = "* of this process since it began"
    return table


def _breakdown(measurements: Sequence[Json]) -> Table:
    table = Table("stage", title="where the time goes from files to files: ms per image, and share")
    for one in measurements:
        table.add_column(f"{one['precision']}, {one['batch_size']}", justify="right")
    for stage in measurements[0]["stages"]:
        shares = [(one["stages"][stage], one["total"]) for one in measurements]
        table.add_row(
            LABELS.get(stage, stage), *(f"{1000 * part:.1f} {part / total:>4.0%}" for part, total in shares)
        )
    table.add_section()
    table.add_row("total", *(f"{1000 * one['total']:.1f}     " for one in measurements))
    return table
