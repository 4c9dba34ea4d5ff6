"""Ways in which a command can break down besides a killed training, each with what must hold afterwards.

A run that is killed before its first checkpoint and started again by the same command, an evaluation and a
prediction that are killed and started again, two trainings in one folder, and a full disk: all of them end as
those that nothing happened to.
"""

import csv
import functools
import json
import random
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeAlias

from benchmarks.running import differences, drafts, finished, started

Breakdown: TypeAlias = Callable[[Path, Path, list[str], random.Random], list[str]]
"""A function of an undisturbed run, a folder to work in, the arguments of its training, and a generator.

It gives what is not as it should be.
"""


def killed_early(whole: Path, folder: Path, arguments: list[str], generator: random.Random) -> list[str]:
    """A training that is killed before its first checkpoint, three times, and started again each time."""
    run = folder / "early"
    command = ["fit", *arguments, "--out", str(run)]
    for _ in range(3):
        process = started(command, folder / "log")
        _wait(process, lambda: (run / "summary.json").is_file())
        time.sleep(generator.uniform(0, 0.3))
        process.kill()
        process.wait()
        if (run / "checkpoints" / "last.ckpt").is_file():
            return ["it had a checkpoint already"]
    finished(command, folder / "log")
    return differences(whole, run)


def killed_evaluation(whole: Path, folder: Path, _: list[str], generator: random.Random) -> list[str]:
    """An evaluation that is killed at random moments, three times, and started again."""
    expected, run = (shutil.copytree(whole, folder / name) for name in ("expected", "killed"))
    begin = time.monotonic()
    finished(["evaluate", "--run", str(expected)], folder / "log")
    seconds = time.monotonic() - begin
    for _kill in range(3):
        process = started(["evaluate", "--run", str(run)], folder / "log")
        time.sleep(generator.uniform(0.5, 0.95) * seconds)
        process.kill()
        process.wait()
    finished(["evaluate", "--run", str(run)], folder / "log")
    return unlike(expected / "evaluation", run / "evaluation")


def killed_prediction(whole: Path, folder: Path, _: list[str], generator: random.Random) -> list[str]:
    """A prediction that is killed after some images, three times, and started again each time."""
    images = folder / "images"
    images.mkdir()
    for picture in sorted((whole / "pictures").glob("epoch_*.png"))[:3]:
        for copy in "abcd":
            shutil.copy(picture, images / f"{picture.stem}{copy}.png")
    command = ["predict", "--run", str(whole), "--images", str(images), "--out"]
    finished([*command, str(folder / "whole")], folder / "log")
    record = folder / "parts" / "predictions.jsonl"
    for number in (2, 5, 8):
        process = started([*command, str(record.parent)], folder / "log")
        _wait(process, functools.partial(_has_lines, record, number))
        time.sleep(generator.uniform(0, 0.05))
        process.kill()
        process.wait()
    finished([*command, str(record.parent)], folder / "log")
    return unlike(folder / "whole", record.parent)


def two_starts(whole: Path, folder: Path, arguments: list[str], _: random.Random) -> list[str]:
    """Two trainings that are started in one folder at the same moment: one trains, the other is refused."""
    run = folder / "shared"
    both = [started(["fit", *arguments, "--out", str(run)], folder / f"log{number}") for number in range(2)]
    codes = sorted(process.wait() for process in both)
    said = [(folder / f"log{number}").read_text() for number in range(2)]
    refused = [text for text in said if "another process is training in" in text or "already holds" in text]
    wrong = [] if codes == [0, 2] and len(refused) == 1 else [f"exit codes {codes}"]
    return wrong + differences(whole, run)


def full_disk(whole: Path, folder: Path, arguments: list[str], _: random.Random) -> list[str]:
    """A training on a disk that becomes full, resumed when there is room; needs Linux and its root."""
    size = sum(path.stat().st_size for path in (whole / "checkpoints").iterdir())
    with small_disk(folder / "disk", round(1.25 * size)) as disk:
        run = disk / "run"
        process = started(["fit", *arguments, "--out", str(run)], folder / "log")
        code = process.wait()
        said = (folder / "log").read_text()
        wrong = [] if code == 2 and "No space left" in said else [f"exit code {code}: {said[-300:]}"]
        wrong += [f"{path.name} was left" for path in drafts(run)]
        subprocess.run(["mount", "-o", "remount,size=2G", str(disk)], check=True)
        finished(["fit", "--resume", str(run)], folder / "log")
        (run / "traceback.txt").unlink(missing_ok=True)
        return wrong + differences(whole, run)


BREAKDOWNS: tuple[Breakdown, ...] = (
    killed_early,
    killed_evaluation,
    killed_prediction,
    two_starts,
    full_disk,
)


@contextmanager
def small_disk(folder: Path, size: int) -> Iterator[Path]:
    """A folder on a disk of its own in memory, of so many bytes."""
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def unlike(one: Path, other: Path) -> list[str]:
    """What differs between the files of two folders; of records and archives, between what they hold."""
    names = [{p.relative_to(folder).as_posix() for p in folder.rglob("*")} for folder in (one, other)]
    found = [f"{name} is in one alone" for name in sorted(names[0] ^ names[1])]
    for name in sorted(names[0] & names[1]):
        first, second = (folder / name for folder in (one, other))
        if first.is_file() and _content(first) != _content(second):
            found.append(name)
    return found


def _content(path: Path) -> object:
    """What a file says, without the times at which it was written."""
    if path.suffix == ".json":
        return json.loads(path.read_text())
    if path.suffix == ".csv":
        return list(csv.reader(path.read_text().splitlines()))
    if path.suffix == ".npz":
        import numpy as np

        with np.load(path) as arrays:
            return {name: arrays[name].tobytes() for name in arrays}
    return path.read_bytes()


def _has_lines(path: Path, number: int) -> bool:
    return path.is_file() and len(path.read_text().splitlines()) > number


def _wait(process: "subprocess.Popen[bytes]", done: Callable[[], bool]) -> None:
    """Waits until something is done, or the process has ended."""
    while process.poll() is None and not done():
        time.sleep(0.005)
