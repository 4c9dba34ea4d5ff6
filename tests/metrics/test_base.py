import copy
import importlib
import inspect
import pickle
import pkgutil
import warnings
from dataclasses import replace
from typing import Any

import lightning.pytorch as pl
import numpy as np
import pytest
import torch
from lightning.pytorch.plugins import HalfPrecision
from torch.utils.data import DataLoader
from torchmetrics import Metric, MetricCollection

import fusionseg.metrics
from fusionseg.config.lightning_messages import quiet
from fusionseg.metrics import BoundaryMetrics, ImageMetric, InstanceScores, RegionMetrics, SemanticMetrics
from fusionseg.metrics.base import Answer
from fusionseg.metrics.directions import higher_is_better, lower_is_better
from fusionseg.metrics.suite import total
from fusionseg.sample import OFFSET, Counted, Prediction, Truth

ARGUMENTS: dict[str, Any] = {"num_classes": 3, "things": (1,)}


OFFICIAL = ("benchmarks", "calibration", "boundary_calibration", "instance_scores")
"""The files of scores that only `evaluate` and `score` compute, when asked for."""

DEFINITIONS = ("libmtl", "mtan", "vandenhende")
"""The files of the definitions of papers, which count in no score."""


def kinds(base: type[ImageMetric] = ImageMetric) -> list[type[ImageMetric]]:
    """Every metric of the package."""
    for module in pkgutil.iter_modules(fusionseg.metrics.__path__):
        importlib.import_module(f"fusionseg.metrics.{module.name}")
    found = [kind for sub in base.__subclasses__() for kind in (sub, *kinds(sub))]
    return [kind for kind in found if kind.__module__.startswith("fusionseg.")]


def made(kind: type[ImageMetric]) -> ImageMetric:
    """A metric of three classes, one of which is a thing."""
    known = inspect.signature(kind).parameters
    return kind(**{name: value for name, value in ARGUMENTS.items() if name in known})


def images(number: int, seed: int = 0) -> list[tuple[Prediction, Truth]]:
    """Random answers and labels of all kinds, right in about a half of the pixels."""
    rng = np.random.default_rng(seed)
    pairs = []
    for name in range(number):
        semantic = rng.integers(0, 3, (12, 15))
        region = rng.integers(1, 4, (12, 15))
        depth = rng.uniform(1, 9, (12, 15))
        normals = rng.normal(size=(3, 12, 15))
        answers = {
            "semantic": semantic,
            "region": region,
            "fused": 2 - semantic,
            "panoptic": semantic * OFFSET + np.where(semantic == 1, region, 0),
            "scene": rng.random(3).astype(np.float32),
            "depth": (depth * rng.uniform(0.7, 1.4, depth.shape)).astype(np.float32),
            "disparity": (9 / depth * rng.uniform(0.7, 1.4, depth.shape)).astype(np.float32),
            "normals": (normals + rng.normal(size=normals.shape) / 3).astype(np.float32),
            "log_probabilities": np.log(rng.dirichlet(np.ones(3), (12, 15)))
            .transpose(2, 0, 1)
            .astype(np.float32),
            "contour_logits": rng.normal(size=(12, 15)).astype(np.float32),
            "offsets": rng.normal(size=(2, 12, 15)).astype(np.float32),
        }
        true = np.where(rng.random(semantic.shape) < 0.7, semantic, rng.integers(0, 3, semantic.shape))
        true[:2] = 255
        regions = np.where(rng.random(region.shape) < 0.9, region, 0)
        regions[:, :4] = 4
        maps = {"depth": depth, "disparity": 9 / depth, "normals": normals}
        pairs.append((Prediction(str(name), answers), Truth(true, regions, maps=maps)))
    return pairs


@pytest.fixture(params=kinds(), ids=lambda kind: kind.__name__)
def metric(request: pytest.FixtureRequest) -> ImageMetric:
    return made(request.param)


