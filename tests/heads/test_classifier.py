from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch.nn import CrossEntropyLoss
from torch.nn.functional import binary_cross_entropy_with_logits
from torchvision.models import resnet18

from fusionseg.heads import ClassifierHead
from fusionseg.heads.scene import SceneTarget
from fusionseg.networks import HardSharing
from fusionseg.networks.backbone import Backbone
from fusionseg.sample import Sample

LABELS = torch.tensor([2, 0, 5])
ONE = torch.eye(6)[LABELS]


def test_encoder_and_head_are_torchvisions_resnet() -> None:
    theirs = resnet18(num_classes=6).eval()
    ours = HardSharing({"scene": partial(ClassifierHead, num_classes=6)}, Backbone()).eval()
    state = theirs.state_dict()
    body = ours.encoder.body
    body.load_state_dict({name: value for name, value in state.items() if not name.startswith("fc.")})  # type: ignore[operator,union-attr]
    linear = ours.heads["scene"].layers[-1]  # type: ignore[index,union-attr]
    linear.load_state_dict({"weight": state["fc.weight"], "bias": state["fc.bias"]})
    image = torch.rand(2, 3, 64, 96)
    normalized = (image - ours.encoder.mean) / ours.encoder.std  # type: ignore[operator]
    torch.testing.assert_close(ours(image)[0]["scene"], theirs(normalized))


def test_a_hidden_layer_is_linear_with_relu() -> None:
    head = ClassifierHead([4, 7], 3, hidden=5, dropout=0.5).eval()
    first, last = (layer for layer in head.layers if isinstance(layer, torch.nn.Linear))
    maps = [torch.randn(2, 4, 8, 8), torch.randn(2, 7, 2, 3)]
    mean = maps[1].sum((2, 3)) / 6
    expected = (mean @ first.weight.T + first.bias).clamp(min=0) @ last.weight.T + last.bias
    torch.testing.assert_close(head(maps), expected)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_loss_of_one_class_is_torchs_with_label_smoothing(smoothing: float) -> None:
    head, logits = ClassifierHead([4], 6, single=True, label_smoothing=smoothing), torch.randn(3, 6)
    (total,), (weight,) = head.loss(logits, head.target({"scene": ONE}))
    expected = CrossEntropyLoss(label_smoothing=smoothing)(logits, LABELS)
    torch.testing.assert_close(total / weight, expected)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_loss_of_several_classes_has_targets_that_lie_closer_to_a_half(smoothing: float) -> None:
    head, logits = ClassifierHead([4], 6, label_smoothing=smoothing), torch.randn(3, 6)
    present = torch.tensor([[1, 1, 0, 0, 1, 0], [0] * 6, [1] * 6]).float()
    (total,), (weight,) = head.loss(logits, head.target({"scene": present}))
    softened = present * (1 - smoothing) + smoothing / 2
    torch.testing.assert_close(total / weight, binary_cross_entropy_with_logits(logits, softened))


@pytest.mark.parametrize("single", [True, False])
def test_a_mixed_image_has_the_loss_of_its_parts_by_their_shares(single: bool) -> None:
    head, logits = ClassifierHead([4], 6, single=single), torch.randn(3, 6)
    other = ONE[[1, 2, 0]]

    def loss(present: torch.Tensor) -> torch.Tensor:
        return head.loss(logits, head.target({"scene": present}))[0]

    torch.testing.assert_close(loss(0.3 * ONE + 0.7 * other), 0.3 * loss(ONE) + 0.7 * loss(other))


def test_without_a_label_of_the_image_the_target_is_that_of_the_map(scenes: Callable[..., Sample]) -> None:
    batch = scenes(3)
    head = ClassifierHead([4], 6)
    present, labelled = head.target(batch)
    for row, semantic in zip(present, batch["semantic"], strict=True):
        assert set(row.nonzero().flatten().tolist()) == set(semantic.unique().tolist()) - {255}
    known: SceneTarget = head.target(batch | {"scene": torch.zeros(3, 6)})
    assert not known.present.any()
    assert labelled.all()
    assert known.labelled.all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"hidden": -1}, "hidden layer of 0 or more values, found -1"),
        ({"label_smoothing": 1.0}, r"label_smoothing in \[0, 1\), found 1.0"),
        ({"num_classes": 1, "single": True}, "2 classes or more, found 1"),
    ],
)
def test_impossible_arguments_are_refused(options: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ClassifierHead(**{"in_channels": [4], "num_classes": 6, **options})  # type: ignore[arg-type]
