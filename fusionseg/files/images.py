"""Files of photos and label maps: readers that give ids and never colors, writers that never leave half a file."""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, UnidentifiedImageError
from PIL.ImageFile import ImageFile

from fusionseg.files.atomic import replacing
from fusionseg.sample import OFFSET, VOID, Classes, IntMap, Picture

# large aerial photos are no attack; what claims to be twice as large is refused
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)


def read_image(path: str | Path, orient: bool = False) -> Picture:
    """The RGB picture (H, W, 3), uint8, in any format that Pillow reads.

    Grey values of 16 bits are scaled to 8, transparency is dropped.

    Args:
        path: The file.
        orient: Turn the picture as its EXIF orientation says. Labels are drawn on the stored pixels, as a rule.

    Raises:
        ValueError: If the file is damaged or has no fixed value range (32-bit integers, floats).
    """
    with open(path, "rb") as file:
        with decoding(path):
            image = Image.open(file)
        if image.mode in ("I", "F"):
            raise ValueError(
                f"expected 8 or 16 bits for each channel in {path}, found mode {image.mode} without a fixed value "
                "range: convert the file, or read it in the dataset itself"
            )
        with decoding(path):
            upright = ImageOps.exif_transpose(image) if orient else image
            if upright.mode.startswith("I;16"):
                grey = (np.asarray(upright, np.uint32) * 255 + 32767) // 65535
                return np.repeat(grey.astype(np.uint8)[..., None], 3, axis=2)
            if upright.mode == "P" and "transparency" in upright.info:
                upright = upright.convert("RGBA")
            return np.array(upright if upright.mode == "RGB" else upright.convert("RGB"))


def read_labels(path: str | Path) -> IntMap:
    """The ids (H, W) of a label file: palette indices or grey values of up to 16 bits, never colors.

    Raises:
        ValueError: If the file is damaged, has colors for ids, or is a JPEG, which does not keep ids.
    """
    with open(path, "rb") as file:
        with decoding(path):
            image = Image.open(file)
        if image.format == "JPEG" or not (
            image.mode in ("1", "L", "P", "I") or image.mode.startswith("I;16")
        ):
            raise ValueError(
                f"expected one id for each pixel in {path} (a palette or grey PNG), "
                f"found a {image.format} of mode {image.mode}: convert colors to class ids first"
            )
        stretch = _stretch(image)
        with decoding(path):
            ids: IntMap = np.array(image, np.uint8 if image.mode == "1" else None)
        return ids if stretch == 1 else ids // stretch


def write_png(path: str | Path, pixels: npt.NDArray[np.uint8 | np.uint16]) -> None:
    """Write a picture (H, W, 3) or grey values (H, W); the file appears complete or not at all."""
    _write(path, Image.fromarray(pixels), optimize=pixels.ndim == 2)


def write_semantic(path: str | Path, semantic: IntMap, classes: Classes) -> None:
    """Write class ids (H, W) as an 8-bit PNG whose palette shows the classes' colors, void black.

    Raises:
        ValueError: If an id is neither a class nor `VOID`.
    """
    strange = np.setdiff1d(semantic, [*range(len(classes)), VOID])
    if strange.size:
        raise ValueError(
            f"expected class ids in [0, {len(classes) - 1}] or {VOID} for void in {path}, found {strange[:5].tolist()}"
        )
    image = Image.fromarray(semantic.astype(np.uint8))
    # All 256 entries, or Pillow would choose fewer bits than the value 255 needs.
    palette = np.zeros((VOID + 1, 3), np.uint8)
    palette[: len(classes)] = classes.colors
    image.putpalette(palette.tobytes())
    _write(Path(path), image)


def write_region(path: str | Path, region: IntMap) -> None:
    """Write region ids (H, W) as a 16-bit grey PNG.

    Raises:
        ValueError: If an id does not fit.
    """
    if region.min(initial=0) < 0 or region.max(initial=0) > 65535:
        raise ValueError(
            f"expected region ids in [0, 65535] for {path}, found {region.min()} to {region.max()}: "
            "number the regions of each image from 1 (numpy.unique with return_inverse=True)"
        )
    write_png(path, region.astype(np.uint16))


