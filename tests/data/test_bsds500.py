import os
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.io import loadmat, savemat
from torch.nn.functional import binary_cross_entropy_with_logits

from fusionseg.commands.fit import main
from fusionseg.data.augmentation import Augmentation
from fusionseg.data.base import DataError, SegmentationDataset
from fusionseg.data.bsds500 import BSDS500
from fusionseg.data.cache import Cache, cached
from fusionseg.data.datamodule import SegmentationDataModule
from fusionseg.data.mixture import MixtureDataset
from fusionseg.data.samples import TrainSamples
from fusionseg.data.subset import Subset
from fusionseg.data.synthetic import SyntheticScenes
from fusionseg.heads import BoundaryHead
from fusionseg.heads.region_targets import boundaries
from fusionseg.losses import CrossEntropy
from fusionseg.metrics.suite import MetricSuite, total
from fusionseg.sample import VOID, Prediction


def drawn(dataset: SegmentationDataset, epochs: int = 60, seed: int = 0) -> list[list[int]]:
    """Which annotator's regions training sees of each image in each epoch, by the largest id."""
    samples = TrainSamples(dataset, Augmentation.none(), (32, 32), seed=seed)
    return [[int(samples[epoch, i]["region"].max()) for i in range(len(dataset))] for epoch in range(epochs)]


def test_training_sees_one_annotator_at_a_time_and_all_of_them_equally_often(bsds: Path) -> None:
    seen = np.array(drawn(BSDS500("train", bsds), 150))
    for of_image in seen.T:
        counts = np.bincount(of_image, minlength=5)[2:]
        # Four standard deviations of a share of 1/3 of 150.
        assert (np.abs(counts - 50) < 4 * (150 * 2 / 9) ** 0.5).all()
    assert (seen[:, 0] != seen[:, 1]).any()


@pytest.mark.slow
def test_who_is_seen_follows_from_seed_epoch_and_index(bsds: Path) -> None:
    dataset = BSDS500("train", bsds)
    assert drawn(dataset) == drawn(BSDS500("train", bsds))
    assert drawn(dataset) != drawn(dataset, seed=1)
    samples = TrainSamples(dataset, Augmentation.none(), (32, 32))
    assert int(samples[7, 1]["region"].max()) == drawn(dataset)[7][1]


@pytest.mark.parametrize("kind", ["memory", "disk"])
def test_a_cache_keeps_all_annotators(kind: Cache, bsds: Path, tmp_path: Path) -> None:
    dataset = BSDS500("train", bsds)
    assert drawn(cached(dataset, kind, tmp_path / "cache")) == drawn(dataset)
    assert [row[0] for row in drawn(Subset(dataset, [1]))] != [2] * 60


@pytest.mark.slow
def test_a_mixture_draws_too_where_regions_count(bsds: Path) -> None:
    parts: dict[str, Any] = {
        "scenes": partial(SyntheticScenes, length=1),
        "people": partial(BSDS500, root=bsds),
    }
    dataset = MixtureDataset("train", parts)
    assert {row[1] for row in drawn(dataset)} == {2, 3, 4}
    assert dataset.annotation(0, np.random.default_rng(0)) is None
    assert {row[1] for row in drawn(MixtureDataset("train", parts, labels={"people": "semantic"}))} == {0}


def test_evaluation_knows_all_annotators_and_pixels_are_the_first(bsds: Path) -> None:
    truth, pixels = BSDS500("val", bsds).truth(1), BSDS500("val", bsds).read(1)
    assert [int(region.max()) for region in (truth.region, *truth.others)] == [2, 3, 4]
    assert [int((region == 1).sum()) for region in (truth.region, *truth.others)] == [150, 300, 450]
    assert np.array_equal(pixels.region, truth.region)
    assert (pixels.semantic == VOID).all()
    assert (truth.semantic == VOID).all()


