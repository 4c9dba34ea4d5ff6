"""Corrupts files: flipped bits, missing ends, wrong types, huge sizes, and code in place of data.

Each mutation takes a random generator and the content of a valid file.
"""

import copy
import io
import pickle
import zipfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from random import Random
from typing import Any, TypeAlias

import torch
import yaml

Mutation: TypeAlias = Callable[[Random, bytes], bytes]
"""A function that returns a corrupted version of a file's content."""

EXECUTED = "executed"
"""The file that code hidden in data would create in the working directory."""

COMMAND = ["touch", EXECUTED]
"""The command of such code."""

WRONG: tuple[object, ...] = (
    *(None, True, "", "text", "\0", "🧪"),
    *([], {}, [1, 2, 3], [[]], {"a": {"b": 1}}),
    *(0, -1, 1, 7, 10**6, 10**9, -(10**9), 10**30),
    *(0.5, 1e300, float("nan"), float("inf"), float("-inf")),
    *([10**9, 10**9], [32, 10**9], [-32, -32], [0, 0], [float("nan")] * 2, [None, None], ["a", "b"]),
    {"class_path": "no.such.Class"},
    {"class_path": "torch.nn.Linear"},
    {"class_path": "fusionseg.fit.main"},
    {"class_path": "subprocess.check_call", "init_args": {"popenargs": COMMAND}},
    {"class_path": "subprocess.Popen", "init_args": {"args": COMMAND}},
)
"""Values that are valid almost nowhere."""

SIZES = (
    "crop_size",
    "batch_size",
    "eval_batch_size",
    "workers",
    "scale",
    "max_epochs",
    "max_steps",
    "num_nodes",
    "devices",
    "accumulate_grad_batches",
    "decoder_pyramid_channels",
    "in_channels",
    "width",
    "log_every_n_steps",
)
"""Settings that determine memory, time or processes."""


