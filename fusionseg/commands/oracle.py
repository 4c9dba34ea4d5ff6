"""Says what a perfect network would reach through each region head on a data set, and what that costs."""

import inspect
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

from rich.console import Console
from rich.progress import track

import fusionseg.heads as public
from fusionseg.cli.arguments import switched, values
from fusionseg.cli.fusion_cli import FusionCLI
from fusionseg.cli.help import options_manual
from fusionseg.config.errors import UsageError
from fusionseg.config.trust import imported, untrusted
from fusionseg.config.type_names import nearest
from fusionseg.engine.evaluation import suite_for
from fusionseg.engine.oracle import OracleImage, oracle_images
from fusionseg.files.atomic import Json, write_json
from fusionseg.heads import Head, RegionHead, SemanticHead
from fusionseg.metrics import MetricSuite
from fusionseg.metrics.suite import total
from fusionseg.runs.decoder import tuned
from fusionseg.runs.folder import RunFolder
from fusionseg.runs.restore import arguments
from fusionseg.sample import Classes

ABOUT = """Makes the target of each region head from the labels, decodes it as an answer of the network and
scores it at the label files' own size: no training reaches more. Classes are the true ones. With --run it
does so to the heads of a run, decoded as evaluate does, tuned or not, and writes
evaluation/<split>_oracle.json, which fusionseg report shows beside what the run reached. Further arguments
are those of the data, as in fusionseg.fit; --config takes any configuration."""

SHOWN = ("covering", "voi", "boundary_f", "pq")
"""The figures of the printed table."""

Variants = Mapping[str, tuple[Mapping[str, Head], MetricSuite]]


@dataclass
class Options:
    """The arguments of the command itself.

    Args:
        run: Run folder whose own heads are measured, in place of all.
        heads: Names of region heads, several with commas between, and dotted paths of one's own; all of
            fusionseg where left out.
        split: Which split.
        limit: How many images at most.
        out: JSON file to write to.
        trust: As in fusionseg.evaluate.
        untuned: As in fusionseg.evaluate, of a run.
    """

    run: Path | None = None
    heads: str | None = None
    split: Literal["val", "test"] = "val"
    limit: int | None = None
    out: Path | None = None
    trust: str | None = None
    untuned: bool = False


class OracleCLI(FusionCLI):
    """The command line of oracles: that of the data alone; settings of a model are passed over."""

    plain: ClassVar[tuple[str, ...]] = ("trainer", "model")

    def add_options(self, parser: Any) -> None:
        parser.add_class_arguments(Options, instantiate=False)

    def manual(self) -> str:
        return options_manual(
            "fusionseg oracle --data.dataset NAME --data.dataset.root PATH [--out F.json]", ABOUT, Options
        )


class RunOracleCLI(OracleCLI):
    """The same with the configuration of a run, whose model is built too."""

    plain = ("trainer",)


def main(args: Sequence[str]) -> None:
    """Measures, prints a table and the file."""
    args = switched(args, ("untuned",))
    named = values(args, "--run")
    with untrusted(values(args, "--trust")):
        cli = RunOracleCLI([*arguments(RunFolder(named[-1])), *args]) if named else OracleCLI(args)
    given = cli.config
    if given.limit is not None and given.limit < 1:
        raise UsageError(f"expected at least 1 image, found {given.limit}", "limit")
    classes = cli.datamodule.classes
    variants = _of_run(cli.model) if named else _of_heads(_chosen(given.heads), classes)
    decoder = tuned(cli.model, RunFolder(given.run)) if named and not given.untuned else None
    if decoder:
        print(decoder.line(), file=sys.stderr)
    images = _measured(variants, cli.datamodule, given.split, given.limit)
    results = {name: _result(variants[name][1], found, classes) for name, found in images.items()}
    for note in dict.fromkeys(note for result in results.values() for note in result["notes"]):
        print(f"{given.split}: {note}", file=sys.stderr)
    print(_table(results, len(next(iter(images.values())))))
    out = given.out
    if named:
        out = RunFolder(given.run).evaluation / f"{given.split}_oracle.json"
        record = {"decoder": decoder.record} if decoder else {}
        write_json(out, {"split": given.split, **results[next(iter(results))], **record})
    elif out is not None:
        write_json(out, {"split": given.split, "heads": results})
    if out is not None:
        print(out)


