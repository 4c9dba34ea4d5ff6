import numpy as np
import numpy.typing as npt
import pytest

from fusionseg.data.surfaces import EXTENT, NEAREST, surfaces
from fusionseg.data.synthetic import SyntheticScenes, scene

RNG = np.random.default_rng
DEGREE = np.pi / 180


def angles(a: npt.NDArray[np.floating], b: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """The angles in degrees between vectors (..., 3); by atan2, which is exact for small ones."""
    a, b = a.astype(np.float64), b.astype(np.float64)
    apart: npt.NDArray[np.float64] = np.arctan2(np.linalg.norm(np.cross(a, b), axis=-1), (a * b).sum(-1))
    return apart / DEGREE


def differences(depth: npt.NDArray[np.float32], pitch: float) -> npt.NDArray[np.float64]:
    """The normals (H - 2, W - 2, 3) by central differences, from the cross product of two tangents."""
    z = depth.astype(np.float64)
    along_x, along_y = np.zeros((2, z.shape[0] - 2, z.shape[1] - 2, 3))
    along_x[..., 0] = along_y[..., 1] = 2 * pitch
    along_x[..., 2] = z[1:-1, 2:] - z[1:-1, :-2]
    along_y[..., 2] = z[2:, 1:-1] - z[:-2, 1:-1]
    # y x x points to the camera in these axes, whose z points away from it
    normals: npt.NDArray[np.float64] = np.cross(along_y, along_x)
    normals /= np.linalg.norm(normals, axis=-1, keepdims=True)
    return normals


def interior(region: npt.NDArray[np.uint16]) -> npt.NDArray[np.bool_]:
    """Which pixels (H - 2, W - 2) have their four neighbors in their own region."""
    own = region[1:-1, 1:-1]
    neighbors = (region[1:-1, 2:], region[1:-1, :-2], region[2:, 1:-1], region[:-2, 1:-1])
    inner: npt.NDArray[np.bool_] = np.logical_and.reduce([own == other for other in neighbors])
    return inner


@pytest.mark.parametrize(("size", "seed"), [((128, 128), 0), ((96, 160), 1), ((256, 192), 2)])
def test_normals_agree_with_finite_differences_of_depth(size: tuple[int, int], seed: int) -> None:
    scenes = SyntheticScenes("train", size=size, seed=seed, depth=True, normals=True)
    for index in range(8):
        pixels = scenes.read(index)
        depth, normals = pixels.maps["depth"], pixels.maps["normals"]
        inner = interior(pixels.region) & (depth[1:-1, 1:-1] > 0)
        apart = angles(differences(depth, EXTENT / min(size)), normals[1:-1, 1:-1])[inner]
        assert inner.mean() > 0.2
        assert np.median(apart) < 0.01
        assert apart.max() < 1


def test_things_are_tilted_and_curved_and_no_two_lie_alike() -> None:
    scenes = SyntheticScenes("train", depth=True, normals=True)
    spread: dict[int, list[float]] = {label: [] for label in range(1, 6)}
    for index in range(20):
        pixels = scenes.read(index)
        for identity in np.unique(pixels.region[pixels.semantic > 0]):
            inside = pixels.region == identity
            if inside.sum() > 100:
                normals = pixels.maps["normals"][inside].astype(np.float64)
                label = int(pixels.semantic[inside][0])
                spread[label].append(float(angles(normals, normals.mean(0)).max()))
                assert np.ptp(pixels.maps["depth"][inside]) > 0.01
    ground, disk, square, triangle, star = spread.values()
    assert max(ground + square) < 1e-3
    assert min(map(np.median, (disk, triangle, star))) > 5


def test_what_is_painted_later_is_nearer_than_all_that_it_hides() -> None:
    for seed in range(12):
        _, things = scene(RNG(seed), (96, 128))
        before = surfaces([], (96, 128), RNG(9))[0]
        for number, thing in enumerate(things, 1):
            after = surfaces(things[:number], (96, 128), RNG(9))[0]
            painted = np.zeros((96, 128), bool)
            painted[thing.window] = thing.inside
            assert (after < before)[painted].all()
            assert (after == before)[~painted].all()
            before = after


@pytest.mark.parametrize("size", [(16, 16), (16, 200), (200, 16), (128, 128)])
def test_normals_are_unit_vectors_towards_the_camera_and_depths_lie_before_it(size: tuple[int, int]) -> None:
    for seed in range(20):
        _, things = scene(RNG(seed), size)
        depth, normals = surfaces(5 * things, size, RNG(seed))
        assert depth.min() > NEAREST
        assert np.abs(np.linalg.norm(normals, axis=2) - 1).max() < 1e-6
        assert (normals[..., 2] < 0).all()


def test_the_ground_rises_into_the_distance() -> None:
    depth, normals = surfaces([], (64, 96), RNG(0))
    assert (np.diff(depth, axis=0) < 0).all()
    assert (normals == normals[0, 0]).all()
    assert normals[0, 0, 1] < 0
