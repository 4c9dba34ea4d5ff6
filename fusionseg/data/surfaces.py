"""Depth and surface normals of the synthetic scenes: a tilted ground, and a body for each thing.

The camera is orthographic: a pixel is a square of `EXTENT` / (shorter side in pixels) meters at every depth,
x points right, y down and z away from the camera. A surface is a depth z(x, y) in meters, and its normal
towards the camera is the vector (dz/dx, dz/dy, -1) at unit length.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from fusionseg.data.base import LabelMap

EXTENT = 4.0
"""Length of the shorter side of a scene, in meters."""

NEAREST = 0.5
"""All surfaces are farther from the camera than this, in meters."""

_Plane: TypeAlias = npt.NDArray[np.float64]
_Body: TypeAlias = Callable[[_Plane, _Plane], tuple[_Plane, _Plane, _Plane]]


class Thing(NamedTuple):
    """A thing of a painted scene.

    Args:
        body: The shape of its surface: height towards the camera over coordinates (u, v), and the height's
            derivatives in u and v. All in units of the radius.
        center: (y, x) in pixels.
        radius: In pixels.
        turn: Angle from the picture's axes to (u, v), in radians.
        window: Rows and columns of the picture that hold the thing.
        inside: Which pixels of the window are the thing's (h, w), hidden ones included.
    """

    body: _Body
    center: npt.NDArray[np.float64]
    radius: float
    turn: float
    window: tuple[slice, slice]
    inside: npt.NDArray[np.bool_]


def surfaces(
    things: Sequence[Thing], size: tuple[int, int], rng: np.random.Generator
) -> tuple[LabelMap, LabelMap]:
    """The depth (H, W) in meters and the unit normals (H, W, 3) of the visible surfaces.

    Behind the things lies the ground, a plane that fills the whole picture: the sky is for the caller to cut
    out. The things are placed in the order in which they are painted, each a little in front of all that it
    hides. Where that would bring them too near to the camera they are flattened.

    Args:
        things: In the order in which they are painted.
        size: Height and width in pixels.
        rng: The only source of randomness.
    """
    pitch = EXTENT / min(size)
    y, x = np.mgrid[: size[0], : size[1]] * pitch
    slope = np.array([np.tan(np.radians(rng.uniform(-10, 10))), -np.tan(np.radians(rng.uniform(40, 60)))])
    depth = slope[0] * x + slope[1] * y
    depth += rng.uniform(3.0, 5.0) - depth.min()
    gradient = np.empty((*size, 2))
    gradient[:] = slope
    for thing in things:
        _place(thing, depth, gradient, pitch, rng)
    normals = np.dstack((gradient, np.full(size, -1.0)))
    normals /= np.linalg.norm(normals, axis=2, keepdims=True)
    return depth.astype(np.float32), normals.astype(np.float32)


def _place(thing: Thing, depth: _Plane, gradient: _Plane, pitch: float, rng: np.random.Generator) -> None:
    """Adds a thing to the depth (H, W) and its gradient (H, W, 2), in front of what is there."""
    height, slope = _relief(thing, pitch, rng)
    gap = rng.uniform(0.05, 0.4)
    inside = thing.inside
    if not inside.any():
        return
    behind = depth[thing.window][inside]
    thickness = height[inside].max() - height[inside].min() + gap
    # A part of the room before the nearest hidden point is always left over for things that are painted
    # later.
    flattening = min(1.0, 0.4 * (behind.min() - NEAREST) / thickness)
    height = flattening * height[inside]
    depth[thing.window][inside] = (behind + height).min() - flattening * gap - height
    gradient[thing.window][inside] = -flattening * slope[inside]


def _relief(thing: Thing, pitch: float, rng: np.random.Generator) -> tuple[_Plane, _Plane]:
    """The height (h, w) of a thing in its window, meters towards the camera, and its slope (h, w, 2)."""
    rows, columns = thing.window
    y = (np.arange(rows.start, rows.stop)[:, None] - thing.center[0]) / thing.radius
    x = (np.arange(columns.start, columns.stop)[None] - thing.center[1]) / thing.radius
    cos = np.cos(thing.turn)
    sin = np.sin(thing.turn)
    height, along_u, along_v = thing.body(x * cos + y * sin, y * cos - x * sin)
    slope = np.stack((along_u * cos - along_v * sin, along_u * sin + along_v * cos), axis=2)
    angle = rng.uniform(0, 2 * np.pi)
    tilt = np.tan(np.radians(rng.uniform(5, 45))) * np.array([np.cos(angle), np.sin(angle)])
    return (height + tilt[0] * x + tilt[1] * y) * (thing.radius * pitch), slope + tilt


def cap(u: _Plane, v: _Plane) -> tuple[_Plane, _Plane, _Plane]:
    """A ball's cap, whose rim falls off at about 53 degrees: the sphere has 1.25 times the thing's radius."""
    height = np.sqrt(np.maximum(1.25**2 - u**2 - v**2, 0.1))
    return height, -u / height, -v / height


def flat(u: _Plane, v: _Plane) -> tuple[_Plane, _Plane, _Plane]:
    """A plane."""
    zero = np.zeros(np.broadcast_shapes(u.shape, v.shape))
    return zero, zero, zero


def bent(u: _Plane, v: _Plane) -> tuple[_Plane, _Plane, _Plane]:
    """A plate bent like a parabolic cylinder, highest along its middle line u = 0."""
    zero = np.zeros(np.broadcast_shapes(u.shape, v.shape))
    return zero - 0.6 * u**2, zero - 1.2 * u, zero


def bowl(u: _Plane, v: _Plane) -> tuple[_Plane, _Plane, _Plane]:
    """A paraboloid with its hollow side to the camera."""
    zero = np.zeros(np.broadcast_shapes(u.shape, v.shape))
    return 0.5 * (u**2 + v**2), zero + u, zero + v