def test_the_mean_loss_of_annotators_is_that_of_their_mean_boundary_map(bsds: Path) -> None:
    truth = BSDS500("train", bsds).truth(0)
    people = [torch.from_numpy(region.astype(np.int64))[None] for region in (truth.region, *truth.others)]
    output = torch.randn(1, 1, 20, 30)
    head = BoundaryHead(4, CrossEntropy)
    each = [head.loss(output, head.target({"region": region})) for region in people]
    mean = torch.stack([head.target({"region": region})[0].float() for region in people]).mean(0)
    assert 0 < mean[mean > 0].min() < 1
    expected = binary_cross_entropy_with_logits(output[:, 0], mean)
    torch.testing.assert_close(torch.stack([(s / w).sum() for s, w in each]).mean(), expected)


@pytest.mark.parametrize("kind", ["none", "disk"])
def test_the_map_of_all_annotators_is_the_mean_of_theirs(kind: Cache, bsds: Path, tmp_path: Path) -> None:
    dataset = cached(BSDS500("train", bsds, averaged=True), kind, tmp_path / "cache")
    truth = dataset.truth(0)
    regions = torch.from_numpy(np.stack([truth.region, *truth.others]).astype(np.int64))
    expected = boundaries(regions).float().mean(0).numpy()
    found = dataset.read(0).maps["boundary"]
    assert np.array_equal(found, np.where(expected > 0, expected, -1).astype(np.float32))
    assert np.array_equal(truth.maps["boundary"], found)
    sample = TrainSamples(dataset, Augmentation.none(), (64, 64))[0, 0]
    inside = sample["region"] > 0
    assert set(sample["boundary"][inside].unique().tolist()) <= set(np.unique(found).tolist())
    assert not sample["boundary"][~inside].any()


def test_photos_of_both_orientations_are_evaluated_whole(bsds: Path) -> None:
    loader = SegmentationDataModule(partial(BSDS500, root=bsds), workers=0).val_dataloader()
    assert [tuple(batch["image"].shape) for batch in loader] == [(1, 3, 20, 30), (1, 3, 30, 20)]
    joint = SegmentationDataModule(partial(BSDS500, root=bsds), workers=0, eval_batch_size=2).val_dataloader()
    assert [tuple(batch["image"].shape) for batch in joint] == [(1, 3, 20, 30), (1, 3, 30, 20)]


@pytest.mark.slow
def test_a_model_without_semantic_head_trains_on_it_alone(
    bsds: Path, tiny: list[str], tmp_path: Path
) -> None:
    at = tiny.index("--data.dataset")
    arguments = [
        "--data.dataset",
        "BSDS500",
        "--data.dataset.root",
        str(bsds),
        *tiny[at + 6 :],
        "--data.batch_size",
        "2",
    ]
    main([*arguments, "--model.semantic_head", "null", "--out", str(tmp_path / "run")])
    assert (tmp_path / "run" / "summary.json").is_file()


def test_missing_files_are_named(bsds: Path, tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"nowhere/data/images/val.*expected this layout \(set root"
    ) as caught:
        BSDS500("val", tmp_path / "nowhere")
    assert "BSR_bsds500.tgz" in str(caught.value)
    (bsds / "data/groundTruth/val/val1.mat").unlink()
    with pytest.raises(DataError, match=r"no labels in .*groundTruth/val for val1"):
        BSDS500("val", bsds)


def test_labels_of_another_size_are_refused(bsds: Path) -> None:
    (bsds / "data/groundTruth/val/val1.mat").replace(bsds / "data/groundTruth/val/val0.mat")
    (bsds / "data/images/val/val1.jpg").unlink()
    with pytest.raises(DataError, match=r"30 x 20 \(.*val0.jpg\), found 20 x 30 in .*val0.mat"):
        BSDS500("val", bsds).read(0)


