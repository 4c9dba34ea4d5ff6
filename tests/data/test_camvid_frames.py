from pathlib import Path

import pytest

from fusionseg.data.camvid_frames import SEQUENCES, sequence_of, split_of


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_the_rule_gives_the_lists_of_segnet(split: str, data: Path) -> None:
    listed = [Path(line.split()[0]).stem for line in (data / f"CamVid/{split}.txt").read_text().splitlines()]
    assert len(listed) == {"train": 367, "val": 101, "test": 233}[split]
    assert {split_of(name) for name in listed} == {split}
    assert {sequence_of(name) for name in listed} <= set(SEQUENCES)


def test_frames_of_other_sequences_are_in_no_split() -> None:
    assert [split_of(name) for name in ("0005VD_f00000", "portrait", "0001TP_f")] == [None] * 3
