import numpy as np
import torch
from torch import Tensor, nn

from fusionseg.heads import RegionHead
from fusionseg.sample import VOID, Classes, Frame, Sample, Truth
from fusionseg.visualize import region_colors


class OneRegion(RegionHead):
    """Says that every image is one region."""

    def __init__(self, in_channels: int) -> None:
        super().__init__()
        self.layers = nn.Conv2d(in_channels, 1, 1)

    def forward(self, features: Tensor) -> Tensor:
        return self.layers(features)  # type: ignore[no-any-return]

    def target(self, batch: Sample) -> Tensor:
        return batch["region"]  # type: ignore[no-any-return]

    def loss(self, output: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        return output.square().sum()[None], output.new_ones(1)

    def labels(self, output: Tensor, frame: Frame) -> Tensor:
        return torch.ones(len(output), *frame.size, dtype=torch.long, device=output.device)

    def ideal(self, target: Tensor) -> Tensor:
        return torch.zeros_like(target)[:, None].float()


def test_a_region_head_of_one_s_own_knows_its_task_its_truth_and_how_it_is_drawn() -> None:
    head = OneRegion(4)
    region = np.array([[1, 1, 0], [5, 5, 0]])
    assert head.task == "region"
    assert head.truth(Truth(np.full((2, 3), VOID), region)) is region
    np.testing.assert_array_equal(head.draw(region, Classes(("a",), ((9, 9, 9),))), region_colors(region))