def updated(metric: ImageMetric, pairs: list[tuple[Prediction, Truth]]) -> ImageMetric:
    for prediction, truth in pairs:
        metric.update(prediction[metric.answer], truth)
    return metric


def plain(figures: dict[str, torch.Tensor]) -> dict[str, float]:
    return {name: value.item() for name, value in figures.items()}


def test_every_metric_is_exported_and_all_kinds_are_tried() -> None:
    names = {kind.__name__ for kind in kinds()}
    assert names | {"BoundaryRules", "ImageMetric", "InstancePrecision", "MetricSuite"} == set(
        fusionseg.metrics.__all__
    )
    assert len(names) == 28


def test_figures_are_those_of_the_added_sums(metric: ImageMetric) -> None:
    pairs = images(4)
    added = total(metric.sums(prediction[metric.answer], truth) for prediction, truth in pairs)
    figures = updated(metric, pairs).compute()
    np.testing.assert_equal(plain(figures), metric.figures(added))
    assert not any(np.isnan(value) for value in plain(figures).values())
    assert all(value.shape == () and value.dtype == torch.float64 for value in figures.values())
    np.testing.assert_equal(metric.computed, added)
    assert tuple(added) == metric.names


def test_sums_of_an_image_have_the_shape_and_the_kind_of_the_states(metric: ImageMetric) -> None:
    [(prediction, truth)] = images(1)
    nothing = Truth(np.full_like(truth.semantic, 255), np.zeros_like(truth.region), has_regions=False)
    for labels in (truth, nothing):
        for name, value in metric.sums(prediction[metric.answer], labels).items():
            state = getattr(metric, name)
            assert value.shape == state.shape
            assert value.dtype.kind == state.numpy().dtype.kind
            assert state.dtype in (torch.int64, torch.float64)
            soft_only = name == "crisp"  # and these answers are regions
            assert value.any() == (labels is truth and not soft_only)


def test_an_image_without_labels_adds_nothing(metric: ImageMetric) -> None:
    prediction, truth = images(1)[0]
    void = Truth(np.full_like(truth.semantic, 255), np.zeros_like(truth.region), has_regions=False)
    expected = updated(metric, images(2)).compute()
    metric.update(prediction[metric.answer], void)
    assert metric.compute() == expected


def test_no_image_gives_undefined_figures_without_a_warning(metric: ImageMetric) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figures = metric.compute()
    assert all(np.isnan(value.item()) for value in figures.values())
    assert figures.keys() == updated(metric, images(1)).compute().keys()


def test_the_main_figure_is_a_share_that_is_larger_for_a_better_answer(metric: ImageMetric) -> None:
    if not metric.main:
        # the task has another metric with one, or several kinds of errors
        beside = ("region", "fused", "panoptic", "log_probabilities", "contour_logits", "offsets", "depth")
        assert metric.answer in beside or metric.__module__.rpartition(".")[2] in DEFINITIONS
        return
    pairs = images(3)
    # some images lack a class, so that there is something to tell of whole images
    pairs = [
        (prediction, replace(truth, semantic=np.where(truth.semantic == lacking, 255, truth.semantic)))
        for lacking, (prediction, truth) in enumerate(pairs)
    ]
    worse = updated(metric, pairs).compute()[metric.main]
    metric.reset()
    for _, truth in pairs:
        present = np.isin(np.arange(3), truth.semantic).astype(np.float32)
        perfect = {"semantic": truth.semantic, "region": truth.region, **truth.maps, "scene": present}
        metric.update(perfect[metric.answer], truth)
    best = metric.compute()[metric.main]
    assert 0 <= worse < best <= 1
    assert best == pytest.approx(1)


def test_which_way_is_better_is_known_of_what_validation_logs(metric: ImageMetric) -> None:
    if metric.__module__.rpartition(".")[2] in OFFICIAL:
        return
    for figure in metric.compute():
        assert higher_is_better(figure) != lower_is_better(figure), figure


