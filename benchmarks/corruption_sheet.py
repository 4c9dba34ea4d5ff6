"""A photo under every corruption and severity: `python -m benchmarks.corruption_sheet PHOTO OUT.png`."""

import sys
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from fusionseg.corruptions import CORRUPTIONS, SEVERITIES
from fusionseg.files.atomic import replacing
from fusionseg.files.photos import read_image

WIDTH = 112
GAP = 2
LABEL = 104
SEED = 11


def sheet(photo: Path) -> Image.Image:
    """A row for each corruption, a column for each severity, in two halves side by side."""
    image = read_image(photo)
    height = round(WIDTH * image.shape[0] / image.shape[1])
    rows = -(-len(CORRUPTIONS) // 2)
    half = LABEL + len(SEVERITIES) * (WIDTH + GAP)
    picture = Image.new("RGB", (2 * half, rows * (height + GAP)), "white")
    draw = ImageDraw.Draw(picture)
    font = ImageFont.load_default(12)
    for place, corruption in enumerate(CORRUPTIONS):
        left = place // rows * half
        top = place % rows * (height + GAP)
        name = corruption.name.replace("_", "\n")
        draw.text((left + 4, top + height / 2), name, "black", font, anchor="lm")
        for column, severity in enumerate(SEVERITIES):
            cell = Image.fromarray(corruption.image(image, severity, SEED))
            small = cell.resize((WIDTH, height), Image.Resampling.LANCZOS)
            picture.paste(small, (left + LABEL + column * (WIDTH + GAP), top))
    return picture


if __name__ == "__main__":
    with replacing(sys.argv[2]) as draft:
        # a palette, because noise does not compress
        sheet(Path(sys.argv[1])).quantize(128, dither=Image.Dither.NONE).save(draft, optimize=True)
