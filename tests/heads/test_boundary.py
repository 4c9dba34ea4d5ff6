from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits as bce
from torch.nn.functional import interpolate

from fusionseg.heads import BoundaryHead
from fusionseg.losses import CrossEntropy, Focal, Loss, MeanSquaredError
from fusionseg.sample import Frame, Sample

Scenes = Callable[..., Sample]


@pytest.fixture
def halves() -> Sample:
    """Two regions side by side, with void below."""
    region = torch.ones(1, 32, 32, dtype=torch.long)
    region[..., 16:] = 7
    region[:, 24:] = 0
    return {"region": region}


def test_target_is_both_sides_of_a_border_and_what_is_labelled(halves: Sample) -> None:
    boundary, mask = BoundaryHead(4, width=4).target(halves)
    expected = torch.zeros(32, 32, dtype=torch.bool)
    expected[:24, 14:18] = True
    assert torch.equal(boundary[0], expected)
    assert torch.equal(mask, halves["region"] > 0)


def test_what_enough_annotators_agree_on_is_a_boundary_and_the_rest_of_what_they_drew_does_not_count() -> (
    None
):
    shares = torch.full((2, 8, 12), -1.0)
    shares[0, :, 5], shares[0, :, 8] = 0.5, 0.25
    shares[1] = 0  # an image of another data set, of one annotator
    region = torch.ones(2, 8, 12, dtype=torch.long)
    region[1, :, 6:] = 2
    region[:, 7:] = 0
    batch = {"region": region, "boundary": shares}
    for width, columns, unknown in ((2, [5], [8]), (4, [4, 5, 6], [7, 8, 9])):
        boundary, mask = BoundaryHead(4, width=width, consensus=0.3).target(batch)
        assert boundary[0, 0].nonzero().flatten().tolist() == columns
        assert (~mask[0, 0]).nonzero().flatten().tolist() == unknown
        assert not mask[:, 7:].any()
        alone = BoundaryHead(4, width=width).target({"region": region[1:]})
        assert torch.equal(boundary[1], alone[0][0])
        assert torch.equal(mask[1], alone[1][0])
    boundary, mask = BoundaryHead(4, consensus=0.0).target(batch)
    assert boundary[0, 0].nonzero().flatten().tolist() == [5, 8]
    assert mask[0, :7].all()


def test_loss_weighs_boundaries_by_the_share_of_the_rest(halves: Sample) -> None:
    head, logits = BoundaryHead(4), torch.randn(1, 1, 32, 32)
    (total,), (weight,) = head.loss(logits, head.target(halves))
    rare, labelled = 24 * 2, 24 * 32
    beta = 1 - rare / labelled
    boundary = head.target(halves)[0].float()
    each = bce(logits[:, 0], boundary, reduction="none")[:, :24]
    weights = torch.where(boundary > 0, beta, 1 - beta)[:, :24]
    torch.testing.assert_close(total, (weights * each).sum())
    torch.testing.assert_close(weight, weights.sum())


@pytest.mark.parametrize(
    ("recipe", "each"),
    [
        (MeanSquaredError, lambda z, t: (z.sigmoid() - t) ** 2),
        (CrossEntropy, lambda z, t: bce(z, t, reduction="none")),
        (lambda: Focal(gamma=0), lambda z, t: bce(z, t, reduction="none")),
    ],
)
def test_losses_of_classes_take_boundaries_for_class_1(
    recipe: Callable[[], Loss], each: Callable[[Tensor, Tensor], Tensor], halves: Sample
) -> None:
    head, logits = BoundaryHead(4, recipe), torch.randn(1, 1, 16, 16)
    boundary, mask = head.target(halves)
    (total,), (weight,) = head.loss(logits, (boundary, mask))
    expected = each(interpolate(logits, (32, 32), mode="bilinear")[:, 0], boundary.float())
    torch.testing.assert_close(total, expected[mask].sum())
    assert weight == mask.sum()


@pytest.mark.parametrize("threshold", [0.2, 0.7])
def test_basins_are_where_a_boundary_is_less_likely_than_the_threshold(threshold: float) -> None:
    wall = torch.full((1, 1, 32, 32), -9.0)
    wall[..., 15:17] = torch.tensor(0.5).logit()
    labels = BoundaryHead(4, threshold=threshold).labels(wall, Frame.whole((32, 32)))
    assert labels.max() == (2 if threshold < 0.5 else 1)


def test_small_basins_are_flooded_at_the_size_of_the_file(halves: Sample) -> None:
    output = torch.full((1, 1, 16, 16), -9.0)
    output[..., 4:9, 4:9] = 9.0
    output[..., 6, 6] = -99.0
    kept, flooded = (BoundaryHead(4, min_area=area).labels(output, Frame.whole((16, 16))) for area in (1, 2))
    assert [labels.max() for labels in (kept, flooded)] == [2, 1]
    assert [labels.min() for labels in (kept, flooded)] == [1, 1]


def test_no_basin_leads_through_void_in_an_ideal_output(halves: Sample) -> None:
    head = BoundaryHead(4)
    labels = head.labels(head.ideal(head.target(halves)), Frame.whole((32, 32)))
    assert torch.equal(labels[:, :24] == labels[0, 0, 0], halves["region"][:, :24] == 1)


@pytest.mark.parametrize(("name", "value"), [("threshold", 0.0), ("width", 3), ("width", 0)])
def test_impossible_arguments_are_refused(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"found {value}"):
        BoundaryHead(4, **{name: value})  # type: ignore[arg-type]
