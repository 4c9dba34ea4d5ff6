"""What holds for every head, whatever it says."""

import inspect
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from fusionseg import heads
from fusionseg.data.coco_panoptic import CocoPanoptic
from fusionseg.heads import BoundaryHead, CenterOffsetHead, Head, SceneHead, SemanticHead
from fusionseg.metrics.regions import region_figures, region_sums
from fusionseg.metrics.scene import scene_figures, scene_sums
from fusionseg.metrics.semantic import semantic_figures, semantic_sums
from fusionseg.metrics.suite import total
from fusionseg.sample import VOID, Frame, Sample

Scenes = Callable[..., Sample]
CLASSES = 6


def binary(batch: Sample) -> Sample:
    """Things against the rest."""
    semantic = batch["semantic"]
    return batch | {"semantic": semantic.where(semantic == VOID, (semantic >= CLASSES // 2).long())}


def same(batch: Sample) -> Sample:
    return batch


def uniform(batch: Sample) -> Sample:
    """One class in each image."""
    semantic = batch["semantic"]
    first = torch.stack([s[s != VOID].mode().values if (s != VOID).any() else s.max() for s in semantic])
    return batch | {"semantic": semantic.where(semantic == VOID, first[:, None, None])}


# what a perfect network would reach: on synthetic scenes, on crops of COCO, and on scenes of twice the input's size;
# 0.91 is the most that connected regions can reach on either data, where parts of a region lie apart
EXAMPLES: dict[
    str, tuple[Callable[[int, int], Head], Callable[[Sample], Sample], tuple[float, float, float]]
] = {
    "semantic": (SemanticHead, same, (1, 1, 1)),
    "semantic, binary": (lambda width, classes: SemanticHead(width, 2, binary=True), binary, (1, 1, 1)),
    "boundary": (lambda width, classes: BoundaryHead(width, min_area=1), same, (0.85, 0.9, 0.81)),
    "boundary, wide": (lambda width, classes: BoundaryHead(width, width=4), same, (0.79, 0.89, 0.79)),
    "center and offset": (lambda width, classes: CenterOffsetHead(width), same, (1, 1, 0.97)),
    "scene": (SceneHead, same, (1, 1, 1)),
    "scene, single": (partial(SceneHead, single=True), uniform, (1, 1, 1)),
}
LABELS = {
    "semantic": ((4, 160, 200), torch.int64),
    "region": ((4, 160, 200), torch.int64),
    "scene": ((4, CLASSES), torch.float32),
}
every_head = pytest.mark.parametrize(("recipe", "view", "scores"), EXAMPLES.values(), ids=EXAMPLES.keys())
head_and_view = pytest.mark.parametrize(
    ("recipe", "view"), [example[:2] for example in EXAMPLES.values()], ids=EXAMPLES.keys()
)


def agreement(head: Head, labels: Tensor, batch: Sample, num_classes: int) -> float:
    """How well labels agree with the truth: mIoU, covering or right decisions, over all images."""
    if isinstance(head, SceneHead):
        answered = zip(labels.numpy(), batch["semantic"].numpy(), strict=True)
        return scene_figures(total(scene_sums(*pair, head.single) for pair in answered))["scene_accuracy"]
    pairs = list(zip(labels.numpy(), batch[head.task].numpy(), strict=True))
    if head.task == "region":
        return region_figures(np.sum([region_sums(*pair) for pair in pairs], 0))["covering"]
    return semantic_figures(np.sum([semantic_sums(*pair, num_classes) for pair in pairs], 0))["miou"]


def crops(root: Path, number: int, side: int) -> Iterator[Sample]:
    dataset = CocoPanoptic("val", root)
    for index in range(number):
        _, semantic, region, _ = dataset.read(index)
        top, left = ((length - side) // 2 for length in semantic.shape)
        maps = (
            torch.from_numpy(m[top : top + side, left : left + side].astype(np.int64))
            for m in (semantic, region)
        )
        yield dict(zip(("semantic", "region"), (m[None] for m in maps), strict=True))


def oracle(head: Head, batches: list[Sample], num_classes: int) -> float:
    whole = {key: torch.cat([batch[key] for batch in batches]) for key in ("semantic", "region")}
    _, height, width = whole["region"].shape
    labels = torch.cat(
        [head.labels(head.ideal(head.target(batch)), Frame.whole((height, width))) for batch in batches]
    )
    return agreement(head, labels, whole, num_classes)


def per_weight(head: Head, output: Tensor, batch: Sample) -> Tensor:
    sums, weights = head.loss(output, head.target(batch))
    return (sums / weights).sum()


def void(batch: Sample) -> Sample:
    return {"semantic": torch.full_like(batch["semantic"], VOID), "region": torch.zeros_like(batch["region"])}


def test_every_head_is_held_to_the_contract() -> None:
    def below(base: type[Head]) -> set[type[Head]]:
        children = base.__subclasses__()
        return set(children).union(*map(below, children))

    known = below(Head)  # type: ignore[type-abstract]
    ours = {
        head for head in known if head.__module__.startswith("fusionseg.") and not inspect.isabstract(head)
    }
    assert {type(recipe(4, CLASSES)) for recipe, _, _ in EXAMPLES.values()} == ours
    assert ours == {value for name, value in vars(heads).items() if name != "Head" and inspect.isclass(value)}


@every_head
def test_labels_invert_ideal_targets(
    recipe: Callable[[int, int], Head],
    view: Callable[[Sample], Sample],
    scores: tuple[float, ...],
    scenes: Scenes,
) -> None:
    assert oracle(recipe(4, CLASSES), [view(scenes(4))], CLASSES) >= scores[0]


@every_head
def test_labels_invert_ideal_targets_of_photos(
    recipe: Callable[[int, int], Head],
    view: Callable[[Sample], Sample],
    scores: tuple[float, ...],
    data: Path,
) -> None:
    batches = [view(batch) for batch in crops(data / "coco_panoptic", 8, 192)]
    assert oracle(recipe(4, 133), batches, 133) >= scores[1]


@every_head
def test_labels_at_the_file_s_size_are_those_of_the_part_that_is_no_padding(
    recipe: Callable[[int, int], Head],
    view: Callable[[Sample], Sample],
    scores: tuple[float, ...],
    scenes: Scenes,
) -> None:
    head, batch = recipe(4, CLASSES), view(scenes(4, (80, 100)))
    room = (0, 28, 0, 16)
    fill = {"semantic": VOID, "region": 0}
    padded = {key: torch.nn.functional.pad(batch[key], room, value=value) for key, value in fill.items()}
    labels = head.labels(head.ideal(head.target(padded)), Frame((96, 128), (80, 100), (160, 200)))
    assert (labels.shape, labels.dtype) == LABELS[head.task]
    doubled = {key: batch[key].repeat_interleave(2, 1).repeat_interleave(2, 2) for key in fill}
    assert agreement(head, labels, doubled, CLASSES) >= scores[2]


@head_and_view
def test_the_ideal_output_costs_less_than_chance(
    recipe: Callable[[int, int], Head], view: Callable[[Sample], Sample], scenes: Scenes
) -> None:
    head, batch = recipe(4, CLASSES), view(scenes())
    ideal = head.ideal(head.target(batch))
    assert per_weight(head, ideal, batch) < 0.01 * per_weight(head, torch.randn_like(ideal), batch)


@head_and_view
def test_gradient_steps_lower_the_loss(
    recipe: Callable[[int, int], Head], view: Callable[[Sample], Sample], scenes: Scenes
) -> None:
    head, batch = recipe(8, CLASSES), view(scenes())
    features = torch.randn(2, 8, 16, 24, requires_grad=True)
    optimizer = torch.optim.Adam([features, *head.parameters()], lr=0.05)
    losses = []
    for _ in range(20):
        loss = per_weight(head, head(features), batch)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.8 * losses[0]
    assert all(p.grad is not None and p.grad.any() for p in head.parameters())


@head_and_view
def test_without_labels_loss_and_gradient_are_exactly_zero(
    recipe: Callable[[int, int], Head], view: Callable[[Sample], Sample], scenes: Scenes
) -> None:
    head = recipe(8, CLASSES)
    features = torch.randn(2, 8, 16, 24, requires_grad=True)
    sums, weights = head.loss(head(features), head.target(void(view(scenes()))))
    sums.sum().backward()  # type: ignore[no-untyped-call]
    assert not sums.any()
    assert not weights.any()
    for tensor in (features, *head.parameters()):
        assert tensor.grad is not None
        assert not tensor.grad.any()


@head_and_view
def test_sums_and_weights_of_parts_add_up_to_the_whole_batch(
    recipe: Callable[[int, int], Head], view: Callable[[Sample], Sample], scenes: Scenes
) -> None:
    head, batch = recipe(8, CLASSES), view(scenes(3))
    batch["semantic"][1, 10:], batch["region"][1, 10:] = VOID, 0
    output = head(torch.randn(3, 8, 16, 24))
    whole = torch.stack(head.loss(output, head.target(batch)))
    parts = [
        torch.stack(
            head.loss(output[part], head.target({key: batch[key][part] for key in ("semantic", "region")}))
        )
        for part in (slice(0, 1), slice(1, 3))
    ]
    torch.testing.assert_close(parts[0] + parts[1], whole)


@head_and_view
def test_outputs_in_bf16_are_scored_and_read_in_full_precision(
    recipe: Callable[[int, int], Head], view: Callable[[Sample], Sample], scenes: Scenes
) -> None:
    head, batch = recipe(8, CLASSES), view(scenes())
    output = head(torch.randn(2, 8, 16, 24)).bfloat16()
    sums, weights = head.loss(output, head.target(batch))
    assert sums.dtype == weights.dtype == torch.float32
    torch.testing.assert_close(
        (sums / weights).sum(), per_weight(head, output.float(), batch), rtol=0.01, atol=0
    )
    frame = Frame.whole((64, 96))
    assert torch.equal(head.labels(output, frame), head.labels(output.float(), frame))


@head_and_view
def test_targets_do_not_wait_for_the_device(
    recipe: Callable[[int, int], Head], view: Callable[[Sample], Sample], scenes: Scenes
) -> None:
    head, batch = recipe(8, CLASSES), view(scenes())
    # a tensor on the meta device has no values: whoever reads one, or a shape that depends on one, fails
    target, known = (
        head.target({key: batch[key].to(d) for key in ("semantic", "region")}) for d in ("meta", "cpu")
    )
    tensors, expected = ([t] if isinstance(t, Tensor) else list(t) for t in (target, known))
    assert all(tensor.is_meta for tensor in tensors)
    assert [(t.shape, t.dtype) for t in tensors] == [(t.shape, t.dtype) for t in expected]
    with pytest.raises(RuntimeError):
        tensors[0].sum().item()
