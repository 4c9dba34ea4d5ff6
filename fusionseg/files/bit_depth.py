"""How many bits the colors of a JPEG 2000 or AVIF file have, of which Pillow keeps 8 without a word."""

from fusionseg.files.readable_path import ReadablePath

SIZ = b"\xff\x4f\xff\x51"
"""The begin of a JPEG 2000 codestream: markers SOC and SIZ (ISO 15444-1, A.4 and A.5.1)."""

CONFIGURATION = b"av1C"
"""The box of an AVIF file that holds the configuration of AV1 (AV1 in ISO base media files, 2.3)."""


def color_bits(path: ReadablePath, kind: str | None) -> int:
    """The bits of a color's first channel; 8 where the format is another or does not say.

    Args:
        path: The file.
        kind: Its format, as Pillow names it.
    """
    if kind == "JPEG2000":
        content = path.read_bytes()
        size = content.find(SIZ)
        # after both markers: lengths and sizes of 38 bytes, then the precision less 1, with its sign on top
        depth = content[size + 42 : size + 43] if size >= 0 else b""
        return (depth[0] & 127) + 1 if depth else 8
    if kind == "AVIF":
        content = path.read_bytes()
        box = content.find(CONFIGURATION)
        flags = content[box + 6 : box + 7] if box >= 0 else b""
        is_high = bool(flags and flags[0] & 64)
        is_twelve = bool(flags and flags[0] & 32)
        return 12 if is_high and is_twelve else 10 if is_high else 8
    return 8
