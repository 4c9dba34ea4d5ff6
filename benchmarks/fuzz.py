"""Files made wrong against the doors: every case must end in a result or in one clear error.

The ground is a tiny data set in a folder and a run that was trained on it. Each case is a fresh copy in which one file
is wrong (`benchmarks.mutations`), and one command in it, in a process that is forked from one where all is imported;
each fiftieth is a whole process. It fails if there is a traceback or a warning, if the message is long or names neither
file nor setting, if it takes too long, too much memory or too many processes, if code in a file was executed, or if a
draft or half a folder is left.

    python -m benchmarks.fuzz [--cases 300] [--seed 0]
    python -m benchmarks.fuzz --case checkpoint/17 list/3 --seed 0      these again, with all that they say
"""

import argparse
import os
import re
import shutil
import sys
import tempfile
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import numpy as np
import yaml
from PIL import Image
from rich.console import Console
from rich.progress import track
from rich.table import Table

from benchmarks import image_mutations as images
from benchmarks import mutations as m
from benchmarks.ends import End, ended, fault

FIT = ("fit", "--out", "out", "--wandb", "disabled", "--config")
PREDICT = ("predict", "--images", "data/images", "--out", "out")
EVALUATE, CHECKPOINT = ("evaluate", "--run", "run"), "run/checkpoints/best.ckpt"


class Kind(NamedTuple):
    """Files of one kind: which, what goes wrong with them, and the commands that read them."""

    files: tuple[str, ...]
    mutations: tuple[m.Mutation, ...]
    commands: tuple[tuple[str, ...], ...]


_RUN, _PREDICT = (*FIT, "run/config.yaml"), (*PREDICT, "--run", "run")
_BYTES, _YAML = (
    (m.flipped, m.truncated, m.overwritten, m.foreign),
    (m.revalued, m.revalued, m.revalued, m.rewritten),
)
_IMAGE = (m.flipped, m.truncated, m.foreign, images.chunk_flipped, images.resized, images.recoded)
KINDS = {
    "experiment": Kind(
        ("folder.yaml", "camvid.yaml", "coco_panoptic.yaml", "synthetic.yaml"), (*_YAML, *_BYTES), (FIT,)
    ),
    "configuration": Kind(
        ("run/config.yaml",), (*_YAML, *_YAML, *_BYTES, *[m.oversized] * 4), (_RUN, _RUN, EVALUATE, _PREDICT)
    ),
    "classes": Kind(("data/classes.yaml",), (*_YAML, *_BYTES), (_RUN, EVALUATE)),
    "list": Kind(("data/train.txt", "data/val.txt"), _BYTES, (_RUN, EVALUATE)),
    "photo": Kind(("data/images/0.png", "data/images/4.png"), _IMAGE, (_RUN, EVALUATE, _PREDICT)),
    "labels": Kind(
        tuple(f"data/{part}/{i}.png" for part in ("semantic", "regions") for i in (0, 4)),
        _IMAGE,
        (_RUN, EVALUATE),
    ),
    "checkpoint": Kind(
        (CHECKPOINT,),
        (
            m.flipped,
            m.truncated,
            m.overwritten,
            m.foreign,
            m.repacked,
            m.repacked,
            m.repacked,
            m.reweighted,
            m.armed,
        ),
        (EVALUATE, _PREDICT, (*PREDICT, "--checkpoint", CHECKPOINT), (*_RUN, "--weights", CHECKPOINT)),
    ),
}


