"""The classes of PASCAL VOC, which other data sets of its photos have too."""

from fusionseg.sample import Color

VOC_CLASSES = (
    *("aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "diningtable"),
    *("dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor"),
)
"""The 20 classes of objects in the official order; their ids in the files are 1..20."""


def voc_color(label: int) -> Color:
    """The color of an id in VOC's palette: from the lowest bit on, the id has the high bits of R, G, B, R ...

    >>> voc_color(1), voc_color(15), voc_color(255)
    ((128, 0, 0), (192, 128, 128), (224, 224, 192))
    """
    channels = [0, 0, 0]
    for bit in range(8):
        channels[bit % 3] |= (label >> bit & 1) << 7 - bit // 3
    red, green, blue = channels
    return red, green, blue
