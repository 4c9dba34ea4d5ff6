"""Files made wrong: bits flipped, ends cut off, values of other types, sizes that lie, code where data should be."""

import copy
import io
import pickle
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any, TypeAlias

import torch
import yaml

Mutation: TypeAlias = Callable[[Random, bytes], bytes]
"""What makes a file's content wrong, by chance."""

EXECUTED = "executed"
"""The file that code hidden in data would write into the current folder."""

COMMAND = ["touch", EXECUTED]
WRONG: tuple[Any, ...] = (
    *(None, True, "", "text", "\0", "🧪", [], {}, [1, 2, 3], [[]], {"a": {"b": 1}}),
    *(0, -1, 1, 7, 10**6, 10**9, -(10**9), 10**30, 0.5, 1e300, float("nan"), float("inf"), float("-inf")),
    *([10**9, 10**9], [32, 10**9], [-32, -32], [0, 0], [float("nan")] * 2, [None, None], ["a", "b"]),
    *(
        {"class_path": "no.such.Class"},
        {"class_path": "torch.nn.Linear"},
        {"class_path": "fusionseg.fit.main"},
    ),
    {"class_path": "subprocess.check_call", "init_args": {"popenargs": COMMAND}},
    {"class_path": "subprocess.Popen", "init_args": {"args": COMMAND}},
)
"""Values that fit next to nowhere."""

SIZES = (
    *(
        "crop_size",
        "batch_size",
        "eval_batch_size",
        "workers",
        "scale",
        "max_epochs",
        "max_steps",
        "num_nodes",
    ),
    *(
        "devices",
        "accumulate_grad_batches",
        "decoder_pyramid_channels",
        "in_channels",
        "width",
        "log_every_n_steps",
    ),
)
"""Settings that take memory, time or processes."""


class Code:
    """What runs a command as soon as it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        import subprocess

        return subprocess.call, (COMMAND,)


def flipped(chance: Random, content: bytes) -> bytes:
    """Up to 8 bits are others."""
    changed = bytearray(content)
    for _ in range(chance.randint(1, 8)):
        changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
    return bytes(changed)


def truncated(chance: Random, content: bytes) -> bytes:
    """The end is missing, or all of it."""
    return content[: chance.choice([0, 1, chance.randrange(len(content)), len(content) - 1])]


def overwritten(chance: Random, content: bytes) -> bytes:
    """A stretch is zero or noise."""
    start, length = chance.randrange(len(content)), chance.randint(1, max(1, len(content) // 4))
    noise = bytes(length) if chance.random() < 0.5 else chance.randbytes(length)
    return content[:start] + noise + content[start + length :]


def foreign(chance: Random, content: bytes) -> bytes:
    """Something else altogether."""
    other = io.BytesIO()
    with zipfile.ZipFile(other, "w") as archive:
        archive.writestr(chance.choice(["word/document.xml", "archive/data.pkl", "archive/version"]), "text")
    return chance.choice(
        [other.getvalue(), chance.randbytes(999), b"text\n", pickle.dumps(Code()), b"\x89PNG\r\n\x1a\n"]
    )


def _places(tree: Any) -> Iterator[tuple[Any, Any]]:
    """Every container in nested mappings and lists with each of its keys."""
    for key, value in (
        tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    ):
        yield tree, key
        yield from _places(value)


def replanted(chance: Random, tree: Any, wrong: tuple[Any, ...] = WRONG) -> Any:
    """A tree of which a value is another, or a key missing or renamed."""
    tree = copy.deepcopy(tree)
    inside, key = chance.choice(list(_places(tree)))
    act = chance.random()
    if act < 0.7 or isinstance(inside, list):
        inside[key] = copy.deepcopy(chance.choice(wrong))
    elif act < 0.8:
        del inside[key]
    else:
        inside[str(key) + chance.choice("sx_.")] = inside.pop(key)
    return tree


def revalued(chance: Random, content: bytes) -> bytes:
    """YAML with a value or key that is wrong."""
    return yaml.safe_dump(replanted(chance, yaml.safe_load(content)), sort_keys=False).encode()


def oversized(chance: Random, content: bytes) -> bytes:
    """YAML in which a size or a number of something is huge or negative."""
    tree = yaml.safe_load(content)
    inside, key = chance.choice([(inside, key) for inside, key in _places(tree) if key in SIZES])
    number = chance.choice([10**5, 10**6, 10**9, -1, -(10**9)])
    inside[key] = [number // 32 * 32] * 2 if key == "crop_size" else number
    return yaml.safe_dump(tree, sort_keys=False).encode()


def rewritten(chance: Random, content: bytes) -> bytes:
    """YAML of which a line is repeated, indented, a tag, a bomb or a deep nest."""
    lines = content.decode().splitlines()
    at = chance.randrange(len(lines))
    key = lines[at].split(":")[0]
    laughs = "".join(f"  - &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 10))
    lines[at] = chance.choice(
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


def _saved(content: Any) -> bytes:
    out = io.BytesIO()
    torch.save(content, out)
    return out.getvalue()


def _checkpoint(content: bytes) -> dict[str, Any]:
    loaded: dict[str, Any] = torch.load(io.BytesIO(content), weights_only=True)
    return loaded


def repacked(chance: Random, content: bytes) -> bytes:
    """A checkpoint of which an entry, a hyperparameter or a tensor is something else, missing or renamed."""
    whole = _checkpoint(content)
    part = chance.choice(
        ["hyper_parameters", "hyper_parameters", "datamodule_hyper_parameters", "state_dict", ""]
    )
    if not part:
        return _saved({**whole, chance.choice(list(whole)): chance.choice(WRONG)})
    return _saved({**whole, part: replanted(chance, dict(whole[part]))})


def reweighted(chance: Random, content: bytes) -> bytes:
    """A checkpoint with weights that are not finite, or of another shape or kind."""
    whole = _checkpoint(content)
    state, name = whole["state_dict"], chance.choice(list(whole["state_dict"]))
    state[name] = chance.choice(
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


def armed(chance: Random, content: bytes) -> bytes:
    """A checkpoint with code in it, or a bare pickle of code."""
    if chance.random() < 0.3:
        return pickle.dumps(Code(), protocol=chance.randint(0, 5))
    whole = _checkpoint(content)
    whole[chance.choice(list(whole))] = chance.choice([Code(), Path("x")])
    return _saved(whole)
