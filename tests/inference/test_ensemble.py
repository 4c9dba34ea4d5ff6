from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from fusionseg.config.errors import UsageError, UserError
from fusionseg.engine.passes import Passes
from fusionseg.heads import AffinityHead, BoundaryHead, CenterOffsetHead, EmbeddingHead, SemanticHead
from fusionseg.inference.ensemble import Ensemble, active_dropout, dropping
from fusionseg.metrics import BoundaryMetrics
from fusionseg.sample import Sample

Small = Callable[..., Any]
EXTRAS = ("probabilities", "contours", "entropy")


@pytest.fixture
def models(small: Small) -> list[Any]:
    """Two models of random weights, without dropout, whose predictions are not all alike."""
    found = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        found.append(small().eval())
    return found


def maps(model: Any, batch: Sample, **options: Any) -> Any:
    return model.predictions(batch, (64, 96), EXTRAS, **options)[0].maps


def test_probabilities_are_the_mean_of_the_models(models: list[Any], scenes: Callable[..., Sample]) -> None:
    batch = scenes(1)
    # at the resolution of the outputs, where the mean is taken
    image = batch["image"]
    outputs = [model(image)[-1] for model in models]
    [mean] = Ensemble(models)(image)
    expected = torch.stack([output["semantic"].softmax(1) for output in outputs]).mean(0)
    torch.testing.assert_close(mean["semantic"].softmax(1), expected)
    expected = torch.stack([output["region"].sigmoid() for output in outputs]).mean(0)
    torch.testing.assert_close(mean["region"].sigmoid(), expected)
    together = maps(Ensemble(models), batch)
    alone = [maps(model, batch) for model in models]
    for name in ("probabilities", "contours"):
        average = (alone[0][name] + alone[1][name]) / 2
        assert not np.allclose(alone[0][name], alone[1][name], atol=1e-3)
        np.testing.assert_allclose(together[name], average, atol=0.02)  # enlarged before the mean is taken
    np.testing.assert_array_equal(together["semantic"], together["probabilities"].argmax(0))


def test_the_entropy_is_that_of_the_mean_probabilities(
    models: list[Any], scenes: Callable[..., Sample]
) -> None:
    found = maps(Ensemble(models), scenes(1))
    p = found["probabilities"].astype(float)
    np.testing.assert_allclose(found["entropy"], -(p * np.log(p)).sum(0), rtol=1e-4, atol=1e-6)
    assert found["entropy"].shape == (64, 96)


def test_disagreement_is_the_mutual_information_of_class_and_network(
    models: list[Any], scenes: Callable[..., Sample]
) -> None:
    batch = scenes(1)
    found = maps(Ensemble(models), batch)["disagreement"]
    each = np.stack([maps(model, batch)["probabilities"].astype(float) for model in models])
    mean = each.mean(0)
    # the Kullback-Leibler divergence of each from the mean
    expected = (each * np.log(each / mean)).sum(1).mean(0)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert found.max() > 0.01
    alike = maps(Ensemble([models[0]] * 2), batch)
    assert np.abs(alike["disagreement"]).max() < 1e-5
    assert "disagreement" not in Ensemble(models).predictions(batch, (64, 96), ["probabilities"])[0].maps


def test_a_model_several_times_is_that_model(models: list[Any], scenes: Callable[..., Sample]) -> None:
    batch = scenes(1)
    found, expected = maps(Ensemble([models[0]] * 3), batch), maps(models[0], batch)
    assert found.keys() == {*expected, "disagreement"}
    for name in ("probabilities", "contours", "entropy"):
        np.testing.assert_allclose(found[name], expected[name], atol=1e-5)
    assert (found["semantic"] == expected["semantic"]).mean() > 0.999


def test_tiles_and_mirrored_images_go_with_it(models: list[Any], scenes: Callable[..., Sample]) -> None:
    batch = scenes(1)
    flipped = Passes(flip=True)
    found = maps(Ensemble(models), batch, passes=flipped)["probabilities"]
    each = [maps(model, batch, passes=flipped)["probabilities"] for model in models]
    np.testing.assert_allclose(found, np.mean(each, 0), atol=0.02)
    tiles = maps(Ensemble(models), batch, passes=Passes(tile=64, overlap=32))
    assert tiles["probabilities"].shape == found.shape


