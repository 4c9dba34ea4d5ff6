"""The frames of CamVid: the sequence that a frame is of, and its split."""

import re

from fusionseg.data.base import Split

SEQUENCES = ("0001TP", "0006R0", "0016E5", "Seq05VD")
"""The drives that the frames are of."""

_FRAME = re.compile(r"(?P<sequence>.+)_f?(?P<number>\d+)")
"""A frame's name, which begins with that of its sequence."""


def sequence_of(name: str) -> str | None:
    """The sequence of a frame; None where its name has another form.

    >>> sequence_of("0016E5_07959"), sequence_of("Seq05VD_f00000"), sequence_of("portrait")
    ('0016E5', 'Seq05VD', None)
    """
    found = _FRAME.fullmatch(name)
    return found["sequence"] if found else None


def split_of(name: str) -> Split | None:
    """The split that a frame is in; None where it is of no sequence of CamVid.

    It is SegNet's (Badrinarayanan et al., TPAMI 2017), whose lists follow a rule: Seq05VD and the second half
    of 0001TP are tested on, the part of 0016E5 at 15 Hz is validated on, and the rest is trained on.

    >>> [split_of(name) for name in ("0001TP_008520", "0001TP_008550", "0016E5_07959", "0006R0_f00930")]
    ['train', 'test', 'val', 'train']
    """
    found = _FRAME.fullmatch(name)
    if not found or found["sequence"] not in SEQUENCES:
        return None
    sequence, number = found["sequence"], int(found["number"])
    if sequence == "Seq05VD" or (sequence == "0001TP" and number > 8520):
        return "test"
    return "val" if sequence == "0016E5" and 7959 <= number <= 8159 else "train"
