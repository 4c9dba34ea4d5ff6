"""What the pictures of targets show: the width of a boundary, distances, edges, centers and kinds, at the right pixels."""

import numpy as np
import pytest
import torch

from fusionseg.heads import (
    AffinityHead,
    BoundaryHead,
    CenterOffsetHead,
    DistanceHead,
    EmbeddingHead,
    Head,
    SemanticHead,
    TrinaryHead,
)
from fusionseg.sample import VOID, Classes, Picture, Sample
from fusionseg.visualize import region_colors, semantic_colors

CLASSES = Classes(("ground", "cell"), ((10, 20, 30), (200, 60, 60)), things=(1,))
SIDE = 64


@pytest.fixture
def halves() -> Sample:
    """Two regions side by side, of class 0 and 1; the last two columns are unlabelled."""
    region = torch.ones(1, SIDE, SIDE, dtype=torch.long)
    region[..., SIDE // 2 :] = 2
    region[..., -2:] = 0
    semantic = (region == 2).long().masked_fill(region == 0, VOID)
    return {"image": torch.zeros(1, 3, SIDE, SIDE), "semantic": semantic, "region": region}


def drawn(head: Head, batch: Sample) -> Picture:
    picture = head.draw_target(batch, CLASSES)
    assert picture is not None
    assert not picture[:, -2:].any()
    assert picture[:-1, :-2].any(2).all()  # no edge begins at the last pixel
    return picture


def colors(picture: Picture) -> list[tuple[int, ...]]:
    """The colors of a row, each once, from left to right."""
    row = [tuple(color) for color in picture[SIDE // 2].tolist()]
    return list(dict.fromkeys(row))


@pytest.mark.parametrize("width", [2, 6])
def test_a_boundary_is_white_and_as_wide_as_the_head_s(halves: Sample, width: int) -> None:
    white = (drawn(BoundaryHead(1, width=width), halves) == 255).all(2)
    assert white.sum(1).tolist() == [width] * SIDE
    assert np.flatnonzero(white[0]).mean() == SIDE / 2 - 0.5


def test_background_interior_and_border_have_a_color_each(halves: Sample) -> None:
    found = drawn(TrinaryHead(1, background=0, width=4), halves)
    assert len(colors(found)) == 4
    white = (found == 255).all(2)
    assert white[0].nonzero()[0].tolist() == [SIDE // 2, SIDE // 2 + 1]
    assert len(colors(drawn(TrinaryHead(1), halves))) == 3


def test_distances_rise_to_the_reach_and_no_further(halves: Sample) -> None:
    for reach in (4, 16):
        shades = colors(drawn(DistanceHead(1, reach=reach, seed=2.0), halves))
        assert len(shades) == reach + 1  # and black
        assert shades[0] == (253, 231, 37)


def test_edges_that_leave_a_region_darken_as_far_as_they_reach(halves: Sample) -> None:
    found = drawn(AffinityHead(1, offsets=[(0, 1), (1, 0), (0, 9)]), halves).astype(int)
    light = found[SIDE // 2, : SIDE // 2].sum(1)
    assert (light[: SIDE // 2 - 9] == 253 + 231 + 37).all()
    assert (light[SIDE // 2 - 9 :] < 253 + 231 + 37).all()
    assert light[-1] < light[-2]


def test_a_center_is_a_white_spot_whose_size_is_sigma_in_opposite_hues(halves: Sample) -> None:
    small, large = (drawn(CenterOffsetHead(1, sigma=sigma), halves) for sigma in (2.0, 8.0))
    center = (SIDE // 2, SIDE // 4)
    assert small[center].min() > 240
    spots = [(picture[:SIDE, : SIDE // 2].min(2) > 128).sum() for picture in (small, large)]
    squares = [x * x + y * y for x in range(-16, 16) for y in range(-16, 16)]
    for spot, sigma in zip(spots, (2.0, 8.0), strict=True):
        assert spot == sum(255 * np.exp(-square / (2 * sigma**2)) > 128.5 for square in squares)
    assert small[SIDE // 2, 0].argmax() == 0  # the center is to the right: red
    assert small[SIDE // 2, SIDE // 2 - 1].tolist()[0] == 0  # to the left: cyan


def test_label_maps_are_drawn_as_labels(halves: Sample) -> None:
    for head, expected in (
        (SemanticHead(1, 2), semantic_colors(halves["semantic"][0].numpy(), CLASSES)),
        (EmbeddingHead(1), region_colors(halves["region"][0].numpy())),
    ):
        np.testing.assert_array_equal(drawn(head, halves), expected)


class Other(BoundaryHead):
    """A head that does not say how its target is drawn."""

    draw_target = Head.draw_target


def test_a_head_that_draws_no_target_of_its_own_shows_what_it_would_be_decoded_to(halves: Sample) -> None:
    picture = Other(1).draw_target(halves, CLASSES)
    assert picture is not None
    assert len(colors(picture)) == 3  # two regions and the line between them
