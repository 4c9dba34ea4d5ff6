"""Files of features: what they give back, and what is said of those that are cut off."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from fusionseg.data.base import DataError
from fusionseg.data.feature_file import filled

ROWS = [torch.randn(length).bfloat16() for length in (5, 1, 12)]


def never() -> Iterator[torch.Tensor]:
    raise AssertionError
    yield


def test_a_file_gives_the_bits_that_it_was_given_and_is_written_once(tmp_path: Path) -> None:
    file = tmp_path / "cache" / "some.values"
    for found in (filled(file, "key", iter(ROWS)), filled(file, "key", never())):
        assert len(found) == 3
        assert all(torch.equal(found.read(index), row) for index, row in enumerate(ROWS))
    found.read(1).zero_()
    assert torch.equal(found.read(1), ROWS[1])
    assert sorted(path.name for path in file.parent.iterdir()) == ["some.json", "some.values"]


def test_a_file_that_is_cut_off_or_gone_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "some.values"
    filled(file, "key", iter(ROWS))
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(DataError, match=r"^expected 36 bytes of features, found 35 in .*remove some.json"):
        filled(file, "key", never())
    file.unlink()
    with pytest.raises(DataError, match="found 0 in"):
        filled(file, "key", never())


def test_a_failure_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(AssertionError):
        filled(tmp_path / "some.values", "key", never())
    assert not list(tmp_path.iterdir())
