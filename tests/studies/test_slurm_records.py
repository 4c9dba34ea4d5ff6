from pathlib import Path

import pytest

from fusionseg.config.errors import UsageError
from fusionseg.studies.slurm_records import SlurmRecord, SlurmRecords


def test_what_is_on_record_is_read_again_until_it_is_removed(tmp_path: Path) -> None:
    records = SlurmRecords(tmp_path)
    record = SlurmRecord("a-0-1f", "fit", "12")
    records.write("a/0", record)
    records.write_exit("a-0-1f", -9)
    again = SlurmRecords(tmp_path)
    assert again.all() == {"a/0": record}
    assert again.exits() == {"a-0-1f": -9}
    again.remove("a/0", record)
    assert (records.all(), records.exits()) == ({}, {})


def test_a_damaged_record_is_an_error_that_names_it(tmp_path: Path) -> None:
    records = SlurmRecords(tmp_path)
    records.write("a/0", SlurmRecord("n", "fit"))
    file = tmp_path / "jobs" / "a" / "0.json"
    file.write_text("{")
    with pytest.raises(UsageError, match=rf"{file}: expected the record of a SLURM job"):
        records.all()
