"""What becomes of each class: its figures by variant, and which classes are taken for which."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from fusionseg.pages.blocks import Block, Cell, Chart, Column, Section, Table, Value
from fusionseg.runs.image_records import added_sums
from fusionseg.studies.report.analysis import Analysis
from fusionseg.studies.report.charts.heat import confusion_chart, heat_chart
from fusionseg.studies.report.numbers import listed, shown
from fusionseg.studies.statistics import Interval, mean_interval

NAMES = {"iou": "IoU", "pq": "PQ", "iou_fused": "IoU, fused", "scene_ap": "scene AP"}
SHOWN = ("iou", "pq")
"""The figures of classes that are drawn; the table has all."""

MOST_CLASSES = 40
MOST_CONFUSED = 16
MOST_MATRICES = 6


def section(numbers: Analysis) -> Section | None:
    """Classes by variants, and confusion matrices; nothing where no class is measured."""
    asked = numbers.asked
    means = {name: _means(numbers, name) for name in asked.variants}
    classes = list(dict.fromkeys(klass for found in means.values() for klass, _ in found))
    if not classes:
        return None
    keys = list(dict.fromkeys(key for found in means.values() for _, key in found))
    blocks: list[Block] = [_heat(means, classes, key, asked.reference) for key in SHOWN if key in keys]
    blocks.append(_table(means, classes, keys))
    if matrices := _confusion(numbers, classes):
        blocks.append(matrices)
    return Section("Classes", blocks)


Means = Mapping[tuple[str, str], Interval]
"""Means over seeds by class and figure."""


def _means(numbers: Analysis, variant: str) -> Means:
    values: dict[tuple[str, str], list[float]] = {}
    for run in numbers.asked.finished(variant):
        for klass, figures in run.per_class.get(numbers.asked.split, {}).items():
            for key, value in figures.items():
                if value is not None and math.isfinite(value) and numbers.asked.trains(variant, key):
                    values.setdefault((klass, key), []).append(value)
    return {pair: mean_interval(found) for pair, found in values.items()}


def _heat(means: Mapping[str, Means], classes: Sequence[str], key: str, reference: str) -> Chart:
    """The figure of each class and variant; of many classes those that differ most."""
    kept = _differing(means, classes, key)
    variants = [name for name in means if any((klass, key) in means[name] for klass in classes)]
    base = reference if reference in variants else variants[0]
    cells: list[dict[str, object]] = []
    for name in variants:
        for klass in kept:
            mean = means[name].get((klass, key))
            other = means[base].get((klass, key))
            if mean and other:
                shade = {"shade": mean.mean - other.mean} if len(variants) > 1 else {}
                cell = {"x": name, "y": klass, "value": mean.mean, "text": shown(mean.mean, 2)}
                cells.append({**cell, **shade})
    few = f" The {len(kept)} of {len(classes)} classes that differ most." if len(kept) < len(classes) else ""
    spec = heat_chart(cells, ("", "", NAMES[key]), (variants, kept), labels=len(variants) <= 16)
    shades = [abs(float(str(cell["shade"]))) for cell in cells if "shade" in cell]
    reach = shown(max(shades), 2) if shades else ""
    colors = f"; purple is better than {base} and orange worse, by up to {reach}" if shades else ""
    caption = f"{NAMES[key]} of each class, mean over seeds{colors}.{few}"
    return Chart(f"classes-{key}", caption, spec)


def _differing(means: Mapping[str, Means], classes: Sequence[str], key: str) -> list[str]:
    """The classes in their order, of many those whose figure differs most between variants."""
    spread = {}
    for klass in classes:
        known = [found[klass, key].mean for found in means.values() if (klass, key) in found]
        spread[klass] = max(known) - min(known) if known else -1.0
    most = sorted((klass for klass in classes if spread[klass] >= 0), key=lambda klass: -spread[klass])
    return [klass for klass in classes if klass in most[:MOST_CLASSES]]


def _table(means: Mapping[str, Means], classes: Sequence[str], keys: Sequence[str]) -> Table:
    rows = []
    records: list[dict[str, Value]] = []
    for name, found in means.items():
        for klass in classes:
            own = {key: found[klass, key] for key in keys if (klass, key) in found}
            if not own:
                continue
            cells = [_cell(own.get(key)) for key in keys]
            rows.append([Cell(klass), Cell(name), *cells])
            spreads = {f"{key}_spread": mean.spread for key, mean in own.items()}
            records.append(
                {"class": klass, "variant": name, **{k: m.mean for k, m in own.items()}, **spreads}
            )
    columns = [Column("class"), Column("variant"), *(Column(NAMES.get(key, key), True) for key in keys)]
    return Table("classes", "Figures of each class, mean over seeds.", columns, rows, records, folded=True)


def _cell(mean: Interval | None) -> Cell:
    return Cell(shown(None)) if mean is None else Cell(shown(mean.mean), mean.mean)


def _confusion(numbers: Analysis, classes: Sequence[str]) -> Chart | None:
    """Confusion matrices of a few variants, of many classes those that are confused most."""
    tables = {}
    for name in _some_variants(numbers):
        table = _counted(numbers, name)
        if table is not None and len(table) == len(classes):
            tables[name] = table
    if not tables:
        return None
    shares = {name: table / np.maximum(table.sum(1, keepdims=True), 1) for name, table in tables.items()}
    kept = _most_confused(list(tables.values()))
    cells: list[dict[str, object]] = [
        {"variant": name, "truth": classes[i], "answer": classes[j], "share": round(float(share[i, j]), 4)}
        for name, share in shares.items()
        for i in kept
        for j in kept
    ]
    some = f" The {len(kept)} classes with most confused pixels." if len(kept) < len(classes) else ""
    of = f" Shown: {listed(tables)}." if len(tables) < len(numbers.asked.variants) else ""
    caption = f"Which classes are taken for which, over all seeds; each row adds up to 1.{some}{of}"
    spec = confusion_chart(cells, [classes[i] for i in kept], list(tables))
    return Chart("confusion", caption, spec, wide=True)


def _some_variants(numbers: Analysis) -> list[str]:
    """The reference, the best, and others up to a few, in the order of the study."""
    asked = numbers.asked
    first = [asked.reference, *([numbers.best] if numbers.best else []), *asked.variants]
    some = [name for name in dict.fromkeys(first) if asked.trains(name, "miou")][:MOST_MATRICES]
    return [name for name in asked.variants if name in some]


def _counted(numbers: Analysis, variant: str) -> npt.NDArray[np.float64] | None:
    """The confusion matrix of a variant over all images and seeds whose sums can be read."""
    added: npt.NDArray[np.float64] | None = None
    for run in numbers.asked.finished(variant):
        try:
            table = added_sums(run.sums(numbers.asked.split)).get("semantic")
        except (OSError, ValueError, KeyError):
            continue
        if table is not None:
            added = table.astype(np.float64) if added is None else added + table
    return added


def _most_confused(tables: Sequence[npt.NDArray[np.float64]]) -> list[int]:
    """The classes with most pixels that are missed or wrongly taken for them, in their order."""
    wrong = sum(table.sum(0) + table.sum(1) - 2 * table.diagonal() for table in tables)
    most = np.argsort(-np.asarray(wrong), kind="stable")[:MOST_CONFUSED]
    return sorted(most.tolist())
