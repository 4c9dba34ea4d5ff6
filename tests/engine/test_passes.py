from typing import Any

import pytest
import torch
from torch import Tensor

from fusionseg.config.errors import UsageError, UserError
from fusionseg.engine.passes import Passes, answering
from fusionseg.heads import BoundaryHead, EmbeddingHead, SemanticHead


def test_a_command_line_names_flips_and_sizes() -> None:
    assert Passes.of(tta="flip, 0.75,1.25,1") == Passes(flip=True, scales=(0.75, 1.25))
    assert Passes.of(tta=["flip", 2]) == Passes(flip=True, scales=(2.0,))
    assert Passes.of(tile=100, overlap=20).record == {"tile": 128, "overlap": 32}
    assert Passes.of(tta="1.5,flip").record == {"tta": ["flip", 1.5]}
    assert Passes.of().plain
    assert Passes.of(tta="1").plain
    assert Passes.of().record == {}
    assert Passes.of().name == ""
    assert Passes.of(tile=100, overlap=20, tta="1.5,flip").name == "tile-128-32_tta-flip-1.5"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"tile": 0}, "at least 1 pixel, found 0"),
        ({"tile": 64, "overlap": -1}, "at least 0 pixels, found -1"),
        ({"tile": 64, "overlap": 40}, "smaller than the tile, found 64 and 64"),
        ({"tta": "flap"}, "flip or sizes such as 0.75, found 'flap'"),
        ({"tta": "0"}, "sizes above 0, found 0"),
        ({"tta": "nan"}, "sizes above 0, found nan"),
    ],
)
def test_passes_that_make_no_sense_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Passes.of(**arguments)


def test_heads_whose_output_is_of_the_whole_image_are_refused_by_name() -> None:
    heads = {"semantic": SemanticHead(4, 3), "region": EmbeddingHead(4)}
    Passes().check(heads)
    with pytest.raises(UserError, match="found EmbeddingHead, whose output belongs to the image as a whole"):
        Passes(tile=64, overlap=32).check(heads)


def test_a_module_that_sees_images_in_one_way_is_refused() -> None:
    class Other:
        def predictions(self, batch: Any, size: Any) -> list[Any]:
            return []

    assert answering(Other(), ["confidence"])({}, (1, 1)) == []
    with pytest.raises(UserError, match=r"predictions\(batch, size, passes=...\)` in Other"):
        answering(Other(), passes=Passes(flip=True))


def test_each_size_is_seen_as_it_is_and_mirrored() -> None:
    seen: list[Tensor] = []

    def network(image: Tensor) -> list[dict[str, Tensor]]:
        seen.append(image)
        return [{"region": image[:, :1, ::4, ::4].float()}]

    image = torch.randint(0, 256, (1, 3, 64, 96), dtype=torch.uint8)
    heads = {"region": BoundaryHead(4)}
    Passes(flip=True, scales=(0.5, 1.5)).outputs(network, heads, image)  # type: ignore[arg-type]
    assert [tuple(one.shape[2:]) for one in seen] == [(64, 96)] * 2 + [(32, 64)] * 2 + [(96, 160)] * 2
    assert torch.equal(seen[1], image.flip(-1))
    # 48 and 144 wide, before the edge is repeated
    assert torch.equal(seen[3][..., :48], seen[2][..., :48].flip(-1))
    assert (seen[5][..., 144:] == seen[5][..., 143:144]).all()
    assert all(one.dtype == torch.uint8 for one in seen)
    assert abs(float(seen[2].float().mean()) - float(image.float().mean())) < 2


def test_the_mean_of_equal_passes_is_each_of_them() -> None:
    def network(image: Tensor) -> list[dict[str, Tensor]]:
        return [{"semantic": torch.tensor([2.0, 0.5, -1.0]).view(1, 3, 1, 1).expand(1, 3, 8, 8)}]

    heads = {"semantic": SemanticHead(4, 3)}
    image = torch.zeros(1, 3, 32, 32, dtype=torch.uint8)
    mean = Passes(flip=True, scales=(2.0,)).outputs(network, heads, image)["semantic"]  # type: ignore[arg-type]
    torch.testing.assert_close(mean.softmax(1), network(image)[0]["semantic"].softmax(1))
