"""Checks that a training survives being killed, and what else may happen to it, on short runs on CamVid.

A run is killed by SIGKILL at random moments, every other time while a checkpoint is written, and resumed each
time. In the end its weights, optimizer state and metrics have to equal those of an undisturbed run bit by
bit. So have those of other breakdowns (`benchmarks.breakdowns`).

    python -m benchmarks.faults --root <folder of CamVid> [--epochs 12] [--kills 20] [--seed 0]
"""

import os
import random
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from rich.progress import track

from benchmarks.breakdowns import BREAKDOWNS
from benchmarks.running import differences, drafts, finished, started
from benchmarks.timing import command_line

ARGUMENTS = [
    *("--data.dataset", "CamVid"),
    *("--data.scale", "0.25"),
    *("--data.crop_size", "[64, 96]"),
    *("--data.fraction", "0.1"),
    *("--data.batch_size", "4"),
    *("--data.workers", "1"),
    *("--model.backbone.encoder", "tu-mobilenetv3_small_050"),
    *("--trainer.limit_val_batches", "4"),
    *("--trainer.log_every_n_steps", "2"),
    *("--trainer.save_every_n_minutes", "0"),
]
"""The arguments of the training: a small model on small crops."""


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
    process = started(["fit", *arguments], log)
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
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kills-alone", action="store_true", help="without the other breakdowns")
    args = parser.parse_args()
    os.environ["WANDB_MODE"] = "disabled"  # a resumed run does not remember this
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    with TemporaryDirectory() as top:
        folder = Path(top)
        whole, run, log = (folder / name for name in ("whole", "killed", "log"))
        arguments = [*ARGUMENTS, "--trainer.max_epochs", str(args.epochs), "--data.dataset.root", args.root]
        finished(["fit", *arguments, "--out", str(whole)], log)
        plan = kills(run, [*arguments, "--out", str(run)], log, args.kills, random.Random(args.seed))
        reported = list(track(plan, "killing", total=args.kills))
        finished(["fit", "--resume", str(run)], log)
        wrong = differences(whole, run)
        writing = sum(while_writing for _, while_writing in reported)
        print(f"killed {len(reported)} times, {writing} of them while a file was being written:")
        print(
            ", ".join(f"{where}{' (writing)' if while_writing else ''}" for where, while_writing in reported)
        )
        print(f"other than in the undisturbed run: {', '.join(wrong) or 'nothing'}")
        failed = bool(wrong) or len(reported) < args.kills
        for act in () if args.kills_alone else BREAKDOWNS:
            name = act.__name__
            found = act(whole, _below(folder, name), arguments, random.Random(args.seed))
            print(f"{name.replace('_', ' ')}: {', '.join(found) or 'as if nothing had happened'}", flush=True)
            failed |= bool(found)
    sys.exit(failed)


def _below(folder: Path, name: str) -> Path:
    made = folder / name
    made.mkdir()
    return made


if __name__ == "__main__":
    main()