def write_panoptic(path: str | Path, panoptic: IntMap, classes: Classes) -> dict[str, Any]:
    """Write panoptic ids (H, W) as a PNG of COCO's panoptic format (arXiv:1801.00868).

    Segments are numbered from 1 in the order of their panoptic ids, 0 is void; a pixel's color is its number,
    R + 256 G + 65536 B.

    Args:
        path: The file.
        panoptic: Class * 65536 + instance, -1 where void (`fusion.panoptic`).
        classes: The classes; a segment's category is the class's id in the data set's own files.

    Returns:
        The image's annotation without `image_id`: `file_name` and `segments_info`, which has for each segment `id`,
        `category_id`, `area` in pixels, `bbox` as [x, y, width, height] and `iscrowd`.

    Raises:
        ValueError: If an id belongs to no class.
    """
    path = Path(path)
    ids, inverse = np.unique(panoptic, return_inverse=True)
    if ids.size and not -1 <= ids[0] <= ids[-1] < len(classes) * OFFSET:
        raise ValueError(
            f"expected -1 or class * {OFFSET} + instance with a class in [0, {len(classes) - 1}] for {path}, "
            f"found ids from {ids[0]} to {ids[-1]}"
        )
    first = 0 if ids.size and ids[0] == -1 else 1
    number = inverse.reshape(panoptic.shape) + first
    write_png(path, np.stack([number >> shift & 255 for shift in (0, 8, 16)], axis=2).astype(np.uint8))
    boxes, areas = _boxes(inverse.reshape(panoptic.shape), len(ids))
    segments = [
        {
            "id": i + first,
            "category_id": classes.file_ids[ids[i] // OFFSET],
            "area": areas[i],
            "bbox": boxes[i],
            "iscrowd": 0,
        }
        for i in range(1 - first, len(ids))
    ]
    return {"file_name": path.name, "segments_info": segments}


def coco_panoptic_json(
    images: Sequence[Mapping[str, Any]], annotations: Sequence[Mapping[str, Any]], classes: Classes
) -> dict[str, Any]:
    """The content of COCO's panoptic JSON file, ready for `json.dump`.

    Args:
        images: For each image at least `id`, `file_name`, `width` and `height`.
        annotations: For each image `image_id` and what `write_panoptic` returned.
        classes: The classes; a category's id is that of the data set's own files.

    Raises:
        ValueError: If a key is missing, or an annotation belongs to no image.
    """
    for kind, entries, keys in (
        ("image", images, {"id", "file_name", "width", "height"}),
        ("annotation", annotations, {"image_id", "file_name", "segments_info"}),
    ):
        for entry in entries:
            if missing := keys - entry.keys():
                raise ValueError(
                    f"expected the keys {sorted(keys)} in each {kind}, {sorted(missing)} not in {entry}"
                )
    if strange := sorted({a["image_id"] for a in annotations} - {i["id"] for i in images}, key=str):
        raise ValueError(f"annotations of images {strange[:5]}, which are not among the {len(images)} images")
    categories = [
        {"id": classes.file_ids[i], "name": name, "isthing": int(i in classes.things), "color": list(color)}
        for i, (name, color) in enumerate(zip(classes.names, classes.colors, strict=True))
    ]
    return {
        "images": [*map(dict, images)],
        "annotations": [*map(dict, annotations)],
        "categories": categories,
    }


def _stretch(image: Image.Image) -> int:
    """What Pillow multiplies grey values of 2 and 4 bits by on decoding: right for photos, wrong for ids."""
    stored = image.tile[0].args if isinstance(image, ImageFile) and image.tile else ""
    mode = stored[0] if isinstance(stored, tuple) else stored
    return {"L;2": 85, "L;4": 17}.get(str(mode), 1)


def _boxes(index: IntMap, count: int) -> tuple[list[list[int]], list[int]]:
    """Box [x, y, width, height] and area of each index in [0, count)."""
    corners = []
    for where in np.indices(index.shape)[::-1]:
        low, high = np.full(count, max(index.shape)), np.zeros(count, np.int64)
        np.minimum.at(low, index, where)
        np.maximum.at(high, index, where)
        corners.append((low, high - low + 1))
    (left, width), (top, height) = corners
    area: list[int] = np.bincount(index.ravel(), minlength=count).tolist()
    return np.stack([left, top, width, height], axis=1).tolist(), area


@contextmanager
def decoding(path: str | Path) -> Iterator[None]:
    """A block in which a library decodes a file; whatever it says of bytes that are wrong names the file.

    Raises:
        ValueError: If the file is damaged, or claims to be larger than Pillow allows.
    """
    try:
        yield
    except Exception as error:  # nobody lists what the readers of a dozen formats raise
        told = (
            "of no known format"
            if isinstance(error, UnidentifiedImageError)
            else error or type(error).__name__
        )
        raise ValueError(f"{path} is no complete image file ({told}): download or copy it again") from error


def _write(path: str | Path, image: Image.Image, optimize: bool = True) -> None:
    with replacing(path) as draft:
        image.save(draft, "PNG", optimize=optimize)
