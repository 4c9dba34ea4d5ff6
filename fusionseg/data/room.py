"""Whether the decoded images of data sets fit into memory, or onto a disk."""

import os
from collections.abc import Sequence
from pathlib import Path

from fusionseg.config.errors import unmendable
from fusionseg.data.base import DataError, Pixels, SegmentationDataset


def check_memory(datasets: Sequence[SegmentationDataset], ranks: int = 1) -> None:
    """Checks that the images of all splits fit into memory together, before any rank keeps some.

    Args:
        datasets: The splits.
        ranks: Processes on this machine, each of which keeps all images.

    Raises:
        DataError: They do not, as far as some of them tell.
    """
    check_room(datasets, _free_memory(), "memory", "set data.cache to disk or none", ranks)


def check_room(
    datasets: Sequence[SegmentationDataset], free: float, where: str, remedy: str, ranks: int = 1
) -> None:
    """Raises a DataError unless decoded images fit, as far as some of them tell.

    Args:
        datasets: The splits.
        free: Bytes that are free.
        where: Where they are.
        remedy: What can be done.
        ranks: Processes each of which keeps all images.
    """
    size = sum(map(_decoded_size, datasets))
    if ranks * size > 0.9 * free:
        splits = " and ".join(dataset.split for dataset in datasets)
        times = f"{ranks} ranks with " if ranks > 1 else ""
        found = f"{times}{size / 2**30:.1f} GiB of decoded images in {splits}, {free / 2**30:.1f} GiB free"
        raise DataError(f"expected the cache to fit into {where} ({found}): {remedy}")


def _decoded_size(dataset: SegmentationDataset) -> float:
    """Bytes of all decoded images, estimated from some of them."""
    probes = range(0, len(dataset), max(1, len(dataset) // 8))
    read = unmendable()(dataset.read)
    return sum(_bytes(read(index)) for index in probes) / len(probes) * len(dataset)


def _bytes(pixels: Pixels) -> int:
    """The size of an image and its labels in memory."""
    maps = sum(plane.nbytes for plane in pixels.maps.values())
    return pixels.image.nbytes + pixels.semantic.nbytes + pixels.region.nbytes + maps


def _free_memory() -> float:
    """Bytes that this process may still allocate, limited by the machine or the container's cgroup."""
    available = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    meminfo = Path("/proc/meminfo")
    group = Path("/sys/fs/cgroup")
    if meminfo.exists():
        lines = dict(line.split(":") for line in meminfo.read_text().splitlines())
        available = 1024 * int(lines["MemAvailable"].split()[0])
    if (group / "memory.max").exists() and (limit := (group / "memory.max").read_text().strip()) != "max":
        available = min(available, int(limit) - int((group / "memory.current").read_text()))
    return available
