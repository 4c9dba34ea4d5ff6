"""Reads label maps, and writes label maps, panoptic PNGs and their COCO annotations atomically."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from fusionseg.config.errors import UserError
from fusionseg.config.remedies import FEWER_REGIONS
from fusionseg.files.atomic import Json, replacing
from fusionseg.files.orientation import as_stored, turned
from fusionseg.files.photos import decoding, opened, raw_mode
from fusionseg.files.readable_path import ReadablePath, as_path
from fusionseg.sample import OFFSET, VOID, Classes, Color, IntMap

LABEL_SUFFIXES = frozenset({".png", ".tif", ".tiff", ".npy"})
"""The suffixes, in lower case, of the label files that can be read."""


def read_labels(path: str | ReadablePath) -> IntMap:
    """Reads the ids (H, W) of a label file: palette indices, gray values of up to 32 bits, or a `.npy` array.

    The ids are those of the stored pixels: an EXIF orientation is not applied.

    Raises:
        ValueError: If the file is damaged or has several pages, has colors instead of ids, or is a JPEG,
            whose compression changes ids.
    """
    return read_palette_labels(path)[0]


def read_palette_labels(path: str | ReadablePath) -> tuple[IntMap, list[Color]]:
    """The same with the colors of the file's palette, in the order of their ids; none without a palette."""
    path = as_path(path)
    if path.suffix.lower() == ".npy":
        return _array_labels(path), []
    with opened(path) as image:
        has_ids = image.mode in ("1", "L", "P", "I") or image.mode.startswith("I;16")
        if image.format == "JPEG" or not has_ids:
            raise UserError(
                f"expected one integer id for each pixel in {path} (a palette or gray PNG), "
                f"found a {image.format} of mode {image.mode}: convert it to ids first"
            )
        factor = _gray_factor(image)
        applied = turned(image)
        with decoding(path):
            ids: IntMap = as_stored(np.array(image, np.uint8 if image.mode == "1" else None), applied)
        palette = iter((image.getpalette("RGB") or []) if image.mode == "P" else [])
    return ids if factor == 1 else ids // factor, list(zip(palette, palette, palette, strict=True))


def write_png(path: str | Path, pixels: npt.NDArray[np.uint8 | np.uint16]) -> None:
    """Writes a picture (H, W, 3), uint8, or gray values (H, W), uint8 or uint16, as a PNG."""
    _write(path, Image.fromarray(pixels), optimize=pixels.ndim == 2)


def write_semantic(path: str | Path, semantic: IntMap, classes: Classes) -> None:
    """Writes class ids (H, W) as an 8-bit PNG with a palette of the classes' colors, and black for void.

    Raises:
        ValueError: If an id is neither a class nor `VOID`.
    """
    strange = np.setdiff1d(semantic, [*range(len(classes)), VOID])
    if strange.size:
        raise UserError(
            f"expected class ids in [0, {len(classes) - 1}] or {VOID} for void in {path}, "
            f"found {strange[:5].tolist()}"
        )
    image = Image.fromarray(semantic.astype(np.uint8))
    # a palette of all 256 entries, because for a shorter one Pillow chooses fewer bits than the value 255
    # needs
    palette = np.zeros((VOID + 1, 3), np.uint8)
    palette[: len(classes)] = classes.colors
    image.putpalette(palette.tobytes())
    _write(Path(path), image)


def write_region(path: str | Path, region: IntMap) -> None:
    """Writes region ids (H, W) as a 16-bit gray PNG.

    Raises:
        ValueError: If an id is outside of [0, 65535].
    """
    if region.min(initial=0) < 0 or region.max(initial=0) > 65535:
        raise UserError(
            f"expected region ids in [0, 65535] for {path}, found {region.min()} to {region.max()}: "
            f"{FEWER_REGIONS}"
        )
    write_png(path, region.astype(np.uint16))


