"""A run that goes on: what may differ from its configuration, and from where."""

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import yaml

from fusionseg.config.errors import UsageError
from fusionseg.config.places import PLACES
from fusionseg.networks.backbone import RECORDED
from fusionseg.runs.checkpoints import opened
from fusionseg.runs.folder import RunFolder

FREE = re.compile(
    r"trainer\.(max_|min_|limit_|save_every|devices|num_nodes|accelerator|strategy|logger|enable_progress_bar)"
    r"|data\.(workers|cache|cache_dir)$"
    rf"|{PLACES}"
)
"""The settings that may change: limits, devices, loggers, where data and teacher are, and who reads them."""

MOVED = re.compile(r"data\.unlabelled\.photos$|model\.teacher\.run$")
"""Those of them that may be null: from or to that they may not change."""

LATER = re.compile(r"data\.(resize|sampling|features|unlabelled)\b|model\.(regularizer|teacher)\b")
"""Settings that older runs do not name, for which they were null."""

ENTRIES = re.compile(
    r"model\.(teacher\.weight|extra_heads|backbone\.options)\.|data\.(.+\.)?(labels|classes|weights|datasets)\."
)
"""Entries of mappings, whose names are the user's."""

ADDED = {
    "model.layer_decay": 1.0,
    "model.batch_norm": "train",
    "model.teacher.ramp_up": 0,
    "model.teacher.decay": 0.99,
}
"""Settings that older runs do not name, and what they were for them."""


def resuming(args: Sequence[str]) -> list[str]:
    """The arguments of a command line, with the run's own configuration before them if it says `--resume`.

    Raises:
        UsageError: If it says `--config`, `--out` or `--weights` too, which the run folder decides.
        FileNotFoundError: If the folder holds no run.
    """
    words = list(args)
    folder = [w.removeprefix("--resume=") for w in words if w.startswith("--resume=")]
    folder += [after for word, after in pairwise(words) if word == "--resume"]
    if not folder:
        return words
    for other in ("--config", "-c", "--out", "--weights"):
        if any(word == other or word.startswith(f"{other}=") for word in words):
            raise UsageError(f"the run in {folder[0]} goes on as it began: leave it out", other.lstrip("-"))
    return ["--config", str(RunFolder(folder[0]).configuration()), *words]


def check_same(config: Any, text: str) -> None:
    """Raises a UsageError for each setting that is not as in the run's own configuration and may not change.

    Args:
        config: What the command line gave.
        text: The complete configuration that came of it, as YAML.
    """
    path = RunFolder(config.resume).configuration()
    before, after = (
        dict(_leaves(yaml.safe_load(source))) for source in (path.read_text(encoding="utf-8"), text)
    )
    before = {key: value for key, value in ADDED.items() if key in after} | before
    # settings that a trainer was not given are not in its configuration, nor those that there were not yet
    keys = before.keys() & after.keys() | {key for key in after if key.startswith("trainer.")}
    keys |= {key for key in after.keys() - before.keys() if LATER.match(key) and after[key] is not None}
    # a part in the place of null, and the other way around
    keys |= {key for key in after.keys() - before.keys() if before.keys() & set(_above(key))}
    keys |= {key for key in before.keys() - after.keys() if after.keys() & set(_above(key))}
    keys |= {key for key in before.keys() ^ after.keys() if ENTRIES.match(key)}
    for key in sorted(keys):
        found, expected = after.get(key), before.get(key)
        other = MOVED.match(key) and None in (found, expected)
        if found != expected and (other or not FREE.match(key)):
            raise UsageError(f"{found!r} here, {expected!r} in {path}: a run goes on as it began", key)


def _above(key: str) -> Iterator[str]:
    """The keys above a key: of `a.b.c` `a.b` and `a`."""
    while "." in key:
        key = key.rpartition(".")[0]
        yield key


def without_start(config: Any, checkpoint: Path) -> None:
    """Takes out of a configuration the weights that the run began with: their file or server may be gone."""
    seen = opened(checkpoint).get("hyper_parameters", {}).get("backbone")
    own = config.model.init_args.get("backbone")
    if isinstance(seen, dict) and seen.keys() >= {"mean", "std"} and own is not None:
        for key in RECORDED:
            own[key] = seen.get(key)


def _leaves(tree: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    if not isinstance(tree, dict):
        yield key.removeprefix("."), tree
        return
    for name, inner in tree.items():
        yield from _leaves(inner, key if name == "init_args" else f"{key}.{name}")
