from pathlib import Path

import numpy as np
import pytest
from scipy.io import loadmat
from skimage.measure import label
from skimage.metrics import variation_of_information

from fusionseg.metrics.boundary_curve import even_thresholds
from fusionseg.metrics.region_curve import (
    RegionCurve,
    region_curve,
    region_curve_figures,
    region_curve_sums,
    ultrametric_partitions,
)
from fusionseg.sample import Counted, IntMap


def drawn(file: Path) -> list[IntMap]:
    """The regions of each annotator."""
    return [person["Segmentation"][0, 0] for person in loadmat(file)["groundTruth"][0]]


def printed(values: object) -> np.ndarray:
    """Six digits, as the benchmark writes them to its files and reads them again."""
    return np.vectorize(lambda value: float(f"{value:g}"))(values)


def total(curves: list[RegionCurve]) -> Counted:
    each = [region_curve_sums(RegionCurve(*map(printed, curve))) for curve in curves]
    return {name: np.sum([sums[name] for sums in each], 0) for name in each[0]}


def test_partitions_have_the_official_numbers_to_all_digits(data: Path) -> None:
    bench = data / "BSDS500" / "bench" / "data"
    files = sorted((bench / "groundTruth").glob("*.mat"))
    curves = [region_curve(loadmat(bench / "segs" / file.name)["segs"][0], drawn(file)) for file in files]
    assert len(files) == 5
    figures = region_curve_figures(total(curves), np.arange(1, 6))
    covering = ["covering_ods_threshold", "covering_ods", "covering_ois", "covering_best"]
    assert (
        printed([figures[name] for name in covering]).tolist()
        == np.loadtxt(bench / "test_5/eval_cover.txt").tolist()
    )
    others = ["pri_ods_threshold", "pri_ods", "pri_ois", "vi_ods_threshold", "vi_ods", "vi_ois"]
    assert (
        printed([figures[name] for name in others]).tolist()
        == np.loadtxt(bench / "test_5/eval_RI_VOI.txt").tolist()
    )
    thresholds = np.loadtxt(bench / "test_5/eval_RI_VOI_thr.txt")
    assert (
        printed(np.mean([printed(curve.rand) for curve in curves], 0)).tolist() == thresholds[:, 1].tolist()
    )
    assert printed(np.mean([printed(curve.voi) for curve in curves], 0)).tolist() == thresholds[:, 2].tolist()


@pytest.mark.slow
def test_contour_maps_of_gpb_have_their_official_numbers_to_all_digits(data: Path) -> None:
    folder = data / "BSDS500" / "ucm2"
    names = (folder / "test_names.txt").read_text().split()
    official = np.loadtxt(folder / "test_eval" / "eval_cover_img.txt")
    thresholds = even_thresholds(99)
    files = sorted((folder / "test").glob("*.mat"))
    for file in files:
        truth = data / "BSDS500" / "data" / "groundTruth" / "test" / file.name
        curve = region_curve(ultrametric_partitions(loadmat(file)["ucm2"], thresholds), drawn(truth))
        covering = printed(curve.covered) / printed(curve.pixels)
        best = int(covering.argmax())
        converse = printed(curve.partition_covered[best]) / printed(curve.partition_pixels)
        row = official[names.index(file.stem), 1:]
        assert printed([thresholds[best], covering[best], converse]).tolist() == row.tolist()
    assert len(files) == 20


def random_maps(seed: int, void: bool = False) -> tuple[IntMap, IntMap]:
    random = np.random.default_rng(seed)
    truth = np.kron(random.integers(1, 5, (4, 5)), np.ones((6, 7), np.int64))
    if void:
        truth[:3] = 0
    return np.roll(truth, (1, 2), (0, 1)) + 3, truth


def rand_of_pairs(first: IntMap, second: IntMap) -> float:
    """The share of pairs of pixels on which two partitions agree, pair by pair."""
    agree = (first[:, None] == first) == (second[:, None] == second)
    return float(agree[np.triu_indices(first.size, 1)].mean())


@pytest.mark.parametrize("void", [False, True])
def test_rand_index_and_variation_of_information_are_those_of_other_libraries(void: bool) -> None:
    for seed in range(5):
        partition, truth = random_maps(seed, void)
        curve = region_curve([partition], [truth])
        known = truth > 0
        assert curve.rand.item() == pytest.approx(rand_of_pairs(truth[known], partition[known]), abs=1e-12)
        parts = variation_of_information(truth[known], partition[known])
        assert curve.voi.item() == pytest.approx(parts.sum(), abs=1e-12)


def test_covering_is_that_of_its_definition() -> None:
    partition, truth = random_maps(0, void=True)
    other = np.roll(truth, 3, 1)
    curve = region_curve([partition, truth], [truth, other])
    for at, answer in enumerate((partition, truth)):
        covered = 0.0
        for person in (truth, other):
            known = person > 0
            for ids in np.unique(person[known]):
                region = person == ids
                ious = [
                    (region & (answer == a)).sum() / (region | ((answer == a) & known)).sum()
                    for a in np.unique(answer)
                ]
                covered += region.sum() * max(ious)
        assert curve.covered[at] == pytest.approx(covered)
    assert curve.pixels == (truth > 0).sum() + (other > 0).sum()


def test_the_best_region_of_any_partition_is_chosen_for_each_true_one() -> None:
    truth = np.array([[1, 1, 2, 2, 3, 3]])
    curve = region_curve([np.array([[1, 1, 2, 2, 2, 2]]), np.array([[1, 1, 1, 1, 2, 2]])], [truth])
    assert curve.best_covered == 2 + 1 + 2
    assert curve.covered.tolist() == [2 + 1 + 1, 1 + 1 + 2]


def test_regions_of_an_ultrametric_map_are_its_components() -> None:
    contours = np.random.default_rng(0).random((21, 31))
    contours[1::2, 1::2] = 0
    for threshold, ids in zip(
        (0.2, 0.6), ultrametric_partitions(contours, np.array([0.2, 0.6])), strict=True
    ):
        expected = label(contours <= threshold, connectivity=1)[1::2, 1::2]
        pairs = np.unique(np.stack([ids.ravel(), expected.ravel()]), axis=1)
        assert pairs.shape[1] == len(np.unique(ids)) == len(np.unique(expected))
        assert ids.min() > 0


def test_many_ids_and_a_single_pixel_are_no_special_cases() -> None:
    ids = np.arange(70_000).reshape(250, 280)
    curve = region_curve([ids], [np.ones_like(ids)])
    assert curve.covered / curve.pixels == pytest.approx(1 / ids.size)
    one = region_curve([np.array([[4]])], [np.array([[2]])])
    assert (one.covered.item(), one.rand.item(), one.voi.item()) == (1, 1, 0)


def test_what_cannot_be_compared_is_refused() -> None:
    ids = np.ones((3, 3), int)
    with pytest.raises(ValueError, match="annotators and partitions, found 0 and 1"):
        region_curve([ids], [0 * ids])
    with pytest.raises(ValueError, match="found 1 and 0"):
        region_curve([], [ids])
    with pytest.raises(ValueError, match="one shape"):
        region_curve([np.ones((3, 4), int)], [ids])
