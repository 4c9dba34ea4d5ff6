"""Scores anybody's files by the official rules: boundaries, regions, panoptic, instances, semantic."""

import importlib
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import fusionseg.scores.kinds
from fusionseg.cli.arguments import with_switches
from fusionseg.cli.entry import summaries
from fusionseg.cli.help import options_manual
from fusionseg.cli.parser import Parser
from fusionseg.config.errors import UsageError
from fusionseg.config.type_names import nearest
from fusionseg.scores.output import check_out, printed, write

USAGE = "usage: python -m fusionseg score KIND --truth PATH --prediction PATH [--out FILE.json]"
SWITCHES = ("common", "nms")


def main(args: Sequence[str]) -> None:
    """Scores, prints a table and writes the files."""
    name, *rest = args or ["--help"]
    if name in ("-h", "--help"):
        print("\n".join([USAGE, "", "kinds:", *summaries(kinds()), "", "Each kind has its own --help."]))
        return
    if name not in kinds():
        raise UsageError(
            f"expected one of {', '.join(kinds())} after score, found {name!r}{nearest(name, kinds())}"
        )
    kind = importlib.import_module(f"fusionseg.scores.kinds.{name}")
    given = options(kind, name, rest)
    if given.out is not None:
        check_out(given.out, [value for name, value in vars(given).items() if name != "out"])
    scores = kind.score(given)
    # first, because who reads what is printed may go away
    paths = [] if given.out is None else write(scores, name, given)
    for notice in scores.notices:
        print(f"note: {notice}", file=sys.stderr)
    print("\n".join([printed(scores), *map(str, paths)]))


def options(kind: ModuleType, name: str, args: Sequence[str]) -> Any:
    """The arguments of a kind.

    Raises:
        UsageError: If they cannot be used.
    """
    parser = Parser(allow_abbrev=False)
    usage = f"fusionseg score {name} --truth PATH --prediction PATH [--out FILE.json]"
    parser.manual = lambda: options_manual(usage, kind.ABOUT, kind.Options)
    parser.add_class_arguments(kind.Options, instantiate=False)
    return kind.Options(**parser.parse_args(with_switches(args, SWITCHES)).as_dict())


def kinds() -> dict[str, Path]:
    """The file of each kind, by its name."""
    folder = Path(fusionseg.scores.kinds.__path__[0])
    return {path.stem: path for path in sorted(folder.glob("[a-z]*.py"))}