class Code:
    """An object that runs a command when it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        import subprocess

        return subprocess.call, (COMMAND,)


def flipped(generator: Random, content: bytes) -> bytes:
    """Flips up to 8 bits."""
    changed = bytearray(content)
    for _ in range(generator.randint(1, 8)):
        changed[generator.randrange(len(changed))] ^= 1 << generator.randrange(8)
    return bytes(changed)


def truncated(generator: Random, content: bytes) -> bytes:
    """Cuts off the end, or everything."""
    return content[: generator.choice([0, 1, generator.randrange(len(content)), len(content) - 1])]


def overwritten(generator: Random, content: bytes) -> bytes:
    """Overwrites a section with zeros or noise."""
    start = generator.randrange(len(content))
    length = generator.randint(1, max(1, len(content) // 4))
    noise = bytes(length) if generator.random() < 0.5 else generator.randbytes(length)
    return content[:start] + noise + content[start + length :]


def replaced(generator: Random, content: bytes) -> bytes:
    """Replaces the content by that of another kind of file."""
    other = io.BytesIO()
    with zipfile.ZipFile(other, "w") as archive:
        archive.writestr(
            generator.choice(["word/document.xml", "archive/data.pkl", "archive/version"]), "text"
        )
    return generator.choice(
        [other.getvalue(), generator.randbytes(999), b"text\n", pickle.dumps(Code()), b"\x89PNG\r\n\x1a\n"]
    )


def _places(tree: Any) -> Iterator[tuple[Any, Any]]:
    """All containers in nested mappings and lists, with each of their keys or indices."""
    items: Iterable[tuple[Any, Any]] = ()
    if isinstance(tree, dict):
        items = tree.items()
    elif isinstance(tree, list):
        items = enumerate(tree)
    for key, value in items:
        yield tree, key
        yield from _places(value)


def replanted(generator: Random, tree: Any, wrong: tuple[object, ...] = WRONG) -> Any:
    """A copy of a tree in which a value is replaced, or a key removed or renamed."""
    tree = copy.deepcopy(tree)
    inside, key = generator.choice(list(_places(tree)))
    act = generator.random()
    if act < 0.7 or isinstance(inside, list):
        inside[key] = copy.deepcopy(generator.choice(wrong))
    elif act < 0.8:
        del inside[key]
    else:
        inside[str(key) + generator.choice("sx_.")] = inside.pop(key)
    return tree


def revalued(generator: Random, content: bytes) -> bytes:
    """YAML with a wrong value or key."""
    return yaml.safe_dump(replanted(generator, yaml.safe_load(content)), sort_keys=False).encode()


def oversized(generator: Random, content: bytes) -> bytes:
    """YAML in which a size or count is huge or negative."""
    tree = yaml.safe_load(content)
    inside, key = generator.choice([(inside, key) for inside, key in _places(tree) if key in SIZES])
    number = generator.choice([10**5, 10**6, 10**9, -1, -(10**9)])
    inside[key] = [number // 32 * 32] * 2 if key == "crop_size" else number
    return yaml.safe_dump(tree, sort_keys=False).encode()


def rewritten(generator: Random, content: bytes) -> bytes:
    """YAML with one line repeated, indented, or replaced by a tag, a bomb or deep nesting."""
    lines = content.decode().splitlines()
    at = generator.randrange(len(lines))
    key = lines[at].split(":")[0]
    laughs = "".join(f"  - &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 10))
    lines[at] = generator.choice(
        [
            f"{lines[at]}\n{lines[at]}",
            f"  {lines[at]}",
            f"\t{lines[at]}",
            f"{key}: {'[' * 3000}{']' * 3000}",
            f"{key}: {'{a: ' * 300}1{'}' * 300}",
            f"{key}: !!python/object/apply:subprocess.call [[touch, {EXECUTED}]]",
            f"{key}: !!python/name:os.system",
            f"{key}: &self [*self]",
            f"bomb:\n  - &a0 [lol]\n{laughs}{lines[at]}",
            f"---\n{lines[at]}",
            f"{key}: 2026-01-01",
            f"{key}: 1_000",
            f"{key}: 0x7fffffffffffffffffff",
        ]
    )
    return "\n".join(lines).encode()


def _saved(content: object) -> bytes:
    """The content of a file of `torch.save`."""
    out = io.BytesIO()
    torch.save(content, out)
    return out.getvalue()


def _checkpoint(content: bytes) -> dict[str, Any]:
    """The checkpoint in a file's content."""
    loaded: dict[str, Any] = torch.load(io.BytesIO(content), weights_only=True)
    return loaded


def repacked(generator: Random, content: bytes) -> bytes:
    """A checkpoint in which an entry, a hyperparameter or a tensor is replaced, removed or renamed."""
    whole = _checkpoint(content)
    part = generator.choice(
        ["hyper_parameters", "hyper_parameters", "datamodule_hyper_parameters", "state_dict", ""]
    )
    if not part:
        return _saved({**whole, generator.choice(list(whole)): generator.choice(WRONG)})
    return _saved({**whole, part: replanted(generator, dict(whole[part]))})


def reweighted(generator: Random, content: bytes) -> bytes:
    """A checkpoint with a tensor that is not finite, or has another shape, dtype or layout."""
    whole = _checkpoint(content)
    state = whole["state_dict"]
    name = generator.choice(list(state))
    state[name] = generator.choice(
        [
            torch.full_like(state[name], 10**9),
            state[name].float() * float("nan"),
            state[name].float() + float("inf"),
            state[name][None],
            torch.zeros(0),
            torch.zeros(()).expand(10**6, 10**6),
            state[name].to(torch.complex64),
            state[name].to_sparse(),
        ]
    )
    return _saved(whole)


def armed(generator: Random, content: bytes) -> bytes:
    """A checkpoint that contains code, or a pickle of code alone."""
    if generator.random() < 0.3:
        return pickle.dumps(Code(), protocol=generator.randint(0, 5))
    whole = _checkpoint(content)
    whole[generator.choice(list(whole))] = generator.choice([Code(), Path("x")])
    return _saved(whole)