def _chosen(names: str | None) -> dict[str, type[RegionHead]]:
    """The region heads of these names, or all.

    Raises:
        UsageError: If there is no such head.
    """
    known = {
        name: head
        for name in public.__all__
        if issubclass(head := getattr(public, name), RegionHead) and head is not RegionHead
    }
    if names is None:
        return known
    wanted = re.split(r"\s*,\s*", names.strip())
    own = {name: _own(name) for name in wanted if "." in name}
    known |= own
    if unknown := [name for name in wanted if name not in known]:
        raise UsageError(f"no region head {unknown[0]!r}{nearest(unknown[0], known)}", "heads")
    return {name: known[name] for name in wanted}


def _own(path: str) -> type[RegionHead]:
    """The region head of a dotted path.

    Raises:
        UsageError: If there is none.
    """
    try:
        head = imported(path)
    except (ImportError, AttributeError, ValueError, TypeError) as error:
        raise UsageError(
            f"expected the dotted path of a region head, found {path} ({error})", "heads"
        ) from error
    if not (isinstance(head, type) and issubclass(head, RegionHead)) or inspect.isabstract(head):
        raise UsageError(f"expected a region head, found {path}", "heads")
    try:
        inspect.signature(head).bind(1)
    except TypeError as error:
        raise UsageError(
            f"expected {path} to have a default of each argument but the channels ({error}): measure a run "
            "of it by --run",
            "heads",
        ) from error
    return head


def _of_heads(heads: Mapping[str, type[RegionHead]], classes: Classes) -> Variants:
    """Each region head with its defaults, beside a head of classes."""
    variants = {}
    for name, head in heads.items():
        channels: Any = [1, 1, 1, 1] if head.reads_pyramid else 1
        both: dict[str, Head] = {"semantic": SemanticHead(1, len(classes)), "region": head(channels)}
        variants[name] = (both, suite_for(both, dict.fromkeys(both, 1.0), classes))
    return variants


def _of_run(model: Any) -> Variants:
    """The heads of a run's model.

    Raises:
        UsageError: If the model has none.
    """
    if not getattr(model, "heads", None):
        raise UsageError(f"expected a run of a model with heads, found {type(model).__name__}", "run")
    return {"run": (dict(model.heads), model.suite)}


def _measured(variants: Variants, data: Any, split: str, limit: int | None) -> dict[str, list[OracleImage]]:
    """What was measured of each image, by variant."""
    console = Console(stderr=True)

    def watched(loader: Any) -> Any:
        return track(loader, "oracle", console=console, transient=True, disable=not console.is_terminal)

    found: dict[str, list[OracleImage]] = {name: [] for name in variants}
    for image in oracle_images(variants, data, split, limit, watched):
        for name, measured in image.items():
            found[name].append(measured)
    return found


def _result(suite: MetricSuite, images: Sequence[OracleImage], classes: Classes) -> Json:
    """The figures of a variant, what they do not show, and milliseconds for each image."""
    sums = total(image.sums for image in images)
    return {
        "metrics": suite.figures(sums),
        "notes": suite.notes(classes, sums),
        "images": len(images),
        "target_ms": 1000 * sum(image.target for image in images) / len(images),
        "decoding_ms": 1000 * sum(image.decoding for image in images) / len(images),
    }


def _table(results: Mapping[str, Json], count: int) -> str:
    """The figures of all variants."""
    width = max(map(len, [*results, "head"]))
    columns = [*SHOWN, "target ms", "decoding ms"]
    lines = [f"{count} images", f"{'head':{width}}" + "".join(f"{column:>13}" for column in columns)]
    for name, result in results.items():
        figures = [result["metrics"].get(figure, float("nan")) for figure in SHOWN]
        figures += [result["target_ms"], result["decoding_ms"]]
        cells = ("-" if value != value else f"{value:.4f}" for value in figures[:4])
        times = (f"{value:.1f}" for value in figures[4:])
        lines.append(f"{name:{width}}" + "".join(f"{cell:>13}" for cell in [*cells, *times]))
    return "\n".join(lines)
