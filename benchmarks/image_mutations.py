"""Corrupts image files: chunks of a PNG, its claimed size, its mode and format."""

import io
import struct
import zlib
from random import Random

from PIL import ExifTags, Image


def chunk_flipped(generator: Random, content: bytes) -> bytes:
    """A PNG with a flipped bit in one chunk, whose checksum is valid in half of the cases."""
    changed = bytearray(content)
    starts = []
    at = 8
    while at + 12 <= len(content):
        starts.append(at)
        at += 12 + int(struct.unpack(">I", content[at : at + 4])[0])
    at = generator.choice(starts)
    length = struct.unpack(">I", content[at : at + 4])[0]
    changed[at + 4 + generator.randrange(length + 4)] ^= 1 << generator.randrange(8)
    if generator.random() < 0.5:
        checksum = zlib.crc32(changed[at + 4 : at + 8 + length])
        changed[at + 8 + length : at + 12 + length] = struct.pack(">I", checksum)
    return bytes(changed)


def resized(generator: Random, content: bytes) -> bytes:
    """A PNG whose header claims another size."""
    sides = (0, 1, 64, 10_000, 12_000, 60_000, 2**31 - 1, 2**32 - 1)
    claimed = struct.pack(">II", generator.choice(sides), generator.choice(sides))
    header = content[12:16] + claimed + content[24:29]
    return content[:12] + header + struct.pack(">I", zlib.crc32(header)) + content[33:]


def recoded(generator: Random, content: bytes) -> bytes:
    """An image in another mode, size, format, value range or orientation, or of several pages."""
    image: Image.Image = Image.open(io.BytesIO(content))
    if generator.random() < 0.3:
        size = (generator.choice([1, 33, 64]), generator.choice([1, 20, 64]))
        image = image.resize(size, Image.Resampling.NEAREST)
    modes = {
        "PNG": "1 L LA P RGB RGBA I;16",
        "JPEG": "L RGB CMYK",
        "BMP": "1 L P RGB",
        "TIFF": "F I L I;16 CMYK",
    }
    kind = generator.choice([*modes, "GIF", "WEBP"])
    mode = generator.choice(modes.get(kind, "L P RGB").split())
    if mode == "I;16":
        image = image.convert("I").point(lambda v: v * 257)
    image = image.convert(mode)
    exif = Image.Exif()
    if generator.random() < 0.3:
        exif[ExifTags.Base.Orientation] = generator.randrange(10)
    out = io.BytesIO()
    if kind in ("TIFF", "GIF") and generator.random() < 0.3:
        image.save(out, kind, save_all=True, append_images=[image])
    else:
        image.save(out, kind, exif=exif)
    return out.getvalue()
