"""Random views of an image and its labels: one affine warp for the geometry, one matrix for the color."""

import math
from collections.abc import Callable, Mapping

import cv2
import numpy as np
import numpy.typing as npt

from fusionseg.data.base import LabelMap, Pixels
from fusionseg.data.view_changes import Others, ViewChange
from fusionseg.data.warping import Matrix, image_view, nearest_view, turned, warped
from fusionseg.files.photos import Photo
from fusionseg.sample import VOID

_GRAY = np.array([0.299, 0.587, 0.114])
_YIQ = np.array([_GRAY, [0.595716, -0.274453, -0.321263], [0.211456, -0.522591, 0.311135]])


class Augmentation:
    """Random zoom, rotation, mirroring and crop, then brightness, contrast, saturation and hue.

    The geometry is one affine warp, the color one 3 x 4 matrix. The crop's position is random, and where the
    image is large enough the crop lies within it. Beyond the image the view shows its mean color, without
    labels.

    Label maps are sampled at the nearest pixel, so that no label is blended with that of another surface or
    with an invalid one. The vectors of `normals` are mirrored and rotated with the picture.

    Args:
        scale: Smallest and largest zoom, drawn evenly on a logarithmic scale.
        rotation: Largest angle in degrees, to either side.
        flip: Probability of a mirrored view.
        brightness: The factor of all values is drawn from 1 - brightness to 1 + brightness.
        contrast: The same for the distance to the image's mean gray.
        saturation: The same for the distance to the pixel's own gray.
        hue: Largest shift of the hue to either side, as a part of the full circle (a rotation in YIQ).
        depth_by_zoom: What a zoom is to the labels of `depth`. False: a longer focal length, which shows the
            same surfaces larger, so that depth and normals keep their values exactly. True: a step closer, so
            that depth is divided by the zoom and a thing's depth goes with its size, as in the training of
            MTAN on NYUv2 (Liu et al., CVPR 2019, arXiv:1803.10704). Normals keep their values there too,
            which is an approximation. The data set's own scale, in `__call__` the argument `zoom`, is a
            change of resolution and never changes depth. Labels of `disparity`, an inverse depth, are
            multiplied where those of depth are divided.
        changes: Recipes of what happens to a view then, in order: `RandomCorruption`, `RandomErasing`,
            `CopyPaste`, `TorchvisionTransform`.

    Raises:
        ValueError: An argument is out of its range.
    """

    def __init__(
        self,
        scale: tuple[float, float] = (0.5, 2.0),
        rotation: float = 10.0,
        flip: float = 0.5,
        brightness: float = 0.2,
        contrast: float = 0.2,
        saturation: float = 0.2,
        hue: float = 0.05,
        depth_by_zoom: bool = False,
        changes: list[Callable[[], ViewChange]] = [],  # noqa: B006 (never changed)
    ) -> None:
        if not 0 < scale[0] <= scale[1] < math.inf:
            raise ValueError(f"expected scales 0 < smallest <= largest, found {tuple(scale)}")
        if not 0 <= rotation <= 180:
            raise ValueError(f"expected a rotation in [0, 180] degrees, found {rotation}")
        if not 0 <= flip <= 1:
            raise ValueError(f"expected a probability of a flip in [0, 1], found {flip}")
        colors = {"brightness": brightness, "contrast": contrast, "saturation": saturation, "hue": hue}
        for name, value in colors.items():
            largest = 0.5 if name == "hue" else 1
            if not 0 <= value <= largest:
                raise ValueError(f"expected {name} in [0, {largest}], found {value}")
        self.scale = scale
        self.rotation = rotation
        self.flip = flip
        self.brightness = brightness
        self.contrast = contrast
        self.saturation = saturation
        self.hue = hue
        self.depth_by_zoom = depth_by_zoom
        self.changes = [change() for change in changes]

    @property
    def families(self) -> tuple[str, ...]:
        """The families of `fusionseg.corruptions` that the views show too."""
        colors = any((self.brightness, self.contrast, self.saturation, self.hue))
        own = ["photometric"] * colors + ["geometric"] * (self.rotation > 0)
        return tuple(
            dict.fromkeys([*own, *(family for change in self.changes for family in change.families)])
        )

    @classmethod
    def none(cls) -> "Augmentation":
        """No augmentation but the random position of the crop."""
        return cls((1.0, 1.0), 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)

    def __call__(
        self,
        pixels: Pixels,
        crop_size: tuple[int, int],
        zoom: float,
        rng: np.random.Generator,
        others: Others | None = None,
    ) -> Pixels:
        """A random view of an image, changed as `changes` say.

        Args:
            pixels: The image and its labels.
            crop_size: Height and width of the view.
            zoom: Size of all images of the data set relative to their files, multiplied by the random zoom.
            rng: The only source of randomness.
            others: The other images, for changes that mix several.
        """
        found = self.plain_view(pixels, crop_size, zoom, rng)
        for change in self.changes:
            found = change(found, rng, others)
        return found

    def plain_view(
        self, pixels: Pixels, crop_size: tuple[int, int], zoom: float, rng: np.random.Generator
    ) -> Pixels:
        """A random view of an image, before `changes`.

        Args:
            pixels: The image and its labels.
            crop_size: Height and width of the view.
            zoom: Size of all images of the data set relative to their files, multiplied by the random zoom.
            rng: The only source of randomness.
        """
        random_zoom = math.exp(rng.uniform(*np.log(self.scale)))
        angle = math.radians(rng.uniform(-self.rotation, self.rotation))
        mirror = -1.0 if rng.random() < self.flip else 1.0
        height, width = pixels.semantic.shape
        warp = view((height, width), crop_size, zoom * random_zoom, angle, mirror, rng.random(2))
        return Pixels(
            self.color(image_view(pixels.image, warp, crop_size), rng),
            warped(pixels.semantic, warp, crop_size, cv2.INTER_NEAREST, (VOID,)),
            warped(pixels.region, warp, crop_size, cv2.INTER_NEAREST, (0,)),
            self._map_views(pixels.maps, warp, crop_size, random_zoom) if pixels.maps else pixels.maps,
        )

    def color(self, image: Photo, rng: np.random.Generator) -> Photo:
        """The image with its first three channels in another light."""
        spread = np.array([self.brightness, self.contrast, self.saturation, self.hue])
        if not spread.any():
            return image
        bright, contrast, saturation, hue = rng.uniform(-spread, spread) + np.array([1, 1, 1, 0])
        rgb = image if image.shape[2] == 3 else np.ascontiguousarray(image[..., :3])
        gray = bright * float(_GRAY @ cv2.mean(rgb)[:3])
        chroma = _hue_rotation(hue) @ (saturation * np.eye(3) + (1 - saturation) * _GRAY)
        # A gray offset has no chroma: neither saturation nor hue changes it.
        matrix = np.column_stack((contrast * bright * chroma, np.full(3, (1 - contrast) * gray)))
        changed: Photo = cv2.transform(rgb, matrix)  # type: ignore[assignment]
        if changed.dtype == np.float32:  # integers end at their limits by themselves
            changed = changed.clip(0, 1)
        return changed if image.shape[2] == 3 else np.dstack((changed, image[..., 3:]))

    def _map_views(
        self, maps: Mapping[str, LabelMap], warp: Matrix, crop_size: tuple[int, int], random_zoom: float
    ) -> dict[str, LabelMap]:
        """The crops of further label maps, 0 beyond the image's border."""
        views = {kind: nearest_view(plane, warp, crop_size) for kind, plane in maps.items()}
        if "normals" in views:
            views["normals"] = turned(views["normals"], warp)
        if "depth" in views and self.depth_by_zoom:
            views["depth"] = views["depth"] / np.float32(random_zoom)
        if "disparity" in views and self.depth_by_zoom:
            views["disparity"] = views["disparity"] * np.float32(random_zoom)
        return views


