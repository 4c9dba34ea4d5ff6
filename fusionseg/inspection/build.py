"""Writes the page and the numbers of an inspection."""

import json
from pathlib import Path

import yaml

from fusionseg.config.errors import UsageError, UserError
from fusionseg.files.atomic import Json, finite, write_json, write_text
from fusionseg.inspection.findings import Findings, as_json
from fusionseg.inspection.sections import classes, data, regions, training_views
from fusionseg.pages.blocks import Log, Section
from fusionseg.pages.page import page
from fusionseg.studies.report.numbers import count

PAGE = "inspect.html"
NUMBERS = "inspect.json"

SECTIONS = (data, classes, regions, training_views)
"""The sections in the order of the page."""


def check_out(folder: Path, dataset: Json) -> None:
    """Checks where to write, and that the packages are there that a page takes, before anything is counted.

    Args:
        folder: Where to write to.
        dataset: The recipe of the dataset, in plain values.

    Raises:
        UserError: If the folder is none, or holds the page of another data set.
        UsageError: If a package is missing.
    """
    above = (path for path in (folder, *folder.parents) if path.exists() and not path.is_dir())
    if file := next(above, None):
        raise UserError(f"expected a folder to write to, found the file {file}")
    page("", [], "", [])
    try:
        known = json.loads((folder / NUMBERS).read_text(encoding="utf-8"))["data"]["dataset"]
    except FileNotFoundError:
        return
    except (ValueError, LookupError, TypeError):
        known = None
    if known != finite(dataset):
        raise UsageError(
            f"expected a folder of its own, found the page of other data in {folder}: name another",
            "out",
        )


def write(found: Findings, folder: Path) -> Path:
    """Writes `inspect.html` and `inspect.json` into a folder and returns the path of the page."""
    numbers = as_json(found)
    settings = yaml.safe_dump({"data": numbers["data"]}, sort_keys=False)
    made = [one.section(found) for one in SECTIONS]
    made.append(Section("Configuration", [Log("The settings of the data", settings)]))
    write_json(folder / NUMBERS, numbers)
    write_text(folder / PAGE, page(title(found), [], _facts(found), made))
    return folder / PAGE


def title(found: Findings) -> str:
    """The name of the data set, and that of its folder where it is another."""
    name = str(found.kind.__name__)
    root = folder_of(found.data.hparams["dataset"])
    return name if root.lower() in ("", name.lower()) else f"{name}: {root}"


def folder_of(dataset: Json) -> str:
    """The name of the folder of a dataset, where it has one."""
    root = dataset.get("init_args", {}).get("root")
    return Path(root).resolve().name if root else ""


def _facts(found: Findings) -> str:
    """A line about the data: its size and seed."""
    parts = [f"{facts.total:,} {split} images" for split, facts in found.facts.items()]
    parts += [
        count(len(found.classes), "class", "classes"),
        f"seed {found.data.seed}",
        str(found.data.hparams["dataset"].get("init_args", {}).get("root", "")),
    ]
    return " \N{MIDDLE DOT} ".join(part for part in parts if part)
