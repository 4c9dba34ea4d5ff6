from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fusionseg.commands.evaluate import main
from fusionseg.data.synthetic import SyntheticScenes
from fusionseg.metrics.suite import MetricSuite, total
from fusionseg.runs.image_records import ImageRecords, added_sums
from fusionseg.sample import Counted
from fusionseg.studies.statistics import ImageResampling, image_sums, paired_bootstrap, resampled_figures


def image(number: int) -> Counted:
    """Sums of every kind: counts in a table, a row, fractions in a table and a single number."""
    random = np.random.default_rng(number)
    table = np.zeros((4, 4), np.int64)
    table[tuple(random.integers(0, 4, (2, 5)))] = random.integers(1, 1000, 5)
    return {
        "semantic": table,
        "boundary": random.integers(0, 99, 3),
        "panoptic": random.random((4, 2)) * (random.random((4, 2)) > 0.5),
        "count": np.array(1),
    }


@pytest.fixture
def written(tmp_path: Path) -> Path:
    with closing(ImageRecords(tmp_path)) as records:
        for number in range(8):
            records.add(f"image {number}", {}, image(number))
        records.write_npz(tmp_path / "val.npz")
    return tmp_path / "val.npz"


def test_a_row_has_the_sums_of_its_image(written: Path) -> None:
    sums = image_sums(written)
    assert sums.names == tuple(f"image {number}" for number in range(8))
    for number, row in enumerate(sums.rows.toarray()):
        found = sums.named(row)
        expected = image(number)
        assert found.keys() == expected.keys()
        for name, value in expected.items():
            np.testing.assert_array_equal(found[name], value)


def test_chosen_sums_are_read_alone(written: Path) -> None:
    every = image_sums(written)
    some = image_sums(written, ["semantic", "count"])
    assert set(some.shapes) == {"semantic", "count"}
    for all_of_it, part in zip(every.rows.toarray(), some.rows.toarray(), strict=True):
        for name, value in some.named(part).items():
            np.testing.assert_array_equal(value, every.named(all_of_it)[name])


def test_weighted_rows_are_the_sums_of_repeated_images(written: Path) -> None:
    sums = image_sums(written)
    weights = next(ImageResampling(8, resamples=1, seed=2).weights())[0]
    found = sums.named(weights @ sums.rows)
    repeated = [image(number) for number in range(8) for _ in range(int(weights[number]))]
    assert len(repeated) == 8
    for name, value in total(repeated).items():
        np.testing.assert_allclose(found[name], value, rtol=1e-12)


def test_another_file_is_refused(tmp_path: Path, written: Path) -> None:
    np.savez(tmp_path / "other.npz", weights=np.ones(3))
    with pytest.raises(ValueError, match=r"other\.npz: expected the sums of images .* found weights"):
        image_sums(tmp_path / "other.npz")
    with pytest.raises(ValueError, match=r"val\.npz: expected the sums depth, found .*semantic"):
        image_sums(written, ["semantic", "depth"])
    with pytest.raises(FileNotFoundError, match=r"nothing\.npz"):
        image_sums(tmp_path / "nothing.npz")


@pytest.mark.parametrize("kept", [0, 100, 900])
def test_half_a_file_is_refused(written: Path, kept: int) -> None:
    written.write_bytes(written.read_bytes()[:kept])
    with pytest.raises(ValueError, match=r"val\.npz: expected sums, found no or half an archive: evaluate"):
        image_sums(written)


def test_a_file_with_wrong_bytes_is_refused(written: Path) -> None:
    content = bytearray(written.read_bytes())
    content[60:90] = bytes(30)
    written.write_bytes(content)
    with pytest.raises(ValueError, match=r"val\.npz: expected sums, found a damaged file \(.+\): evaluate"):
        image_sums(written)


@pytest.mark.slow
def test_an_evaluation_is_resampled_as_the_metrics_measure_it(trained: Path) -> None:
    main(["--run", str(trained)])
    path = trained / "evaluation" / "val.npz"
    suite = MetricSuite.standard(SyntheticScenes.classes)
    sums = image_sums(path)
    names = list(suite.figures(added_sums(path)))

    def figures(added: Any) -> Any:
        return np.array([suite.figures(sums.named(added))[name] for name in names])

    resampling = ImageResampling(len(sums.names), resamples=20)
    found = resampled_figures(sums.rows, figures, resampling)
    expected = suite.figures(added_sums(path))
    np.testing.assert_allclose(found[0], [expected[name] for name in names], rtol=1e-12)
    single = [added_sums(path, [number]) for number in range(len(sums.names))]
    for weights, row in zip(next(resampling.weights()), found[1:], strict=True):
        repeated = total([one for one, times in zip(single, weights, strict=True) for _ in range(int(times))])
        np.testing.assert_allclose(row, [suite.figures(repeated)[name] for name in names], rtol=1e-12)
    same = paired_bootstrap(sums.rows, sums.rows, lambda added: figures(added)[0], resamples=20)
    assert (same.difference, same.low, same.high) == (0, 0, 0)


def test_an_image_without_a_group_is_its_own(tmp_path: Path) -> None:
    assert image_sums(with_groups(tmp_path, [None, None])).groups is None
    sums = image_sums(with_groups(tmp_path, ["a", None, "a"]))
    assert sums.groups == ("a", "the image 1", "a")
    assert set(sums.shapes) == {"semantic", "boundary", "panoptic", "count"}


def with_groups(folder: Path, groups: list[str | None]) -> Path:
    with closing(ImageRecords(folder)) as records:
        for number, group in enumerate(groups):
            records.add(str(number), {}, image(number), group)
        records.write_npz(folder / "val.npz")
    return folder / "val.npz"
