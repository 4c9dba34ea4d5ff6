"""Opens a page where a trained model answers images that are dropped on it, with sliders for its decoding."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fusionseg.cli.arguments import switched, values
from fusionseg.cli.help import options_manual
from fusionseg.cli.parser import Parser
from fusionseg.config.errors import UsageError, mendable

ABOUT = """Serves a page on this machine, until Ctrl-C: drop an image, see its classes, regions, their fusion
and the confidence, move the parameters of the decoding, and see where the network looks for a class.
The network sees an image once; sliders only decode again. Nothing is loaded from other servers. It needs
gradio: pip install "fusionseg[demo]"."""


@dataclass
class Options:
    """The arguments of the command.

    Args:
        run: Run folder, for its best checkpoint.
        checkpoint: Checkpoint file, instead of a run folder.
        port: Port of the page.
        share: Also serve the page to everybody who has the link, through gradio's own server.
        scale: Size at which the network sees an image, relative to the file; as in training where left out.
        precision: As Lightning's; that of the training where left out.
        device: As torch's, such as cuda:1; the fastest where left out.
        trust: As in fusionseg.evaluate.
        untuned: As in fusionseg.evaluate.
    """

    run: Path | None = None
    checkpoint: Path | None = None
    port: int = 7860
    share: bool = False
    scale: float | None = None
    precision: str | None = None
    device: str | None = None
    trust: str | None = None
    untuned: bool = False


def options(args: Sequence[str]) -> Options:
    """The arguments of the command.

    Raises:
        UsageError: If they cannot be used.
    """
    parser = Parser(allow_abbrev=False)
    parser.manual = lambda: options_manual("fusionseg demo --run DIR", ABOUT, Options)
    parser.add_class_arguments(Options, instantiate=False)
    given = Options(**parser.parse_args(switched(args, ("share", "untuned"))).as_dict())
    if (given.run is None) == (given.checkpoint is None):
        found = "neither" if given.run is None else "both"
        raise UsageError(f"expected --run or --checkpoint, found {found}")
    if not 0 < given.port < 65536:
        raise UsageError(f"expected a port from 1 to 65535, found {given.port}", "port")
    return given


def main(args: Sequence[str]) -> None:
    """Serves the page until it is interrupted."""
    given = options(args)
    # here, so that --help is quick
    from fusionseg.demo.server import check_port, gradio_installed, serve

    gradio_installed()
    check_port(given.port)
    from fusionseg.demo.session import Session
    from fusionseg.inference.predictor import Predictor

    with mendable():
        predictor = Predictor(
            given.run or given.checkpoint or "",
            precision=given.precision,
            device=given.device,
            scale=given.scale,
            untuned=given.untuned,
            trust=values(args, "--trust"),
        )
        session = Session(predictor)
    serve(session, given.port, given.share)
