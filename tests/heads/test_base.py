"""Contract tests of all heads."""

import inspect
import math
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from functools import partial
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

from fusionseg import heads
from fusionseg.config.errors import UserError
from fusionseg.data.coco_panoptic import CocoPanoptic
from fusionseg.engine.passes import Passes
from fusionseg.engine.predictions import frame_of
from fusionseg.heads import (
    AffinityHead,
    BoundaryHead,
    CenterOffsetHead,
    ClassifierHead,
    DepthHead,
    DisparityHead,
    DistanceHead,
    EmbeddingHead,
    Head,
    MaskQueryHead,
    MaskRCNNHead,
    NormalsHead,
    OffsetHead,
    SceneHead,
    SemanticHead,
    TrinaryHead,
)
from fusionseg.heads.dense import Dense
from fusionseg.losses import AbsoluteError, InverseDepthError, ScaleInvariantError
from fusionseg.metrics.confusion import semantic_sums
from fusionseg.metrics.regions import region_figures, region_sums
from fusionseg.metrics.scene import scene_figures, scene_sums
from fusionseg.metrics.semantic import semantic_figures
from fusionseg.metrics.suite import total
from fusionseg.sample import VOID, Classes, Frame, Sample, Truth

Scenes = Callable[..., Sample]
CLASSES = 6
UNLABELLED = {"semantic": VOID, "region": 0, "depth": 0, "disparity": 0, "normals": 0}
"""The label maps of a batch, and their value where nothing is labelled."""


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


def mask_query(width: int, classes: int, **options: Any) -> MaskQueryHead:
    """A small one, of a pyramid of four levels of equal width."""
    return MaskQueryHead([width] * 4, classes, queries=50, width=16, **options)


def mask_rcnn(width: int, classes: int, **options: Any) -> MaskRCNNHead:
    """A small one, of a pyramid of four levels of equal width."""
    return MaskRCNNHead([width] * 4, channels=8, samples=32, proposals=50, anchor=16, **options)