def scene(folder: Path) -> None:
    """A data set of 6 images, the experiments at its size, and a run that was trained on it."""
    chance = np.random.default_rng(0)
    for i in range(6):
        labels = np.kron(chance.integers(0, 3, (4, 6)), np.ones((16, 16))).astype(np.uint8)
        images = {
            "images": np.stack([labels * 80] * 3, axis=2),
            "semantic": labels,
            "regions": labels + np.uint16(1),
        }
        for part, pixels in images.items():
            (folder / "data" / part).mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(folder / "data" / part / f"{i}.png")
    classes = {"classes": [{"name": n, "color": [9, 9, 9 * i], "thing": i > 1} for i, n in enumerate("abc")]}
    (folder / "data" / "classes.yaml").write_text(
        yaml.safe_dump(classes | {"void": 255, "region": "a block"})
    )
    for split, names in {"train": "0123", "val": "45"}.items():
        (folder / "data" / f"{split}.txt").write_text("\n".join(names))
    for path in Path(__file__).parents[1].glob("experiments/*.yaml"):
        (folder / path.name).write_text(
            yaml.safe_dump(tiny(yaml.safe_load(path.read_text())), sort_keys=False)
        )
    for words in ((*FIT, "folder.yaml"), *KINDS["checkpoint"].commands):
        if (end := ended(folder, words)).code:
            raise RuntimeError(f"{' '.join(words)} fails where nothing is wrong:\n{end.said}")
        if not (folder / "run").exists():
            (folder / "out").rename(folder / "run")
        shutil.rmtree(folder / "out", ignore_errors=True)
        shutil.rmtree(folder / "run" / "evaluation", ignore_errors=True)


def tiny(experiment: dict[str, Any]) -> dict[str, Any]:
    """An experiment at the size of the scene."""
    data = experiment["data"]["init_args"]
    data |= {"dataset": {"class_path": "Folder", "init_args": {"root": "data"}}}
    data |= {"batch_size": 2, "crop_size": [32, 32], "workers": 0}
    model = experiment.setdefault("model", {"class_path": "FusionModule"}).setdefault("init_args", {})
    options = {"decoder_pyramid_channels": 32, "decoder_segmentation_channels": 32}
    model["backbone"] = {"encoder": "tu-mobilenetv3_small_050", "decoder": "FPN", "options": options}
    return experiment | {"trainer": {"max_epochs": 1, "accelerator": "cpu", "precision": "32-true"}}


def tried(ground: Path, kind: str, number: int, seed: int, whole: bool = False) -> tuple[End, str, str]:
    """One case: how it ended, its fault if it has one, and the mutation, file and command."""
    chance = Random(f"{seed}/{kind}/{number}")
    files, mutations, commands = KINDS[kind]
    name, mutation, words = chance.choice(files), chance.choice(mutations), chance.choice(commands)
    folder = ground.with_name(f"{kind}-{number}")
    shutil.copytree(ground, folder, copy_function=os.link)
    content = (folder / name).read_bytes()
    (folder / name).unlink()  # or the link's other end would change too
    (folder / name).write_bytes(mutation(chance, content))
    words = (*words, name) if words == FIT else words
    before = _inside(folder)
    end = ended(folder, words, whole)
    names = {Path(name).name, *(re.findall(r"(\w{3,}):", content.decode()) if name.endswith(".yaml") else ())}
    problem = fault(end, _inside(folder) - before, names)
    shutil.rmtree(folder)
    return end, problem, f"{mutation.__name__} {name}, {' '.join(words)}"


def _inside(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cases", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--case", nargs="+", metavar="KIND/NUMBER", help="these alone")
    args = parser.parse_args()
    cases = [(kind, i) for kind in KINDS for i in range(-(-args.cases // len(KINDS)))]
    if args.case:
        cases = [(kind, int(number)) for kind, number in (case.split("/") for case in args.case)]
    counts, failures = Counter[tuple[str, str]](), []
    with tempfile.TemporaryDirectory() as top:
        ground = Path(top) / "ground"
        scene(ground)
        for kind, number in track(cases, "fuzzing", console=Console(stderr=True), transient=True):
            end, problem, what = tried(ground, kind, number, args.seed, whole=number % 50 == 0)
            counts[kind, "failures" if problem else "errors" if end.code else "results"] += 1
            if problem:
                failures.append(
                    f"{kind}/{number} ({what}): {problem}: {''.join(end.said.strip().splitlines()[-1:])[:300]}"
                )
            if args.case:
                print(what, end.said, sep="\n")
    table = Table("kind", title=f"files made wrong, seed {args.seed}")
    for column in ("tried", "results", "errors", "failures"):
        table.add_column(column, justify="right")
    for kind in dict.fromkeys(kind for kind, _ in cases):
        shown = [counts[kind, column] for column in ("results", "errors", "failures")]
        table.add_row(kind, str(sum(shown)), *map(str, shown))
    Console().print(table)
    print(*failures, sep="\n")
    sys.exit(bool(failures))


if __name__ == "__main__":
    main()
