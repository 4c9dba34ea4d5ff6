from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch.nn.functional import cross_entropy, interpolate, one_hot

from fusionseg.heads import SemanticHead
from fusionseg.heads.base import resized
from fusionseg.losses import CrossEntropy, Dice, Focal, MeanSquaredError
from fusionseg.sample import Frame, Sample

Scenes = Callable[..., Sample]


def test_loss_is_pytorch_s_cross_entropy_of_the_enlarged_logits(scenes: Scenes) -> None:
    head, batch = SemanticHead(8, 6), scenes()
    batch["semantic"][:, :20] = 255
    logits = head(torch.randn(2, 8, 16, 24))
    (total,), (weight,) = head.loss(logits, head.target(batch))
    large = interpolate(logits, (64, 96), mode="bilinear")
    torch.testing.assert_close(total / weight, cross_entropy(large, batch["semantic"], ignore_index=255))
    assert weight == (batch["semantic"] != 255).sum()


def test_squared_error_compares_probabilities_with_one_hot_vectors(scenes: Scenes) -> None:
    head, batch = SemanticHead(8, 6, [MeanSquaredError]), scenes()
    batch["semantic"][:, :20] = 255
    logits = head(torch.randn(2, 8, 16, 24))
    (total,), (weight,) = head.loss(logits, head.target(batch))
    probabilities = interpolate(logits, (64, 96), mode="bilinear").softmax(1).permute(0, 2, 3, 1)
    labelled = batch["semantic"] != 255
    expected = one_hot(batch["semantic"][labelled], 6) - probabilities[labelled]
    torch.testing.assert_close(total / weight, expected.square().sum(1).mean())


def test_losses_are_a_term_each(scenes: Scenes) -> None:
    head, batch = SemanticHead(8, 6, [CrossEntropy, Dice, partial(Focal, gamma=1.0)]), scenes()
    logits = head(torch.randn(2, 8, 16, 24))
    sums, weights = head.loss(logits, batch["semantic"])
    large = interpolate(logits, (64, 96), mode="bilinear")
    alone = [loss(large, batch["semantic"], torch.ones(2, 64, 96, dtype=torch.bool)) for loss in head.losses]
    torch.testing.assert_close(sums, torch.stack([total for total, _ in alone]))
    assert weights.tolist() == [weight for _, weight in alone] == [2 * 64 * 96, 2, 2 * 64 * 96]


@pytest.mark.parametrize("threshold", [0.1, 0.5, 0.9])
def test_binary_labels_are_one_where_the_probability_reaches_the_threshold(threshold: float) -> None:
    head = SemanticHead(4, 2, binary=True, threshold=threshold)
    probability = torch.tensor([0.0, 0.09, 0.11, 0.49, 0.51, 0.89, 0.91, 1.0]).view(1, 1, 2, 4)
    labels = head.labels(probability.logit(), Frame.whole((2, 4)))
    assert torch.equal(labels, (probability[:, 0] >= threshold).long())


def test_the_binary_loss_is_that_of_two_classes(scenes: Scenes) -> None:
    batch = scenes()
    target, logit = (batch["semantic"] > 1).long(), torch.randn(2, 1, 64, 96)
    one = SemanticHead(4, 2, binary=True).loss(logit, target)
    two = SemanticHead(4, 2).loss(torch.cat([torch.zeros_like(logit), logit], 1), target)
    torch.testing.assert_close(torch.stack(one), torch.stack(two))


def test_dropout_zeroes_whole_channels_in_training_alone() -> None:
    head = SemanticHead(8, 6, dropout=0.5)
    features = torch.ones(1, 8, 4, 4)
    dropped = head.layers[0](features)
    assert all(len(channel.unique()) == 1 for channel in dropped[0])
    assert set(dropped.unique().tolist()) == {0.0, 2.0}
    assert torch.equal(head.eval()(features), head(features))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_classes": 3, "binary": True}, "2 classes, found 3"),
        ({"num_classes": 3, "losses": []}, "at least one loss"),
        ({"num_classes": 2, "threshold": 1.0}, r"threshold in \(0, 1\), found 1.0"),
    ],
)
def test_impossible_arguments_are_refused(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SemanticHead(4, **arguments)  # type: ignore[arg-type]


@pytest.mark.parametrize("binary", [False, True])
@pytest.mark.parametrize("stride", [1, 2, 4, 8])
def test_large_outputs_are_read_in_strips_to_the_same_bits(
    stride: int, binary: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    head = SemanticHead(4, 2, binary=binary)
    output = torch.randn(2, 1 if binary else 2, 96 // stride, 128 // stride).bfloat16()
    frame = Frame((96, 128), (77, 101), (77, 101))
    whole = head.labels(output, frame), head.probabilities(output, frame)
    monkeypatch.setattr("fusionseg.heads.base._LARGE", 60_000)
    sizes: list[int] = []
    decided = head._decided
    monkeypatch.setattr(head, "_decided", lambda logits: (sizes.append(logits.shape[2]), decided(logits))[1])
    assert torch.equal(head.labels(output, frame), whole[0])
    torch.testing.assert_close(head.probabilities(output, frame), whole[1])
    assert len(sizes) > 1
    assert sum(sizes) == 77


@pytest.mark.parametrize("binary", [False, True])
@pytest.mark.parametrize("temperature", [0.4, 1.0, 3.0])
def test_a_temperature_divides_the_logits_of_probabilities_and_changes_no_label(
    binary: bool, temperature: float
) -> None:
    head = SemanticHead(8, 2, binary=binary, threshold=0.3)
    logits = 3 * torch.randn(1, 1 if binary else 2, 16, 24)
    frame = Frame((64, 96), (60, 90), (30, 45))
    labels = head.labels(logits, frame)
    large = resized(logits, frame) / temperature
    both = torch.cat([torch.zeros_like(large), large], 1) if binary else large
    head.temperature = temperature
    assert torch.equal(head.labels(logits, frame), labels)
    torch.testing.assert_close(head.probabilities(logits, frame), both.softmax(1))
    torch.testing.assert_close(head.log_probabilities(logits, frame), both.log_softmax(1))


@pytest.mark.parametrize("binary", [False, True])
def test_logarithms_are_of_probabilities_that_float32_has_no_numbers_for(binary: bool) -> None:
    head = SemanticHead(8, 2, binary=binary)
    logits = torch.full((1, 1, 1, 1), -150.0) if binary else torch.tensor([150.0, 0]).view(1, 2, 1, 1)
    found = head.log_probabilities(logits, Frame.whole((1, 1)))
    assert found.flatten().tolist() == [0, -150]
    assert head.probabilities(logits, Frame.whole((1, 1)))[0, 1] == 0


@pytest.mark.parametrize("binary", [False, True])
def test_the_logits_of_classes_are_those_whose_softmax_is_their_probability(binary: bool) -> None:
    head = SemanticHead(8, 2, binary=binary)
    logits = torch.randn(2, 1 if binary else 2, 4, 6, requires_grad=True)
    frame = Frame((64, 96), (50, 70), (25, 35))
    first, second = (head.class_logits(logits, frame, label) for label in (0, 1))
    # two logits of -z and z are twice as far apart as the one logit z of class 1 is from 0
    difference = (second - first) / (2 if binary else 1)
    torch.testing.assert_close(difference.sigmoid(), head.probabilities(logits, frame)[:, 1])
    assert first.shape == (2, 25, 35)
    assert first.requires_grad