# What a perfect network reaches on synthetic scenes, on crops of COCO (None: no such labels), and on scenes of twice
# the input's size. 0.91 is the most that connected regions can reach on either data, where parts of a region lie apart.
Scores = tuple[float, float | None, float]
EXAMPLES: dict[str, tuple[Callable[[int, int], Head], Callable[[Sample], Sample], Scores]] = {
    "semantic": (SemanticHead, same, (1, 1, 1)),
    "semantic, binary": (lambda width, classes: SemanticHead(width, 2, binary=True), binary, (1, 1, 1)),
    "boundary": (lambda width, classes: BoundaryHead(width, min_area=1), same, (0.85, 0.9, 0.81)),
    "boundary, wide": (lambda width, classes: BoundaryHead(width, width=4), same, (0.79, 0.89, 0.79)),
    "center and offset": (lambda width, classes: CenterOffsetHead(width), same, (1, 1, 0.97)),
    "distance": (lambda width, classes: DistanceHead(width, min_area=1), same, (0.84, 0.89, 0.82)),
    "distance, low seed": (lambda width, classes: DistanceHead(width, seed=1.2), same, (0.88, 0.9, 0.85)),
    "affinity": (lambda width, classes: AffinityHead(width), same, (0.99, 0.99, 0.99)),
    "embedding": (lambda width, classes: EmbeddingHead(width), same, (0.99, 0.99, 0.99)),
    "offset": (lambda width, classes: OffsetHead(width), same, (0.9, 0.9, 0.9)),
    "offset, instances": (
        lambda width, classes: OffsetHead(width, instances=[*range(classes)], bandwidth=3.0),
        same,
        (0.9, 0.9, 0.9),
    ),
    "trinary": (lambda width, classes: TrinaryHead(width, min_area=1), same, (0.85, 0.9, 0.85)),
    "trinary, background": (
        lambda width, classes: TrinaryHead(width, background=0),
        same,
        (0.94, 0.87, 0.94),
    ),
    "mask query": (mask_query, same, (0.99, 0.99, 0.99)),
    "mask query, classes": (partial(mask_query, classify=True), same, (0.99, 0.99, 0.99)),
    "mask r-cnn": (mask_rcnn, same, (0.93, 0.95, 0.93)),
    "mask r-cnn, kinds": (
        lambda width, classes: mask_rcnn(width, classes, kinds=classes, nms=0.5),
        same,
        (0.93, 0.97, 0.93),
    ),
    "scene": (SceneHead, same, (1, 1, 1)),
    "scene, single": (partial(SceneHead, single=True), uniform, (1, 1, 1)),
    "classifier": (lambda width, classes: ClassifierHead([width] * 4, classes), same, (1, 1, 1)),
    "depth": (lambda width, classes: DepthHead(width), same, (1, None, 0.95)),
    "depth, three losses": (
        lambda width, classes: DepthHead(width, [AbsoluteError, InverseDepthError, ScaleInvariantError], 4.0),
        same,
        (1, None, 0.95),
    ),
    "disparity": (lambda width, classes: DisparityHead(width, scale=10.0), same, (1, None, 0.95)),
    "normals": (lambda width, classes: NormalsHead(width), same, (1, None, 0.95)),
}
LABELS = {
    "semantic": ((4, 160, 200), torch.int64),
    "region": ((4, 160, 200), torch.int64),
    "depth": ((4, 160, 200), torch.float32),
    "disparity": ((4, 160, 200), torch.float32),
    "normals": ((4, 3, 160, 200), torch.float32),
    "scene": ((4, CLASSES), torch.float32),
}
every_head = pytest.mark.parametrize(("recipe", "view", "scores"), EXAMPLES.values(), ids=EXAMPLES.keys())
every_head_of_photos = pytest.mark.parametrize(
    ("recipe", "view", "score"),
    [
        pytest.param(recipe, view, scores[1], id=name)
        for name, (recipe, view, scores) in EXAMPLES.items()
        if scores[1] is not None
    ],
)
dense_heads = pytest.mark.parametrize(
    ("recipe", "view", "scores"),
    [
        pytest.param(*example, id=name)
        for name, example in EXAMPLES.items()
        if isinstance(example[0](4, CLASSES), Dense)
    ],
)
head_and_view = pytest.mark.parametrize(
    ("recipe", "view"), [example[:2] for example in EXAMPLES.values()], ids=EXAMPLES.keys()
)


def agreement(head: Head, labels: Tensor, batch: Sample, num_classes: int) -> float:
    """How well labels agree with the truth over all images.

    It is the mIoU, the covering, the share of right decisions, or the share of valid pixels whose depth or disparity is
    within 1 % or whose normal within 2 degrees of the truth.
    """
    if head.task in ("depth", "disparity"):
        valid = batch[head.task] > 0
        close = (labels / batch[head.task] - 1).abs() < 0.01
        return close[valid].float().mean().item()
    if head.task == "normals":
        valid = batch["normals"].any(1)
        close = (labels * batch["normals"]).sum(1) > math.cos(math.radians(2))
        return close[valid].float().mean().item()
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
    whole = {key: torch.cat([batch[key] for batch in batches]) for key in UNLABELLED if key in batches[0]}
    _, height, width = whole["region"].shape
    labels = torch.cat(
        [head.labels(head.ideal(head.target(batch)), Frame.whole((height, width))) for batch in batches]
    )
    return agreement(head, labels, whole, num_classes)


