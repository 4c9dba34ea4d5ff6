"""Saves the model of a run as a folder without pickles, with a model card, or on the Hugging Face hub."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fusionseg.cli.arguments import values, with_switches
from fusionseg.cli.help import options_manual
from fusionseg.cli.parser import Parser
from fusionseg.config.errors import UsageError, mendable
from fusionseg.files.atomic import check_new_folder, replacing_folder

if TYPE_CHECKING:
    from fusionseg.engine.hub_module import HubModule

ABOUT = """Writes the best weights of a run (model.safetensors), what answers depend on beside them
(config.json) and a model card (README.md) that is generated from the run: data, protocol, figures,
licenses, limits. FusionModule.from_pretrained reads the folder and the model on the hub; fusionseg.Predictor
and `fusionseg predict --run` read the folder. The hub needs an account (`hf auth login`)."""


@dataclass
class Options:
    """The arguments of the command.

    Args:
        run: Run folder.
        out: Folder to write to, which must be new.
        hub: The model's id on the hub (NAME/MODEL), which is made where it is new.
        private: Make it a private one where it is new.
        license: The hub's identifier of the license of the weights, such as apache-2.0; `other` has a name
            and a link.
        license_name: Name of an `other` license.
        license_link: Address of an `other` license.
        data_license: License of the training data; the card says that it is not known where left out.
        untuned: Leave out a tuned decoder.
        trust: As in fusionseg.evaluate.
    """

    run: Path
    out: Path | None = None
    hub: str | None = None
    private: bool = False
    license: str | None = None
    license_name: str | None = None
    license_link: str | None = None
    data_license: str | None = None
    untuned: bool = False
    trust: str | None = None


def options(args: Sequence[str]) -> Options:
    """The arguments of the command.

    Raises:
        UsageError: If they cannot be used.
    """
    parser = Parser(allow_abbrev=False)
    parser.manual = lambda: options_manual(
        "fusionseg share --run DIR [--out DIR] [--hub NAME/MODEL]", ABOUT, Options
    )
    parser.add_class_arguments(Options, instantiate=False)
    given = Options(**parser.parse_args(with_switches(args, ("private", "untuned"))).as_dict())
    if given.out is None and given.hub is None:
        raise UsageError("expected --out or --hub, or both, found neither")
    return given


def main(args: Sequence[str]) -> None:
    """Saves and pushes as the arguments say, and prints where."""
    given = options(args)
    # here, so that --help is quick
    from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined] # its page documents it

    from fusionseg.runs.model_card import Licenses
    from fusionseg.runs.sharing import shareable

    licenses = Licenses(given.license, given.license_name, given.license_link, given.data_license)
    with mendable():
        if given.out is not None:
            check_new_folder(given.out)
        if given.hub is not None:
            validate_repo_id(given.hub)
        model = shareable(given.run, licenses, given.untuned, values(args, "--trust"))
    if given.license is None:
        print("no --license: the card says that none is given", file=sys.stderr)
    if given.out is not None:
        with replacing_folder(given.out) as draft:
            model.save_pretrained(draft)
        print(given.out)
    if given.hub is not None:
        print(_pushed(model, given.hub, given.private))


def _pushed(model: "HubModule", name: str, private: bool) -> str:
    """The address of the commit that puts a model on the hub.

    Raises:
        OSError: If the hub refuses it or cannot be reached.
    """
    from httpx import HTTPError

    try:
        return model.push_to_hub(name, private=private)
    except OSError:
        raise
    except HTTPError as error:
        raise OSError(f"the hub does not answer ({error}): nothing was pushed to {name}") from error
