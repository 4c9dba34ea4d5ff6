from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn.functional import binary_cross_entropy, nll_loss
from torch.utils._python_dispatch import TorchDispatchMode

from fusionseg.config.errors import UserError
from fusionseg.heads import SceneHead
from fusionseg.sample import VOID, Frame, Sample

Scenes = Callable[..., Sample]


class Largest(TorchDispatchMode):
    """The number of elements of the largest tensor that any operation gives."""

    size = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for tensor in result if isinstance(result, tuple | list) else [result]:
            self.size = max(self.size, tensor.numel() if isinstance(tensor, Tensor) else 0)
        return result


@pytest.fixture
def four() -> Sample:
    """Classes 1, 4 and 0 on 10, 4 and 2 of 16 labelled pixels; one class; void; two classes."""
    semantic = torch.full((4, 4, 8), VOID)
    semantic[0, :2] = torch.tensor([1, 1, 1, 1, 1, 4, 4, 0])
    semantic[1, 3, 2:5] = 2
    semantic[3, :, :4], semantic[3, :, 4:] = 3, 5
    return {"semantic": semantic}


def test_target_is_the_set_of_classes_in_each_map(four: Sample, scenes: Scenes) -> None:
    head = SceneHead(4, 6)
    present, labelled = head.target(four)
    assert [set(row.nonzero().flatten().tolist()) for row in present] == [{0, 1, 4}, {2}, set(), {3, 5}]
    assert labelled.tolist() == [True, True, False, True]
    batch = scenes(5)
    batch["semantic"][:, :30] = VOID
    for row, semantic in zip(head.target(batch).present, batch["semantic"], strict=True):
        assert set(row.nonzero().flatten().tolist()) == set(semantic.unique().tolist()) - {VOID}


def test_an_image_of_none_or_several_classes_is_unlabelled_in_the_single_form(four: Sample) -> None:
    assert SceneHead(4, 6, single=True).target(four).labelled.tolist() == [False, True, False, False]


@pytest.mark.parametrize(
    ("share", "classes"), [(0.125, {0, 1, 4}), (0.126, {1, 4}), (0.25, {1, 4}), (0.6, {1})]
)
def test_classes_of_a_smaller_share_of_the_labelled_pixels_are_not_present(
    share: float, classes: set[int], four: Sample
) -> None:
    present, labelled = SceneHead(4, 6, min_share=share).target(four)
    assert set(present[0].nonzero().flatten().tolist()) == classes
    assert labelled[0]


def test_loss_is_the_binary_cross_entropy_of_the_labelled_images(four: Sample) -> None:
    head, logits = SceneHead(4, 6), torch.randn(4, 6)
    (total,), (weight,) = head.loss(logits, head.target(four))
    truth = torch.tensor([[1, 1, 0, 0, 1, 0], [0, 0, 1, 0, 0, 0], [0, 0, 0, 1, 0, 1]]).float()
    torch.testing.assert_close(total / weight, binary_cross_entropy(logits[[0, 1, 3]].sigmoid(), truth))
    assert weight == 3


def test_loss_of_the_single_form_is_the_cross_entropy_of_the_labelled_images(four: Sample) -> None:
    head, logits = SceneHead(4, 6, single=True), torch.randn(4, 6)
    four["semantic"][0] = 5
    (total,), (weight,) = head.loss(logits, head.target(four))
    torch.testing.assert_close(total / weight, nll_loss(logits[:2].softmax(1).log(), torch.tensor([5, 2])))
    assert weight == 2


@pytest.mark.parametrize("single", [False, True])
def test_loss_under_autocast_is_that_of_full_precision(single: bool, four: Sample) -> None:
    head, logits = SceneHead(4, 6, single=single), torch.randn(4, 6).bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        sums, weights = head.loss(logits, head.target(four))
    expected = head.loss(logits.float(), head.target(four))
    assert sums.dtype == weights.dtype == torch.float32
    torch.testing.assert_close((sums, weights), expected, rtol=0, atol=0)


@pytest.mark.parametrize("single", [False, True])
def test_logits_are_a_linear_map_of_the_mean_features(single: bool) -> None:
    head, features = SceneHead(4, 6, single, dropout=0.5).eval(), torch.randn(2, 4, 5, 7)
    linear: Any = head.layers[1]
    mean = torch.stack([torch.stack([channel.sum() / 35 for channel in image]) for image in features])
    torch.testing.assert_close(head(features), mean @ linear.weight.T + linear.bias)


@pytest.mark.parametrize("single", [False, True])
def test_labels_are_probabilities_of_whatever_frame(single: bool) -> None:
    head, logits = SceneHead(4, 6, single), torch.randn(3, 6)
    labels = head.labels(logits.bfloat16(), Frame((64, 64), (50, 60), (100, 120)))
    odds = logits.bfloat16().double().exp()
    expected = odds / odds.sum(1, keepdim=True) if single else odds / (1 + odds)
    assert labels.dtype == torch.float32
    torch.testing.assert_close(labels.double(), expected, rtol=1e-5, atol=0)


@pytest.mark.parametrize("single", [False, True])
def test_neither_target_nor_loss_waits_for_the_device_or_makes_a_map_of_each_class(single: bool) -> None:
    # a fake tensor has no values: reading one, or a shape that depends on one, fails
    with FakeTensorMode():
        head, features = SceneHead(4, 133, single, min_share=0.01), torch.empty(16, 4, 2, 2)
        semantic = torch.empty(16, 512, 512, dtype=torch.int64)
        with Largest() as largest:
            sums, weights = head.loss(head(features), head.target({"semantic": semantic}))
        assert sums.shape == weights.shape == (1,)
        assert largest.size == semantic.numel()
        with pytest.raises(RuntimeError):
            sums.item()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_classes": 1, "single": True}, "2 classes or more, found 1"),
        ({"num_classes": 3, "min_share": 1.0}, r"min_share in \[0, 1\), found 1.0"),
        ({"num_classes": 3, "min_share": -0.1}, r"min_share in \[0, 1\), found -0.1"),
    ],
)
def test_impossible_arguments_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SceneHead(4, **arguments)


def test_labels_of_whole_images_may_be_missing_and_are_one_class_in_the_single_form() -> None:
    nothing = [torch.nan] * 3
    known = torch.tensor([[0.0, 1.0, 0.0], nothing, [1.0, 0.0, 1.0], [0.3, 0.7, 0.0], [0.0, 0.0, 0.0]])
    for single, expected in ((False, [0, 2, 3, 4]), (True, [0, 3])):
        head, logits = SceneHead(4, 3, single), torch.randn(5, 3, requires_grad=True)
        target = head.target({"scene": known})
        assert target.labelled.nonzero().flatten().tolist() == expected
        (total,), (weight,) = head.loss(logits, target)
        kept = logits[expected]
        if single:
            losses = -(known[expected] * kept.log_softmax(1)).sum(1)
        else:
            losses = binary_cross_entropy(kept.sigmoid(), known[expected], reduction="none").mean(1)
        torch.testing.assert_close(total, losses.sum())
        assert weight == len(expected)
        (slope,) = torch.autograd.grad(total, logits)
        assert slope.isfinite().all()
        assert not slope[1].any()


def test_a_share_of_pixels_is_refused_where_whole_images_have_labels() -> None:
    with pytest.raises(UserError, match=r"min_share 0.1 is a share of the pixels .* leave min_share out"):
        SceneHead(4, 3, min_share=0.1).target({"scene": torch.eye(3)})
