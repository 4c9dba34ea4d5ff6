"""Writes a run's model as one file for ONNX Runtime or torch.export, with what decodes its outputs."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from fusionseg.cli.arguments import switched, values
from fusionseg.cli.help import options_manual
from fusionseg.cli.parser import Parser
from fusionseg.config.errors import UsageError, mendable
from fusionseg.runs.folder import RunFolder

ABOUT = """Traces the network of the best checkpoint, with normalization and all heads, for any number of
images and any size in multiples of 32, and writes it with the classes, the heads' recipes and the parameters
of their decodings. The file is read again and compared with the model before it appears. Predictor takes an
ONNX file in place of a run, and so does predict --checkpoint (docs/export.md)."""


@dataclass
class Options:
    """The arguments of the command.

    Args:
        run: Run folder, for its best checkpoint.
        format: ONNX, for which pip install "fusionseg[onnx]", or torch.export's .pt2.
        out: File to write; model.onnx or model.pt2 in the run folder where left out.
        trust: As in fusionseg.evaluate.
        untuned: As in fusionseg.evaluate.
    """

    run: Path
    format: Literal["onnx", "torch"] = "onnx"
    out: Path | None = None
    trust: str | None = None
    untuned: bool = False


def options(args: Sequence[str]) -> Options:
    """The arguments of the command.

    Raises:
        UsageError: If they cannot be used.
    """
    parser = Parser(allow_abbrev=False)
    usage = "fusionseg export --run DIR [--format onnx|torch] [--out FILE]"
    parser.manual = lambda: options_manual(usage, ABOUT, Options)
    parser.add_class_arguments(Options, instantiate=False)
    return Options(**parser.parse_args(switched(args, ("untuned",))).as_dict())


def main(args: Sequence[str]) -> None:
    """Exports as the arguments say and prints the file, what its outputs are and how well it was met."""
    given = options(args)
    # here, so that --help is quick
    from rich.console import Console

    from fusionseg.inference.export import SUFFIXES, ExportSource, check_installed, export
    from fusionseg.runs.trained_model import trained_model

    if given.format == "onnx":
        check_installed()
    suffix = SUFFIXES[given.format]
    path = given.out or RunFolder(given.run).exported.with_suffix(suffix)
    if path.suffix != suffix:
        raise UsageError(f"expected a name that ends with {suffix}, found {path}", "out")
    if given.run.is_file():
        raise UsageError(f"expected a run folder, found the file {given.run}", "run")
    trust = values(args, "--trust")
    with Console(stderr=True).status("reading the run") as status, mendable():
        source = ExportSource.of(trained_model(given.run, given.untuned, trust))
        found = export(source, path, given.format, trust, status.update)
    shapes = ", ".join(f"{name} {shape}" for name, shape in found.outputs.items())
    print(f"for images {found.image}: {shapes}")
    print(f"largest difference from the model: {found.difference:.1e}")
    print(f"{path} ({path.stat().st_size / 2**20:.1f} MiB)")
