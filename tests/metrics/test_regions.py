import os
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from scipy.io import loadmat
from skimage.metrics import adapted_rand_error, variation_of_information

from fusionseg.metrics.regions import REGION_SUMS, region_figures, region_sums

Map = npt.NDArray[np.integer[Any]]


def random_maps(seed: int, ids: int = 12) -> tuple[Map, Map]:
    """A truth in blocks with some void and a prediction that shares some of its edges; ids are sparse up to 65535."""
    random = np.random.default_rng(seed)
    names = np.append(random.choice(np.arange(1, 65535), ids - 1, replace=False), 65535)
    truth = np.kron(random.choice(names, (6, 7)), np.ones((8, 9), np.int64))
    prediction = np.where(
        random.random(truth.shape) < 0.8, np.roll(truth, 3, 1), random.choice(names, truth.shape)
    )
    prediction[prediction == names[0]] = 0
    truth[truth == names[1]] = 0
    return prediction.astype(np.uint16), truth


def slow_covering(prediction: Map, truth: Map) -> tuple[int, float]:
    """Labeled pixels and covered pixels."""
    labeled = truth != 0
    covered = 0.0
    for r in set(truth[labeled].tolist()):
        region = truth == r
        ious = [
            (region & (prediction == s)).sum() / (region | ((prediction == s) & labeled)).sum()
            for s in set(prediction[labeled].tolist())
        ]
        covered += region.sum() * max(ious)
    return int(labeled.sum()), covered


@pytest.mark.parametrize("seed", range(4))
def test_sums_equal_scikit_image_and_loops(seed: int) -> None:
    prediction, truth = random_maps(seed)
    sums = dict(zip(REGION_SUMS, region_sums(prediction, truth), strict=True))
    split, merge = variation_of_information(truth, prediction, ignore_labels=(0,))  # type: ignore[no-untyped-call]
    error, *_ = adapted_rand_error(truth, prediction, ignore_labels=(0,))  # type: ignore[no-untyped-call]
    pixels, covered = slow_covering(prediction, truth)
    assert sums["images"] == 1
    assert sums["pixels"] == pixels
    assert sums["covered"] == pytest.approx(covered, rel=1e-12)
    assert sums["voi_split"] == pytest.approx(split, rel=1e-12)
    assert sums["voi_merge"] == pytest.approx(merge, rel=1e-12)
    assert sums["rand_error"] == pytest.approx(error, rel=1e-12)


def test_splitting_and_merging_are_told_apart() -> None:
    halves = np.repeat([[1, 2]], 4, axis=0)
    whole = np.ones_like(halves)
    assert region_figures(region_sums(halves, whole)) == pytest.approx(
        {"covering": 0.5, "voi": 1, "voi_split": 1, "voi_merge": 0, "rand_error": 1 - 2 * 24 / (24 + 56)}
    )
    assert region_figures(region_sums(whole, halves)) == pytest.approx(
        {"covering": 0.5, "voi": 1, "voi_split": 0, "voi_merge": 1, "rand_error": 1 - 2 * 24 / (24 + 56)}
    )


def test_truth_against_itself_is_perfect_whatever_the_names_are() -> None:
    _, truth = random_maps(0)
    figures = region_figures(region_sums(65535 - truth, truth))
    assert figures == pytest.approx(
        {"covering": 1, "voi": 0, "voi_split": 0, "voi_merge": 0, "rand_error": 0}
    )


def test_regions_of_one_pixel_agree_with_themselves() -> None:
    truth = np.arange(1, 13).reshape(3, 4)
    assert region_figures(region_sums(truth, truth))["rand_error"] == 0


def test_prediction_on_void_does_not_matter() -> None:
    prediction, truth = random_maps(1)
    expected = region_sums(prediction, truth)
    prediction[truth == 0] = np.arange((truth == 0).sum())
    assert np.array_equal(region_sums(prediction, truth), expected)


def test_image_without_regions_contributes_nothing() -> None:
    sums = region_sums(np.ones((3, 3), np.int64), np.zeros((3, 3), np.int64))
    assert not sums.any()
    assert all(np.isnan(figure) for figure in region_figures(sums).values())


def test_figures_of_a_set_average_images_and_add_areas() -> None:
    pairs = [random_maps(seed, ids) for seed, ids in ((0, 5), (1, 12), (2, 30))]
    figures = region_figures(np.sum([region_sums(*pair) for pair in pairs], 0))
    each = [region_figures(region_sums(*pair)) for pair in pairs]
    for name in ("voi", "voi_split", "voi_merge", "rand_error"):
        assert figures[name] == pytest.approx(np.mean([one[name] for one in each]))
    areas = np.array([slow_covering(*pair) for pair in pairs]).sum(0)
    assert figures["covering"] == pytest.approx(areas[1] / areas[0])


def test_areas_of_images_are_areas_of_their_union() -> None:
    (prediction, truth), (other, other_truth) = random_maps(0), random_maps(1)
    # Names of the second image must not meet those of the first.
    renamed, renamed_truth = (
        np.searchsorted(np.unique(ids), ids) + 40000 for ids in (other, other_truth + 1)
    )
    low, low_truth = (np.searchsorted(np.unique(ids), ids) for ids in (prediction, truth))
    renamed_truth[other_truth == 0] = 0
    whole = region_sums(np.concatenate([low, renamed]), np.concatenate([low_truth, renamed_truth]))
    parts = region_sums(prediction, truth) + region_sums(other, other_truth)
    columns = [REGION_SUMS.index("pixels"), REGION_SUMS.index("covered")]
    assert whole[columns] == pytest.approx(parts[columns])


def test_official_numbers_of_berkeley_are_met_to_all_digits() -> None:
    if "FUSIONSEG_DATA" not in os.environ:
        pytest.skip("FUSIONSEG_DATA does not name the folder of the data sets")
    bench = Path(os.environ["FUSIONSEG_DATA"]) / "BSDS500" / "bench" / "data"
    total = np.zeros((5, len(REGION_SUMS)))
    files = sorted((bench / "groundTruth").glob("*.mat"))
    for file in files:
        truths = [person["Segmentation"][0, 0] for person in loadmat(file)["groundTruth"][0]]
        segmentations = loadmat(bench / "segs" / file.name)["segs"][0]
        sums = np.array([region_sums(segmentation, *truths) for segmentation in segmentations])
        # The benchmark adds up what it wrote to a text file for each image, six digits of it.
        total += np.vectorize(lambda value: float(f"{value:.6g}"))(sums)
    assert len(files) == 5
    figures = [region_figures(sums) for sums in total]
    covering = np.loadtxt(bench / "test_5" / "eval_cover_th.txt")[:, 1]
    variation = np.loadtxt(bench / "test_5" / "eval_RI_VOI_thr.txt")[:, 2]
    assert [float(f"{one['covering']:.6g}") for one in figures] == covering.tolist()
    assert [float(f"{one['voi']:.6g}") for one in figures] == variation.tolist()
