from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from fusionseg.config.errors import UserError
from fusionseg.engine.objective import target_of
from fusionseg.engine.tasks import sized
from fusionseg.heads import MaskQueryHead
from fusionseg.heads.query_decoder import QueryOutput
from fusionseg.module import FusionModule
from fusionseg.sample import VOID, Frame, Sample

Scenes = Callable[..., Sample]


def squares(rows: int, columns: int, side: int) -> Tensor:
    """Square regions (1, rows * side, columns * side), numbered from 1."""
    ids = torch.arange(1, rows * columns + 1).view(1, rows, columns)
    return ids.repeat_interleave(side, 1).repeat_interleave(side, 2)


def decoded(head: MaskQueryHead, region: Tensor) -> Tensor:
    ideal = head.ideal(head.target({"region": region}))
    return head.labels(ideal, Frame.whole((region.shape[1], region.shape[2])))


def test_without_enough_queries_the_largest_regions_are_left_with_a_warning() -> None:
    region = squares(4, 4, 8)
    region[region == 7] = 6
    with pytest.warns(UserWarning, match=r"than model\.region_head\.queries allows \(3\)"):
        found = decoded(MaskQueryHead([4] * 4, queries=3), region)
    assert len(found.unique()) == 3
    assert len(found[region == 6].unique()) == 1
    assert (found[region == 6] != found[0, 0, 0]).all()


def test_the_answer_is_that_of_the_last_layer() -> None:
    head = MaskQueryHead([4] * 4, queries=3, min_area=1)
    rows = torch.tensor([1, 2]).repeat_interleave(4).view(1, 8, 1).expand(1, 8, 16)
    first, last = (head.ideal(head.target({"region": r})) for r in (squares(1, 2, 8), rows))
    both = QueryOutput(*(torch.cat(pair, 1) for pair in zip(first, last, strict=True)))
    frame = Frame.whole((8, 16))
    assert torch.equal(head.labels(both, frame), head.labels(last, frame))
    assert not torch.equal(head.labels(both, frame), head.labels(first, frame))


@pytest.mark.filterwarnings("ignore:an image may have more regions")
def test_an_object_is_whatever_is_of_some_class() -> None:
    head = MaskQueryHead([4] * 4, 3, classify=True, queries=2, min_area=1, threshold=0.5)
    region = squares(1, 2, 8)
    ideal = head.ideal(head.target({"region": region, "semantic": torch.zeros_like(region)}))
    frame = Frame.whole((8, 16))
    # three classes of 0.2 each are more likely than none, three of 0.1 are not
    for share, number in ((0.2, 2), (0.1, 1)):
        chances = torch.tensor([share] * 3 + [1 - 3 * share])
        classes = torch.stack([chances, torch.tensor([0.9, 0.0, 0.0, 0.1])]).log()[None, None]
        assert len(head.labels(QueryOutput(ideal.masks, classes), frame).unique()) == number


def test_classes_are_read_only_where_they_are_learned(scenes: Scenes) -> None:
    batch = scenes()
    region = {"region": batch["region"]}
    assert (MaskQueryHead([4] * 4, 6).target(region).classes == VOID).all()
    classify = MaskQueryHead([4] * 4, 6, classify=True)
    with pytest.raises(UserError, match="expected batches with 'semantic'"):
        target_of(classify, region)
    assert (classify.target(batch).classes[:, 0] < 6).all()


@pytest.mark.parametrize(("classify", "outputs"), [(False, 2), (True, 134)])
def test_the_number_of_classes_is_that_of_the_data_where_they_are_learned(
    classify: bool, outputs: int
) -> None:
    head = sized(partial(MaskQueryHead, classify=classify, queries=3), 133)([4] * 4)
    assert isinstance(head, MaskQueryHead)
    assert head.decoder.classify.out_features == outputs


def test_it_learns_beside_a_semantic_head_in_one_network(
    small: Callable[..., FusionModule], scenes: Scenes
) -> None:
    model = small(region_head=partial(MaskQueryHead, queries=20, width=32))
    batch = scenes(2, (64, 64))
    optimizer = torch.optim.AdamW(model.network.parameters(), lr=3e-3)
    losses = []
    for _ in range(25):
        step = model.objective.step(model(batch["image"]), batch, (0, 0))
        optimizer.zero_grad()
        step.loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        losses.append(step.losses)
    assert all(p.grad is not None for p in model.network.parameters() if p.requires_grad)
    assert (losses[-1] < 0.7 * losses[0]).all()


def test_predictions_are_made_at_the_size_of_the_file(
    small: Callable[..., FusionModule], scenes: Scenes
) -> None:
    model = small(region_head=partial(MaskQueryHead, queries=20, width=32)).eval()
    batch = scenes(2, (50, 70))
    for prediction in model.predictions(batch, (100, 140)):
        region = prediction.get("region")
        assert region is not None
        assert region.shape == (100, 140)
        assert (np.asarray(region) > 0).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"queries": 0}, "found 0, 128 and 3"),
        ({"queries": 65536}, r"queries in 1\.\.65535"),
        ({"width": 4}, "a multiple of 8"),
        ({"width": 20}, "a multiple of 8"),
        ({"layers": 0}, "at least 1 layer"),
        ({"threshold": 1.1}, r"in \[0, 1\]"),
        ({"overlap": -0.1}, r"in \[0, 1\]"),
        ({"min_area": -1}, "min_area of at least 0"),
        ({"no_object": -0.1}, "weights of at least 0"),
    ],
)
def test_impossible_arguments_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        MaskQueryHead([4] * 4, **arguments)
