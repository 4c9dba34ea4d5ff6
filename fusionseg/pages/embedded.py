"""Pictures as `data:` addresses, small enough to stand in a page."""

import base64
import io

import numpy as np
from PIL import Image

from fusionseg.sample import Picture

WIDTH = 320
"""Pixels; wider pictures are made smaller unless another width is named."""

COLORS = 255
"""Pictures of no more colors are PNG files, others JPEG."""

QUALITY = 82


def data_address(picture: Picture, width: int = WIDTH) -> str:
    """A picture as a `data:` address: JPEG of photos, PNG with a palette of label maps.

    >>> data_address(np.zeros((2, 2, 3), np.uint8))[:22]
    'data:image/png;base64,'

    Args:
        picture: RGB (H, W, 3).
        width: Wider pictures are made as wide as this, in pixels.
    """
    labels = _colors(picture) <= COLORS
    image = Image.fromarray(picture)
    if image.width > width:
        size = (width, max(1, round(image.height * width / image.width)))
        # colors between two labels would mean a third
        image = image.resize(size, Image.Resampling.NEAREST if labels else Image.Resampling.LANCZOS)
    file = io.BytesIO()
    if labels:
        image.quantize(COLORS + 1, dither=Image.Dither.NONE).save(file, "PNG", optimize=True)
    else:
        image.save(file, "JPEG", quality=QUALITY, optimize=True)
    kind = "png" if labels else "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(file.getvalue()).decode()}"


def _colors(picture: Picture) -> int:
    """The number of different colors."""
    codes = picture.astype(np.int64) @ np.array([65536, 256, 1])
    return len(np.unique(codes))
