import numpy as np
import pytest

from fusionseg.data.order import EvaluationOrder, TrainOrder


def batches(ranks: int, epoch: int, size: int = 12, num_samples: int = 40) -> list[list[tuple[int, int]]]:
    """The global batches that a number of ranks sees together."""
    shares = []
    for rank in range(ranks):
        order = TrainOrder(num_samples, size // ranks, rank, ranks, seed=3)
        order.set_epoch(epoch)
        keys = list(order)
        assert len(keys) == len(order)
        shares.append(np.array(keys).reshape(-1, size // ranks, 2))
    joined: list[list[tuple[int, int]]] = np.concatenate(shares, axis=1).tolist()
    return joined


@pytest.mark.parametrize("ranks", [2, 3, 4])
def test_any_number_of_ranks_sees_the_same_batches(ranks: int) -> None:
    assert batches(ranks, epoch=5) == batches(1, epoch=5)


def test_the_epoch_is_in_the_key_and_changes_the_order() -> None:
    first, second = (np.array(batches(1, epoch)).reshape(-1, 2) for epoch in (0, 1))
    assert (first[:, 0] == 0).all()
    assert (second[:, 0] == 1).all()
    assert first[:, 1].tolist() != second[:, 1].tolist()


def test_an_epoch_has_whole_batches_and_no_image_twice() -> None:
    indices = [index for batch in batches(1, epoch=0) for _, index in batch]
    assert len(indices) == len(set(indices)) == 36
    assert set(indices) < set(range(40))


def test_another_seed_is_another_order() -> None:
    assert list(TrainOrder(40, 4, seed=0)) != list(TrainOrder(40, 4, seed=1))


@pytest.mark.parametrize("ranks", [1, 2, 3, 7])
def test_evaluation_sees_every_image_once(ranks: int) -> None:
    shares = [list(EvaluationOrder(5, rank, ranks)) for rank in range(ranks)]
    assert sorted(index for share in shares for index in share) == list(range(5))
    assert [len(EvaluationOrder(5, rank, ranks)) for rank in range(ranks)] == [len(share) for share in shares]