def features(head: Head, number: int = 2) -> Any:
    """Features of 8 channels for images of 64 x 96: a map, or all of a pyramid where the head reads that."""
    strides = (4, 8, 16, 32) if head.reads_pyramid else (4,)
    maps = [torch.randn(number, 8, 64 // s, 96 // s, requires_grad=True) for s in strides]
    return maps if head.reads_pyramid else maps[0]


def tensors(value: Any) -> list[Tensor]:
    """The tensors of features, of an output or of a target."""
    return [value] if isinstance(value, Tensor) else [t for item in value or () for t in tensors(item)]


def mapped(function: Callable[[Tensor], Tensor], value: Any) -> Any:
    """The same with a function applied to each tensor."""
    if value is None or isinstance(value, Tensor):
        return value if value is None else function(value)
    items = [mapped(function, item) for item in value]
    return type(value)(*items) if hasattr(value, "_fields") else type(value)(items)


def per_weight(head: Head, output: Any, batch: Sample) -> Tensor:
    sums, weights = head.loss(output, head.target(batch))
    return (sums / weights).sum()


def void(batch: Sample) -> Sample:
    return {key: torch.full_like(batch[key], value) for key, value in UNLABELLED.items()}


def test_every_head_is_held_to_the_contract() -> None:
    def below(base: type[Head]) -> set[type[Head]]:
        children = base.__subclasses__()
        return set(children).union(*map(below, children))

    known = below(Head)  # type: ignore[type-abstract]
    ours = {
        head for head in known if head.__module__.startswith("fusionseg.") and not inspect.isabstract(head)
    }
    assert {type(recipe(4, CLASSES)) for recipe, _, _ in EXAMPLES.values()} == ours
    public = {value for value in vars(heads).values() if inspect.isclass(value) and issubclass(value, Head)}
    assert ours == {head for head in public if not inspect.isabstract(head)}


@every_head
def test_labels_invert_ideal_targets(
    recipe: Callable[[int, int], Head],
    view: Callable[[Sample], Sample],
    scores: Scores,
    scenes: Scenes,
) -> None:
    assert oracle(recipe(4, CLASSES), [view(scenes(4))], CLASSES) >= scores[0]


@every_head_of_photos
def test_labels_invert_ideal_targets_of_photos(
    recipe: Callable[[int, int], Head], view: Callable[[Sample], Sample], score: float, data: Path
) -> None:
    batches = [view(batch) for batch in crops(data / "coco_panoptic", 8, 192)]
    assert oracle(recipe(4, 133), batches, 133) >= score


@every_head
def test_labels_at_the_file_s_size_are_those_of_the_part_that_is_no_padding(
    recipe: Callable[[int, int], Head],
    view: Callable[[Sample], Sample],
    scores: Scores,
    scenes: Scenes,
) -> None:
    head, batch = recipe(4, CLASSES), view(scenes(4, (80, 100)))
    room = (0, 28, 0, 16)
    padded = {key: torch.nn.functional.pad(batch[key], room, value=v) for key, v in UNLABELLED.items()}
    labels = head.labels(head.ideal(head.target(padded)), Frame((96, 128), (80, 100), (160, 200)))
    assert (labels.shape, labels.dtype) == LABELS[head.task]
    doubled = {key: batch[key].repeat_interleave(2, -2).repeat_interleave(2, -1) for key in UNLABELLED}
    assert agreement(head, labels, doubled, CLASSES) >= scores[2]


@head_and_view
def test_the_ideal_output_costs_less_than_chance(
    recipe: Callable[[int, int], Head], view: Callable[[Sample], Sample], scenes: Scenes
) -> None:
    head, batch = recipe(8, CLASSES), view(scenes())
    ideal = head.ideal(head.target(batch))
    # that of a network that has learned nothing
    chance = head(features(head))
    assert per_weight(head, ideal, batch) < 0.01 * per_weight(head, chance, batch)


@head_and_view
def test_gradient_steps_lower_the_loss(
    recipe: Callable[[int, int], Head], view: Callable[[Sample], Sample], scenes: Scenes
) -> None:
    head, batch = recipe(8, CLASSES), view(scenes())
    read = features(head)
    optimizer = torch.optim.Adam([*tensors(read), *head.parameters()], lr=0.02)
    losses = []
    for _ in range(20):
        loss = per_weight(head, head(read), batch)
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
    read = features(head)
    sums, weights = head.loss(head(read), head.target(void(view(scenes()))))
    sums.sum().backward()  # type: ignore[no-untyped-call]
    assert not sums.any()
    assert not weights.any()
    reached = [tensor for tensor in tensors(read) if tensor.grad is not None]  # of a pyramid perhaps one map
    assert reached
    for tensor in (*reached, *head.parameters()):
        assert tensor.grad is not None
        assert not tensor.grad.any()


@head_and_view
def test_sums_and_weights_of_parts_add_up_to_the_whole_batch(
    recipe: Callable[[int, int], Head], view: Callable[[Sample], Sample], scenes: Scenes
) -> None:
    head, batch = recipe(8, CLASSES), view(scenes(3))
    for key, value in UNLABELLED.items():
        batch[key][1, ..., 10:, :] = value
    output = head(features(head, 3))
    whole = torch.stack(head.loss(output, head.target(batch)))
    parts = [
        torch.stack(
            head.loss(
                mapped(itemgetter(part), output), head.target({key: batch[key][part] for key in UNLABELLED})
            )
        )
        for part in (slice(0, 1), slice(1, 3))
    ]
    torch.testing.assert_close(parts[0] + parts[1], whole)


@head_and_view
def test_outputs_in_bf16_are_scored_and_read_in_full_precision(
    recipe: Callable[[int, int], Head], view: Callable[[Sample], Sample], scenes: Scenes
) -> None:
    head, batch = recipe(8, CLASSES), view(scenes())
    output = mapped(Tensor.bfloat16, head(features(head)))
    full = mapped(Tensor.float, output)
    sums, weights = head.loss(output, head.target(batch))
    assert sums.dtype == weights.dtype == torch.float32
    torch.testing.assert_close((sums / weights).sum(), per_weight(head, full, batch), rtol=0.01, atol=0)
    frame = Frame.whole((64, 96))
    assert torch.equal(head.labels(output, frame), head.labels(full, frame))


def arguments(head: Head) -> dict[str, Any]:
    """The numbers that a head was built with."""
    known = {name: getattr(head, name, None) for name in inspect.signature(type(head)).parameters}
    return {name: value for name, value in known.items() if isinstance(value, int | float)}


def built(head: Head, **changed: Any) -> Head:
    """A head like another with other arguments; weights and losses are of no concern."""
    channels: Any = [8] * 4 if head.reads_pyramid else 8
    return type(head)(channels, **{**arguments(head), **changed})  # type: ignore[call-arg]


@head_and_view
def test_tunable_parameters_are_arguments_that_the_labels_alone_go_by(
    recipe: Callable[[int, int], Head], view: Callable[[Sample], Sample], scenes: Scenes
) -> None:
    head, batch, frame = recipe(8, CLASSES), view(scenes()), Frame.whole((64, 96))
    if not head.tunable:
        return
    target = head.target(batch)
    ideal = head.ideal(target)

    def unsure(values: Tensor) -> Tensor:
        """An image that is not sure of anything, and one that is sure of two answers, a few pixels apart."""
        first = values[:1]
        apart = first.roll(8, -1) if first.shape[-1] == 96 else first
        return torch.cat([0.06 * first, 0.4 * (first + apart)]) + 0.1 * torch.randn(2, *first.shape[1:])

    output = mapped(unsure, ideal)
    loss, untuned = head.loss(output, target), head.labels(output, frame)
    for name, values in head.tunable.items():
        assert values.low < values.high
        assert values.step is None or (values.high - values.low) % values.step == 0
        before = getattr(head, name)
        found = []
        for value in (values.low, values.high):
            head.set_decoding(**{name: value})
            found.append(head.labels(output, frame))
            assert torch.equal(found[-1], built(head, **{name: value}).labels(output, frame))
            for changed, known in zip(head.loss(output, target), loss, strict=True):
                assert torch.equal(changed, known)
        assert not all(torch.equal(labels, untuned) for labels in found), f"{name} changes nothing"
        head.set_decoding(**{name: before})
    assert torch.equal(head.labels(output, frame), untuned)


@head_and_view
def test_a_tunable_parameter_is_refused_as_the_constructor_refuses_it(
    recipe: Callable[[int, int], Head], view: Callable[[Sample], Sample]
) -> None:
    head = recipe(8, CLASSES)
    for name in head.tunable:
        before = arguments(head)
        for value in (-1, 0, 2, 10**6):
            messages = []
            for act in (built, lambda head, **changed: head.set_decoding(**changed)):
                try:
                    act(head, **{name: value})
                    messages.append("")
                except ValueError as error:
                    messages.append(str(error))
            assert messages[0] == messages[1]
            assert arguments(head) == (before if messages[0] else {**before, name: value})
            head.set_decoding(**{name: before[name]})
        with pytest.raises(ValueError, match=f"expected an? (number|integer) as {name}, found 'wide'"):
            head.set_decoding(**{name: "wide"})  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"to tune, found width$"):
        head.set_decoding(width=4)


@head_and_view
def test_targets_do_not_wait_for_the_device(
    recipe: Callable[[int, int], Head], view: Callable[[Sample], Sample], scenes: Scenes
) -> None:
    head, batch = recipe(8, CLASSES), view(scenes())
    # a tensor on the meta device has no values: reading one, or a shape that depends on one, fails
    target, known = (head.target({key: batch[key].to(d) for key in UNLABELLED}) for d in ("meta", "cpu"))
    found, expected = tensors(target), tensors(known)
    assert all(tensor.is_meta for tensor in found)
    assert [(t.shape, t.dtype) for t in found] == [(t.shape, t.dtype) for t in expected]
    with pytest.raises(RuntimeError):
        found[0].sum().item()


@head_and_view
def test_losses_do_not_wait_for_the_device_unless_the_head_says_so(
    recipe: Callable[[int, int], Head], view: Callable[[Sample], Sample], scenes: Scenes
) -> None:
    labels = view(scenes())
    # a fake tensor has no values either, but a device, which need not be there
    with FakeTensorMode() as fake, torch.device("cuda"):
        head = recipe(8, CLASSES)
        batch = {key: fake.from_tensor(labels[key]).to("cuda") for key in UNLABELLED}
        output, target = head(features(head)), head.target(batch)
        with pytest.raises(RuntimeError) if head.loss_waits else nullcontext():
            head.loss(output, target)


def truth_of(batch: Sample, i: int) -> Truth:
    """The labels of the i-th image of a batch."""
    maps = {key: batch[key][i].numpy() for key in UNLABELLED}
    return Truth(
        maps["semantic"], maps["region"], maps={key: maps[key] for key in ("depth", "disparity", "normals")}
    )


@head_and_view
def test_truth_is_the_label_map_of_the_task_and_none_without_labels(
    recipe: Callable[[int, int], Head], view: Callable[[Sample], Sample], scenes: Scenes
) -> None:
    head, batch = recipe(4, CLASSES), scenes()
    found = head.truth(truth_of(batch, 1))
    if head.task == "scene":
        assert found is None
    else:
        np.testing.assert_array_equal(found, batch[head.task][1].numpy())
    empty = Truth(np.full((4, 5), VOID), np.zeros((4, 5), int))
    assert head.truth(empty) is None


@head_and_view
def test_the_drawn_target_is_that_of_the_first_image(
    recipe: Callable[[int, int], Head], view: Callable[[Sample], Sample], scenes: Scenes
) -> None:
    head, batch = recipe(4, CLASSES), view(scenes())
    classes = Classes(tuple("abcdef"), tuple((40 * i, 255 - 40 * i, 99) for i in range(CLASSES)))
    drawn, alone, other = (
        head.draw_target({key: value[part] for key, value in batch.items()}, classes)
        for part in (slice(None), slice(1), slice(1, None))
    )
    assert (head.draw_target.__doc__ or "").splitlines()[0].endswith(".")
    if head.task == "scene":
        assert drawn is None
        return
    assert drawn is not None
    assert alone is not None
    assert (drawn.shape, drawn.dtype) == ((64, 96, 3), np.uint8)
    np.testing.assert_array_equal(drawn, alone)
    assert not np.array_equal(drawn, other)


@head_and_view
def test_labels_and_truth_of_a_task_are_drawn_alike(
    recipe: Callable[[int, int], Head], view: Callable[[Sample], Sample], scenes: Scenes
) -> None:
    head, batch = recipe(4, CLASSES), scenes()
    classes = Classes(tuple("abcdef"), tuple((40 * i, 255 - 40 * i, 99) for i in range(CLASSES)))
    labels = head.labels(head.ideal(head.target(batch)), Frame.whole((64, 96))).numpy()
    truth = head.truth(truth_of(batch, 0))
    if truth is None:
        assert head.draw(labels[0], classes) is None
        return
    for drawn in (head.draw(labels[0], classes), head.draw(truth, classes)):
        assert drawn is not None
        assert (drawn.shape, drawn.dtype) == ((64, 96, 3), np.uint8)
        assert len(np.unique(drawn.reshape(-1, 3), axis=0)) > 1


def seen(batch: Sample, passes: Passes, head: Head) -> Tensor:
    """The labels of a perfect network that sees a batch in several passes.

    Its images are the rows and columns of their own pixels, so that it knows which labels it is shown.
    """
    _, height, width = batch["region"].shape
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    image = torch.stack([rows, columns, rows]).float().expand(len(batch["region"]), -1, -1, -1)

    def network(image: Tensor) -> list[dict[str, Any]]:
        row, column = (plane.round().long() for plane in image[0, :2])
        shown = {key: batch[key][..., row, column] for key in UNLABELLED}
        if column[0, -1] < column[0, 0]:
            shown["normals"] = shown["normals"] * torch.tensor([-1, 1, 1]).view(3, 1, 1)
        return [{head.task: head.ideal(head.target(shown))}]

    heads = {head.task: head}
    output = passes.outputs(network, heads, image)[head.task]
    return head.labels(output, frame_of({"image": image}, (height, width)))


@pytest.mark.parametrize(
    ("passes", "loss"),
    [
        pytest.param(Passes(flip=True), 0.06, id="flip"),
        pytest.param(Passes(scales=(2.0,)), 0.05, id="twice the size"),
        pytest.param(Passes(flip=True, scales=(0.75, 1.5)), 0.15, id="flips and sizes"),
    ],
)
@dense_heads
def test_labels_of_a_perfect_network_survive_further_passes(
    recipe: Callable[[int, int], Head],
    view: Callable[[Sample], Sample],
    scores: Scores,
    scenes: Scenes,
    passes: Passes,
    loss: float,
) -> None:
    head, batch = recipe(4, CLASSES), view(scenes(4, (80, 100)))
    if isinstance(head, AffinityHead) and passes.scales == (0.75, 1.5):
        loss = 0.3  # the one edge between two regions is not at the same place in all sizes
    once = agreement(head, seen(batch, Passes(), head), batch, CLASSES)
    assert agreement(head, seen(batch, passes, head), batch, CLASSES) >= once - loss


@every_head
def test_an_output_is_no_way_from_itself_and_some_from_another(
    recipe: Callable[[int, int], Head], view: object, scores: object
) -> None:
    head = recipe(8, CLASSES)
    if type(head).distillation is Head.distillation:
        assert not isinstance(head, Dense | SceneHead)
        with pytest.raises(UserError, match=r"cannot be compared .*: leave \w+ out of model.teacher.weight"):
            head.distillation(None, None, 1.0)
        return
    maps = [torch.randn(2, 8, 6, 5) for _ in range(2)]
    own, taught = (head([one] if head.reads_pyramid else one) for one in maps)
    with torch.no_grad():
        sums, weights = head.distillation(own, own, 2.0)
        assert (sums / weights).abs().max() < 1e-5
    sums, weights = head.distillation(own, taught.detach(), 2.0)
    assert sums.shape == weights.shape == (len(sums),)
    assert sums.dtype == weights.dtype == torch.float32
    assert (sums > 0).all()
    assert (weights > 0).all()
    (slope,) = torch.autograd.grad((sums / weights).sum(), own)
    assert slope.abs().sum() > 0
