"""What a run is: a hash of its resolved configuration, without what does not change its figures."""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

import yaml

FREE = re.compile(
    r"trainer\.(devices|num_nodes|accelerator|strategy|logger|default_root_dir|save_every_n_minutes"
    r"|enable_progress_bar|enable_model_summary|profiler)(\.|$)"
    r"|data\.(workers|cache|cache_dir)$"
)
"""The settings that say where and how a run is computed."""

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""Reads YAML as `yaml.safe_load` does, ten times faster where PyYAML was built with libyaml."""


def settings_of(config: str) -> dict[str, Any]:
    """The settings of a resolved configuration (YAML) by keys with dots, without those that are free."""
    found = leaves(yaml.load(config, LOADER))
    return {key: value for key, value in found.items() if not FREE.match(key)}


def key_of(settings: Mapping[str, Any], seed: int) -> str:
    """The key of a run: 16 hexadecimal digits of its settings and its seed."""
    text = json.dumps({**settings, "seed_everything": seed}, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def differences(
    before: Mapping[str, Any], after: Mapping[str, Any], words: tuple[str, str] = ("before", "now")
) -> list[str]:
    """A line for each setting that differs, such as `model.beta: 1.0 before, 2.0 now`; the seed aside."""
    keys = [key for key in {**before, **after} if key != "seed_everything"]
    return [
        f"{key}: {before.get(key)!r} {words[0]}, {after.get(key)!r} {words[1]}"
        for key in keys
        if before.get(key) != after.get(key)
    ]


def leaves(tree: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a configuration by keys with dots."""
    return dict(_leaves(tree))


def _leaves(tree: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    if not isinstance(tree, dict) or not tree:
        yield key, tree
        return
    for name, inner in tree.items():
        yield from _leaves(inner, key if name == "init_args" else f"{key}.{name}".lstrip("."))
