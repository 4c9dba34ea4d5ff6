from collections import deque

import numpy as np

from fusionseg.data import SyntheticScenes
from fusionseg.untrained import RegionGrowing
from fusionseg.untrained.base import skimage


def grown(
    color: np.ndarray, taken: np.ndarray, seed: tuple[int, int], tolerance: float
) -> set[tuple[int, int]]:
    """The pixels that a breadth-first search reaches."""
    reached = {seed}
    queue = deque([seed])
    while queue:
        row, column = queue.popleft()
        for near in ((row - 1, column), (row + 1, column), (row, column - 1), (row, column + 1)):
            if near in reached or not (0 <= near[0] < color.shape[0] and 0 <= near[1] < color.shape[1]):
                continue
            if not taken[near] and np.linalg.norm(color[near] - color[seed]) <= tolerance:
                reached.add(near)
                queue.append(near)
    return reached


def test_regions_are_what_a_search_reaches_from_each_seed() -> None:
    photo = SyntheticScenes("val", length=1, size=(48, 64)).read(0).image.astype(np.float32) / 255
    method = RegionGrowing(spacing=8, tolerance=10, sigma=1, min_area=1)
    found = method.regions(photo)
    color = (
        skimage("color").rgb2lab(skimage("filters").gaussian(photo, 1, channel_axis=-1)).astype(np.float32)
    )
    gradient = skimage("filters").sobel(color[..., 0])
    cells = [(top, left) for top in range(0, 48, 8) for left in range(0, 64, 8)]
    seeds = []
    for top, left in cells:
        pixels = [(top + i, left + j) for i in range(8) for j in range(8)]
        seeds.append(min(pixels, key=lambda pixel: gradient[pixel]))
    taken = np.zeros((48, 64), np.int32)
    for seed in sorted(seeds, key=lambda pixel: gradient[pixel]):
        if not taken[seed]:
            number = taken.max() + 1
            for pixel in grown(color, taken, seed, 10):
                taken[pixel] = number
    assert taken.max() > 5
    assert (found[taken > 0] == taken[taken > 0]).all()


def test_small_regions_are_given_up() -> None:
    photo = np.zeros((32, 32, 3), np.float32)
    photo[8:16, 8:16] = 1
    assert (RegionGrowing(spacing=8, sigma=0, min_area=65).regions(photo) == 1).all()
    kept = RegionGrowing(spacing=8, sigma=0, min_area=64).regions(photo)
    assert (kept == 1 + (photo[..., 0] == 1)).all()
