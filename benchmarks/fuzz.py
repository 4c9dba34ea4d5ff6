"""Runs commands on corrupted files and changed data: every case must end in a result or in one clear error.

A tiny data set in a folder, and a run that was trained on it, are copied for each case. In the copy one file
is corrupted (`benchmarks.mutations`) and one command is run, in a process that is forked from one with all
imports; every fiftieth case starts a new Python. A case fails if there is a traceback or a warning, if the
message is long or names neither the file nor a setting, if it takes too much time, memory or processes, if
code in a file was executed, or if a draft or half a folder is left. The cases of `dataset` are sound, but
not as they were in training (`benchmarks.dataset_cases`): there the right answer is known.

    python -m benchmarks.fuzz [--cases 300] [--seed 0]
    python -m benchmarks.fuzz --case checkpoint/17 list/3 --seed 0      these again, with all that they say
"""

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
from benchmarks.dataset_cases import CHANGES, misfit
from benchmarks.ends import End, ended, fault
from benchmarks.timing import command_line

FIT = ("fit", "--out", "out", "--wandb", "disabled", "--config")
PREDICT = ("predict", "--images", "data/images", "--out", "out")
EVALUATE = ("evaluate", "--run", "run")
CHECKPOINT = "run/checkpoints/best.ckpt"
DATASET = "dataset"
"""The kind of cases in which a whole data set is changed."""


class Kind(NamedTuple):
    """Files of one kind.

    Args:
        files: Their paths.
        mutations: The ways to corrupt them.
        commands: The commands that read them.
    """

    files: tuple[str, ...]
    mutations: tuple[m.Mutation, ...]
    commands: tuple[tuple[str, ...], ...]


_RUN = (*FIT, "run/config.yaml")
_PREDICT = (*PREDICT, "--run", "run")
_BYTES = (m.flipped, m.truncated, m.overwritten, m.replaced)
_YAML = (m.revalued, m.revalued, m.revalued, m.rewritten)
_IMAGE = (m.flipped, m.truncated, m.replaced, images.chunk_flipped, images.resized, images.recoded)
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
            m.replaced,
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
    """Makes a data set of 6 images, the experiments at its size, and a run that was trained on it.

    Raises:
        RuntimeError: If a command fails although no file is corrupted.
    """
    generator = np.random.default_rng(0)
    for i in range(6):
        labels = np.kron(generator.integers(0, 3, (4, 6)), np.ones((16, 16))).astype(np.uint8)
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
    for arguments in ((*FIT, "folder.yaml"), *KINDS["checkpoint"].commands):
        end = ended(folder, arguments)
        if end.code:
            raise RuntimeError(f"{' '.join(arguments)} fails where nothing is wrong:\n{end.said}")
        if not (folder / "run").exists():
            (folder / "out").rename(folder / "run")
        shutil.rmtree(folder / "out", ignore_errors=True)
        shutil.rmtree(folder / "run" / "evaluation", ignore_errors=True)


def tiny(experiment: dict[str, Any]) -> dict[str, Any]:
    """An experiment at the size of the tiny data set."""
    data = experiment["data"]["init_args"]
    data |= {"dataset": {"class_path": "Folder", "init_args": {"root": "data"}}}
    data |= {"batch_size": 2, "crop_size": [32, 32], "workers": 0}
    model = experiment.setdefault("model", {"class_path": "FusionModule"}).setdefault("init_args", {})
    options = {"decoder_pyramid_channels": 32, "decoder_segmentation_channels": 32}
    model["backbone"] = {"encoder": "tu-mobilenetv3_small_050", "decoder": "FPN", "options": options}
    return experiment | {"trainer": {"max_epochs": 1, "accelerator": "cpu", "precision": "32-true"}}


