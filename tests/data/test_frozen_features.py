"""Which views an image has where the features of a few are kept."""

import pytest
import torch

from fusionseg.data.augmentation import Augmentation
from fusionseg.data.frozen_features import FrozenFeatures
from fusionseg.data.samples import TrainSamples
from fusionseg.data.synthetic import SyntheticScenes


@pytest.mark.parametrize(("name", "value"), [("variants", 0), ("seed", -1)])
def test_numbers_out_of_range_are_refused(name: str, value: int) -> None:
    with pytest.raises(ValueError, match=f"^data.features: expected .*{name}.* or more, found {value}$"):
        FrozenFeatures(**{name: value})


def test_views_repeat_after_as_many_epochs_as_there_are_variants() -> None:
    samples = TrainSamples(SyntheticScenes("train", length=2), Augmentation(), (64, 64))
    samples.variants = 3
    views = [samples[(epoch, 1, 0)]["image"] for epoch in range(6)]
    assert all(torch.equal(views[i], views[i + 3]) for i in range(3))
    assert not torch.equal(views[0], views[1])
    assert not torch.equal(views[0], views[2])
    # an image that comes several times in an epoch has another view each time
    assert torch.equal(samples[(1, 1, 1)]["image"], views[2])
    # the first ones are those that there are without variants
    samples.variants = None
    assert torch.equal(samples[(2, 1, 0)]["image"], views[2])
