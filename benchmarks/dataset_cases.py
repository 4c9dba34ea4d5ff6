"""Data sets that differ from that of training, each with the answer that a command has to give.

Unlike corrupted files these are sound, so that the right answer is known: a result, a result with a notice,
or an error that says what is wrong.
"""

import re
from pathlib import Path
from typing import NamedTuple

from benchmarks import dataset_mutations as m
from benchmarks import folder_mutations as f
from benchmarks.ends import End
from benchmarks.mutations import EXECUTED

FIT = ("fit", "--config", "run/config.yaml", "--out", "out", "--wandb", "disabled")
EVALUATE = ("evaluate", "--run", "run")
PREDICT = ("predict", "--run", "run", "--images", "data/images", "--out", "out")
COCO = ("--data.dataset", "CocoPanoptic", "--data.dataset.root", "coco")


class Change(NamedTuple):
    """A change with the commands that meet it.

    Attributes:
        act: Makes the change.
        commands: The commands, one of which is run.
        code: The exit code that it has to end with.
        says: A regular expression of what it has to say on standard error; empty if it has to say nothing.
    """

    act: m.Act
    commands: tuple[tuple[str, ...], ...]
    code: int = 0
    says: str = ""


_OWN = ((*FIT, "--model.semantic_head", "own.Head"),)
_BUG = r"Traceback \(most recent(.|\n)*own\.py(.|\n)*\n{}"
CHANGES = {
    "narrow": Change(m.narrow, (FIT, EVALUATE), says="fill less than a tenth"),
    "declared": Change(m.declared, (FIT,)),
    "turned": Change(m.turned, (FIT, EVALUATE, PREDICT), says="EXIF orientation"),
    "displayed": Change(m.displayed, (FIT, EVALUATE), 2, "turned by its EXIF orientation [68]"),
    "void": Change(m.void_only, (FIT,), 2, "found no labelled pixel"),
    "unlabelled": Change(m.classes_without_labels, (EVALUATE,), says="miou is not measured"),
    "binary": Change(m.binary, (FIT,), 2, r"found only a \(id 0\) and void"),
    "scored": Change(m.binary, (EVALUATE,), says="miou is measured on one class only"),
    "permuted": Change(m.permuted, (EVALUATE, (*FIT, "--weights", "run")), 2, "expected the run's classes"),
    "reformatted": Change(m.reformatted, (FIT, EVALUATE)),
    "listed": Change(m.listed, (FIT, EVALUATE)),
    "nested": Change(m.nested, (FIT, EVALUATE)),
    "paged": Change(m.paged, (FIT,), 2, r"expected one image in data/\w+/0\.tif, found \d pages"),
    "unread": Change(m.unread, (FIT, EVALUATE), 2, r"0\.\w+, a format that is not read"),
    "miscolored": Change(m.miscolored, (FIT, EVALUATE), 2, "in the color of"),
    "coco": Change(m.coco, ((*FIT, *COCO),)),
    "coco twice": Change(m.coco_twice, ((*FIT, *COCO),), 2, "twice"),
    "foreign": Change(
        m.foreign,
        (EVALUATE, PREDICT, ("fit", "--resume", "run")),
        2,
        r"evil\.Head is of a package that is not trusted",
    ),
    "own import": Change(m.broken("1 / 0", "module"), _OWN, 2, r"own\.Head \(division by zero\)"),
    "own syntax": Change(
        m.broken("def", "module"), _OWN, 2, r"own\.Head \(invalid syntax \(own\.py, line 2\)\)"
    ),
    "own constructor": Change(m.broken("self.nothing", "init"), _OWN, 1, _BUG.format("AttributeError")),
    "own step": Change(m.broken("a, b = features.shape", "forward"), _OWN, 1, _BUG.format("ValueError")),
    "own iteration": Change(m.broken("next(iter([]))", "forward"), _OWN, 1, _BUG.format("RuntimeError")),
    "drawn": Change(f.drawn, (FIT,)),
    "named twice": Change(f.named_twice, (FIT, EVALUATE), 2, "expected classes of different names"),
    "hidden": Change(f.hidden, (FIT, EVALUATE)),
    "hidden photos": Change(f.hidden, (PREDICT,), says="passed over: 4 hidden"),
    "mixed": Change(f.mixed, (FIT, EVALUATE)),
    "mixed photos": Change(f.mixed, (PREDICT,), says="passed over: 3 files of other kinds"),
    "upper": Change(f.upper, (FIT, EVALUATE, PREDICT)),
    "meant": Change(f.meant, (EVALUATE, (*FIT, "--weights", "run")), says="a region is `a"),
    "meant before": Change(f.meant, (("fit", "--resume", "run"),), 2, "a run goes on as it began"),
    "shrunk": Change(f.shrunk, (EVALUATE,), 2, "2 classes and not 3; no class c"),
}


def misfit(change: Change, end: End, made: set[str]) -> str:
    """What is wrong with the answer of a command; empty if it is the right one.

    Args:
        change: What had been changed.
        end: How the command ended.
        made: The files and folders that it left, relative to the case's folder.
    """
    said = "\n".join(line for line in end.said.splitlines() if not line.startswith(("precision ", "epoch ")))
    traced = change.code == 1
    faults = {
        f"took {end.took}": end.took,
        f"exit code {end.code} and not {change.code}": end.code != change.code,
        f"does not say {change.says!r}": not re.search(change.says, said),
        f"says {said[:200]!r}": said and not change.says,
        "a traceback": "Traceback (most" in said and not traced,
        "code was executed": any(Path(path).name == EXECUTED for path in made),
        f"left {sorted(made)[:5]}": change.code == 2 and made - {"out", "out/traceback.txt"},
    }
    return "; ".join(name for name, found in faults.items() if found)
