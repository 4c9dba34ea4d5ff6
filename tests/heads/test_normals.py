from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch.nn.functional import interpolate

from fusionseg.heads import NormalsHead
from fusionseg.losses import AbsoluteError, CosineError
from fusionseg.sample import Classes, Frame, Sample

Scenes = Callable[..., Sample]


def test_labels_of_the_ideal_output_are_the_normals_themselves(scenes: Scenes) -> None:
    head, normals = NormalsHead(4), scenes()["normals"]
    labels = head.labels(head.ideal(normals), Frame.whole((64, 96)))
    valid = normals.any(1, keepdim=True).expand_as(normals)
    assert not valid.all()
    torch.testing.assert_close(labels[valid], normals[valid], rtol=0, atol=1e-6)


@pytest.mark.parametrize("factor", [1e-30, 1.0, 1e30])
@pytest.mark.parametrize("size", [(64, 96), (100, 31)])
def test_labels_are_unit_vectors_whatever_the_length_of_the_output(
    factor: float, size: tuple[int, int]
) -> None:
    output = factor * torch.randn(2, 3, 16, 24)
    output[:, :, :4] = 0
    labels = NormalsHead(4).labels(output, Frame((64, 96), (60, 90), size))
    assert (labels.shape, labels.dtype) == ((2, 3, *size), torch.float32)
    torch.testing.assert_close(labels.norm(dim=1), torch.ones(2, *size))


def test_a_vector_of_length_zero_is_read_as_facing_the_camera() -> None:
    labels = NormalsHead(4).labels(torch.zeros(1, 3, 2, 2), Frame.whole((2, 2)))
    assert labels[0, :, 1, 1].tolist() == [0, 0, -1]


def test_vectors_are_resized_before_they_are_normalized() -> None:
    output = torch.randn(1, 3, 8, 8)
    large = interpolate(output, (16, 16), mode="bilinear")
    labels = NormalsHead(4).labels(output, Frame((8, 8), (8, 8), (16, 16)))
    torch.testing.assert_close(labels, large / large.square().sum(1, keepdim=True).sqrt())


def test_loss_is_that_of_mtan_and_libmtl(scenes: Scenes) -> None:
    head, batch = NormalsHead(8), scenes()
    output = head(torch.randn(2, 8, 16, 24))
    (total,), (weight,) = head.loss(output, head.target(batch))
    predicted = interpolate(output, (64, 96), mode="bilinear")
    predicted = predicted / torch.norm(predicted, p=2, dim=1, keepdim=True)
    true = batch["normals"]
    mask = (true.sum(1) != 0).float().unsqueeze(1)
    assert torch.equal(mask[:, 0] > 0, true.any(1)), "no valid vector's components cancel in their sum"
    expected = 1 - (predicted * true * mask).sum() / len(mask.nonzero())
    torch.testing.assert_close(total / weight, expected, rtol=0, atol=1e-6)


def test_losses_are_a_term_each_of_unit_vectors(scenes: Scenes) -> None:
    head, target = NormalsHead(8, [CosineError, AbsoluteError]), scenes()["normals"]
    output = torch.randn(2, 3, 64, 96)
    sums, weights = head.loss(7 * output, target)
    mask = target.any(1)
    unit = output / output.norm(dim=1, keepdim=True)
    alone = [loss(unit, target, mask) for loss in (CosineError(), AbsoluteError())]
    torch.testing.assert_close(sums, torch.stack([total for total, _ in alone]))
    assert weights.tolist() == [mask.sum(), mask.sum()]


def test_an_output_of_length_zero_costs_one_a_pixel_and_has_a_finite_gradient(scenes: Scenes) -> None:
    head, target = NormalsHead(8), scenes()["normals"]
    output = torch.zeros(2, 3, 64, 96, requires_grad=True)
    (total,), (weight,) = head.loss(output, target)
    assert total == weight
    (gradient,) = torch.autograd.grad(total, output)
    assert gradient.isfinite().all()
    assert ((gradient * target).sum(1)[target.any(1)] < 0).all(), "a step leads to the truth"


def test_a_normal_is_drawn_as_the_usual_color_and_an_invalid_one_black() -> None:
    normals = np.array([[1, 0, 0], [0, 1, 0], [0, 0, -1], [-0.6, 0, -0.8], [0, 0, 0]], np.float32)
    drawn = NormalsHead(4).draw(normals.T[:, None], Classes(("a",), ((0, 0, 0),)))
    assert drawn[0].tolist() == [[255, 128, 128], [128, 255, 128], [128, 128, 0], [51, 128, 25], [0, 0, 0]]


def test_an_empty_list_of_losses_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one loss"):
        NormalsHead(4, losses=[])
