"""What a run folder says of its model: data, protocol and figures, for people who get the model alone."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any, Literal, get_args

import yaml

from fusionseg.config.errors import mapping
from fusionseg.files.atomic import Json
from fusionseg.runs import training_files
from fusionseg.runs.decoder import Decoder
from fusionseg.runs.evaluations import evaluation
from fusionseg.runs.folder import RunFolder

Split = Literal["val", "test"]


@dataclass(frozen=True)
class SplitFigures:
    """What was measured of the best checkpoint on a split.

    Attributes:
        split: The split.
        values: The figures by name; those that are undefined are left out.
        images: How many images they are of; None where that is not recorded.
        measured: When they were measured, in words.
    """

    split: Split
    values: Mapping[str, float]
    images: int | None
    measured: str


@dataclass(frozen=True)
class RunFacts:
    """What a run folder says of its model.

    Attributes:
        name: The folder's name.
        dataset: The class of the data set, or of the data where they are of another kind.
        training_images: How many images were trained on; None where that is not recorded.
        epoch: The epoch of the checkpoint, counted from 1; None where that is not recorded.
        epochs: How many were planned; None or below 1 where steps were.
        monitor: The validation figure that chose the epoch.
        seed: The seed; None where there was none.
        precision: As Lightning's.
        weights: Where the weights began.
        figures: The figures of each split that count.
        notes: What keeps figures of a split from being there, or from being what they seem.
        commit: The commit of the code, with a mark where it was changed since.
        status: How the training ended.
        configuration: The configuration as YAML, with the names of files but not their folders.
    """

    name: str
    dataset: str
    training_images: int | None
    epoch: int | None
    epochs: int | None
    monitor: str
    seed: int | None
    precision: str | None
    weights: str
    figures: tuple[SplitFigures, ...]
    notes: tuple[str, ...]
    commit: str
    status: str
    configuration: str


def run_facts(run: RunFolder, decoder: Decoder | None) -> RunFacts:
    """The facts of a run.

    Args:
        run: The run folder.
        decoder: The tuned decoder that the model has, if it has one.

    Raises:
        FileNotFoundError: If the folder holds no run.
        UsageError: If its configuration cannot be read.
    """
    config = mapping(run.configuration())
    summary = run.readable_summary()
    data = _mapping(config.get("data"))
    dataset = _mapping(_mapping(data.get("init_args")).get("dataset")).get("class_path")
    listed = len(training_files.read(run.training_files))
    trainer = _mapping(config.get("trainer"))
    epoch = _mapping(summary.get("best")).get("epoch")
    found = [_figures(run, split, config, summary, decoder) for split in get_args(Split)]
    commit = str(summary.get("commit") or "an unknown commit")
    return RunFacts(
        name=run.path.resolve().name,
        dataset=str(dataset or data.get("class_path") or "unknown").rpartition(".")[2],
        training_images=summary.get("training_images") or listed or None,
        epoch=None if epoch is None else epoch + 1,
        epochs=trainer.get("max_epochs"),
        monitor=str(trainer.get("monitor") or "val/score"),
        seed=summary.get("seed"),
        precision=summary.get("precision"),
        weights=_weights(config, summary),
        figures=tuple(figures for figures, _ in found if figures),
        notes=tuple(note for _, notes in found for note in notes),
        commit=f"{commit}, with changes that are in no commit" if summary.get("dirty") else commit,
        status=str(summary.get("status", "unknown")),
        configuration=yaml.safe_dump(_without_folders(config), sort_keys=False, width=100).strip(),
    )


def _figures(
    run: RunFolder, split: Split, config: Json, summary: Json, decoder: Decoder | None
) -> tuple[SplitFigures | None, list[str]]:
    """The figures of a split, and what is to be said of them."""
    path = run.evaluated(split)
    notes = []
    if result := evaluation(run.path, split):
        how = "by `fusionseg evaluate`" + (" with the tuned decoder" if decoder else "")
        figures = SplitFigures(split, _finite(result["metrics"]), result.get("images"), how)
        if not (reason := _unfit(run, path, result, decoder)):
            return figures, [f"`{split}`: {note}" for note in result.get("notes", [])]
        notes = [f"`{split}`: the figures of {path.name} are left out, as they are {reason}"]
    if split == "val" and decoder and decoder.after:
        after = _finite(decoder.after)
        return SplitFigures(split, after, decoder.images, "by `fusionseg tune`, with what it chose"), notes
    values = _mapping(_mapping(summary.get("best")).get("metrics"))
    own = {name.removeprefix("val/"): value for name, value in values.items() if "/loss" not in name}
    if split == "val" and own:
        how = "in training, after the epoch" + _part(config)
        return SplitFigures(split, _finite(own), None, how), notes
    return None, [*notes, f"`{split}` was not measured"]


def _part(config: Json) -> str:
    """Which part of the validation images training measured, in words; empty for all."""
    limit = _mapping(config.get("trainer")).get("limit_val_batches")
    whole = limit is None or (isinstance(limit, float) and limit == 1)  # 1 is one batch
    return "" if whole else f", on a part of the images (`limit_val_batches` {limit})"


def _unfit(run: RunFolder, path: Path, result: Json, decoder: Decoder | None) -> str:
    """Why an evaluation is not of the model; empty if it is."""
    if result.get("checkpoint") != "best":
        return "of another checkpoint"
    if (_mapping(result.get("decoder")).get("parameters") or {}) != (decoder.parameters if decoder else {}):
        return "of another decoder"
    if run.best.is_file() and path.stat().st_mtime < run.best.stat().st_mtime:
        return "older than the checkpoint"
    return ""


def _weights(config: Json, summary: Json) -> str:
    """Where the weights began, in words."""
    backbone = _mapping(_mapping(_mapping(config.get("model")).get("init_args")).get("backbone"))
    if start := summary.get("weights"):
        return f"weights of `{_file_name(str(start))}`"
    if named := backbone.get("weights"):
        return f"`{_file_name(str(named))}` weights of the encoder {backbone.get('encoder')}"
    return "random weights"


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _finite(values: Mapping[str, Any]) -> dict[str, float]:
    """The figures that are numbers; NaN is null in JSON."""
    return {name: float(v) for name, v in values.items() if isinstance(v, int | float) and v == v}


def _file_name(text: str) -> str:
    """The last part of an absolute path, with an ellipsis for its folders; any other text as it is."""
    for kind in (PurePosixPath, PureWindowsPath):
        if kind(text).is_absolute():
            return f".../{kind(text).name}"
    return text


def _without_folders(value: Any) -> Any:
    """A configuration without the absolute paths of the machine that it was used on."""
    if isinstance(value, dict):
        return {key: _without_folders(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_without_folders(part) for part in value]
    return _file_name(value) if isinstance(value, str) else value
