"""Detail that is lost where images are stored in less room. Blocks do not grow with the size of the image."""

from io import BytesIO

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from fusionseg.corruptions.base import Values, at, by_channel, stored, unit
from fusionseg.files.photos import Photo
from fusionseg.sample import Array

QUALITIES = (25, 18, 15, 10, 7)
FACTORS = (0.6, 0.5, 0.4, 0.3, 0.25)


def jpeg(image: Photo, severity: int, seed: int) -> Photo:
    """A JPEG of a quality of 25 to 7 (as in ImageNet-C), which has 8 bits for every value.

    The first three channels are colors, further ones each a gray image of its own.
    """
    quality = at(severity, QUALITIES)
    bytes_in = np.rint(unit(image) * 255).astype(np.uint8)
    planes = [bytes_in[..., :3], *np.moveaxis(bytes_in[..., 3:], 2, 0)]
    coded = np.dstack([_coded(np.ascontiguousarray(plane), quality) for plane in planes])
    return stored(unit(coded), image)


def downsampling(image: Photo, severity: int, seed: int) -> Photo:
    """A resolution of 0.6 to 0.25 of the image's own, in blocks (`pixelate` of ImageNet-C)."""
    height, width = image.shape[:2]
    factor = at(severity, FACTORS)
    small = (max(1, int(width * factor)), max(1, int(height * factor)))

    def coarse(channel: Values) -> Array:
        shrunk = cv2.resize(channel, small, interpolation=cv2.INTER_AREA)
        return cv2.resize(shrunk, (width, height), interpolation=cv2.INTER_NEAREST_EXACT)

    return stored(by_channel(coarse, unit(image)), image)


def _coded(plane: npt.NDArray[np.uint8], quality: int) -> npt.NDArray[np.uint8]:
    """A plane (H, W) or (H, W, 3) as a JPEG file has it."""
    file = BytesIO()
    Image.fromarray(plane).save(file, "JPEG", quality=quality)
    return np.array(Image.open(file))
