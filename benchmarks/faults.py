"""Checks that a training survives being killed, on short runs on CamVid.

A run is killed by SIGKILL at random moments, every other time while a checkpoint is written, and resumed each
time. In the end its weights, optimizer state and metrics have to equal those of an undisturbed run bit by
bit.

    python -m benchmarks.faults --root <folder of CamVid> [--kills 20] [--seed 0]
"""

import os
import random
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from rich.progress import track

from benchmarks.timing import command_line

EPOCHS = 12
ARGUMENTS = [
    *("--data.dataset", "CamVid"),
    *("--data.scale", "0.25"),
    *("--data.crop_size", "[64, 96]"),
    *("--data.fraction", "0.1"),
    *("--data.batch_size", "4"),
    *("--data.workers", "1"),
    *("--model.backbone.encoder", "tu-mobilenetv3_small_050"),
    *("--trainer.max_epochs", str(EPOCHS)),
    *("--trainer.limit_val_batches", "4"),
    *("--trainer.log_every_n_steps", "2"),
    *("--trainer.save_every_n_minutes", "0"),
]
"""The arguments of the training: a small model on small crops."""

DRAFT = re.compile(r"\..+\.\d+\.\w+")
"""The names of files that are being written."""


def started(arguments: list[str], log: Path) -> "subprocess.Popen[bytes]":
    """Starts a training in another process, whose output is appended to a log."""
    with log.open("ab") as file:
        return subprocess.Popen([sys.executable, "-m", "fusionseg.fit", *arguments], stdout=file, stderr=file)


def finished(arguments: list[str], log: Path) -> None:
    """Runs a training to its end.

    Raises:
        RuntimeError: If it fails.
    """
    if started(arguments, log).wait():
        raise RuntimeError(f"fusionseg.fit {' '.join(arguments)} failed: {log.read_text()[-2000:]}")


def drafts(run: Path) -> list[Path]:
    """The drafts in a run folder: files that are being written, or were when the process was killed."""
    return [path for path in run.rglob(".*") if DRAFT.fullmatch(path.name)]


def killed(arguments: list[str], run: Path, log: Path, delay: float, writing: bool) -> bool | None:
    """Kills a training.

    Args:
        arguments: The arguments of the training.
        run: Its run folder.
        log: The file for its output.
        delay: Seconds between the start of its work and the kill.
        writing: Wait after that until it writes a file.

    Returns:
        Whether it was writing a file, or `None` if it finished before.

    Raises:
        RuntimeError: If it fails by itself.
    """
    summary = run / "summary.json"
    before = time.time()
    process = started(arguments, log)
    while process.poll() is None and not (summary.is_file() and summary.stat().st_mtime >= before):
        time.sleep(0.01)
    begun = time.monotonic()
    while process.poll() is None:
        late = time.monotonic() - begun > delay
        if late and (not writing or drafts(run)):
            process.kill()
            break
        time.sleep(0 if late else 0.002)
    code = process.wait()
    if code == 0:
        return None
    if code != -9:
        raise RuntimeError(f"fusionseg.fit {' '.join(arguments)} failed: {log.read_text()[-2000:]}")
    return bool(drafts(run))


def same(one: Any, other: Any) -> bool:
    """Whether two contents of checkpoints are equal bit by bit."""
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return torch.equal(one, other) if isinstance(one, torch.Tensor) else bool(one == other)


def differences(whole: Path, run: Path) -> list[str]:
    """What differs between a run folder and that of the undisturbed run."""
    found = [f"{path.name} was left" for path in drafts(run)]
    for name in ("last", "best"):
        one = torch.load(whole / "checkpoints" / f"{name}.ckpt", weights_only=True)
        other = torch.load(run / "checkpoints" / f"{name}.ckpt", weights_only=True)
        for key in ("state_dict", "optimizer_states"):
            if not same(one[key], other[key]):
                found.append(f"{key} in {name}.ckpt")
    if (whole / "metrics.csv").read_bytes() != (run / "metrics.csv").read_bytes():
        found.append("metrics.csv")
    only_in_one = _names(whole) ^ _names(run)
    return found + [f"{name} is in one alone" for name in sorted(only_in_one)]


def _names(folder: Path) -> set[str]:
    """The relative paths of everything in a folder."""
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*")}


def kills(
    run: Path, arguments: list[str], log: Path, count: int, generator: random.Random
) -> Iterator[tuple[str, bool]]:
    """Kills and resumes a run repeatedly; yields its last saved step and whether it was writing a file."""
    for number in range(count):
        more = ["--resume", str(run)] if (run / "config.yaml").is_file() else arguments
        # little progress each time, so that the run does not end before the last kill
        writing = killed(more, run, log, generator.uniform(0, 1.5), writing=number % 2 == 1)
        if writing is None:
            return
        last = run / "checkpoints" / "last.ckpt"
        step = torch.load(last, weights_only=True)["global_step"] if last.is_file() else 0
        yield f"step {step}", writing


def main() -> None:
    parser = command_line(__doc__)
    parser.add_argument("--root", default=f"{os.environ.get('FUSIONSEG_DATA', 'data')}/CamVid")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    os.environ["WANDB_MODE"] = "disabled"  # a resumed run does not remember this
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    with TemporaryDirectory() as folder:
        whole, run, log = (Path(folder) / name for name in ("whole", "killed", "log"))
        arguments = [*ARGUMENTS, "--data.dataset.root", args.root]
        finished([*arguments, "--out", str(whole)], log)
        plan = kills(run, [*arguments, "--out", str(run)], log, args.kills, random.Random(args.seed))
        reported = list(track(plan, "killing", total=args.kills))
        finished(["--resume", str(run)], log)
        wrong = differences(whole, run)
    print(
        f"killed {len(reported)} times, {sum(writing for _, writing in reported)} of them while a file was "
        "being written:"
    )
    print(", ".join(f"{where}{' (writing)' if writing else ''}" for where, writing in reported))
    print(f"other than in the undisturbed run: {', '.join(wrong) or 'nothing'}")
    sys.exit(bool(wrong) or len(reported) < args.kills)


if __name__ == "__main__":
    main()
