"""Measures the memory of an evaluation's records, by the number of images and from synthetic sums.

python -m benchmarks.evaluation [--classes 150] [--images 1000 10000 100000]
"""

import resource
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from benchmarks.timing import command_line
from fusionseg.runs.image_records import ImageRecords
from fusionseg.sample import Counted


def sums(random: np.random.Generator, classes: int) -> Counted:
    """Sums as of an image of a dozen classes, with the confusions between them."""
    table = np.zeros((classes, classes), np.int64)
    some = random.integers(0, classes, 12)
    table[np.ix_(some, some)] = random.integers(0, 9999, (12, 12))
    quality = np.zeros((classes, 4))
    quality[some] = random.random((12, 4))
    row = random.random(5)
    return {"semantic": table, "fused": table, "panoptic": quality, "region": row, "boundary": row[:4]}


def measured(images: int, classes: int) -> None:
    """Prints the MiB that this process takes at most for so many images, more than for one."""
    random = np.random.default_rng(0)
    figures = {f"figure_{i}": random.random() for i in range(25)}
    first = 0
    with TemporaryDirectory() as folder, closing(ImageRecords(Path(folder))) as records:
        for number in range(images):
            records.add(f"val2017/{number:012d}", figures, sums(random, classes))
            first = first or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        records.write_csv(Path(folder) / "val.csv")
        records.write_npz(Path(folder) / "val.npz")
        size = (Path(folder) / "val.npz").stat().st_size
    more = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - first) / 1024
    print(
        f"{images:8} images of {classes} classes: {more:6.1f} MiB of memory, {size / 2**20:.1f} MiB on disk"
    )


def main() -> None:
    parser = command_line(__doc__)
    parser.add_argument("--classes", type=int, default=150)
    parser.add_argument("--images", type=int, nargs="+", default=[1_000, 10_000, 100_000])
    args = parser.parse_args()
    if len(args.images) == 1:
        measured(args.images[0], args.classes)
        return
    for images in args.images:  # each in a process of its own, because a process never gives its peak back
        command = [sys.executable, "-m", "benchmarks.evaluation", "--classes", str(args.classes)]
        subprocess.run([*command, "--images", str(images)], check=True)


if __name__ == "__main__":
    main()
