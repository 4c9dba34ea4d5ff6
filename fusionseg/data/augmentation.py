"""Random views of an image and its labels: one affine warp for the geometry, one matrix for the color."""

import math
from collections.abc import Callable, Mapping
from typing import TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from fusionseg.data.augmentation_ranges import SCALE, check_colors, check_geometry, check_shares
from fusionseg.data.base import LabelMap, Pixels
from fusionseg.data.class_draw import ClassDraw
from fusionseg.data.color import recolored
from fusionseg.data.crops import TRIES, centered, is_varied, view
from fusionseg.data.view_changes import Others, ViewChange
from fusionseg.data.warping import Matrix, image_view, nearest_view, turned, warped
from fusionseg.files.photos import Photo
from fusionseg.sample import VOID

Place: TypeAlias = tuple[tuple[int, int], float, float, float]
"""Of a crop: height and width, zoom, angle in radians, and -1 where it is mirrored, else 1."""


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
        cat_max_ratio: A crop is drawn again, up to 10 times, until it shows several classes of which none
            has this share of its labelled pixels or more (mmsegmentation's `RandomCrop`); 1 keeps the first.
        class_crops: Probability of a crop around a pixel of a class that is drawn among those of the image,
            rare ones more often. An image whose crop is drawn again has another pixel of them at its center.
        class_temperature: How little the frequency of a class then counts: the chance of a class with a share
            f of all labelled pixels is proportional to exp((1 - f) / class_temperature) (rare class sampling,
            Hoyer et al., CVPR 2022, arXiv:2111.14887, equation 10).
        zooms: Zooms of which a view has one, all equally likely, in place of `scale`, which is then left out.
        centered: Whether the crop is the middle of the image, and not at a random position.
        changes: Recipes of what happens to a view then, in order: `RandomCorruption`, `RandomErasing`,
            `CopyPaste`, `TorchvisionTransform`.

    Raises:
        ValueError: An argument is out of its range.
    """

    def __init__(
        self,
        scale: tuple[float, float] = SCALE,
        rotation: float = 10.0,
        flip: float = 0.5,
        brightness: float = 0.2,
        contrast: float = 0.2,
        saturation: float = 0.2,
        hue: float = 0.05,
        depth_by_zoom: bool = False,
        cat_max_ratio: float = 1.0,
        class_crops: float = 0.0,
        class_temperature: float = 0.01,
        zooms: list[float] | None = None,
        centered: bool = False,
        changes: list[Callable[[], ViewChange]] = [],  # noqa: B006 (never changed)
    ) -> None:
        check_geometry(scale, zooms, rotation)
        if centered and (class_crops > 0 or cat_max_ratio < 1):
            raise ValueError("expected centered crops, or class_crops and cat_max_ratio, found both")
        check_shares({"a flip": flip, "crops of drawn classes": class_crops}, cat_max_ratio)
        check_colors({"brightness": brightness, "contrast": contrast, "saturation": saturation, "hue": hue})
        self.scale = scale
        self.zooms = zooms
        self.centered = centered
        self.rotation = rotation
        self.flip = flip
        self.brightness = brightness
        self.contrast = contrast
        self.saturation = saturation
        self.hue = hue
        self.depth_by_zoom = depth_by_zoom
        self.cat_max_ratio = cat_max_ratio
        self.class_crops = class_crops
        self.class_draw = ClassDraw(class_temperature)
        self.changes = [change() for change in changes]

    @property
    def needs_counts(self) -> bool:
        """Whether `balance` has to tell how frequent classes are before a view is drawn."""
        return self.class_crops > 0

    def balance(self, class_pixels: npt.NDArray[np.int64]) -> None:
        """Tells the number of pixels of each class in the training images (C,)."""
        self.class_draw.balance(class_pixels)

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
        return self.two_views(pixels, crop_size, zoom, rng, others)[0]

    def two_views(
        self,
        pixels: Pixels,
        crop_size: tuple[int, int],
        zoom: float,
        rng: np.random.Generator,
        others: Others | None = None,
    ) -> tuple[Pixels, Photo]:
        """A random view of an image, as a call gives it, and the same crop in its own colors, unchanged.

        Args:
            pixels: The image and its labels.
            crop_size: Height and width of the view.
            zoom: Size of all images of the data set relative to their files, multiplied by the random zoom.
            rng: The only source of randomness.
            others: The other images, for changes that mix several.
        """
        weak = self._cropped(pixels, crop_size, zoom, rng)
        found = weak._replace(image=self.color(weak.image, rng))
        for change in self.changes:
            found = change(found, rng, others)
        return found, weak.image

    def plain_view(
        self, pixels: Pixels, crop_size: tuple[int, int], zoom: float, rng: np.random.Generator
    ) -> Pixels:
        """A random view of an image, before `changes`; arguments as of a call."""
        view = self._cropped(pixels, crop_size, zoom, rng)
        return view._replace(image=self.color(view.image, rng))

    def _cropped(
        self, pixels: Pixels, crop_size: tuple[int, int], zoom: float, rng: np.random.Generator
    ) -> Pixels:
        """A random crop of an image and its labels, in its own colors; arguments as of a call."""
        random_zoom = self._zoom(rng)
        angle = math.radians(rng.uniform(-self.rotation, self.rotation))
        mirror = -1.0 if rng.random() < self.flip else 1.0
        place = (crop_size, zoom * random_zoom, angle, mirror)
        # drawn only where wanted, so that views without it stay as they were
        around = self.class_crops > 0 and rng.random() < self.class_crops
        warp, semantic = self._crop(pixels.semantic, place, around, rng)
        # of an image without a class no crop has several
        again = self.cat_max_ratio < 1 and bool((pixels.semantic != VOID).any())
        for _ in range(TRIES if again else 0):
            if is_varied(semantic, self.cat_max_ratio):
                break
            warp, semantic = self._crop(pixels.semantic, place, around, rng)
        return Pixels(
            image_view(pixels.image, warp, crop_size),
            semantic,
            warped(pixels.region, warp, crop_size, cv2.INTER_NEAREST, (0,)),
            self._map_views(pixels.maps, warp, crop_size, random_zoom) if pixels.maps else pixels.maps,
        )

    def _zoom(self, rng: np.random.Generator) -> float:
        """A random zoom."""
        if self.zooms:
            return self.zooms[int(rng.integers(len(self.zooms)))]
        return math.exp(rng.uniform(*np.log(self.scale)))

    def _crop(
        self, semantic: npt.NDArray[np.uint8], place: Place, around: bool, rng: np.random.Generator
    ) -> tuple[Matrix, npt.NDArray[np.uint8]]:
        """The map of a random crop, around a pixel of a drawn class or anywhere, and its class ids."""
        height, width = semantic.shape
        pixel = self.class_draw.pixel(semantic, rng) if around else None
        if self.centered:
            position = np.full(2, 0.5)
        elif pixel is None:
            position = rng.random(2)
        else:
            position = centered(pixel, (height, width), *place)
        warp = view((height, width), *place, position)
        return warp, warped(semantic, warp, place[0], cv2.INTER_NEAREST, (VOID,))

    def color(self, image: Photo, rng: np.random.Generator) -> Photo:
        """The image with its first three channels, or its only one, in another light."""
        spread = np.array([self.brightness, self.contrast, self.saturation, self.hue])
        if not spread.any():
            return image
        return recolored(image, *rng.uniform(-spread, spread) + np.array([1, 1, 1, 0]))

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
