"""Finds out what `fusionseg export` can export, of all networks, decoders and heads, and writes the table.

Each part is exported in both formats within a small model, read again and compared with it at other numbers
and sizes of images than it was traced with; the difference is that of ONNX Runtime. With --write the table
takes its place in docs/export.md.

    python -m benchmarks.exporting [--only MTAN PAN MaskRCNNHead ...] [--write]
"""

import re
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import segmentation_models_pytorch as smp

from benchmarks.timing import command_line
from fusionseg import heads, networks
from fusionseg.config.errors import UserError
from fusionseg.data.synthetic import SyntheticScenes
from fusionseg.heads import ExtraHead, Head, RegionHead
from fusionseg.inference.export import SUFFIXES, ExportSource, Format, export
from fusionseg.module import FusionModule
from fusionseg.networks import Backbone, HardSharing, Network
from fusionseg.networks.decoder import decoder_names

PAGE = Path(__file__).parents[1] / "docs" / "export.md"
HEADER = "| part | torch.export | ONNX | largest difference |\n|---|---|---|---|\n"
ROW = re.compile(r"^\| `(\w+)`(.*?) \| (yes|no) \| (yes|no) \| (.*?) \|$", re.MULTILINE)

ENCODER = "tu-test_efficientnet"
SMALL = Backbone(ENCODER, decoder="SlimUnet")


class Row(NamedTuple):
    """What was found of a part.

    Args:
        name: The part, and of a network its settings behind it.
        torch: Whether torch.export can export it for any number and size of images.
        onnx: Whether the same as ONNX computes what the model does.
        difference: The largest difference of ONNX Runtime, or why not.
    """

    name: str
    torch: bool
    onnx: bool
    difference: str

    def __str__(self) -> str:
        part, _, settings = self.name.partition(" ")
        name = f"`{part}` {settings}".strip()
        words = ["yes" if works else "no" for works in (self.torch, self.onnx)]
        return f"| {name} | {' | '.join(words)} | {self.difference} |"


def parts() -> dict[str, dict[str, Any]]:
    """The arguments of a model that has the part, for every part by its name."""
    every = [getattr(networks, name) for name in networks.__all__]
    kinds = [kind for kind in every if isinstance(kind, type) and issubclass(kind, Network)]
    found: dict[str, dict[str, Any]] = {
        kind.__name__: {"network": kind} for kind in kinds if kind is not Network
    }
    found["HardSharing with a decoder for each task"] = {
        "network": partial(HardSharing, shared_decoder=False)
    }
    ours = [name for name in decoder_names() if hasattr(networks, name) or hasattr(smp, name)]
    found |= {name: {"backbone": Backbone("resnet18", decoder=name)} for name in ours if name != "DPT"}
    return found | {name: _with_head(getattr(heads, name)) for name in heads.__all__ if _is_head(name)}


def found(name: str, options: dict[str, Any]) -> Row:
    """What is found of a part.

    Args:
        name: Its name.
        options: The arguments of a model that has it.
    """
    results = {format: attempt(format, options) for format in SUFFIXES}
    works = {format: isinstance(result, float) for format, result in results.items()}
    last = results["onnx"]
    return Row(name, works["torch"], works["onnx"], f"{last:.0e}" if isinstance(last, float) else last)


def attempt(format: Format, options: dict[str, Any]) -> float | str:
    """The largest difference of a model's export, or why it has none.

    Args:
        format: The format.
        options: The arguments of the model.
    """
    model = FusionModule(SyntheticScenes.classes, **{"backbone": SMALL, **options}).eval()
    with TemporaryDirectory() as folder:
        path = Path(folder) / f"model{SUFFIXES[format]}"
        try:
            return export(ExportSource(model, "", 3, 1.0, None), path, format).difference
        except UserError as error:
            return re.split(r" \(see| on images", str(error))[0]


def rows(names: Iterable[str]) -> Iterator[Row]:
    """What is found of these parts, one after the other."""
    every = parts()
    return (found(name, every[name]) for name in names)


def written(page: str, table: Iterable[Row]) -> str:
    """The page with this table."""
    lines = HEADER + "\n".join(map(str, table)) + "\n"
    start = page.index(HEADER.splitlines()[0])
    rest = page[start:].split("\n\n", 1)[1:]
    return page[:start] + "\n".join([lines, *rest])


def _is_head(name: str) -> bool:
    kind = getattr(heads, name)
    return isinstance(kind, type) and issubclass(kind, Head) and kind not in (Head, RegionHead)


def _with_head(kind: type[Head]) -> dict[str, Any]:
    """The arguments of a model that has the head."""
    if issubclass(kind, RegionHead):
        return {"semantic_head": None, "region_head": kind}
    if kind.task == "semantic":
        return {"region_head": None}
    if kind.task == "scene":
        return {"region_head": None, "gamma": 1.0}
    return {"region_head": None, "extra_heads": {kind.task: ExtraHead(kind)}}


def main() -> None:
    parser = command_line(__doc__)
    parser.add_argument("--only", nargs="+", choices=[*parts()], metavar="PART")
    parser.add_argument("--write", action="store_true", help="write all rows into docs/export.md")
    args = parser.parse_args()
    if args.write and args.only:
        parser.error("--write writes all parts: leave --only out")
    table = []
    for row in rows(args.only or parts()):
        print(row, flush=True)
        table.append(row)
    if args.write:
        PAGE.write_text(written(PAGE.read_text(encoding="utf-8"), table), encoding="utf-8")
        print(PAGE)


if __name__ == "__main__":
    main()
