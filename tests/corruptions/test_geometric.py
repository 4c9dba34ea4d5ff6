"""Against rays in space: points of a scene as cameras see them that are turned by SciPy."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from scipy.spatial.transform import Rotation
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as tv

from fusionseg.corruptions.geometric import ROTATIONS, TILTS, Turned, rotated, rotation, tilted

SIZE = (90, 120)


def pixel(point: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Where a camera with the focal length 120 sees points (..., 3), as (x, y) from the top left."""
    return 120 * point[..., :2] / point[..., 2:] + np.array([60, 45])


@pytest.mark.parametrize("severity", range(1, 6))
def test_angles_are_those_of_the_severity(severity: int) -> None:
    for seed in range(4):
        about, off = (Rotation.from_matrix(turn(SIZE, severity, seed).rotation) for turn in (rotated, tilted))
        assert np.degrees(about.magnitude()) == pytest.approx(ROTATIONS[severity - 1])
        assert np.abs(about.as_rotvec()[:2]).max() < 1e-9
        assert np.degrees(off.magnitude()) == pytest.approx(TILTS[severity - 1])
        assert abs(off.as_rotvec()[2]) < 1e-9
    sides = {
        np.sign(Rotation.from_matrix(rotated(SIZE, severity, seed).rotation).as_rotvec()[2])
        for seed in range(9)
    }
    assert sides == {-1, 1}


@pytest.mark.parametrize("severity", range(1, 6))
def test_a_homography_leads_where_the_turned_camera_sees_each_point(severity: int) -> None:
    points = np.random.default_rng(severity).uniform((-2, -1.5, 4), (2, 1.5, 9), (50, 3))
    for turn in (rotated(SIZE, severity, 1), tilted(SIZE, severity, 1)):
        camera = Rotation.from_matrix(turn.rotation)
        seen = camera.apply(points)
        line = camera.apply([0, 0, 1])
        # the focal length keeps the middle as large, and the middle stays where it is
        expected = (pixel(seen) - pixel(line)) * line[2] + np.array([60, 45])
        found = np.column_stack((pixel(points), np.ones(50))) @ turn.homography(SIZE).T
        assert np.abs(found[:, :2] / found[:, 2:] - expected).max() < 1e-9


def test_the_middle_stays_in_the_middle_and_as_large() -> None:
    for turn in (rotated(SIZE, 5, 0), tilted(SIZE, 5, 0)):
        x, y, inside = turn.places(SIZE)
        assert inside[45, 60]
        assert (x[44:46, 59:61].mean(), y[44:46, 59:61].mean()) == pytest.approx((60, 45), abs=0.05)
        step = np.array(
            [[x[45, 60] - x[45, 59], x[45, 60] - x[44, 60]], [y[45, 60] - y[45, 59], y[45, 60] - y[44, 60]]]
        )
        # across the direction of the tilt a pixel is a pixel, along it a little less
        assert np.linalg.svd(step)[1] == pytest.approx([1, turn.rotation[2, 2]], abs=0.05)


@pytest.mark.parametrize("severity", range(1, 6))
def test_a_rotation_is_torchvisions(severity: int) -> None:
    image = np.random.default_rng(0).random((60, 60, 3)).repeat(4, 0).repeat(4, 1).astype(np.float32)
    turn = rotated((240, 240), severity, 0)
    degrees = np.degrees(Rotation.from_matrix(turn.rotation).as_rotvec()[2])
    import torch

    tensor = torch.from_numpy(image).permute(2, 0, 1)
    # with y down, a positive angle is clockwise, which torchvision counts as negative
    expected = tv.rotate(tensor, -degrees, InterpolationMode.BILINEAR).permute(1, 2, 0).numpy()
    middle = (slice(60, 180), slice(60, 180))
    assert np.abs(rotation(image, severity, 0)[middle] - expected[middle]).mean() < 0.01


@pytest.mark.parametrize("turn", [rotated(SIZE, 4, 3), tilted(SIZE, 4, 3)], ids=["rotation", "perspective"])
def test_depth_and_normals_are_those_that_the_turned_camera_measures(turn: Turned) -> None:
    """A plane n . X = d, of which depth along each ray is known in closed form, before and after."""
    normal = np.array([0.3, -0.2, -1.0])
    normal /= np.linalg.norm(normal)
    y, x = np.mgrid[:90, :120] + 0.5
    rays = np.dstack([(x - 60) / 120, (y - 45) / 120, np.ones(SIZE)])
    depth = (-5.0 / (rays @ normal)).astype(np.float32)
    normals = np.broadcast_to(normal, (*SIZE, 3)).astype(np.float32)
    inside = turn.places(SIZE)[2]
    camera = Rotation.from_matrix(turn.rotation)
    after = camera.apply(normal)
    line = camera.apply([0, 0, 1])
    zoom = 120 * line[2]
    # the ray of each pixel of the camera whose focal length and middle are changed
    turned_rays = np.dstack(
        [(x - 60) / zoom + line[0] / line[2], (y - 45) / zoom + line[1] / line[2], np.ones(SIZE)]
    )
    expected = -5.0 / (turned_rays @ after)
    found = turn.values("depth", depth)
    assert found.dtype == np.float32
    assert not found[~inside].any()
    inverse = turn.values("disparity", 7 / depth)
    assert inverse[inside] == pytest.approx(7 / found[inside], rel=1e-5)
    assert not inverse[~inside].any()
    # the nearest pixel is up to 0.71 pixels away
    assert np.abs(found / expected - 1)[inside].max() < 0.01
    moved = turn.values("normals", normals)
    assert np.abs(moved[inside] - after).max() < 1e-6
    assert not moved[~inside].any()


def test_unlabelled_pixels_of_depth_and_normals_stay_so() -> None:
    turn = tilted(SIZE, 2, 0)
    assert not turn.values("depth", np.zeros(SIZE, np.float32)).any()
    assert not turn.values("normals", np.zeros((*SIZE, 3), np.float32)).any()


def test_labels_are_those_of_the_nearest_pixel_and_void_beyond_the_image() -> None:
    region = np.arange(1, 90 * 120 + 1, dtype=np.uint16).reshape(SIZE)
    for turn in (rotated(SIZE, 5, 0), tilted(SIZE, 5, 0)):
        found = turn.ids(region, 0)
        before = np.linalg.inv(turn.homography(SIZE))
        for y, x in np.random.default_rng(0).integers(0, SIZE, (200, 2)):
            u, v, w = before @ [x + 0.5, y + 0.5, 1]
            column, row = int(np.floor(u / w)), int(np.floor(v / w))
            known = 0 <= column < 120 and 0 <= row < 90
            assert found[y, x] == (region[row, column] if known else 0)
