from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy import ndimage
from torch import Tensor
from torch.nn.functional import cross_entropy, interpolate, pad

from fusionseg.data.dsb2018 import DSB2018
from fusionseg.heads.boundary import BoundaryHead
from fusionseg.heads.trinary import TrinaryHead
from fusionseg.losses import CrossEntropy
from fusionseg.sample import VOID, Frame, Sample

Scenes = Callable[..., Sample]
BACKGROUND, INTERIOR, BORDER = range(3)


def slow_target(semantic: Tensor, region: Tensor, background: int) -> Tensor:
    """The three classes (H, W) of labelled pixels, pixel by pixel, for a border of width 2."""
    height, width = region.shape
    kind = torch.full(region.shape, INTERIOR)
    for row, column in (region > 0).nonzero().tolist():
        if semantic[row, column] == background:
            kind[row, column] = BACKGROUND
            continue
        for r, c in ((row - 1, column), (row + 1, column), (row, column - 1), (row, column + 1)):
            inside = 0 <= r < height and 0 <= c < width
            if inside and region[r, c] not in (0, region[row, column]):
                kind[row, column] = BORDER
    return kind


def pairs(first: Tensor, second: Tensor) -> list[list[int]]:
    """The pairs of ids that occur in two maps."""
    return torch.unique(torch.stack([first, second]).flatten(1), dim=1).T.tolist()  # type: ignore[no-any-return]


def nuclei(*boxes: tuple[int, int, int, int], size: tuple[int, int] = (30, 40)) -> Sample:
    """Boxes (top, left, bottom, right) of class 1 and regions 1, 2 ... on a background of class 0."""
    region = torch.full((1, *size), 99)
    for number, (top, left, bottom, right) in enumerate(boxes, 1):
        region[0, top:bottom, left:right] = number
    return {"region": region, "semantic": (region < 99).long()}


def decoded(batch: Sample, size: tuple[int, int] | None = None, **arguments: Any) -> Tensor:
    """The regions of an ideal output, at the size of the labels or another one."""
    head = TrinaryHead(4, **{"background": 0, **arguments})
    shape = tuple(batch["region"].shape[1:])
    return head.labels(head.ideal(head.target(batch)), Frame(shape, shape, size or shape))


def answered(kind: Tensor, **arguments: Any) -> Tensor:
    """The regions (H, W) of three classes (H, W)."""
    logits = torch.stack([kind == k for k in range(3)]).float()[None]
    return TrinaryHead(4, **arguments).labels(logits, Frame.whole(tuple(kind.shape)))[0]


def test_target_is_background_by_its_class_border_by_its_neighbors_and_else_interior(scenes: Scenes) -> None:
    batch = scenes(2, (40, 60))
    batch["region"][0, 10:20, 10:40] = 0
    batch["semantic"][1, 20:30] = VOID
    kind, mask = TrinaryHead(4, background=0).target(batch)
    assert torch.equal(mask, batch["region"] > 0)
    for i in range(2):
        expected = slow_target(batch["semantic"][i], batch["region"][i], 0)
        assert torch.equal(kind[i][mask[i]], expected[mask[i]])
        assert set(expected[mask[i]].tolist()) == {BACKGROUND, INTERIOR, BORDER}


def test_without_a_background_class_regions_are_those_of_boundaries(scenes: Scenes) -> None:
    batch = scenes(2)
    batch["region"][0, 20:30, 20:60] = 0
    void = batch | {"semantic": torch.full_like(batch["semantic"], VOID)}
    boundary = BoundaryHead(4)
    expected = boundary.labels(boundary.ideal(boundary.target(batch)), Frame.whole((64, 96)))
    labelled = batch["region"] > 0
    for found in (decoded(batch, background=None), decoded(void, background=3)):
        both = pairs(found[labelled], expected[labelled])
        assert len(both) == len(expected.unique())
        assert not torch.equal(decoded(batch, background=0), found)


def test_the_background_has_no_border_and_is_one_region_in_however_many_parts() -> None:
    batch = nuclei((0, 0, 30, 10), (5, 20, 12, 30), (5, 30, 12, 38))
    batch["region"][0, 8, 24], batch["semantic"][0, 8, 24] = 99, 0
    kind, _ = TrinaryHead(4, background=0).target(batch)
    assert torch.equal(kind == BACKGROUND, batch["semantic"] == 0)
    assert len(pairs(decoded(batch), batch["region"])) == 4


@pytest.mark.parametrize("thin", [(4, 4, 6, 14), (4, 4, 5, 26), (4, 4, 5, 5)])
def test_touching_nuclei_are_told_apart_and_those_without_an_interior_survive(
    thin: tuple[int, int, int, int],
) -> None:
    batch = nuclei(thin, (15, 4, 25, 14), (15, 14, 25, 24))
    assert len(pairs(decoded(batch, min_area=1), batch["region"])) == 4


def test_objects_without_any_interior_are_not_the_background() -> None:
    kind = torch.full((20, 20), BACKGROUND)
    kind[5:12, 5:12] = BORDER
    assert torch.equal(answered(kind, min_area=20) == answered(kind, min_area=20)[0, 0], kind == BACKGROUND)
    kind[5:12, 14:19] = BORDER
    assert answered(kind, min_area=20).unique().numel() == 3


def test_a_pixel_does_not_join_the_interior_of_another_object() -> None:
    kind = torch.full((20, 40), BACKGROUND)
    kind[5:15, 2:12] = INTERIOR
    kind[9, 12:32] = BORDER  # a tail, whose end is nearer to the other object
    kind[11:20, 30:38] = INTERIOR
    found = answered(kind, min_area=1)
    assert found.unique().numel() == 3
    assert set(found[9, 2:32].tolist()) == {int(found[9, 2])}


