from functools import partial
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fusionseg.heads import BoundaryHead, SemanticHead
from fusionseg.networks import CrossTaskAttention, HardSharing
from fusionseg.networks.backbone import Backbone
from fusionseg.networks.base import HeadRecipe
from fusionseg.networks.cross_task_attention import CrossAttention, pooled

HEADS: dict[str, HeadRecipe] = {"semantic": partial(SemanticHead, num_classes=5), "region": BoundaryHead}
IMAGE = torch.rand(2, 3, 64, 96)


def linear(layer: nn.Conv2d, token: Tensor) -> Tensor:
    found: Tensor = layer.weight[:, :, 0, 0] @ token
    return found if layer.bias is None else found + layer.bias


@pytest.mark.parametrize(("number", "tokens"), [(1, 100), (2, 100), (2, 6)])
def test_queries_find_values_by_softmax_over_the_keys_of_all_others(number: int, tokens: int) -> None:
    attention = CrossAttention(3, 4, attention_heads=2, tokens=tokens)
    nn.init.constant_(attention.gate, 0.7)
    own, *others = (torch.randn(1, 3, 4, 6) for _ in range(1 + number))
    side = 1 if tokens == 100 else 2
    small, *memory = (F.avg_pool2d(m, side) for m in (own, *others))
    keys = [m[0, :, i, j] for m in memory for i in range(m.shape[2]) for j in range(m.shape[3])]
    answer = torch.zeros_like(small)
    for i in range(small.shape[2]):
        for j in range(small.shape[3]):
            found = []
            for part in (slice(0, 2), slice(2, 4)):
                query = linear(attention.query, small[0, :, i, j])[part]
                scores = torch.stack([query @ linear(attention.key, k)[part] for k in keys]) / 2**0.5
                weights = scores.exp() / scores.exp().sum()
                found.append(
                    torch.stack(
                        [w * linear(attention.value, k)[part] for w, k in zip(weights, keys, strict=True)]
                    ).sum(0)
                )
            answer[0, :, i, j] = linear(attention.output, torch.cat(found))
    expected = own + 0.7 * F.interpolate(answer, (4, 6), mode="bilinear")
    torch.testing.assert_close(attention(own, others), expected)


def test_with_the_gate_at_0_it_is_hard_sharing() -> None:
    network = CrossTaskAttention(HEADS, Backbone(decoder="FPN")).eval()
    shared = HardSharing(HEADS, Backbone(decoder="FPN"), shared_decoder=False).eval()
    missing, _ = shared.load_state_dict(network.state_dict(), strict=False)
    assert not missing
    (ours,), (theirs,) = network(IMAGE), shared(IMAGE)
    for task in HEADS:
        assert torch.equal(ours[task], theirs[task])


def test_with_an_open_gate_a_task_depends_on_the_features_of_another() -> None:
    network = CrossTaskAttention(HEADS, Backbone(decoder="FPN")).eval()
    attentions: Any = network.attentions
    nn.init.ones_(attentions["semantic"].gate)
    before = network(IMAGE)[0]
    network.decoders["region"].register_forward_hook(lambda _, inputs, output: -output)
    assert not torch.equal(network(IMAGE)[0]["semantic"], before["semantic"])


def test_a_task_looks_at_all_others_and_not_at_itself() -> None:
    network = CrossTaskAttention(
        HEADS | {"parts": partial(SemanticHead, num_classes=3)}, Backbone(decoder="FPN")
    ).eval()
    maps: dict[str, Tensor] = {}
    looked: dict[str, tuple[Tensor, list[Tensor]]] = {}
    for task, decoder in network.decoders.items():
        decoder.register_forward_hook(lambda _, inputs, output, task=task: maps.update({task: output}))
    for task, attention in network.attentions.items():
        attention.register_forward_pre_hook(lambda _, inputs, task=task: looked.update({task: inputs}))
    network(IMAGE)
    for task, (own, others) in looked.items():
        assert own is maps[task]
        assert {id(m) for m in others} == {id(m) for other, m in maps.items() if other != task}
    assert list(looked) == ["semantic", "region", "parts"]


def test_the_gate_learns_from_the_first_step() -> None:
    network = CrossTaskAttention(HEADS, Backbone(decoder="FPN"))
    torch.stack([m.square().mean() for m in network(IMAGE)[0].values()]).sum().backward()  # type: ignore[no-untyped-call]
    attentions: Any = network.attentions
    assert all(attention.gate.grad.any() for attention in attentions.values())


@pytest.mark.parametrize("size", [(7, 11), (16, 64), (1, 300), (5, 5)])
@pytest.mark.parametrize("tokens", [1, 9, 50])
def test_features_are_pooled_to_few_tokens_and_no_further(size: tuple[int, int], tokens: int) -> None:
    features = torch.randn(2, 3, *size)
    found = pooled(features, tokens)
    height, width = found.shape[-2:]
    assert height * width <= tokens
    side = 1
    while True:
        rows, columns = range(0, size[0], side), range(0, size[1], side)
        if len(rows) * len(columns) <= tokens:
            break
        side += 1
    assert (height, width) == (len(rows), len(columns))
    means = [[features[..., i : i + side, j : j + side].mean((-1, -2)) for j in columns] for i in rows]
    expected = torch.stack([torch.stack(row, -1) for row in means], -2)
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"width": 30, "attention_heads": 4}, "attention_heads that divide the width, found 4 and 30"),
        ({"attention_heads": 0}, "attention_heads that divide the width, found 0"),
        ({"tokens": 0}, "expected 1 token or more, found 0"),
    ],
)
def test_options_that_fit_nothing_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        CrossTaskAttention(HEADS, Backbone(), **options)
