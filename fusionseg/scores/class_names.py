"""The names of the classes of label maps that anybody wrote."""

from collections.abc import Callable
from pathlib import Path

from fusionseg.config.errors import UserError

MOST = 4096
"""The largest number of classes, as a table of all pairs is counted."""


def class_names(given: int | Path | None, first: int, highest: Callable[[], int]) -> list[str]:
    """The names of the classes, which are their ids where no file names them.

    Args:
        given: Number of classes, or a file with the name of one in each line; None for as many as there are
            ids.
        first: The id of the first class.
        highest: Gives the highest id, where that decides.

    Raises:
        UserError: If there are too few or too many, or the file does not name them.
    """
    if isinstance(given, Path):
        names = _named(given)
    else:
        last = highest() if given is None else first + given - 1
        names = [str(i) for i in range(first, last + 1)]
    if not 1 <= len(names) <= MOST:
        raise UserError(
            f"expected 1 to {MOST} classes, found {len(names)}: mind --classes, --first and --void"
        )
    return names


def _named(path: Path) -> list[str]:
    """The names of the classes in a file.

    Raises:
        UserError: If the file is no text, has an empty line among the names, or one name twice.
    """
    try:
        names = [line.strip() for line in path.read_text(encoding="utf-8-sig").rstrip().splitlines()]
    except UnicodeDecodeError as error:
        raise UserError(f"expected one name in a line (UTF-8) in {path}: {error}") from error
    twice = sorted({name for name in names if names.count(name) > 1})
    if "" in names or twice:
        found = "an empty line" if "" in names else f"{twice[0]} twice"
        raise UserError(f"expected the name of one class in each line of {path}, found {found}")
    return names
