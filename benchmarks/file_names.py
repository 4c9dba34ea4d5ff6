"""Measures what it takes to find the files of a large data set: seconds, and the memory that it ends with.

Photos and label files, half of them each, are empty files in a folder, a zip file or a tar file. A process of
its own opens them as a data set does (`tree`, `by_stem`) and reads some. Only on Linux.

    python -m benchmarks.file_names [--number 1000000] [--kinds zip tar folder]
"""

import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

from benchmarks.timing import command_line

FOLDERS = {"train": ".jpg", "labels": ".png"}

OPEN = """
import re, sys, time
from pathlib import Path
from fusionseg.files.archives import tree
from fusionseg.files.matching import by_stem

def peak():
    # of this process alone: ru_maxrss begins with that of the one that started it
    return int(re.search("VmHWM: *\\t *([0-9]+)", Path("/proc/self/status").read_text())[1]) / 1024

before, start, used = peak(), time.perf_counter(), time.process_time()
top = tree(sys.argv[1], sys.argv[2:])
photos, labels = by_stem(top / "train", (".jpg",)), by_stem(top / "labels", (".png",))
seconds, used = time.perf_counter() - start, time.process_time() - used
assert photos.keys() == labels.keys()
assert not any(path.read_bytes() for path in list(photos.values())[:: len(photos) // 100])
number = len(photos) + len(labels)
print(f"{number} names: {seconds:.1f} s ({used:.1f} s of a core), {peak():.0f} MB ({before:.0f} MB imports)")
"""
"""What a process does to find the files."""


def names(number: int) -> Iterator[str]:
    """The names of so many files, half of them in each folder."""
    for folder, suffix in FOLDERS.items():
        for index in range(number // 2):
            yield f"{folder}/{index:012d}{suffix}"


def write(kind: str, folder: Path, number: int) -> None:
    """Writes empty files into a folder, as they are or in an archive."""
    if kind == "zip":
        with zipfile.ZipFile(folder / "files.zip", "w") as zipped:
            for name in names(number):
                zipped.writestr(name, b"")
    elif kind == "tar":
        with tarfile.open(folder / "files.tar", "w") as tar:
            for name in names(number):
                tar.addfile(tarfile.TarInfo(name), BytesIO())
                tar.members.clear()  # type: ignore[attr-defined]
    else:
        for part in FOLDERS:
            (folder / part).mkdir()
        for name in names(number):
            (folder / name).touch()


def main() -> None:
    parser = command_line(__doc__)
    parser.add_argument("--number", type=int, default=10**6)
    parser.add_argument("--kinds", nargs="+", choices=["zip", "tar", "folder"], default=["zip", "tar"])
    args = parser.parse_args()
    for kind in args.kinds:
        with tempfile.TemporaryDirectory() as folder:
            write(kind, Path(folder), args.number)
            command = (sys.executable, "-c", OPEN, folder, f"files.{kind}")
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            print(f"{kind}: {done.stdout}", end="")


if __name__ == "__main__":
    main()
