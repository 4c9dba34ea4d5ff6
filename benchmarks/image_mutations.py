"""Corrupts image files: chunks of a PNG, its claimed size, its mode and format."""

import io
import struct
import zlib
from random import Random

from PIL import Image


def chunk_flipped(chance: Random, content: bytes) -> bytes:
    """A PNG with bits flipped in one chunk, whose checksum is right again half of the time."""
    changed, starts, at = bytearray(content), [], 8
    while at + 12 <= len(content):
        starts.append(at)
        at += 12 + int(struct.unpack(">I", content[at : at + 4])[0])
    at = chance.choice(starts)
    length = struct.unpack(">I", content[at : at + 4])[0]
    changed[at + 4 + chance.randrange(length + 4)] ^= 1 << chance.randrange(8)
    if chance.random() < 0.5:
        changed[at + 8 + length : at + 12 + length] = struct.pack(
            ">I", zlib.crc32(changed[at + 4 : at + 8 + length])
        )
    return bytes(changed)


def resized(chance: Random, content: bytes) -> bytes:
    """A PNG that claims another size."""
    sides = (0, 1, 64, 10_000, 12_000, 60_000, 2**31 - 1, 2**32 - 1)
    claimed = struct.pack(">II", chance.choice(sides), chance.choice(sides))
    header = content[12:16] + claimed + content[24:29]
    return content[:12] + header + struct.pack(">I", zlib.crc32(header)) + content[33:]


def recoded(chance: Random, content: bytes) -> bytes:
    """An image of another mode, size, format or value range under the old name."""
    image: Image.Image = Image.open(io.BytesIO(content))
    if chance.random() < 0.3:
        image = image.resize(
            (chance.choice([1, 33, 64]), chance.choice([1, 20, 64])), Image.Resampling.NEAREST
        )
    modes = {
        "PNG": "1 L LA P RGB RGBA I;16",
        "JPEG": "L RGB CMYK",
        "BMP": "1 L P RGB",
        "TIFF": "F I L I;16 CMYK",
    }
    kind = chance.choice([*modes, "GIF", "WEBP"])
    mode = chance.choice(modes.get(kind, "L P RGB").split())
    image = (
        image.convert("I").point(lambda v: v * 257).convert(mode) if mode == "I;16" else image.convert(mode)
    )
    out = io.BytesIO()
    image.save(out, kind)
    return out.getvalue()
