import numpy as np
import pytest
import torch
from torch import Tensor

from fusionseg.engine.fusion import panoptic, region_vote
from fusionseg.sample import OFFSET, VOID

CLASSES = 7
THINGS = (1, 4, 5)


def random_maps(seed: int, ids: int = 9) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    semantic = torch.randint(0, CLASSES, (3, 11, 13), generator=generator)
    semantic[torch.rand(semantic.shape, generator=generator) < 0.3] = VOID
    semantic[1, :4] = VOID
    region = torch.randint(0, ids, (3, 11, 13), generator=generator) * 7919
    return semantic, region


def slow_vote(semantic: Tensor, region: Tensor) -> Tensor:
    result = semantic.clone()
    for b in range(len(semantic)):
        for r in set(region[b].flatten().tolist()) - {0}:
            inside = region[b] == r
            votes = [int(((semantic[b] == c) & inside).sum()) for c in range(CLASSES)]
            result[b][inside] = votes.index(max(votes)) if max(votes) else VOID
    return result


def slow_panoptic(semantic: Tensor, region: Tensor, thing_area: int, stuff_area: int) -> Tensor:
    result = torch.full_like(semantic, -1)
    for b in range(len(semantic)):
        for c in set(range(CLASSES)) - set(THINGS):
            stuff = semantic[b] == c
            if stuff.sum() >= stuff_area:
                result[b][stuff] = c * OFFSET
        for r in set(region[b].flatten().tolist()) - {0}:
            votes = {c: int(((semantic[b] == c) & (region[b] == r)).sum()) for c in THINGS}
            if 0 < sum(votes.values()) >= thing_area:
                pixels = torch.isin(semantic[b], torch.tensor(THINGS)) & (region[b] == r)
                result[b][pixels] = min(c for c in THINGS if votes[c] == max(votes.values())) * OFFSET + r
    return result


@pytest.mark.parametrize("seed", range(8))
def test_vote_equals_loop(seed: int) -> None:
    semantic, region = random_maps(seed, ids=3 + 4 * seed)
    assert torch.equal(region_vote(semantic, region, CLASSES), slow_vote(semantic, region))


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize(("thing_area", "stuff_area"), [(0, 0), (6, 0), (0, 12), (5, 14)])
def test_panoptic_equals_loop(seed: int, thing_area: int, stuff_area: int) -> None:
    semantic, region = random_maps(seed)
    found = panoptic(semantic, region, THINGS, CLASSES, thing_area=thing_area, stuff_area=stuff_area)
    assert torch.equal(found, slow_panoptic(semantic, region, thing_area, stuff_area))
    assert (found >= 0).any()
    assert (found == -1).any()


def test_ties_go_to_smaller_class_and_void_only_region_stays_void() -> None:
    semantic = torch.tensor([[[5, 2, 2, 5, VOID, VOID, 6]]])
    region = torch.tensor([[[3, 3, 3, 3, 3, 8, 0]]])
    assert region_vote(semantic, region, CLASSES).tolist() == [[[2, 2, 2, 2, 2, VOID, 6]]]


def test_thing_class_wins_its_region_against_more_stuff_pixels() -> None:
    semantic = torch.tensor([[[0, 0, 0, 4, 5, 5, 4, 4, 1]]])
    region = torch.tensor([[[2, 2, 2, 2, 2, 2, 2, 2, 0]]])
    thing = 4 * OFFSET + 2
    assert panoptic(semantic, region, THINGS, CLASSES).tolist() == [
        [[0, 0, 0, thing, thing, thing, thing, thing, -1]]
    ]


def test_vote_ignores_names_of_regions() -> None:
    semantic, region = random_maps(0)
    renamed = torch.where(region > 0, 65535 - region // 7919, 0)
    assert torch.equal(region_vote(semantic, region, CLASSES), region_vote(semantic, renamed, CLASSES))


def test_panoptic_changes_only_instances_with_names_of_regions() -> None:
    semantic, region = random_maps(1)
    renamed = torch.where(region > 0, 65535 - region // 7919, 0)
    first, second = (
        panoptic(semantic, r, THINGS, CLASSES, thing_area=4, stuff_area=9) for r in (region, renamed)
    )
    assert torch.equal(first // OFFSET, second // OFFSET)
    thing = (first >= 0) & (first % OFFSET > 0)
    assert torch.equal(second[thing] % OFFSET, renamed[thing])
    assert torch.equal(first[~thing], second[~thing])


def test_images_of_a_batch_do_not_see_each_other() -> None:
    semantic, region = random_maps(2)
    for b in range(len(semantic)):
        alone = slice(b, b + 1)
        assert torch.equal(
            region_vote(semantic, region, CLASSES)[alone],
            region_vote(semantic[alone], region[alone], CLASSES),
        )


def test_voting_twice_changes_nothing() -> None:
    semantic, region = random_maps(3)
    once = region_vote(semantic, region, CLASSES)
    assert torch.equal(region_vote(once, region, CLASSES), once)


@pytest.mark.slow
def test_largest_ids_fit() -> None:
    semantic = torch.from_numpy(np.random.default_rng(0).integers(0, 255, (2, 32, 32)))
    region = 65535 - torch.arange(2 * 32 * 32).view(2, 32, 32)
    assert torch.equal(region_vote(semantic, region, 255), semantic)
    found = panoptic(semantic, region, range(255), 255)
    assert torch.equal(found // OFFSET, semantic)
    assert torch.equal(found % OFFSET, region)


def test_without_things_all_labelled_pixels_are_stuff() -> None:
    semantic, region = random_maps(4)
    expected = torch.where(semantic == VOID, -1, semantic * OFFSET)
    assert torch.equal(panoptic(semantic, region, (), CLASSES), expected)


def test_empty_batch_gives_empty_maps() -> None:
    nothing = torch.zeros(0, 4, 5, dtype=torch.int64)
    assert region_vote(nothing, nothing, CLASSES).shape == nothing.shape
    assert panoptic(nothing, nothing, THINGS, CLASSES, stuff_area=3).shape == nothing.shape


@pytest.mark.parametrize(
    ("semantic", "region", "message"),
    [
        (
            torch.full((1, 2, 2), 7),
            torch.ones(1, 2, 2, dtype=torch.int64),
            r"\[0, 6\] or 255 for void, found \[7\]",
        ),
        (torch.full((1, 2, 2), -1), torch.ones(1, 2, 2, dtype=torch.int64), r"found \[-1\]"),
        (torch.zeros(1, 2, 2).long(), torch.full((1, 2, 2), -3), "at least 0, found -3"),
        (torch.zeros(1, 2, 2).long(), torch.zeros(1, 2, 3).long(), r"\(1, 2, 2\) and \(1, 2, 3\)"),
    ],
)
def test_ids_out_of_range_are_refused(semantic: Tensor, region: Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        region_vote(semantic, region, CLASSES)


def test_panoptic_refuses_regions_that_would_change_the_class() -> None:
    with pytest.raises(ValueError, match=r"\[0, 65535\], found 65536"):
        panoptic(torch.ones(1, 2, 2).long(), torch.full((1, 2, 2), OFFSET), THINGS, CLASSES)