def test_smaller_interiors_join_their_neighbors_and_smaller_objects_the_background() -> None:
    kind = torch.full((30, 40), BACKGROUND)
    kind[2:12, 2:20] = BORDER
    kind[3:11, 3:9] = INTERIOR
    kind[3:6, 12:15] = INTERIOR  # 9 pixels
    kind[20:23, 2:6] = BORDER  # 12 pixels
    for area, regions in ((9, 4), (10, 3), (12, 3), (13, 2), (400, 1)):
        assert answered(kind, min_area=area).unique().numel() == regions
    head = TrinaryHead(4, min_area=40)
    logits = torch.stack([kind == k for k in range(3)]).float()[None]
    doubled = head.labels(logits, Frame((30, 40), (30, 40), (60, 80)))
    assert doubled.unique().numel() == 3


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_every_interior_is_a_region_and_every_region_lies_in_one_object(share: float) -> None:
    kind = torch.where(torch.rand(50, 70) < share, INTERIOR, torch.randint(0, 3, (50, 70)))
    found = answered(kind, min_area=1)
    inside = kind == INTERIOR
    interiors, objects = (
        torch.from_numpy(ndimage.label(part.numpy())[0]) for part in (inside, kind != BACKGROUND)
    )
    number = int(interiors.max())
    assert len(pairs(found[inside], interiors[inside])) == len(found[inside].unique()) == number
    assert len(pairs(found, objects)) == len(found.unique())
    assert len(found.unique()) == number + 1 + int(objects.max()) - len(objects[inside].unique())
    known = pad(found.where(inside, 0), (1, 1, 1, 1))
    neighbors = torch.stack([known[:-2, 1:-1], known[2:, 1:-1], known[1:-1, :-2], known[1:-1, 2:]])
    beside = (kind == BORDER) & neighbors.any(0)
    assert (neighbors == found).any(0)[beside].all()


@pytest.mark.parametrize("kind", range(3))
def test_pixels_of_one_class_are_one_region(kind: int) -> None:
    assert torch.equal(answered(torch.full((8, 9), kind)), torch.ones(8, 9, dtype=torch.long))


def test_void_connects_no_regions() -> None:
    batch = nuclei((5, 5, 15, 15), (5, 25, 15, 35))
    batch["region"][0, 9:12, 15:25] = 0
    assert len(pairs(decoded(batch)[batch["region"] > 0], batch["region"][batch["region"] > 0])) == 3


def test_the_border_is_half_as_thick_on_the_side_of_each_region() -> None:
    batch = nuclei((4, 4, 24, 18), (4, 18, 24, 36))
    kind, _ = TrinaryHead(4, background=0, width=6).target(batch)
    row = [BACKGROUND] * 4 + [BORDER] * 3 + [INTERIOR] * 8 + [BORDER] * 6 + [INTERIOR] * 12 + [BORDER] * 3
    assert kind[0, 12].tolist() == row + [BACKGROUND] * 4


def test_loss_is_the_cross_entropy_of_labelled_pixels() -> None:
    batch = nuclei((4, 4, 12, 14), (4, 14, 12, 24), size=(32, 40))
    batch["region"][:, 24:] = 0
    output = torch.randn(1, 3, 16, 20)
    weights = torch.tensor([1.0, 2.0, 5.0])
    expected = slow_target(batch["semantic"][0], batch["region"][0], 0)[None, :24]
    enlarged = interpolate(output, (32, 40), mode="bilinear")[:, :, :24]
    for loss, weight in ((CrossEntropy, None), (partial(CrossEntropy, weights.tolist()), weights)):
        head = TrinaryHead(4, loss, background=0)
        (total,), (count,) = head.loss(output, head.target(batch))
        torch.testing.assert_close(total / count, cross_entropy(enlarged, expected, weight))
    assert count == weights[expected].sum()


def test_all_real_nuclei_are_found_in_an_ideal_output(data: Path) -> None:
    dataset = DSB2018("val", data / "dsb2018")
    for i in range(len(dataset)):
        labels = dataset.labels(i)
        batch = {
            kind: torch.from_numpy(plane.astype(np.int64))[None]
            for kind, plane in (("semantic", labels.semantic), ("region", labels.region))
        }
        found = decoded(batch, min_area=1)
        overlap, counts = torch.unique(
            torch.stack([batch["region"], found]).flatten(1), dim=1, return_counts=True
        )
        for region in overlap[0].unique():
            match = counts[overlap[0] == region]
            other = overlap[1][overlap[0] == region][match.argmax()]
            assert match.max() / (match.sum() + counts[overlap[1] == other].sum() - match.max()) > 0.8


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"width": 3}, r"width 2, 4, 6 \.\.\., found 3"),
        ({"width": 0}, r"width 2, 4, 6 \.\.\., found 0"),
        ({"background": -1}, r"class in 0\.\.254 as background, found -1"),
        ({"background": VOID}, r"class in 0\.\.254 as background, found 255"),
    ],
)
def test_impossible_arguments_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TrinaryHead(4, **arguments)


def test_the_probability_of_a_boundary_is_that_of_the_border() -> None:
    head = TrinaryHead(1)
    logits = torch.randn(2, 3, 8, 12)
    expected = logits.softmax(1)[:, 2]
    contours = head.contours(logits, Frame.whole((8, 12)))
    assert contours is not None
    torch.testing.assert_close(contours, expected)