def test_outputs_of_other_resolutions_are_enlarged(small: Small, scenes: Callable[..., Sample]) -> None:
    fine, coarse = small().eval(), small().eval()
    coarse.heads["semantic"].layers[1].stride = (2, 2)
    shapes = [model(scenes(1)["image"])[-1]["semantic"].shape for model in (fine, coarse)]
    assert shapes[0] != shapes[1]
    for order in ([fine, coarse], [coarse, fine]):
        assert Ensemble(order)(scenes(1)["image"])[0]["semantic"].shape == shapes[0]


def test_samples_differ_by_dropout_alone_and_are_the_same_again(
    small: Small, scenes: Callable[..., Sample]
) -> None:
    head = partial(SemanticHead, dropout=0.5)
    model = small(semantic_head=head, region_head=None).eval()
    image = scenes(1)["image"]
    state = torch.get_rng_state()
    ensemble = Ensemble([model], samples=4)
    [first], [again] = ensemble(image), ensemble(image)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(first["semantic"], again["semantic"])
    expected = []
    for seed in range(4):
        with torch.random.fork_rng(), dropping(model):
            torch.manual_seed(seed)
            expected.append(model(image)[-1]["semantic"].softmax(1))
    assert not torch.equal(expected[0], expected[1])
    torch.testing.assert_close(first["semantic"].softmax(1), torch.stack(expected).mean(0))
    assert not any(layer.training for layer in model.modules())


def test_only_dropout_is_as_in_training() -> None:
    layers = nn.Sequential(nn.BatchNorm2d(2), nn.Dropout2d(0.5), nn.Dropout(0.0), nn.Dropout(0.1)).eval()
    assert active_dropout(layers) == [layers[1], layers[3]]
    with dropping(layers):
        assert [layer.training for layer in layers] == [False, True, False, True]
    assert not any(layer.training for layer in layers)


def test_samples_without_dropout_are_refused(small: Small) -> None:
    model = small()
    for layer in active_dropout(model):
        layer.p = 0.0  # type: ignore[assignment]
    with pytest.raises(UsageError, match=r"^samples: no layer of the network drops anything in training: "):
        Ensemble([model], samples=4)
    with pytest.raises(UsageError, match=r"^samples: no layer of the network of run 2 drops anything"):
        Ensemble([small(semantic_head=partial(SemanticHead, dropout=0.5)), model], samples=4)
    with pytest.raises(UsageError, match=r"^samples: expected at least 2 samples, found 1$"):
        Ensemble([model], samples=1)


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        ({}, {"region_head": None}, "the same tasks, found semantic, region and, in run 2, semantic$"),
        (
            {},
            {"region_head": CenterOffsetHead},
            "same head of region in all runs, found BoundaryHead and, in run 2, CenterOffsetHead$",
        ),
        (
            {},
            {"region_head": partial(BoundaryHead, width=4)},
            "same head of region in all runs, found width 2 and, in run 2, 4$",
        ),
        (
            {"region_head": EmbeddingHead},
            {"region_head": EmbeddingHead},
            "an output for each pixel to average, found EmbeddingHead$",
        ),
        (
            {"region_head": partial(AffinityHead, offsets=[(0, 1), (1, 0)])},
            {"region_head": partial(AffinityHead, offsets=[(0, 1), (1, 0), (0, 3)])},
            r"found offsets \[\(0, 1\), \(1, 0\)\] and, in run 2, ",
        ),
    ],
)
def test_what_cannot_be_averaged_is_refused(
    first: dict[str, Any], second: dict[str, Any], message: str, small: Small
) -> None:
    with pytest.raises(UserError, match=message):
        Ensemble([small(**first), small(**second)])


def test_other_classes_are_refused(small: Small) -> None:
    model, other = small(), small()
    other.classes = replace(other.classes, names=("cloud", *other.classes.names[1:]))
    with pytest.raises(UserError, match=r"same classes, found that in run 2 id 0 is cloud and not sky$"):
        Ensemble([model, other])


def test_other_modules_are_refused(small: Small) -> None:
    with pytest.raises(UserError, match="expected runs of a FusionModule to average, found BoundaryMetrics"):
        Ensemble([small(), BoundaryMetrics()])


def test_parameters_of_the_decoding_may_differ_and_are_those_of_the_first(small: Small) -> None:
    heads = [partial(BoundaryHead, threshold=t, dropout=d) for t, d in ((0.3, 0.0), (0.6, 0.1))]
    ensemble = Ensemble([small(region_head=head) for head in heads])
    assert ensemble.heads["region"].threshold == 0.3
