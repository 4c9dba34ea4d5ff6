from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from jsonargparse import ArgumentParser
from jsonargparse._util import get_import_path
from lightning.pytorch.callbacks import EarlyStopping
from torch import nn

import fusionseg
from fusionseg.config.recipe import import_path, made, plain
from fusionseg.heads import BoundaryHead, SemanticHead
from fusionseg.losses import CrossEntropy, Dice, MeanLoss
from fusionseg.networks.backbone import Backbone
from fusionseg.sample import Classes

HEAD = "fusionseg.heads.SemanticHead"
ENTROPY, DICE = "fusionseg.losses.CrossEntropy", "fusionseg.losses.Dice"


@dataclass
class Local:
    weight: float
    parts: list[Any]


@pytest.mark.parametrize(
    ("recipe", "expected"),
    [
        (None, None),
        ([1, 2.5, "x", True], [1, 2.5, "x", True]),
        ((1, (2, 3)), [1, [2, 3]]),
        (OrderedDict(a={1: None}), {"a": {"1": None}}),
        (Path("runs/one"), "runs/one"),
        (SemanticHead, {"class_path": HEAD}),
        (torch.nn.functional.relu, {"class_path": "torch.nn.functional.relu"}),
        (partial(SemanticHead), {"class_path": HEAD, "init_args": {}}),
        (
            partial(partial(SemanticHead, dropout=0.5), losses=[Dice, partial(CrossEntropy)]),
            {
                "class_path": HEAD,
                "init_args": {
                    "dropout": 0.5,
                    "losses": [{"class_path": DICE}, {"class_path": ENTROPY, "init_args": {}}],
                },
            },
        ),
        (Local(0.5, [Dice]), {"weight": 0.5, "parts": [{"class_path": DICE}]}),
        (
            Classes(("a",), ((1, 2, 3),)),
            {
                "names": ["a"],
                "colors": [[1, 2, 3]],
                "things": [],
                "region": "a set of pixels that belong together",
                "ids": [],
                "per_image": None,
            },
        ),
    ],
)
def test_recipes_become_names_and_arguments(recipe: Any, expected: Any) -> None:
    assert plain(recipe) == expected


def test_plain_values_load_from_a_file_without_code(tmp_path: Path) -> None:
    value = plain({"backbone": Backbone(), "rate": np.float64(0.1), "head": partial(BoundaryHead, width=4)})
    torch.save(value, tmp_path / "file")
    assert torch.load(tmp_path / "file", weights_only=True) == value
    assert type(value["rate"]) is float  # type: ignore[index, call-overload]


@pytest.mark.parametrize(
    "value",
    [
        lambda channels: BoundaryHead(channels),
        [partial(lambda channels: BoundaryHead(channels))],
        {"head": nn.Conv2d(1, 1, 1)},
        CrossEntropy(),
        torch.ones(1),
        partial(MeanLoss, nn.CrossEntropyLoss),
        partial(SemanticHead, 8),
    ],
    ids=[
        "lambda",
        "lambda in a partial",
        "instance",
        "loss",
        "tensor",
        "positional class",
        "positional number",
    ],
)
def test_what_could_not_be_rebuilt_is_refused(value: Any) -> None:
    with pytest.raises(ValueError, match=r"recipe|name to rebuild"):
        plain(value)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (torch.optim.AdamW, "torch.optim.AdamW"),
        (torch.optim.lr_scheduler.StepLR, "torch.optim.lr_scheduler.StepLR"),
        (nn.CrossEntropyLoss, "torch.nn.CrossEntropyLoss"),
        (fusionseg.FusionModule, "fusionseg.FusionModule"),
        (fusionseg.SegmentationDataModule, "fusionseg.SegmentationDataModule"),
        (fusionseg.Trainer, "fusionseg.Trainer"),
        (BoundaryHead, "fusionseg.heads.BoundaryHead"),
        (Backbone, "fusionseg.networks.Backbone"),
        (OrderedDict, "collections.OrderedDict"),
        (EarlyStopping, "lightning.pytorch.callbacks.EarlyStopping"),
        (torch.nn.functional.relu, "torch.nn.functional.relu"),
        (Local, f"{__name__}.Local"),
    ],
)
def test_the_shortest_public_path_is_the_one_that_jsonargparse_writes(value: Any, expected: str) -> None:
    assert import_path(value) == expected
    assert get_import_path(value) == expected


def test_a_class_inside_of_a_function_is_refused() -> None:
    class Inner(BoundaryHead):
        pass

    with pytest.raises(
        ValueError, match=r"Inner has no name to rebuild it by: pass a class or functools.partial"
    ):
        plain(Inner)


def test_the_command_line_s_recipes_are_those_of_python() -> None:
    def door(head: Callable[[int, int], SemanticHead]) -> Any:
        return head

    parser = ArgumentParser()
    parser.add_function_arguments(door)
    spec = {"class_path": HEAD, "init_args": {"dropout": 0.5, "losses": [{"class_path": DICE}]}}
    recipe = parser.instantiate(parser.parse_object({"head": spec})).head
    assert made(recipe) is SemanticHead
    described: Any = plain(recipe)
    assert described["class_path"] == HEAD
    assert described["init_args"]["dropout"] == 0.5
    assert described["init_args"]["losses"] == [{"class_path": DICE, "init_args": {"smooth": 1.0}}]
    again = parser.instantiate(parser.parse_object({"head": described})).head
    assert plain(again) == described
