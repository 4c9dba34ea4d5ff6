"""Synthetic scenes of overlapping shapes, drawn on the fly, to train on without any files."""

import functools
from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import cv2
import numpy as np
import numpy.typing as npt
from typing_extensions import override

from fusionseg.data.base import Pixels, SegmentationDataset, Split
from fusionseg.data.surfaces import Thing, bent, bowl, cap, flat, surfaces
from fusionseg.sample import Classes

_Plane: TypeAlias = npt.NDArray[np.floating]

_SKY, _GROUND, _DISK, _SQUARE, _TRIANGLE, _STAR = range(6)
_LENGTHS: dict[Split, int] = {"train": 512, "val": 64, "test": 64}
_SALT = {"train": 1, "val": 2, "test": 3}
_HUES = {
    _SKY: (95, 120),
    _GROUND: (25, 60),
    _DISK: (0, 35),
    _SQUARE: (25, 75),
    _TRIANGLE: (65, 125),
    _STAR: (120, 175),
}
"""Ranges of hue in OpenCV's half degrees; they overlap, so that hue alone does not give the class."""


class SyntheticScenes(SegmentationDataset):
    """Sky and ground behind disks, squares, triangles and stars that touch and hide each other.

    Things of a class come in groups of overlapping instances, so that regions are not the connected
    components of a class. A class shows in shape, texture and a range of hues; instances differ in color and
    brightness. Labels are exact.

    On request there are depth and normals of a geometry of its own random stream, which changes neither the
    image nor the other labels. The ground is a tilted plane, disks are caps of balls, squares tilted planes,
    triangles bent plates and stars bowls; what is painted over a thing is nearer than it. The camera is
    orthographic, with pixels of 4 / min(size) meters, and all depths exceed 0.5 meters. Normals point to the
    camera (z < 0). The sky has no surface, so it is invalid in both, as it is in the labels of real outdoor
    scenes.

    Args:
        split: Which scenes; no two splits share one.
        length: Number of scenes, by default 512 to train and 64 else.
        size: Height and width in pixels.
        seed: Seed of all scenes.
        depth: Whether there are labels `depth` (H, W) in meters.
        normals: Whether there are labels `normals` (H, W, 3), unit vectors.

    Raises:
        ValueError: The length or the size is too small.
    """

    classes = Classes(
        names=("sky", "ground", "disk", "square", "triangle", "star"),
        colors=(
            (135, 180, 235),
            (120, 140, 80),
            (220, 60, 50),
            (240, 180, 40),
            (40, 160, 120),
            (150, 70, 190),
        ),
        things=(_DISK, _SQUARE, _TRIANGLE, _STAR),
        region="one thing or one area of stuff",
    )

    def __init__(
        self,
        split: Split,
        length: int | None = None,
        size: tuple[int, int] = (128, 128),
        seed: int = 0,
        depth: bool = False,
        normals: bool = False,
    ) -> None:
        super().__init__(split)
        if length is not None and length < 1:
            raise ValueError(f"expected at least one scene, found a length of {length}")
        if min(size) < 16:
            raise ValueError(f"expected scenes of at least 16 x 16 pixels, found {size[0]} x {size[1]}")
        self.length = length or _LENGTHS[split]
        self.size = (size[0], size[1])
        self.seed = seed
        self.kinds = ("depth",) * depth + ("normals",) * normals

    def __len__(self) -> int:
        return self.length

    @override
    def name(self, index: int) -> str:
        return f"{self.split}-{index:05d}"

    @override
    def image_size(self, index: int) -> tuple[int, int]:
        return self.size

    @override
    def read(self, index: int) -> Pixels:
        if not 0 <= index < self.length:
            raise IndexError(f"expected a scene in 0..{self.length - 1}, found {index}")
        key = (self.seed, index, _SALT[self.split])
        pixels, things = scene(np.random.default_rng(key), self.size)
        if not self.kinds:
            return pixels
        # NumPy pads short keys with zeros, so the further number must not be 0.
        depth, normals = surfaces(things, self.size, np.random.default_rng((*key, 2)))
        maps = {"depth": depth, "normals": normals}
        for plane in maps.values():
            plane[pixels.semantic == _SKY] = 0
        return pixels._replace(maps={kind: maps[kind] for kind in self.kinds})

    @override
    def sources(self) -> list[object]:
        return [self.length, self.size, self.seed, self.kinds]


def scene(rng: np.random.Generator, size: tuple[int, int]) -> tuple[Pixels, list[Thing]]:
    """A scene (H, W) of two areas of stuff (regions 1 and 2) and groups of things, one region each."""
    canvas = _background(rng, size)
    things: list[Thing] = []
    for _ in range(rng.integers(3, 6)):
        label = int(rng.integers(_DISK, _STAR + 1))
        center = rng.uniform(0.15, 0.85, 2) * size
        radius = rng.uniform(0.1, 0.18) * min(size)
        value = rng.uniform(150, 235)
        for _ in range(rng.integers(1, 5)):
            thing = _painted(canvas, rng, label, center, radius * rng.uniform(0.8, 1.2), value)
            if thing is not None:
                things.append(thing)
            angle = rng.uniform(0, 2 * np.pi)
            center = center + radius * rng.uniform(1.1, 1.7) * np.array([np.sin(angle), np.cos(angle)])
            # The next one in the group is clearly lighter or darker, so that the border between the two can
            # be seen.
            value = 150 + (value - 150 + rng.uniform(30, 60)) % 90
    rgb = cv2.cvtColor(canvas.hsv.clip(0, 255).astype(np.uint8), cv2.COLOR_HSV2RGB).astype(np.float32)
    x, y = _grid(size)
    slope = rng.uniform(-0.25, 0.25, 2)
    light = 1 + slope[0] * (x / size[1] - 0.5) + slope[1] * (y / size[0] - 0.5)
    rgb *= light[..., None].astype(np.float32)
    rgb += 7 * rng.standard_normal(rgb.shape, dtype=np.float32)
    return Pixels(rgb.clip(0, 255).astype(np.uint8), canvas.semantic, canvas.region), things


