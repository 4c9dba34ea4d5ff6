import pytest
import torch
from torch import Tensor

from fusionseg.heads.query_decoder import PixelDecoder, QueryDecoder, QueryLayer, sine_positions

CHANNELS = [6, 10, 12, 16]


def pyramid(height: int = 64, width: int = 96) -> list[Tensor]:
    return [
        torch.randn(2, channels, -(-height // stride), -(-width // stride))
        for channels, stride in zip(CHANNELS, (4, 8, 16, 32), strict=True)
    ]


@pytest.fixture
def decoder() -> QueryDecoder:
    return QueryDecoder(CHANNELS, num_classes=3, queries=5, width=16, layers=4)


@pytest.mark.parametrize("size", [(64, 96), (32, 32), (160, 32)])
def test_queries_answer_before_the_first_layer_and_after_each(
    size: tuple[int, int], decoder: QueryDecoder
) -> None:
    masks, classes = decoder(pyramid(*size))
    assert masks.shape == (2, 5, 5, size[0] // 4, size[1] // 4)
    assert classes.shape == (2, 5, 5, 4)


def test_only_the_last_answer_is_computed_in_evaluation(decoder: QueryDecoder) -> None:
    maps = pyramid()
    training = decoder(maps)
    found = decoder.eval()(maps)
    for last, every in zip(found, training, strict=True):
        assert last.shape[1] == 1
        torch.testing.assert_close(last[:, 0], every[:, -1])


def test_images_of_a_batch_do_not_matter_to_each_other(decoder: QueryDecoder) -> None:
    maps = pyramid()
    whole = decoder(maps)
    alone = decoder([level[1:] for level in maps])
    for one, both in zip(alone, whole, strict=True):
        torch.testing.assert_close(one, both[1:], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("layers", [1, 2, 5])
def test_every_level_and_layer_is_learned(layers: int) -> None:
    decoder = QueryDecoder(CHANNELS, num_classes=1, queries=4, width=16, layers=layers)
    maps = [level.requires_grad_() for level in pyramid()]
    masks, classes = decoder(maps)
    (masks.square().sum() + classes.square().sum()).backward()
    learned = [*decoder.parameters(), *maps]
    assert all(p.grad is not None and p.grad.any() for p in learned)


def test_a_query_sees_the_pixels_that_are_not_blocked_and_through_others_what_they_see() -> None:
    layer, memory = QueryLayer(16), torch.randn(1, 6, 16)
    blocked = torch.tensor([[[False, False, True, True, True, True], [True] * 5 + [False]]])
    arguments = {"place": torch.randn(2, 16), "position": torch.randn(6, 16), "blocked": blocked}
    queries = torch.randn(1, 2, 16)
    before = layer(queries, memory=memory, **arguments)
    hidden = memory.clone()
    hidden[:, 2:5] += 1
    assert torch.equal(layer(queries, memory=hidden, **arguments), before)
    seen = memory.clone()
    seen[:, 5] += 1
    after = layer(queries, memory=seen, **arguments)
    assert not torch.isclose(after, before).all(2).any()


def test_queries_read_within_their_masks_or_everywhere_where_these_are_empty(
    decoder: QueryDecoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []
    read = QueryLayer.forward

    def watched(layer: QueryLayer, *args: Tensor) -> Tensor:
        found.append(args[-1])
        return read(layer, *args)

    monkeypatch.setattr(QueryLayer, "forward", watched)
    masks, _ = decoder(pyramid())
    for layer, (blocked, stride) in enumerate(zip(found, (8, 4, 2, 8), strict=True)):
        size = (16 // stride, 24 // stride)
        smaller = torch.nn.functional.interpolate(masks[:, layer], size, mode="bilinear").flatten(2)
        outside = smaller < 0
        expected = outside & ~outside.all(2, keepdim=True)
        clear = smaller.abs() > 1e-4
        assert torch.equal(blocked[clear], expected[clear])
        assert not blocked.all(2).any()


def test_pixels_have_features_of_all_coarser_levels() -> None:
    decoder, maps = PixelDecoder(CHANNELS, 16), pyramid()
    coarsest, *_, finest = decoder(maps)
    assert [m.shape[1:] for m in (coarsest, finest)] == [(16, 2, 3), (16, 16, 24)]
    for level in range(4):
        changed = [m + torch.randn_like(m) if i == level else m for i, m in enumerate(maps)]
        assert not torch.allclose(decoder(changed)[-1], finest)
    assert torch.equal(decoder([torch.randn_like(maps[0]), *maps[1:]])[0], coarsest)


def test_positions_are_those_of_the_image_whatever_its_resolution() -> None:
    coarse = sine_positions(torch.empty(1, 16, 3, 5)).view(3, 5, 16)
    fine = sine_positions(torch.empty(1, 16, 9, 15)).view(9, 15, 16)
    torch.testing.assert_close(fine[1::3, 1::3], coarse)
    flat = fine.flatten(0, 1)
    assert (torch.cdist(flat, flat) + torch.eye(135) > 0.1).all()


@pytest.mark.parametrize(("height", "width"), [(1, 1), (3, 5)])
def test_positions_are_sines_and_cosines_of_rows_and_columns(height: int, width: int) -> None:
    found = sine_positions(torch.empty(1, 8, height, width)).view(height, width, 8)
    for row in range(height):
        for column in range(width):
            y = (row + 0.5) / height * 2 * torch.pi
            x = (column + 0.5) / width * 2 * torch.pi
            angles = torch.tensor([[y, y / 100], [x, x / 100]])
            expected = torch.cat([angles.sin(), angles.cos()], 1).flatten()
            torch.testing.assert_close(found[row, column], expected)