@pytest.mark.parametrize("content", ["none", "cut", "foreign", "empty", "fractions", "large"])
def test_a_label_file_that_is_none_is_named(content: str, bsds: Path) -> None:
    path = bsds / "data/groundTruth/val/val0.mat"
    person: Any = np.empty((1, 1), object)
    if content in ("none", "cut"):
        path.write_bytes(b"" if content == "none" else path.read_bytes()[:300])
    elif content == "foreign":
        savemat(path, {"segs": np.ones(3)})
    else:
        region = {
            "empty": np.zeros((0, 0)),
            "fractions": np.ones((20, 30)) / 2,
            "large": np.full((20, 30), 65536),
        }
        person[0, 0] = {
            "Segmentation": region[content],
            "Boundaries": np.zeros_like(region[content], np.uint8),
        }
        savemat(path, {"groundTruth": person})
    with pytest.raises(DataError, match=rf"expected .* in {path}"):
        BSDS500("val", bsds).truth(0)


@pytest.mark.slow
def test_the_copy_has_the_annotators_and_regions_of_its_description() -> None:
    if (root := os.environ.get("FUSIONSEG_DATA")) is None:
        pytest.skip("FUSIONSEG_DATA is not set: no BSDS500 to read")
    for split, photos, people, median in (
        ("train", 100, 539, 15),
        ("val", 50, 273, 13),
        ("test", 100, 531, 15),
    ):
        dataset = BSDS500(split, f"{root}/BSDS500")  # type: ignore[arg-type]
        truths = [dataset.truth(i) for i in range(len(dataset))]
        maps = [region for truth in truths for region in (truth.region, *truth.others)]
        counts = [int(region.max()) for region in maps]
        assert (len(dataset), len(maps), int(np.median(counts))) == (photos, people, median)
        assert {*map(np.shape, maps)} == {(321, 481), (481, 321)}
        for region, count in zip(maps, counts, strict=True):
            assert np.flatnonzero(np.bincount(region.ravel())).tolist() == [*range(1, count + 1)]


@pytest.fixture
def bench(data: Path, tmp_path: Path) -> BSDS500:
    """The five images of the official benchmark's self-test as a split."""
    for part in ("images", "groundTruth"):
        (tmp_path / "data" / part).mkdir(parents=True)
        (tmp_path / "data" / part / "test").symlink_to(data / "BSDS500/bench/data" / part)
    return BSDS500("test", tmp_path)


def test_measures_of_the_truth_are_the_official_ones(bench: BSDS500, data: Path) -> None:
    measures, folder = MetricSuite.standard(bench.classes), data / "BSDS500/bench/data"
    each: list[list[Any]] = [[] for _ in range(5)]
    for i in range(len(bench)):
        for k, region in enumerate(loadmat(folder / f"segs/{bench.name(i)}.mat")["segs"][0]):
            each[k].append(measures.sums(Prediction(bench.name(i), {"region": region}), bench.truth(i)))
    figures = [measures.figures(total(sums)) for sums in each]
    covering = np.loadtxt(folder / "test_5/eval_cover_th.txt")[:, 1]
    variation = np.loadtxt(folder / "test_5/eval_RI_VOI_thr.txt")[:, 2]
    assert [one["score"] for one in figures] == [one["covering"] for one in figures]
    # The benchmark rounds what it has of each image to six digits before it adds.
    assert [one["covering"] for one in figures] == pytest.approx(covering, abs=1e-6)
    assert [one["voi"] for one in figures] == pytest.approx(variation, abs=1e-5)


def test_boundaries_are_nearly_as_good_as_officially_and_never_worse(bench: BSDS500, data: Path) -> None:
    measures, folder = MetricSuite.standard(bench.classes), data / "BSDS500/bench/data"
    each: list[list[Any]] = [[] for _ in range(5)]
    for i in range(len(bench)):
        for k, region in enumerate(loadmat(folder / f"segs/{bench.name(i)}.mat")["segs"][0]):
            each[k].append(measures.sums(Prediction(bench.name(i), {"region": region}), bench.truth(i)))
    official = np.loadtxt(folder / "test_3/eval_bdry_thr.txt")[:, 1:]
    names = ("boundary_recall", "boundary_precision", "boundary_f")
    ours = [[measures.figures(total(sums))[name] for name in names] for sums in each]
    # One pixel may match many here, and boundaries are not thinned.
    more = np.array(ours) - official
    assert more.min() > 0
    assert more.max() < 0.035
