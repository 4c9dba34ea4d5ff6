import csv
import tracemalloc
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from fusionseg.metrics.suite import total
from fusionseg.runs.image_records import ImageRecords, added_sums
from fusionseg.sample import Counted


def image(number: int, classes: int = 6) -> Counted:
    """Sums as of an image of a few classes, of every kind: counts in a table, fractions in one, and a row."""
    random = np.random.default_rng(number)
    confusion = np.zeros((classes, classes), np.int32)
    confusion[tuple(random.integers(0, classes, (2, 8)))] = random.integers(1, 2**31 - 1, 8)
    quality = np.zeros((classes, 4))
    quality[random.integers(0, classes, 3)] = random.random((3, 4))
    return {"semantic": confusion, "boundary": random.integers(0, 99, 4), "panoptic": quality}


def written(folder: Path, images: list[Counted], names: Callable[[int], str] = str) -> Path:
    with closing(ImageRecords(folder)) as records:
        for number, sums in enumerate(images):
            records.add(names(number), {"score": number / 3, **({"miou": np.nan} if number else {})}, sums)
        records.write_csv(folder / "val.csv")
        records.write_npz(folder / "val.npz")
        assert records.count == len(images)
        expected = total(images)
        for name, value in records.total.items():
            np.testing.assert_array_equal(value, expected[name], strict=True)
    return folder / "val.npz"


def test_added_sums_are_those_of_the_images(tmp_path: Path) -> None:
    images = [image(number) for number in range(20)]
    path = written(tmp_path, images)
    for chosen in (None, [3], [0, 7, 19], []):
        expected = total(images if chosen is None else [images[number] for number in chosen or [0]])
        found = added_sums(path, chosen)
        assert found.keys() == expected.keys()
        for name, value in expected.items():
            np.testing.assert_allclose(found[name], value * (chosen != []), rtol=1e-15)
            assert (found[name].dtype, found[name].shape) == (value.dtype, value.shape)


def test_the_cells_of_a_table_are_listed_and_a_row_is_a_row(tmp_path: Path) -> None:
    images = [image(number) for number in range(5)]
    with np.load(written(tmp_path, images, lambda number: "é" * number)) as file:
        assert file["name"].tolist() == ["", "é", "éé", "ééé", "éééé"]
        np.testing.assert_array_equal(file["boundary"], [one["boundary"] for one in images])
        of, row, column = file["semantic.cell"].T
        for number, one in enumerate(images):
            table = np.zeros(file["semantic.shape"], np.int64)
            table[row[of == number], column[of == number]] = file["semantic.value"][of == number]
            np.testing.assert_array_equal(table, one["semantic"])
    with (tmp_path / "val.csv").open() as rows:
        figures = [(row["score"], row["miou"]) for row in csv.DictReader(rows)]
    assert figures == [(repr(n / 3), "nan" if n else "") for n in range(5)]


def test_nothing_but_the_two_files_is_left(tmp_path: Path) -> None:
    written(tmp_path, [image(0)])
    assert {path.name for path in tmp_path.iterdir()} == {"val.csv", "val.npz"}


@pytest.mark.slow
def test_memory_does_not_grow_with_the_images(tmp_path: Path) -> None:
    peaks = []
    for count in (30, 300):
        tracemalloc.start()
        with closing(ImageRecords(tmp_path)) as records:
            for number in range(count):
                records.add("name" * 20, {"score": 0.5}, image(number, classes=60))
            records.write_csv(tmp_path / "val.csv")
            records.write_npz(tmp_path / "val.npz")
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] + 2**18  # the tables of ten images


@pytest.mark.parametrize("there", [True, False])
def test_a_folder_that_was_made_for_nothing_is_removed(there: bool, tmp_path: Path) -> None:
    folder = tmp_path / "run" / "evaluation"
    (folder if there else folder.parent).mkdir(parents=True)
    with closing(ImageRecords(folder)) as records:
        records.add("first", {"score": 1.0}, image(0))
    assert folder.exists() == there
    assert folder.parent.exists()


def test_groups_are_written_beside_the_names_and_are_no_sums(tmp_path: Path) -> None:
    groups = [None, "night", "day", "night"]
    with closing(ImageRecords(tmp_path)) as records:
        for number, group in enumerate(groups):
            records.add(str(number), {"score": 0.5}, image(number), group)
        records.write_csv(tmp_path / "val.csv")
        records.write_npz(tmp_path / "val.npz")
    with np.load(tmp_path / "val.npz") as file:
        assert file["group"].tolist() == ["", "night", "day", "night"]
    with (tmp_path / "val.csv").open() as rows:
        assert [row["group"] for row in csv.DictReader(rows)] == ["", "night", "day", "night"]
    assert added_sums(tmp_path / "val.npz").keys() == {"semantic", "boundary", "panoptic"}


def test_without_groups_there_is_no_column_of_them(tmp_path: Path) -> None:
    with np.load(written(tmp_path, [image(0)])) as file:
        assert "group" not in file
    assert "group" not in (tmp_path / "val.csv").read_text()