def tried(ground: Path, kind: str, number: int, seed: int, whole: bool = False) -> tuple[End, str, str]:
    """Runs one case.

    Args:
        ground: The folder of which the case is a copy.
        kind: The kind of file that is corrupted.
        number: The number of the case.
        seed: The seed of all cases.
        whole: Start a new Python for the command.

    Returns:
        How it ended, its fault (empty if there is none), and the mutation, file and command.
    """
    generator = Random(f"{seed}/{kind}/{number}")
    if kind == DATASET:
        return _changed(ground, number, generator, whole)
    files, mutations, commands = KINDS[kind]
    name = generator.choice(files)
    mutation = generator.choice(mutations)
    arguments = generator.choice(commands)
    folder = ground.with_name(f"{kind}-{number}")
    shutil.copytree(ground, folder, copy_function=os.link)
    content = (folder / name).read_bytes()
    (folder / name).unlink()  # it is a hard link to the original
    (folder / name).write_bytes(mutation(generator, content))
    arguments = (*arguments, name) if arguments == FIT else arguments
    before = _inside(folder)
    end = ended(folder, arguments, whole)
    names = {Path(name).name}
    if name.endswith(".yaml"):
        names |= set(re.findall(r"(\w{3,}):", content.decode()))
    problem = fault(end, _inside(folder) - before, names)
    shutil.rmtree(folder)
    return end, problem, f"{mutation.__name__} {name}, {' '.join(arguments)}"


def _changed(ground: Path, number: int, generator: Random, whole: bool) -> tuple[End, str, str]:
    """Runs a case of another data set; as `tried`. Each change has its turn."""
    name, change = list(CHANGES.items())[number % len(CHANGES)]
    folder = ground.with_name(f"{DATASET}-{number}")
    shutil.copytree(ground, folder, copy_function=os.link)
    change.act(generator, folder)
    arguments = generator.choice(change.commands)
    before = _inside(folder)
    end = ended(folder, arguments, whole)
    problem = misfit(change, end, _inside(folder) - before)
    shutil.rmtree(folder)
    return end, problem, f"{name}, {' '.join(arguments)}"


def _inside(folder: Path) -> set[str]:
    """The relative paths of everything in a folder."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def show_counts(title: str, counts: Counter[tuple[str, str]]) -> None:
    """Prints the numbers of results, errors and failures of each kind as a table."""
    table = Table("kind", title=title)
    for column in ("tried", "results", "errors", "failures"):
        table.add_column(column, justify="right")
    for kind in dict.fromkeys(kind for kind, _ in counts):
        shown = [counts[kind, column] for column in ("results", "errors", "failures")]
        table.add_row(kind, str(sum(shown)), *map(str, shown))
    Console().print(table)


def main() -> None:
    parser = command_line(__doc__)
    parser.add_argument("--cases", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--case", nargs="+", metavar="KIND/NUMBER", help="these alone")
    args = parser.parse_args()
    kinds = [*KINDS, DATASET]
    cases = [(kind, i) for kind in kinds for i in range(-(-args.cases // len(kinds)))]
    if args.case:
        cases = []
        for case in args.case:
            kind, number = case.split("/")
            cases.append((kind, int(number)))
    counts = Counter[tuple[str, str]]()
    failures = []
    with tempfile.TemporaryDirectory() as top:
        ground = Path(top) / "ground"
        scene(ground)
        for kind, number in track(cases, "fuzzing", console=Console(stderr=True), transient=True):
            end, problem, what = tried(ground, kind, number, args.seed, whole=number % 50 == 0)
            outcome = "errors" if end.code else "results"
            counts[kind, "failures" if problem else outcome] += 1
            if problem:
                last_line = "".join(end.said.strip().splitlines()[-1:])[:300]
                failures.append(f"{kind}/{number} ({what}): {problem}: {last_line}")
            if args.case:
                print(what, end.said, sep="\n")
    show_counts(f"corrupted files and changed data, seed {args.seed}", counts)
    print(*failures, sep="\n")
    sys.exit(bool(failures))


if __name__ == "__main__":
    main()
