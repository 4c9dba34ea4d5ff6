from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch

from fusionseg.data.base import DataError, SegmentationDataset
from fusionseg.data.cache import Cache
from fusionseg.data.datamodule import SegmentationDataModule
from fusionseg.data.mixture import MixtureDataset
from fusionseg.data.samplers import LOOKAHEAD, EvaluationOrder, Key, TrainOrder, occurrences
from fusionseg.data.subset import Subset, fraction_of
from fusionseg.data.synthetic import SyntheticScenes


def batches(ranks: int, epoch: int, size: int = 12, num_samples: int = 40) -> list[list[Key]]:
    """The global batches that a number of ranks sees together."""
    shares = []
    for rank in range(ranks):
        order = TrainOrder(num_samples, size // ranks, rank, ranks, seed=3)
        order.set_epoch(epoch)
        keys = list(order)
        assert len(keys) == len(order)
        shares.append(np.array(keys).reshape(-1, size // ranks, 3))
    joined: list[list[Key]] = np.concatenate(shares, axis=1).tolist()
    return joined


@pytest.mark.parametrize("ranks", [2, 3, 4])
def test_any_number_of_ranks_sees_the_same_batches(ranks: int) -> None:
    assert batches(ranks, epoch=5) == batches(1, epoch=5)


def test_the_epoch_is_in_the_key_and_changes_the_order() -> None:
    first, second = (np.array(batches(1, epoch)).reshape(-1, 3) for epoch in (0, 1))
    assert (first[:, 0] == 0).all()
    assert (second[:, 0] == 1).all()
    assert first[:, 1].tolist() != second[:, 1].tolist()


def test_an_epoch_has_whole_batches_and_no_image_twice() -> None:
    indices = [index for batch in batches(1, epoch=0) for _, index, _ in batch]
    assert len(indices) == len(set(indices)) == 36
    assert set(indices) < set(range(40))


def test_an_order_of_its_own_is_shared_and_resumed_like_a_permutation() -> None:
    def twice(rng: np.random.Generator) -> npt.NDArray[np.int64]:
        return rng.permutation(np.arange(12) % 6)

    whole = [index for _, index, _ in TrainOrder(12, 4, order=twice)]
    assert sorted(whole) == sorted([*range(6)] * 2)
    shares = np.array([list(TrainOrder(12, 2, rank, 2, order=twice)) for rank in range(2)])[..., 1]
    assert shares.reshape(2, 3, 2).swapaxes(0, 1).ravel().tolist() == whole
    assert [index for _, index, _ in TrainOrder(12, 4, done=lambda: 2, order=twice)] == whole[8:]


def test_another_seed_is_another_order() -> None:
    assert list(TrainOrder(40, 4, seed=0)) != list(TrainOrder(40, 4, seed=1))


@pytest.mark.parametrize("ranks", [1, 2, 3, 7])
def test_evaluation_sees_every_image_once(ranks: int) -> None:
    shares = [list(EvaluationOrder(5, rank, ranks)) for rank in range(ranks)]
    assert sorted(index for share in shares for (index,) in share) == list(range(5))
    assert [len(EvaluationOrder(5, rank, ranks)) for rank in range(ranks)] == [len(share) for share in shares]


def test_images_of_one_size_make_batches_in_their_order() -> None:
    order = EvaluationOrder(7, batch_size=3, size=lambda _: (4, 5))
    assert list(order) == [(0, 1, 2), (3, 4, 5), (6,)]
    assert list(EvaluationOrder(7, 1, 2, 3)) == [(1, 3, 5)]
    assert len(order) == 3


@pytest.mark.parametrize("ranks", [1, 2, 3])
@pytest.mark.parametrize("batch_size", [1, 2, 4, 7])
def test_a_batch_has_one_size_and_every_image_comes_once(ranks: int, batch_size: int) -> None:
    sizes = np.random.default_rng(0).integers(0, 5, 103).tolist()
    seen = []
    for rank in range(ranks):
        order = EvaluationOrder(103, rank, ranks, batch_size, sizes.__getitem__)
        batches = list(order)
        assert len(batches) == len(order)
        for batch in batches:
            assert 1 <= len(batch) <= batch_size
            assert len({sizes[index] for index in batch}) == 1
            assert list(batch) == sorted(batch)
            assert {index % ranks for index in batch} == {rank}
        seen += [index for batch in batches for index in batch]
        # full but for the last of each size: nothing has to go early here
        assert len(batches) <= len(order.indices) // batch_size + 5
    assert sorted(seen) == list(range(103))


def test_an_image_of_a_rare_size_does_not_wait_for_long() -> None:
    def size(index: int) -> int:
        return 1 if index in (3, 500) else 0

    batches = list(EvaluationOrder(600, batch_size=4, size=size))
    place = batches.index((3,))
    assert sum(map(len, batches[:place])) <= 4 * LOOKAHEAD + 4
    assert (500,) in batches


def test_no_size_is_asked_for_where_an_image_is_a_batch() -> None:
    def refuse(index: int) -> int:
        raise AssertionError

    assert list(EvaluationOrder(3, size=refuse)) == [(0,), (1,), (2,)]


def test_occurrences_count_what_came_before() -> None:
    order = np.random.default_rng(0).integers(0, 9, 60)
    slow = [order[:place].tolist().count(index) for place, index in enumerate(order.tolist())]
    assert occurrences(order).tolist() == slow
    assert occurrences(np.empty(0, np.int64)).tolist() == []


class Unseen(SyntheticScenes):
    """Has nothing to train on."""

    splits = ("val",)


def mixed(**arguments: Any) -> MixtureDataset:
    """Five scenes and three others."""
    parts = {
        name: partial(SyntheticScenes, length=length, size=(32, 32)) for name, length in (("a", 5), ("b", 3))
    }
    return MixtureDataset("train", **{"datasets": parts, **arguments})


def epoch(dataset: SegmentationDataset, seed: int = 0) -> npt.NDArray[np.int64]:
    return dataset.order(np.random.default_rng(seed), np.arange(len(dataset)))


def test_by_default_an_epoch_sees_every_image_once() -> None:
    assert sorted(epoch(mixed())) == list(range(8))
    assert epoch(mixed()).tolist() != epoch(mixed(), 1).tolist()


@pytest.mark.parametrize(
    ("weights", "length", "shares"),
    [
        ((1, 1), 20, (10, 10)),
        ((3, 1), 40, (30, 10)),
        ((0, 2), 7, (0, 7)),
        ((1, 2), 8, (3, 5)),
        (None, 16, (10, 6)),
    ],
)
def test_weights_are_the_shares_of_an_epoch(weights: Any, length: int, shares: tuple[int, int]) -> None:
    given = weights and dict(zip("ab", weights, strict=True))
    for seed in range(3):
        order = epoch(mixed(weights=given, epoch_length=length), seed)
        assert (int((order < 5).sum()), int((order >= 5).sum())) == shares


def test_no_image_comes_again_before_all_others_of_its_part() -> None:
    order = epoch(mixed(weights={"a": 1, "b": 4}, epoch_length=60))
    for part in (order[order < 5], order[order >= 5]):
        size = len(set(part.tolist()))
        rounds = [part[start : start + size].tolist() for start in range(0, len(part) // size * size, size)]
        assert all(len(set(one)) == size for one in rounds)
        assert len({tuple(one) for one in rounds}) > 1
    assert set(order.tolist()) == set(range(8))
    assert len({tuple(order[i : i + 4] < 5) for i in range(0, 60, 4)}) > 2


def test_any_number_of_ranks_and_a_resumed_epoch_see_the_same_order() -> None:
    dataset = mixed(weights={"a": 1, "b": 1}, epoch_length=24)
    orders = []
    for done, ranks in ((0, 1), (0, 2), (3, 1)):
        of_ranks = [
            TrainOrder(
                24, 4 // ranks, r, ranks, 5, lambda d=done: d, partial(dataset.order, among=np.arange(8))
            )
            for r in range(ranks)
        ]
        for one in of_ranks:
            one.set_epoch(2)
        shares = np.array([list(one) for one in of_ranks]).reshape(ranks, -1, 4 // ranks, 3)
        orders.append(np.concatenate(list(shares), 1).reshape(-1, 3))
    whole, two, resumed = (order.tolist() for order in orders)
    assert whole == two
    assert whole[12:] == resumed
    assert {e for e, _, _ in whole} == {2}


@pytest.mark.parametrize("cache", ["none", "memory", "disk"])
def test_weights_hold_behind_caches_and_fractions(cache: Cache, tmp_path: Path) -> None:
    parts = {
        n: partial(SyntheticScenes, length=k, size=(64, 64), seed=s)
        for n, k, s in (("a", 10, 0), ("b", 20, 1))
    }
    recipe = partial(MixtureDataset, datasets=parts, weights={"a": 3, "b": 1}, epoch_length=40)
    fixed: dict[str, Any] = {"batch_size": 4, "crop_size": (64, 64), "workers": 0, "augmentation": None}
    plain = SegmentationDataModule(recipe, **fixed, fraction=0.5)
    kept = SegmentationDataModule(recipe, **fixed, fraction=0.5, cache=cache, cache_dir=str(tmp_path))
    kept.setup("fit")
    batches = [list(module.train_dataloader()) for module in (plain, kept)]
    names = [name for batch in batches[0] for name in batch["name"]]
    assert (len(names), sum(name.startswith("a-") for name in names)) == (40, 30)
    chosen = fraction_of(recipe("train"), 0.5, 0)
    assert set(names) <= {chosen.name(i) for i in range(len(chosen))}
    for ours, theirs in zip(*batches, strict=True):
        assert ours["name"] == theirs["name"]
        assert all(torch.equal(ours[key], theirs[key]) for key in ("image", "semantic", "region"))


def test_a_part_that_would_not_be_seen_is_refused() -> None:
    part = Subset(mixed(weights={"a": 1, "b": 1}), range(5))
    with pytest.raises(
        DataError, match=r"images of b \(weight 1\) and a share of an epoch of 5 .*, found 0 and 2: raise"
    ):
        epoch(part)
    with pytest.raises(
        DataError, match=r"images of b .*, found 3 and 0: raise data.fraction or epoch_length"
    ):
        epoch(mixed(weights={"a": 1000, "b": 1}))
    with pytest.raises(DataError, match="a weight above 0 for a part with the split train, found none"):
        epoch(mixed(datasets={"a": Unseen, "b": SyntheticScenes}, weights={"a": 1, "b": 0}))
