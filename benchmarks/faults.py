"""Whether a training survives being killed: a short run on CamVid, undisturbed and killed again and again.

The second run is sent SIGKILL at random moments, every other time while a checkpoint is being written, and resumed each
time. In the end its weights, optimizer state, figures and table have to be those of the first, to the last bit.

    python -m benchmarks.faults --root <folder of CamVid> [--kills 20] [--seed 0]
"""

import argparse
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

EPOCHS = 12
WORDS = [
    *(
        "--data.dataset",
        "CamVid",
        "--data.scale",
        "0.25",
        "--data.crop_size",
        "[64, 96]",
        "--data.fraction",
        "0.1",
    ),
    *(
        "--data.batch_size",
        "4",
        "--data.workers",
        "1",
        "--model.backbone.encoder",
        "tu-mobilenetv3_small_050",
    ),
    *(
        "--trainer.max_epochs",
        str(EPOCHS),
        "--trainer.limit_val_batches",
        "4",
        "--trainer.log_every_n_steps",
        "2",
    ),
    *("--trainer.save_every_n_minutes", "0"),
]
DRAFT = re.compile(r"\..+\.\d+\.\w+")


def started(words: list[str], log: Path) -> "subprocess.Popen[bytes]":
    """A training in a process of its own."""
    with log.open("ab") as file:
        return subprocess.Popen([sys.executable, "-m", "fusionseg.fit", *words], stdout=file, stderr=file)


def finished(words: list[str], log: Path) -> None:
    """Trains until the end.

    Raises:
        RuntimeError: If that fails.
    """
    if started(words, log).wait():
        raise RuntimeError(f"fusionseg.fit {' '.join(words)} failed: {log.read_text()[-2000:]}")


def drafts(run: Path) -> list[Path]:
    """Files of a run that were being written."""
    return [path for path in run.rglob(".*") if DRAFT.fullmatch(path.name)]


def killed(words: list[str], run: Path, log: Path, delay: float, writing: bool) -> bool | None:
    """Kills a training so long after it began its work, or when it writes next after that.

    Returns:
        Whether it was writing a file, or nothing if it came to its end before.
    """
    summary, before = run / "summary.json", time.time()
    process = started(words, log)
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
        raise RuntimeError(f"fusionseg.fit {' '.join(words)} failed: {log.read_text()[-2000:]}")
    return bool(drafts(run))


def same(one: Any, other: Any) -> bool:
    """Whether two contents of checkpoints are the same to the last bit."""
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return torch.equal(one, other) if isinstance(one, torch.Tensor) else bool(one == other)


def differences(whole: Path, run: Path) -> list[str]:
    """What a run has other than the undisturbed one."""
    found = [f"{path.name} was left" for path in drafts(run)]
    for name in ("last", "best"):
        one, other = (torch.load(r / "checkpoints" / f"{name}.ckpt", weights_only=True) for r in (whole, run))
        found += [
            f"{key} in {name}.ckpt"
            for key in ("state_dict", "optimizer_states")
            if not same(one[key], other[key])
        ]
    if (whole / "metrics.csv").read_bytes() != (run / "metrics.csv").read_bytes():
        found.append("metrics.csv")
    names = [{path.relative_to(r).as_posix() for path in r.rglob("*")} for r in (whole, run)]
    return found + [f"{name} is in one alone" for name in sorted(names[0] ^ names[1])]


def kills(
    run: Path, words: list[str], log: Path, count: int, chance: random.Random
) -> Iterator[tuple[str, bool]]:
    """Kills and resumes a run; tells of each kill where the run was and whether it was writing a file."""
    for number in range(count):
        more = ["--resume", str(run)] if (run / "config.yaml").is_file() else words
        # little progress a time, so that there is something left to kill
        writing = killed(more, run, log, chance.uniform(0, 1.5), writing=number % 2 == 1)
        if writing is None:
            return
        last = run / "checkpoints" / "last.ckpt"
        step = torch.load(last, weights_only=True)["global_step"] if last.is_file() else 0
        yield f"step {step}", writing


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--root", default=f"{os.environ.get('FUSIONSEG_DATA', 'data')}/CamVid")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    os.environ["WANDB_MODE"] = "disabled"  # a resumed run is told this anew
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    with TemporaryDirectory() as folder:
        whole, run, log = (Path(folder) / name for name in ("whole", "killed", "log"))
        words = [*WORDS, "--data.dataset.root", args.root]
        finished([*words, "--out", str(whole)], log)
        plan = kills(run, [*words, "--out", str(run)], log, args.kills, random.Random(args.seed))
        told = list(track(plan, "killing", total=args.kills))
        finished(["--resume", str(run)], log)
        wrong = differences(whole, run)
    print(
        f"killed {len(told)} times, {sum(writing for _, writing in told)} of them while a file was being written:"
    )
    print(", ".join(f"{where}{' (writing)' if writing else ''}" for where, writing in told))
    print(f"other than in the undisturbed run: {', '.join(wrong) or 'nothing'}")
    sys.exit(bool(wrong) or len(told) < args.kills)


if __name__ == "__main__":
    main()
