"""Finds the files of a data set in the zip and tar archives of its download, which are not unpacked."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath

from fusionseg.files.archive_index import SUFFIXES
from fusionseg.files.archive_path import ArchiveUnion, opened_archive
from fusionseg.files.readable_path import ReadablePath


def tree(root: str | Path, archives: Sequence[str] = ()) -> ReadablePath:
    """The top of a data set's files, unpacked or in the archives of its download.

    Where no archive is found this is the folder itself, and reading costs what it always does. Else it is the
    union of the folder and the archives: what is on disk comes before what is in an archive, and an archive
    of which the first file that lies in one of its folders is there unpacked is passed over (of an archive
    without folders the first file).

    Zip files, with members deflated or not, and tar files are read at any place. The files of a compressed
    tar (`.tar.gz`, `.tgz`) can only be reached from its beginning on: it is inflated once in each process
    that opens it, and again by up to 1 MB (1/512 of large ones) for each file. `gunzip -k` makes a tar of it,
    which is then taken.

    Args:
        root: The folder; or one archive, or a folder inside of it (`stage1_train.zip/stage1_train`).
        archives: Names of archives. Each is looked for in `root`, or inside of the archives before it; its
            files are taken to lie in its folder, where unpacking puts them.

    Raises:
        UserError: An archive is damaged, cut short, encrypted or has names that lead out of it.
    """
    root = Path(root)
    outer = next((path for path in (root, *root.parents) if _is_archive(path.name) and path.is_file()), None)
    union = ArchiveUnion(root) if outer is None else ArchiveUnion(outer, (opened_archive(outer, ""),))
    begin = Path() if outer is None else root.relative_to(outer)
    for name in archives:
        below = "/".join(PurePosixPath(begin, name).parent.parts)
        for file in (union.at(begin, known) for known in _names(name)):
            if file.is_file():
                index = opened_archive(file, below)
                if outer is not None or not (root / index.first).is_file():
                    union = ArchiveUnion(union.base, (*union.archives, index))
                break
    return union.at(begin) if union.archives else root


def _is_archive(name: str) -> bool:
    return name.lower().endswith(SUFFIXES)


def _names(name: str) -> Iterable[str]:
    """The names that an archive is looked for by: that of a tar before that of a compressed one."""
    return dict.fromkeys([re.sub(r"\.(tar\.gz|tgz)$", ".tar", name), name])
