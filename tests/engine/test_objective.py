import math
from typing import Any

import pytest
import torch
from torch import Tensor

from fusionseg.balancing import Sum
from fusionseg.engine import objective
from fusionseg.engine.distillation import Distillation
from fusionseg.engine.objective import Objective, Step, divided, padded_terms, target_of
from fusionseg.engine.penalty import Penalty
from fusionseg.engine.tasks import factor_of, loss_weights
from fusionseg.heads import DepthHead
from fusionseg.sample import Sample


def test_a_task_s_loss_is_the_sum_of_its_terms_over_their_weights() -> None:
    sums = torch.tensor([[6.0, 1.0, 0.0], [5.0, 0.0, 0.0]])
    weights = torch.tensor([[3.0, 4.0, 0.0], [10.0, 0.0, 0.0]])
    assert divided(sums, weights).tolist() == [2.25, 0.5]


def test_what_nothing_is_labelled_for_is_an_exact_zero_with_a_gradient_of_zero() -> None:
    sums = torch.zeros(1, requires_grad=True)
    step = stepped([(sums * 3, torch.zeros(1))])
    for loss in (step.loss, *step.task_losses()):
        assert loss == 0
        (gradient,) = torch.autograd.grad(loss, sums, retain_graph=True)
        assert gradient.isfinite().all()


def stepped(terms: list[tuple[Tensor, Tensor]]) -> Step:
    """The state of a step with these (sums, weights) of each task's terms."""
    network: Any = None
    made = Objective(
        network,
        Sum(len(terms)),
        dict.fromkeys("abc"[: len(terms)], 1.0),
        Penalty(network),
        Distillation(network),
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(made, "terms", lambda *_: terms)
        return made.step([], {}, (0, 0))


def test_the_mean_of_the_ranks_shares_is_the_loss_of_the_global_batch(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ranks = [
        [(torch.tensor([6.0, 1.0]), torch.tensor([3.0, 4.0])), (torch.tensor([5.0]), torch.tensor([10.0]))],
        [(torch.tensor([2.0, 7.0]), torch.tensor([1.0, 0.0])), (torch.tensor([0.0]), torch.tensor([0.0]))],
    ]
    whole = torch.stack([torch.stack(padded_terms(rows)) for rows in ranks]).sum(0)
    monkeypatch.setattr(objective, "world_size", lambda: 2)
    monkeypatch.setattr(objective, "reduced", lambda _: whole)
    steps = [stepped(rows) for rows in ranks]
    mean = torch.stack([torch.stack(step.task_losses()) for step in steps]).mean(0)
    assert mean.tolist() == divided(*whole).tolist() == steps[0].losses.tolist() == [8 / 4 + 8 / 4, 0.5]
    assert torch.stack([step.loss for step in steps]).mean() == mean.sum() == steps[1].total


@pytest.mark.parametrize("lengths", [(1, 1), (2, 2), (1, 3)])
def test_terms_are_padded_with_zeros(lengths: tuple[int, int]) -> None:
    terms = [(torch.rand(length), torch.rand(length)) for length in lengths]
    padded = torch.stack(padded_terms(terms))
    assert padded.shape == (2, 2, max(lengths))
    for task, length in enumerate(lengths):
        assert torch.equal(padded[:, task, :length], torch.stack(terms[task]))
        assert not padded[:, task, length:].any()


def test_weights_of_tasks_without_a_head_do_not_count() -> None:
    assert loss_weights(semantic=None, region=0.5) == {"region": 0.5}
    assert loss_weights(semantic=0.0, region=0.5) == {"semantic": 0.0, "region": 0.5}


@pytest.mark.parametrize(
    ("semantic", "region", "message"),
    [
        (None, None, "both null and gamma is 0: expected at least one head"),
        (0.0, 0.0, r"nothing would be learned with alpha = 0.0, beta = 0.0"),
        (None, 0.0, r"nothing would be learned with beta = 0.0"),
        (-1.0, 1.0, r"0 or more, found alpha = -1.0, beta = 1.0"),
        (1.0, math.nan, r"beta = nan"),
        (math.inf, 1.0, r"alpha = inf"),
    ],
)
def test_weights_that_teach_nothing_are_refused(
    semantic: float | None, region: float | None, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        loss_weights(semantic=semantic, region=region)


def test_labels_that_a_head_lacks_are_named() -> None:
    batch: Sample = {"image": torch.zeros(1, 3, 4, 4), "name": ["a"]}
    with pytest.raises(
        ValueError,
        match=r"expected batches with 'depth', which DepthHead needs, found image, name: choose data",
    ):
        target_of(DepthHead(4), batch)
    depth = torch.ones(1, 4, 4)
    assert target_of(DepthHead(4), {**batch, "depth": depth}) is depth


@pytest.mark.parametrize("key", ["image", "depth"])
def test_a_head_s_own_mistake_is_not_called_one_of_the_data(key: str) -> None:
    class Broken(DepthHead):
        def target(self, batch: Sample) -> torch.Tensor:
            own: Sample = {}
            return own[key]  # type: ignore[no-any-return]

    with pytest.raises(KeyError, match=key):
        target_of(Broken(4), {"image": torch.zeros(1, 3, 4, 4)})


def test_a_task_s_weight_is_named_as_the_argument() -> None:
    names = [factor_of(task) for task in ("semantic", "region", "scene", "depth")]
    assert names == ["alpha", "beta", "gamma", "extra_heads.depth.weight"]
    with pytest.raises(ValueError, match=r"found extra_heads.depth.weight = -1.0"):
        loss_weights(depth=-1.0)