def write_panoptic(path: str | Path, panoptic: IntMap, classes: Classes) -> Json:
    """Writes panoptic ids (H, W) as a PNG in COCO's panoptic format (arXiv:1801.00868).

    Segments are numbered from 1 in the order of their panoptic ids; 0 is void. The color of a pixel encodes
    the number as R + 256 G + 65536 B.

    Args:
        path: The file.
        panoptic: Class * 65536 + instance, or -1 where void, as `fusionseg.engine.fusion.panoptic` returns
            it.
        classes: The classes; the category of a segment is the id of its class in the data set's own files.

    Returns:
        The annotation of the image without `image_id`: `file_name` and `segments_info`, a list with the `id`,
        `category_id`, `area` in pixels, `bbox` as [x, y, width, height] and `iscrowd` of each segment.

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
    places, areas = boxes(inverse.reshape(panoptic.shape), len(ids))
    segments = []
    for i in range(1 - first, len(ids)):
        category = classes.file_ids[ids[i] // OFFSET]
        segment = {
            "id": i + first,
            "category_id": category,
            "area": areas[i],
            "bbox": places[i],
            "iscrowd": 0,
        }
        segments.append(segment)
    return {"file_name": path.name, "segments_info": segments}


def coco_panoptic_json(
    images: Sequence[Mapping[str, object]], annotations: Sequence[Mapping[str, object]], classes: Classes
) -> Json:
    """The content of a panoptic JSON file of COCO, ready for `json.dump`.

    Args:
        images: For each image at least `id`, `file_name`, `width` and `height`.
        annotations: For each image `image_id` and what `write_panoptic` returned.
        classes: The classes; the id of a category is that of the data set's own files.

    Raises:
        ValueError: If a key is missing, or an annotation refers to an unknown image.
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
    return {
        "images": [*map(dict, images)],
        "annotations": [*map(dict, annotations)],
        "categories": coco_categories(classes),
    }


def coco_categories(classes: Classes) -> list[Json]:
    """The categories of COCO's JSON files, each with `id`, `name`, `isthing` (0 or 1) and `color`.

    Args:
        classes: The classes; the id of a category is that of the data set's own files.
    """
    return [
        {"id": classes.file_ids[i], "name": name, "isthing": int(i in classes.things), "color": list(color)}
        for i, (name, color) in enumerate(zip(classes.names, classes.colors, strict=True))
    ]


def _array_labels(path: ReadablePath) -> IntMap:
    """The ids (H, W) of an array file."""
    with path.open("rb") as file, decoding(path):
        ids = np.load(file, allow_pickle=False)
    if ids.ndim != 2 or ids.dtype.kind not in "iub":
        raise UserError(f"expected integer ids (H, W) in {path}, found {ids.dtype} {ids.shape}")
    if ids.size and ids.dtype.kind == "u" and ids.max() >= 2**63:
        raise UserError(f"expected ids below 2^63 in {path}, found {ids.max()}: number them from 1")
    return ids.astype(np.uint8) if ids.dtype == bool else ids  # type: ignore[no-any-return]


def _gray_factor(image: Image.Image) -> int:
    """The factor by which Pillow scales gray values of 2 and 4 bits to 8: right for photos, wrong for ids."""
    return {"L;2": 85, "L;4": 17}.get(raw_mode(image), 1)


def boxes(index: IntMap, count: int) -> tuple[list[list[int]], list[int]]:
    """The bounding box [x, y, width, height] and the area in pixels of each index (H, W) in [0, count)."""
    corners = []
    for where in np.indices(index.shape)[::-1]:  # x, then y
        low = np.full(count, max(index.shape))
        high = np.zeros(count, np.int64)
        np.minimum.at(low, index, where)
        np.maximum.at(high, index, where)
        corners.append((low, high - low + 1))
    (left, width), (top, height) = corners
    area: list[int] = np.bincount(index.ravel(), minlength=count).tolist()
    return np.stack([left, top, width, height], axis=1).tolist(), area


def _write(path: str | Path, image: Image.Image, optimize: bool = True) -> None:
    """Writes a PNG atomically; `optimize` trades time for size."""
    with replacing(path) as draft:
        image.save(draft, "PNG", optimize=optimize)
