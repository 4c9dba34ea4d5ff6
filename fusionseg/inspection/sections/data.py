"""What the data set is: what it says of itself, its splits, sizes, values and labels."""

import math

import numpy as np

from fusionseg.inspection.findings import Findings
from fusionseg.inspection.numbers import number, percent, spread
from fusionseg.inspection.sections.by_split import by_split
from fusionseg.inspection.split_facts import SplitFacts
from fusionseg.pages.blocks import Block, Section, Words
from fusionseg.studies.report.numbers import count, listed

BITS = {"uint8": "8 bits", "uint16": "16 bits", "float32": "floats"}
"""The types of images in words."""


def section(found: Findings) -> Section:
    """The paragraphs of the data set, notices, and tables of the images and the labels of its splits."""
    looked = listed(f"{len(facts.photos)} {split}" for split, facts in found.facts.items())
    note = f"Types, values and means are of {looked} images at even distances; floats fill 0 to 1."
    blocks: list[Block] = [Words(found.about)]
    if found.origin:
        blocks.append(Words(found.origin))
    if found.notices:
        blocks.append(Words(found.notices, stands_out=True))
    blocks += [
        by_split(found, "images", "The images of each split.", _images(found), [note]),
        by_split(found, "labels", "What is not labelled.", _labels(found)),
        Words([*_groups(found), _test(found), *_limit(found)]),
    ]
    return Section("Data set", blocks)


def _images(found: Findings) -> dict[str, list[str]]:
    """Number, sizes and values of the images of each split."""
    splits = list(found.facts.values())
    return {
        "images": [number(facts.total) for facts in splits],
        **({"images counted": [number(facts.images) for facts in splits]} if found.limited else {}),
        "height": [spread(facts.sizes[:, 0].min(), facts.sizes[:, 0].max()) for facts in splits],
        "width": [spread(facts.sizes[:, 1].min(), facts.sizes[:, 1].max()) for facts in splits],
        "channels": [listed(sorted({len(photo.mean) for photo in facts.photos})) for facts in splits],
        "type": [listed(sorted({BITS[photo.kind] for photo in facts.photos})) for facts in splits],
        "values": [_values(facts) for facts in splits],
        "channel means": [_means(facts) for facts in splits],
    }


def _labels(found: Findings) -> dict[str, list[str]]:
    """What is not labelled in each split, for each kind of labels."""
    splits = list(found.facts.values())
    rows = {}
    for kind in splits[0].labelled:
        pixels = [1 - facts.labelled[kind] / facts.pixels for facts in splits]
        images = [facts.images - facts.labelled_images[kind] for facts in splits]
        rows[f"pixels without {kind} label"] = list(map(percent, pixels))
        rows[f"images without {kind} label"] = list(map(number, images))
    return rows


def _values(facts: SplitFacts) -> str:
    """The range of the values."""
    low = min(photo.low for photo in facts.photos)
    high = max(photo.high for photo in facts.photos)
    return f"{low:.4g} to {high:.4g}" if math.isfinite(low) else ""


def _means(facts: SplitFacts) -> str:
    """The mean of each channel."""
    means = np.mean([photo.mean for photo in facts.photos], 0)
    return "/".join(f"{mean:.3g}" for mean in means)


def _groups(found: Findings) -> list[str]:
    """Whether train and val have groups in common."""
    shared, every = found.shared_groups
    if not every:
        return []
    if not shared:
        return ["No group of images (sequence, city or scene) is in both train and val."]
    return [
        f"Groups of images (sequences, cities or scenes) in both train and val: {shared} of {every}. Scores "
        "on val then tell less about images of other groups."
    ]


def _test(found: Findings) -> str:
    """What is said of the test split."""
    if "test" in found.facts:
        return "The labels of the test split were counted because --test asked for it."
    if isinstance(found.test, str):
        return f"Test split: none ({found.test})."
    return (
        f"Test split: {count(found.test, 'image')}. Their labels are not counted: whatever is known of them "
        "before the end leads choices towards them, and scores there are then too good. --test counts them."
    )


def _limit(found: Findings) -> list[str]:
    """Where not all images were counted."""
    if not found.limited:
        return []
    return [
        "All figures are those of the images counted, drawn at random (--limit); what is rare may be missing."
    ]