def test_tensors_are_measured_as_arrays(metric: ImageMetric) -> None:
    expected = updated(metric, images(2)).compute()
    metric.reset()
    for prediction, truth in images(2):
        metric.update(torch.from_numpy(prediction[metric.answer]).requires_grad_(False), truth)
    assert metric.compute() == expected


def test_a_bfloat16_answer_is_measured() -> None:
    metric = made(fusionseg.metrics.DepthMetrics)
    depth = np.full((2, 2), 2.0)
    truth = Truth(np.zeros((2, 2), int), np.zeros((2, 2), int), maps={"depth": depth})
    metric.update(torch.full((2, 2), 1.5, dtype=torch.bfloat16, requires_grad=True), truth)
    assert metric.compute()["depth_abs_error"] == 0.5


def test_sums_that_were_added_count_as_updates_also_after_a_compute(metric: ImageMetric) -> None:
    pairs = images(4)
    expected = updated(made(type(metric)), pairs).compute()
    updated(metric, pairs[:2]).compute()
    for prediction, truth in pairs[2:]:
        metric.add({"others": np.ones(3), **metric.sums(prediction[metric.answer], truth)})
    np.testing.assert_equal(plain(metric.compute()), plain(expected))


def test_a_call_gives_the_figures_of_the_image_and_keeps_those_of_the_set(metric: ImageMetric) -> None:
    pairs = images(3)
    for prediction, truth in pairs:
        alone = metric.figures(metric.sums(prediction[metric.answer], truth))
        np.testing.assert_equal(plain(metric(prediction[metric.answer], truth)), alone)
    expected = updated(made(type(metric)), pairs).compute()
    np.testing.assert_allclose(list(metric.compute().values()), list(expected.values()), rtol=1e-14)


def test_classes_are_measured_after_a_reset(metric: ImageMetric) -> None:
    added = total(metric.sums(p[metric.answer], truth) for p, truth in images(3))
    updated(metric, images(3)).compute()
    metric.reset()
    np.testing.assert_equal(metric.per_class(metric.computed), metric.per_class(added))
    assert all(len(values) == 3 for values in metric.per_class(added).values())
    assert not any(getattr(metric, name).any() for name in metric.names)


def test_copies_measure_for_themselves(metric: ImageMetric) -> None:
    updated(metric, images(1))
    before = plain(metric.compute())
    for copied in (copy.deepcopy(metric), pickle.loads(pickle.dumps(metric)), metric.clone()):
        np.testing.assert_equal(plain(copied.compute()), before)
        np.testing.assert_equal(plain(updated(copied, images(3)[1:]).compute()).keys(), before.keys())
    np.testing.assert_equal(plain(metric.compute()), before)


def test_half_precision_of_a_module_does_not_round_the_sums(metric: ImageMetric) -> None:
    module = torch.nn.Sequential(torch.nn.Linear(2, 2), updated(metric, images(2)))
    expected = plain(metric.compute())
    dtypes = [getattr(metric, name).dtype for name in metric.names]
    for converted in (
        module.to(torch.bfloat16),
        module.half(),
        HalfPrecision("16-true").convert_module(module),
    ):
        assert converted[0].weight.dtype in (torch.bfloat16, torch.float16)
        np.testing.assert_equal(plain(metric.compute()), expected)
    metric.reset()
    assert [getattr(metric, name).dtype for name in metric.names] == dtypes


def test_states_move_with_their_module(metric: ImageMetric) -> None:
    torch.nn.Sequential(metric).to("meta")
    assert metric.device.type == "meta"
    for _ in "ab":
        assert all(getattr(metric, name).device.type == "meta" for name in metric.names)
        metric.reset()


def test_a_metric_that_was_reset_in_inference_mode_can_be_used_outside() -> None:
    metric = SemanticMetrics(3)
    with torch.inference_mode():
        metric.reset()
        updated(metric, images(1))
    assert updated(metric, images(2)[1:]).compute() == updated(SemanticMetrics(3), images(2)).compute()