class _Canvas(NamedTuple):
    """An unfinished picture: hue in half degrees, saturation and value (H, W, 3), and label maps (H, W)."""

    hsv: npt.NDArray[np.float32]
    semantic: npt.NDArray[np.uint8]
    region: npt.NDArray[np.uint16]


@functools.lru_cache(maxsize=2)
def _grid(size: tuple[int, int]) -> tuple[_Plane, _Plane]:
    """The coordinates x and y (H, W) of all pixels."""
    y, x = np.mgrid[: size[0], : size[1]].astype(np.float32)
    return x, y


def _background(rng: np.random.Generator, size: tuple[int, int]) -> _Canvas:
    """Sky with soft clouds over a striped ground; their border is a wave."""
    height, width = size
    x, y = _grid(size)
    phase = rng.uniform(0, 2 * np.pi, 3)
    wave = np.sin(x[0] * rng.uniform(3, 9) / width + phase[0]) + 0.5 * np.sin(
        x[0] * rng.uniform(12, 20) / width + phase[1]
    )
    ground = y > height * (rng.uniform(0.35, 0.65) + 0.06 * wave)
    clouds = cv2.resize(
        rng.uniform(-30, 30, (4, 4)).astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC
    )
    stripes = 18 * np.sin(0.9 * y + 0.25 * x + phase[2])
    sky = np.array([rng.uniform(*_HUES[_SKY]), rng.uniform(40, 115), rng.uniform(110, 210)], np.float32)
    soil = np.array([rng.uniform(*_HUES[_GROUND]), rng.uniform(40, 115), rng.uniform(110, 210)], np.float32)
    hsv = np.where(ground[..., None], soil, sky)
    hsv[..., 2] += np.where(ground, stripes, clouds)
    return _Canvas(hsv, ground.astype(np.uint8), ground.astype(np.uint16) + np.uint16(1))


def _painted(
    canvas: _Canvas,
    rng: np.random.Generator,
    label: int,
    center: npt.NDArray[np.float64],
    radius: float,
    value: float,
) -> Thing | None:
    """Paints an instance over what is there; None where it lies outside of the picture."""
    turn = rng.uniform(0, 2 * np.pi)
    hue = rng.uniform(*_HUES[label])
    saturation = rng.uniform(140, 230)
    top, left = np.maximum(center - radius, 0).astype(int)
    bottom, right = np.minimum(center + radius + 1, canvas.semantic.shape).astype(int)
    if top >= bottom or left >= right:
        return None
    window = (slice(top, bottom), slice(left, right))
    y = np.arange(top, bottom, dtype=np.float32)[:, None] - center[0]
    x = np.arange(left, right, dtype=np.float32)[None] - center[1]
    u = (x * np.cos(turn) + y * np.sin(turn)) / radius
    v = (y * np.cos(turn) - x * np.sin(turn)) / radius
    inset = _INSETS[label](u, v)
    inside = inset > 0
    rim = np.where(inset < 0.15, 45, 0)
    patch = np.empty((*inset.shape, 3), np.float32)
    patch[..., 0] = hue
    patch[..., 1] = saturation
    patch[..., 2] = value + _TEXTURES[label](u, v) - rim
    canvas.hsv[window][inside] = patch[inside]
    canvas.semantic[window][inside] = label
    canvas.region[window][inside] = canvas.region.max() + 1
    return Thing(_BODIES[label], center, radius, turn, window, inside)


def _star(u: _Plane, v: _Plane) -> _Plane:
    """The distance to the border of a star with five arms, as in `_INSETS`."""
    inset: _Plane = 1 - np.hypot(u, v) / (0.76 + 0.24 * np.cos(5 * np.arctan2(v, u)))
    return inset


_INSETS: dict[int, Callable[[_Plane, _Plane], _Plane]] = {
    _DISK: lambda u, v: 1 - np.hypot(u, v),
    _SQUARE: lambda u, v: 1 - np.maximum(np.abs(u), np.abs(v)) / 0.7,
    _TRIANGLE: lambda u, v: 1 - 2 * np.maximum(v, np.abs(u) * (3**0.5 / 2) - v / 2),
    _STAR: _star,
}
"""Distance to the shape's border, 1 in its middle and positive inside; coordinates in units of the radius."""

_TEXTURES: dict[int, Callable[[_Plane, _Plane], _Plane]] = {
    _DISK: lambda u, v: 30 * (u + 0 * v),
    _SQUARE: lambda u, v: 40 * np.sin(14 * (u + 0 * v)),
    _TRIANGLE: lambda u, v: 35 * np.sign(np.sin(11 * u) * np.sin(11 * v)),
    _STAR: lambda u, v: 35 * np.cos(16 * np.hypot(u, v)),
}
"""The texture, added to an instance's value, over the same coordinates."""

_BODIES = {_DISK: cap, _SQUARE: flat, _TRIANGLE: bent, _STAR: bowl}
"""The shape of the surface of each class of things."""
