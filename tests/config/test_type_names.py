from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import pytest
from torch import Tensor
from torch.optim import Optimizer

from fusionseg.balancing import Balancer, Sum
from fusionseg.config.type_names import choices, described, entry, nearest
from fusionseg.networks import Network


@pytest.mark.parametrize(
    ("hint", "words"),
    [
        (Callable[[int], Balancer] | None, "a Balancer or null"),
        (Callable[[dict[str, int]], Network], "a Network"),
        (dict[str, Callable[[str], Network]] | None, "names with a Network each or null"),
        (list[Optimizer] | Optimizer, "a list or an Optimizer"),
        (str | Path | bool, "a text or a Path or true or false"),
        (Literal["val", "test"], "val or test"),
        (Any, "anything"),
    ],
)
def test_a_type_is_described_in_words(hint: Any, words: str) -> None:
    assert described(hint) == words


def test_the_choices_are_the_classes_below_those_of_a_type_without_abstract_ones() -> None:
    assert Sum in choices(Callable[[int], Balancer] | None)
    assert Balancer not in choices(Balancer)
    assert set(choices(dict[str, Callable[[int], Balancer] | Network])) == {
        *choices(Balancer),
        *choices(Network),
    }
    assert choices(float | Tensor | Path | None | Literal["a"] | list[int]) == []


def test_the_entry_of_a_mapping_is_its_values_type() -> None:
    assert entry(dict[str, int] | None) is int
    assert entry(list[dict[str, int]]) is None


def test_the_nearest_is_the_same_leaf_or_the_closest_spelling() -> None:
    assert nearest("alpha", ["model.alpha", "model.beta"]) == "; did you mean model.alpha?"
    assert nearest("model.apha", ["model.alpha", "model.beta"]) == "; did you mean model.alpha?"
    assert nearest("APHA", ["alpha", "beta"]) == "; did you mean alpha?"
    assert nearest("zzz", ["a", "b"]) == "; expected one of a, b"
    assert nearest("alpha,beta", ["alpha", "beta"]) == "; expected one of alpha, beta"
    assert nearest("zzz", map(str, range(100))) == ""