def test_a_checkpoint_has_no_states(metric: ImageMetric) -> None:
    assert torch.nn.Sequential(metric).state_dict() == {}


def test_metrics_work_in_a_collection() -> None:
    collection = MetricCollection([RegionMetrics(), BoundaryMetrics()], prefix="val/")
    for prediction, truth in images(3):
        collection.update(prediction["region"], truth)
    expected = {
        f"val/{name}": value
        for kind in (RegionMetrics, BoundaryMetrics)
        for name, value in updated(kind(), images(3)).compute().items()
    }
    assert collection.compute() == expected
    collection.reset()
    assert all(value.isnan() for value in collection.compute().values())


def test_metrics_of_other_arguments_share_nothing_in_a_collection() -> None:
    kinds = {"narrow": InstanceScores(0.01), "wide": InstanceScores(0.4)}
    collection = MetricCollection(kinds)
    equal = np.kron(np.array([[1, 2], [3, 4]]), np.ones((8, 9), int))
    pairs = [(equal, equal), (np.roll(equal, 2, 1), equal)]  # of the first both say the same
    for answer, region in pairs:
        collection.update(answer, Truth(np.zeros_like(region), region))
    found = collection.compute()
    alone = InstanceScores(0.4)
    for answer, region in pairs:
        alone.update(answer, Truth(np.zeros_like(region), region))
    shared = {name.removeprefix("wide_"): v for name, v in found.items() if name.startswith("wide_")}
    assert (shared or found) == alone.compute()


class Dots(ImageMetric):
    """A metric of one's own: the share of pixels that are 1."""

    answer = "dots"
    main = "dots"

    def __init__(self) -> None:
        super().__init__({"dots": np.zeros(2, np.int64)})

    def sums(self, answer: Answer, truth: Truth) -> Counted:
        return {"dots": np.array([answer.sum(), answer.size])}

    def figures(self, sums: Counted) -> dict[str, float]:
        ones, pixels = sums["dots"]
        return {"dots": float(ones / pixels)}


class Measured(pl.LightningModule):
    """A module that logs a metric as Lightning's users do."""

    def __init__(self) -> None:
        super().__init__()
        self.dots = Dots()

    def validation_step(self, batch: torch.Tensor, _: int) -> None:
        self.dots.update(batch, Truth(np.zeros((1, 1), int), np.zeros((1, 1), int)))

    def on_validation_epoch_end(self) -> None:
        self.log_dict(self.dots.compute())
        self.dots.reset()


def test_a_metric_of_ones_own_works_in_any_lightning_module() -> None:
    options: dict[str, Any] = dict.fromkeys(("logger", "enable_progress_bar", "enable_model_summary"), False)
    loader: DataLoader[torch.Tensor] = DataLoader([torch.ones(2, 2), torch.zeros(4, 3)], None)  # type: ignore[arg-type]
    with quiet():
        trainer = pl.Trainer(accelerator="cpu", enable_checkpointing=False, **options)
        [figures] = trainer.validate(Measured(), loader, verbose=False)
    assert figures == {"dots": 0.25}
    assert Dots().per_class({}) == {}


def test_sums_of_another_number_of_classes_are_refused() -> None:
    metric = SemanticMetrics(3)
    message = r"SemanticMetrics: expected a sum 'semantic' of shape \(3, 3\), found"
    with pytest.raises(ValueError, match=message + r" of shape \(2, 2\)"):
        metric.add({"semantic": np.zeros((2, 2), np.int64)})
    with pytest.raises(ValueError, match=message + r" only \['region'\]"):
        metric.add({"region": np.zeros(6)})


def test_what_torchmetrics_and_torch_call_by_private_names_is_there() -> None:
    assert "exclude_state" in inspect.signature(Metric._apply).parameters
    assert Metric._apply.__name__ in vars(torch.nn.Module)