def view(
    size: tuple[int, int],
    crop_size: tuple[int, int],
    zoom: float,
    angle: float,
    mirror: float,
    position: npt.NDArray[np.float64],
) -> Matrix:
    """The affine map (2, 3) from (x, y) of the crop to (x, y) of the image, pixel centers at half integers.

    Args:
        size: Height and width of the image.
        crop_size: Height and width of the crop.
        zoom: Size of a thing in the crop relative to the image.
        angle: Rotation in radians.
        mirror: -1 to mirror left and right, 1 not to.
        position: Where the crop lies within its range, (x, y) in [0, 1).
    """
    cos = math.cos(angle) / zoom
    sin = math.sin(angle) / zoom
    linear = np.array([[mirror * cos, -sin], [mirror * sin, cos]])
    crop = np.array(crop_size[::-1], dtype=np.float64)
    extent = np.abs(linear) @ crop
    slack = np.array(size[::-1]) - extent
    # Whole pixels, so that a crop without zoom and rotation is a copy and not blurred.
    start = np.copysign(np.minimum(np.floor(position * (np.abs(slack) + 1)), np.abs(slack)), slack)
    return np.column_stack((linear, start + extent / 2 - linear @ crop / 2))


def _hue_rotation(turn: float) -> Matrix:
    """The matrix (3, 3) that rotates the chroma of RGB in YIQ by a part of the full circle."""
    cos = math.cos(2 * math.pi * turn)
    sin = math.sin(2 * math.pi * turn)
    rotation = np.array([[1, 0, 0], [0, cos, -sin], [0, sin, cos]])
    matrix: Matrix = np.linalg.inv(_YIQ) @ rotation @ _YIQ
    return matrix
